"""Whether a Ray cluster asks for a token: one that does not runs what anybody sends it."""

from __future__ import annotations

import os

import grpc
from ray._common.tls_utils import load_certs_from_env

from raypipe.errors import ConfigError

INSECURE = "RAYPIPE_INSECURE"
"""Environment variable that allows clusters that ask for no token; ``--insecure`` sets it."""

_READ_ONLY_CALL = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_TIMEOUT_S = 15.0
_SILENT = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
_YES = ("1", "true", "yes")


def check_head(address: str, head: str) -> None:
    """Refuse a cluster that does not answer, or that answers anybody.

    Ray itself waits for minutes for what does not answer.

    Args:
        address: as the user named it.
        head: ``host:port`` of its head, which answers Ray's own protocol.

    Raises:
        ConfigError: if it is silent; if it asks for no token or does not say, unless
            :data:`INSECURE` allows that.
    """
    answer = _answer_without_token(head)
    if answer in _SILENT:
        raise ConfigError(f"no Ray cluster answers at {address!r}: {head} is silent")
    if answer is grpc.StatusCode.UNAUTHENTICATED or os.environ.get(INSECURE, "").lower() in _YES:
        return
    reason = (
        "asks for no token: whoever reaches its ports runs code on it"
        if answer is grpc.StatusCode.OK
        else f"does not say whether it asks for a token ({answer.name})"
    )
    raise ConfigError(
        f"the Ray cluster at {address!r} {reason}. Start it with RAY_AUTH_MODE=token and "
        f"RAY_AUTH_TOKEN_PATH on every node, or allow it by --insecure or {INSECURE}=1"
    )


def _answer_without_token(head: str) -> grpc.StatusCode:
    """What the head says to a call that changes nothing, from somebody who has no token."""
    with _channel(head) as channel:
        # Of a message without fields, the bytes are none.
        ask = channel.unary_unary(_READ_ONLY_CALL)
        try:
            ask(b"", timeout=_TIMEOUT_S, wait_for_ready=True)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def _channel(head: str) -> grpc.Channel:
    """A connection as Ray makes its own: past proxies, by TLS where the environment says so."""
    options = [("grpc.enable_http_proxy", 0)]
    if os.environ.get("RAY_USE_TLS", "0").lower() not in _YES:
        return grpc.insecure_channel(head, options=options)
    certificate, key, authority = load_certs_from_env()
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    return grpc.secure_channel(head, credentials, options=options)
