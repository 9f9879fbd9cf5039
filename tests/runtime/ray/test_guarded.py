"""Heads that ask for a token, do not, or do something else, as Ray's own protocol has it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from ray._common.tls_utils import generate_self_signed_tls_certs

from raypipe.errors import ConfigError
from raypipe.runtime.ray import guarded
from raypipe.runtime.ray.guarded import INSECURE, check_head


@contextmanager
def head(
    answer: Callable[[bytes, grpc.ServicerContext], bytes],
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[str]:
    """Address of a server that answers every call so."""

    class Everything(grpc.GenericRpcHandler):
        def service(self, details: Any) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Everything()])
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def refusing(code: grpc.StatusCode) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        assert not [key for key, _ in context.invocation_metadata() if "auth" in key]
        context.abort(code, "no")
        raise AssertionError

    return answer


@pytest.fixture(autouse=True)
def _nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INSECURE, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody is there


def test_a_head_that_asks_for_a_token_is_joined() -> None:
    with head(refusing(grpc.StatusCode.UNAUTHENTICATED)) as address:
        check_head("auto", address)


def test_a_head_that_answers_anybody_is_refused_unless_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with head(lambda request, context: b"") as address:
        with pytest.raises(ConfigError) as refused:
            check_head("auto", address)
        assert str(refused.value).startswith("the Ray cluster at 'auto' asks for no token")
        assert "--insecure or RAYPIPE_INSECURE=1" in str(refused.value)
        assert "\n" not in str(refused.value)
        monkeypatch.setenv(INSECURE, "0")
        with pytest.raises(ConfigError):
            check_head("auto", address)
        monkeypatch.setenv(INSECURE, "1")
        check_head("auto", address)


def test_a_head_that_does_not_say_is_no_guarded_one() -> None:
    with (
        head(refusing(grpc.StatusCode.UNIMPLEMENTED)) as address,
        pytest.raises(ConfigError, match=r"does not say .* \(UNIMPLEMENTED\)"),
    ):
        check_head("auto", address)


def test_a_head_is_asked_by_tls_where_the_cluster_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "_TIMEOUT_S", 1.0)
    certificate, key = (text.encode() for text in generate_self_signed_tls_certs())
    (tmp_path / "certificate").write_bytes(certificate)
    (tmp_path / "key").write_bytes(key)
    credentials = grpc.ssl_server_credentials([(key, certificate)], certificate, True)
    with head(refusing(grpc.StatusCode.UNAUTHENTICATED), credentials) as address:
        with pytest.raises(ConfigError, match="is silent"):
            check_head("auto", address)
        for name, file in (("SERVER_CERT", "certificate"), ("SERVER_KEY", "key")):
            monkeypatch.setenv(f"RAY_TLS_{name}", str(tmp_path / file))
        monkeypatch.setenv("RAY_TLS_CA_CERT", str(tmp_path / "certificate"))
        monkeypatch.setenv("RAY_USE_TLS", "1")
        check_head("auto", address.replace("127.0.0.1", "localhost"))


def test_a_head_that_is_silent_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "_TIMEOUT_S", 0.5)
    monkeypatch.setenv(INSECURE, "1")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        open_but_deaf = f"127.0.0.1:{deaf.getsockname()[1]}"
        for address in (open_but_deaf, "127.0.0.1:1"):
            with pytest.raises(ConfigError, match=f"no Ray cluster answers at 'auto': {address}"):
                check_head("auto", address)
