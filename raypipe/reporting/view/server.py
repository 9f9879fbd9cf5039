"""The server of the view: loopback only, one reader at a time, nothing from other sites."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Final
from urllib.parse import parse_qs, urlsplit

from raypipe.errors import ConfigError
from raypipe.reporting.view.access import Access
from raypipe.reporting.view.answers import HTML, ViewAnswer, Viewer, problem
from raypipe.reporting.view.listing import OpenRuns
from raypipe.reporting.view.tables import RunTables

LOOPBACK: Final = "127.0.0.1"
POLICY: Final = (
    "default-src 'none'; style-src 'self'; media-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOCKED: Final = (
    "This page is for whoever started raypipe view. Open the address that it printed; the address "
    "works once, in one browser. Start it again for a new one."
)


class _ViewServer(ThreadingHTTPServer):
    """A thread for every request; none of them keeps the program alive."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, port: int, viewer: Viewer) -> None:
        super().__init__((LOOPBACK, port), _ViewHandler)
        self.viewer = viewer
        self.access = Access(self.server_port)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print what went wrong, unless it is that a browser hung up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _ViewHandler(BaseHTTPRequestHandler):
    """One connection of a browser."""

    server: _ViewServer
    protocol_version = "HTTP/1.1"
    server_version = "raypipe"
    sys_version = ""
    timeout: ClassVar[float] = 60.0

    def do_GET(self) -> None:
        """Answer a request."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer a request without its body."""
        self._answer()

    def _answer(self) -> None:
        try:
            answer = self._reply()
        except Exception as error:
            # Without an answer a browser asks again and again; what it was, the terminal tells.
            self._send(problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"A fault: {type(error)}"))
            raise
        self._send(answer)

    def _reply(self) -> ViewAnswer:
        access = self.server.access
        if not access.is_own_host(self.headers.get("Host")):
            return problem(HTTPStatus.FORBIDDEN, "This is not the host that the request names.")
        try:
            address = urlsplit(self.path)
        except ValueError:
            return problem(HTTPStatus.BAD_REQUEST, "The address cannot be read.")
        token = parse_qs(address.query).get("token")
        if token is not None:
            cookie = access.redeem(token[-1])
            if cookie is not None:
                headers = {"Location": "/", "Set-Cookie": cookie}
                return ViewAnswer(HTTPStatus.SEE_OTHER, b"", HTML, headers)
            if access.is_allowed(self.headers.get("Cookie")):  # a reload of the first address
                return ViewAnswer(HTTPStatus.SEE_OTHER, b"", HTML, {"Location": "/"})
        if not access.is_allowed(self.headers.get("Cookie")):
            return problem(HTTPStatus.FORBIDDEN, _LOCKED)
        return self.server.viewer.answer(address.path, address.query, self.headers.get("Range"))

    def _send(self, answer: ViewAnswer) -> None:
        self.send_response(answer.status)
        headers = {"Content-Type": answer.content_type, **_HEADERS, **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(answer.body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the browser has enough of this recording

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no GET or HEAD, without repeating any of it."""
        self.close_connection = True
        self._send(problem(HTTPStatus(code), "Only pages are read here."))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: an address can hold the token."""


class RunningView:
    """A server that listens.

    Attributes:
        address: that a browser opens first; it works once.
    """

    def __init__(self, server: _ViewServer) -> None:
        self._server = server
        self.port = server.server_port
        self.address = f"http://{LOOPBACK}:{self.port}/?token={server.access.token}"

    def serve(self) -> None:
        """Answer until the process is interrupted."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """End :meth:`serve`, which runs in another thread."""
        self._server.shutdown()


@contextmanager
def running_view(
    runs: Sequence[str], *, endpoint: str | None, shards: str | None = None, port: int = 0
) -> Iterator[RunningView]:
    """A server of the pages of some runs.

    Args:
        runs: paths or ``s3://`` URIs.
        endpoint: of an S3-compatible server.
        shards: where the recordings are now; None for where the runs read them.
        port: to listen on; 0 for any that is free.

    Raises:
        ConfigError: if the port is taken or may not be used.
        StoreError: if a place holds no run with predictions.
    """
    opened = OpenRuns([RunTables.open(run, endpoint, shards) for run in runs])
    try:
        server = _ViewServer(port, Viewer(opened))
    except OSError as error:
        opened.close()
        raise ConfigError(f"port {port} cannot be listened on: {error.strerror}") from error
    try:
        yield RunningView(server)
    finally:
        server.server_close()
        opened.close()
