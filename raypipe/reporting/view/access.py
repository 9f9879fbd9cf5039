"""Who may look: a token that works once, a cookie that takes its place, and the right host."""

from __future__ import annotations

import hmac
import secrets
import threading
from http.cookies import CookieError, SimpleCookie
from typing import Final

_BYTES: Final = 32


class Access:
    """The keys to one server.

    The token stands in an address, which lands in a browser's history and in a terminal, so it is
    worth nothing once it was used: it buys the cookie, which no script and no other site can read
    or send.

    Args:
        port: that the server listens on; cookies do not tell ports apart, so it is in their name.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(_BYTES)
        self._cookie = secrets.token_urlsafe(_BYTES)
        self._name = f"raypipe-view-{port}"
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._lock = threading.Lock()
        self._is_used = False

    def is_own_host(self, host: str | None) -> bool:
        """Whether a request names this server, not another name that leads here (DNS rebinding)."""
        return host is not None and host.lower() in self._hosts

    def redeem(self, token: str) -> str | None:
        """The ``Set-Cookie`` that a token buys; None for a wrong one or one that was used."""
        with self._lock:
            is_right = hmac.compare_digest(token.encode(), self.token.encode())
            if self._is_used or not is_right:
                return None
            self._is_used = True
        return f"{self._name}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"

    def is_allowed(self, cookies: str | None) -> bool:
        """Whether a request's ``Cookie`` header holds the cookie."""
        try:
            morsel = SimpleCookie(cookies or "").get(self._name)
        except CookieError:  # what cannot be read holds no key
            return False
        value = "" if morsel is None else morsel.value
        return hmac.compare_digest(value.encode(), self._cookie.encode())
