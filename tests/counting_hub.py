"""A local server that answers as the model hub does, for one model; it counts what it hands out."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer:
    """A running server.

    Attributes:
        endpoint: its URL.
        handed_out: how often the content of each file was fetched.
    """

    def __init__(self, endpoint: str, handed_out: Counter[str]) -> None:
        self.endpoint, self.handed_out = endpoint, handed_out


@contextmanager
def hub_server(model: str, files: Mapping[str, bytes]) -> Iterator[HubServer]:
    """Serve the files of a model, whatever revision is asked for."""
    handed_out: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.split("?")[0]
            if path.startswith(f"/api/models/{model}"):
                body = json.dumps({"id": model, "sha": COMMIT, "siblings": []}).encode()
                self._send(200, body, {}, with_body=with_body)
                return
            name = path.removeprefix(f"/{model}/resolve/").partition("/")[2]
            if name not in files:
                missing = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
                self._send(404, b"Entry not found", missing, with_body=with_body)
                return
            body = files[name]
            if with_body:
                handed_out[name] += 1
            etag = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._send(200, body, etag, with_body=with_body)

        def _send(
            self, status: int, body: bytes, headers: Mapping[str, str], *, with_body: bool
        ) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HubServer(f"http://127.0.0.1:{server.server_port}", handed_out)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
