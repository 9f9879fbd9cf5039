"""An HTTP proxy that breaks S3 requests on purpose; signatures stay valid, the host is kept."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import re
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

Action = Literal["status", "lose_reply", "cut_body", "flip_body", "shorten_body"]

_CODES = {403: "AccessDenied", 409: "ConditionalRequestConflict", 500: "InternalError"}


@dataclass
class Fault:
    """What goes wrong with the next matching requests.

    Attributes:
        action: ``status``: answer with an error, nothing reaches the server; ``lose_reply``: the
            server does it, the connection breaks before its answer; ``cut_body``: it breaks in
            the middle; ``flip_body``: one byte is changed; ``shorten_body``: half is missing, and
            the length says so.
        times: for how many requests.
    """

    action: Action
    method: str
    key: str = ""
    status: int = 500
    times: int = 1


@dataclass
class Faults:
    """Faults to come, and requests seen, of one proxy."""

    endpoint: str
    planned: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.seen.append((method, path))
            for fault in self.planned:
                if fault.times and fault.method == method and re.search(fault.key, path):
                    fault.times -= 1
                    return fault
        return None


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ("", 0)
    faults: Faults

    def log_message(self, *arguments: object) -> None:
        pass

    def forward(self) -> None:
        body = self._request_body()
        fault = self.faults.next_for(self.command, self.path)
        action = fault.action if fault else None
        if fault and action == "status":
            self._refuse(fault.status)
            return
        reply, data = self._ask_server(body)
        if action == "lose_reply":
            self._break_connection()
            return
        if action == "flip_body":
            data = (
                data[: len(data) // 2]
                + bytes([data[len(data) // 2] ^ 1])
                + data[len(data) // 2 + 1 :]
            )
        if action == "shorten_body":
            data = data[: len(data) // 2]
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = reply.getheader("Content-Length", "0") if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if action == "cut_body":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self._break_connection()
            return
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815

    def _request_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def _ask_server(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        with contextlib.closing(http.client.HTTPConnection(*self.upstream, timeout=60)) as server:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("transfer-encoding", "expect", "content-length"):
                    server.putheader(name, value)
            server.putheader("Content-Length", str(len(body)))
            server.endheaders(body)
            reply = server.getresponse()
            return reply, reply.read()

    def _refuse(self, status: int) -> None:
        body = f"<Error><Code>{_CODES[status]}</Code><Message>injected</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _break_connection(self) -> None:
        """Close with a reset, as a dying peer does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are the point; they need no stack on the console."""


@contextlib.contextmanager
def fault_proxy(upstream: str) -> Iterator[Faults]:
    """A proxy before the server at ``upstream``; what goes wrong is planned on the value."""
    parts = urlsplit(upstream)
    handler = type("Handler", (_Handler,), {"upstream": (parts.hostname, parts.port)})
    with _Server(("127.0.0.1", 0), handler) as server:
        faults = handler.faults = Faults(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield faults
        finally:
            server.shutdown()
            thread.join()
