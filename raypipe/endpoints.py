"""Addresses of S3-compatible servers."""

from __future__ import annotations

from urllib.parse import urlsplit


def endpoint_fault(endpoint: str) -> str | None:
    """Why a text is no endpoint, in words that do not repeat it; None if it is one.

    Example:
        >>> endpoint_fault("http://127.0.0.1:8333"), endpoint_fault("127.0.0.1:8333")
        (None, 'the S3 endpoint is not an http(s):// URL with a host')
    """
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname
    except ValueError:
        host = None
    else:
        if parts.username is not None or parts.password is not None:
            return "the S3 endpoint holds credentials; give them in the environment"
        if parts.query or parts.fragment:
            return "the S3 endpoint holds more than an address; keys belong in the environment"
    if not host or parts.scheme not in ("http", "https"):
        return "the S3 endpoint is not an http(s):// URL with a host"
    return None
