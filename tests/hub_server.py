"""A real local server that speaks what is asked of the hub about a checkpoint."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories of the server and how it answers.

    Attributes:
        folders: the files of every repository, by its id.
        gated: ids whose files only a right token may read; their listings are open.
        private: ids that nobody without the token sees.
        token: the right one.
        status: answered to everything; None for what is so.
        silent_s: seconds until any answer.
        portal: a page in the place of every answer, with status 200; None for answers.
        requests: methods and paths that were asked, in order.
        handed_out: how often the content of each file was fetched.
    """

    folders: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)
    token: str = "hf_right"
    status: int | None = None
    silent_s: float = 0.0
    portal: bytes | None = None
    requests: list[str] = field(default_factory=list)
    handed_out: Counter[str] = field(default_factory=Counter)
    url: str = ""


@contextmanager
def hub_server() -> Iterator[Hub]:
    """The server, on the loopback interface, until the context is left."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            time.sleep(hub.silent_s)
            if hub.status is not None:
                return self._send(hub.status)
            if hub.portal is not None:
                return self._send(200, hub.portal)
            path = self.path.split("?")[0].removeprefix("/")
            if path.startswith("api/models/"):
                return self._list(path.removeprefix("api/models/"))
            repository, resolve, rest = path.partition("/resolve/")
            if not resolve:
                return self._send(404)
            revision, _, name = rest.partition("/")
            return self._file(repository, revision, name)

        def _may_read(self) -> bool:
            return self.headers.get("Authorization") == f"Bearer {hub.token}"

        def _refusal(self, repository: str, revision: str) -> str | None:
            is_hidden = repository in hub.private and not self._may_read()
            if repository not in hub.folders or is_hidden:
                return "RepoNotFound"
            return None if revision in ("main", COMMIT) else "RevisionNotFound"

        def _list(self, path: str) -> None:
            repository, tree, revision = path.partition("/tree/")
            if not tree:
                repository, _, revision = path.partition("/revision/")
            refusal = self._refusal(repository, revision or "main")
            if refusal is not None:
                return self._send(401 if refusal == "RepoNotFound" else 404, error=refusal)
            folder = hub.folders[repository]
            sizes = {
                file.relative_to(folder).as_posix(): file.stat().st_size
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
            siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
            told: object = {"id": repository, "sha": COMMIT, "siblings": siblings}
            if tree:  # as downloading a whole repository asks
                told = [
                    {"type": "file", "path": name, "size": size, "oid": COMMIT}
                    for name, size in sizes.items()
                ]
            self._send(200, json.dumps(told).encode())

        def _file(self, repository: str, revision: str, name: str) -> None:
            refusal = self._refusal(repository, revision)
            if refusal is not None:
                return self._send(401 if refusal == "RepoNotFound" else 404, error=refusal)
            if repository in hub.gated and not self._may_read():
                return self._send(403, error="GatedRepo")
            file = hub.folders[repository] / name
            if not file.is_file():
                return self._send(404, error="EntryNotFound")
            hub.handed_out[name] += self.command == "GET"
            self._send(200, file.read_bytes())

        def _send(self, status: int, body: bytes = b"", *, error: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Repo-Commit", COMMIT)
            if body:
                self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            if error is not None:
                self.send_header("X-Error-Code", error)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
