"""A real server that speaks chat completions, and a proxy before it that breaks what it can.

The server has no model: its answers are a function of the clip, the seed and the temperature, so
that a test can work them out again. It checks what a real one would: the key, the body, the clip.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import http.server
import io
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import soundfile

from raypipe.config.api import ApiConfig
from raypipe.labels import label_set

LABELS = label_set("crema-d-6")
_QUICK = {"first_wait_s": 0.01, "longest_wait_s": 0.05, "timeout_s": 5.0}

Body = dict[str, Any]
Script = Callable[[Body], tuple[int, dict[str, str], Any] | None]

END = "<end>"


def api_config(base_url: str, **changes: Any) -> ApiConfig:
    """Settings for a server here, which need not wait as long as for one far away."""
    return ApiConfig(**{"preset": "vllm", "base_url": base_url, **_QUICK, **changes})


@dataclass
class ChatServer:
    """What the server does, and what it has seen.

    Attributes:
        key: what it wants to see as a bearer token; None takes anybody.
        candidates: most choices it gives to one request, whatever ``n`` asks for.
        logprobs: whether it gives them when asked.
        script: answers in place of the server if it returns status, headers and a JSON value.
    """

    base_url: str = ""
    key: str | None = None
    candidates: int = 16
    logprobs: bool = True
    script: Script = lambda body: None
    seen: list[Body] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, body: Body) -> Body:
        count = min(body.get("n", 1), self.candidates)
        choices = [self._choice(body, number) for number in range(count)]
        written = sum(len(pieces(choice["message"]["content"])) for choice in choices)
        usage = {"prompt_tokens": 120, "completion_tokens": written, "total_tokens": 120 + written}
        usage["prompt_tokens_details"] = {"audio_tokens": 100}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": choices,
            "usage": usage,
        }

    def _choice(self, body: Body, number: int) -> Body:
        text = answer_text(body, number)
        choice = {
            "index": number,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        if self.logprobs and body.get("logprobs"):
            choice["logprobs"] = {"content": [_step(body, one) for one in [*pieces(text), END]]}
        return choice


def clip_of(body: Body) -> bytes:
    """The audio file inside a request."""
    part = body["messages"][0]["content"][0]
    if part["type"] == "audio_url":
        return base64.b64decode(part["audio_url"]["url"].partition(",")[2])
    return base64.b64decode(part["input_audio"]["data"])


def text_of(body: Body) -> str:
    """What is asked in a request."""
    content = body["messages"][0]["content"]
    return content if isinstance(content, str) else content[1]["text"]


def answer_text(body: Body, number: int) -> str:
    """A distribution that only the clip, the seed and the temperature decide.

    Without a clip the text takes its place.
    """
    labels = re.search(r"Emotions: (.*)\.\n", text_of(body))
    assert labels is not None
    names = labels[1].split(", ")
    if isinstance(body["messages"][0]["content"], str):
        asked = text_of(body).encode()
    else:
        asked = soundfile.read(io.BytesIO(clip_of(body)), dtype="int16")[0].tobytes()
    drawn = (body.get("seed", 0), number) if body["temperature"] else ()
    digest = hashlib.sha256(asked + repr(drawn).encode()).digest()
    shares = [1 + digest[at] % 9 for at in range(len(names))]
    values = {name: share / sum(shares) for name, share in zip(names, shares, strict=True)}
    return json.dumps({name: round(value, 3) for name, value in values.items()})


def pieces(text: str) -> list[str]:
    """The tokens of a text: words, single other signs."""
    return re.findall(r"\w+|\W", text)


def logprob_of(piece: str) -> float:
    """A log-probability for a token: the longer, the less likely."""
    return -0.01 * len(piece)


def _step(body: Body, piece: str) -> Body:
    step: Body = {"token": piece, "logprob": logprob_of(piece)}
    step["top_logprobs"] = [
        {"token": f"token_id:{token_id}", "logprob": -1.0 - token_id / 1000}
        for token_id in body.get("logprob_token_ids", ())
    ]
    return step


class _ChatHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: ChatServer

    def log_message(self, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        state = self.server_state
        given = self.headers.get("Authorization", "")
        if state.key is not None and given != f"Bearer {state.key}":
            error = {"message": f"Incorrect API key provided: {given}", "code": "invalid_api_key"}
            self._send(401, {}, {"error": error})
            return
        body = json.loads(raw)
        with state.lock:
            state.seen.append(body)
        self._send(*(state.script(body) or (200, {}, state.reply(body))))

    def _send(self, status: int, headers: dict[str, str], value: Any) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, text)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are the point; they need no stack on the console."""


@contextlib.contextmanager
def chat_server(**settings: Any) -> Iterator[ChatServer]:
    """A running server."""
    state = ChatServer(**settings)
    with _serving(type("Handler", (_ChatHandler,), {"server_state": state})) as port:
        state.base_url = f"http://127.0.0.1:{port}/v1"
        yield state


@contextlib.contextmanager
def _serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


FAULTS = ("rate_limit", "server_error", "timeout", "cut_body", "invalid_json", "reset", "empty")


@dataclass
class ChatFaults:
    """A proxy's plan and what it did.

    Attributes:
        share: of requests that go wrong, in [0, 1].
        kinds: what may go wrong with them.
        hang_s: how long a ``timeout`` keeps its client waiting.
        done: how often each fault was played; ``none`` counts what passed.
    """

    base_url: str = ""
    share: float = 0.3
    kinds: Sequence[str] = FAULTS
    hang_s: float = 1.0
    done: Counter[str] = field(default_factory=Counter)
    dice: random.Random = field(default_factory=lambda: random.Random(5))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> str:
        with self.lock:
            fault = self.dice.choice(self.kinds) if self.dice.random() < self.share else "none"
            self.done[fault] += 1
            return fault


class _FaultHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ("", 0)
    faults: ChatFaults

    def log_message(self, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.faults.next()
        if fault == "rate_limit":
            self._send(429, b'{"error": {"message": "slow down"}}', {"Retry-After": "0.02"})
        elif fault == "server_error":
            self._send(500, b"<html>oops</html>")
        elif fault == "reset":
            self._reset()
        elif fault == "empty":
            self._send(200, b'{"choices": []}')
        else:
            self._pass_on(body, fault)

    def _pass_on(self, body: bytes, fault: str) -> None:
        with contextlib.closing(http.client.HTTPConnection(*self.upstream, timeout=30)) as server:
            server.request("POST", self.path, body, dict(self.headers.items()))
            reply = server.getresponse()
            data = reply.read()
        if fault == "timeout":
            time.sleep(self.faults.hang_s)
            self._reset()
        elif fault == "invalid_json":
            self._send(reply.status, data[: len(data) // 2])
        elif fault == "cut_body":
            self._head(reply.status, len(data))
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self._reset()
        else:
            self._send(reply.status, data)

    def _head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, len(data), headers)
        self.wfile.write(data)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


@contextlib.contextmanager
def chat_faults(base_url: str, **settings: Any) -> Iterator[ChatFaults]:
    """A proxy before the server at ``base_url``."""
    parts = urlsplit(base_url)
    state = ChatFaults(**settings)
    inside = {"upstream": (parts.hostname, parts.port), "faults": state}
    with _serving(type("Handler", (_FaultHandler,), inside)) as port:
        state.base_url = f"http://127.0.0.1:{port}{parts.path}"
        yield state
