"""An endpoint of stand-ins: ``python -m raypipe.tiny_alm.scripted_endpoint --port 8765``.

It speaks chat completions and answers two of the built-in prompts, ``rationale`` by the scripted
teacher and ``judge`` by the scripted judge, each from the clip in the request. It is no model, and
there to walk through the explainable framework where there is none. It serves this machine only.
"""

from __future__ import annotations

import argparse
import base64
import http.server
import io
import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import soundfile

from raypipe.errors import RaypipeError
from raypipe.tiny_alm.scripted_judge import scripted_verdict
from raypipe.tiny_alm.scripted_teacher import scripted_rationale

_CONTENT = re.compile(r"^Given the Content: (.*)$", re.MULTILINE)
_SAID = re.compile(r"^What is said: (.*)$", re.MULTILINE)
_REASONS = re.compile(r"^Reason A: (.*)\n\s*\nReason B: (.*)$", re.MULTILINE)
_LARGEST = 64_000_000
_ONE_AT_A_TIME = threading.Lock()
"""Measuring is Python's own work: threads beside each other take twice as long for it."""


class RequestError(ValueError):
    """A request that the stand-ins do not answer."""


def completion(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one chat completion.

    Args:
        body: of the request, as JSON values.

    Raises:
        RequestError: if it has no clip, or neither of the two prompts.
    """
    parts = _parts(body)
    prompt = "\n".join(str(part["text"]) for part in parts if part.get("type") == "text")
    text = _answer(prompt, parts)
    read, written = len(prompt) // 4, len(text) // 4
    message = {"role": "assistant", "content": text}
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": str(body.get("model", "scripted")),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


def _answer(prompt: str, parts: Sequence[Mapping[str, Any]]) -> str:
    clips = [_clip(part) for part in parts if part.get("type") in ("input_audio", "audio_url")]
    if not clips:
        raise RequestError("the stand-ins hear every clip: the request has none")
    samples, rate = soundfile.read(io.BytesIO(clips[0]), dtype="float32")
    said, content = _SAID.search(prompt), _CONTENT.search(prompt)
    reasons = _REASONS.search(prompt)
    try:
        if reasons is not None:
            transcript = "" if said is None else said[1]
            return scripted_verdict(reasons[1], reasons[2], transcript, samples, rate)
        if content is not None:
            return scripted_rationale(content[1], samples, rate)
    except RaypipeError as error:
        raise RequestError(str(error)) from error
    raise RequestError("the stand-ins answer the prompts rationale and judge only")


def _clip(part: Mapping[str, Any]) -> bytes:
    if part["type"] == "audio_url":
        return base64.b64decode(part["audio_url"]["url"].partition(",")[2])
    return base64.b64decode(part["input_audio"]["data"])


def _parts(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parts: list[Mapping[str, Any]] = []
    for message in body.get("messages", ()):
        content = message["content"]
        parts += [{"type": "text", "text": content}] if isinstance(content, str) else content
    return parts


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Answer a chat completion."""
        length = int(self.headers.get("Content-Length", 0))
        if not self.path.endswith("/chat/completions") or not 0 < length <= _LARGEST:
            self._reply(404, {"error": {"message": "only chat completions are answered"}})
            return
        try:
            body = json.loads(self.rfile.read(length))
            with _ONE_AT_A_TIME:
                answer = completion(body)
            self._reply(200, answer)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            self._reply(400, {"error": {"message": f"{type(error).__name__}: {error}"}})

    def _reply(self, status: int, document: Mapping[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing for every request."""


def serve(port: int) -> http.server.ThreadingHTTPServer:
    """A server on this machine, not yet running; port 0 takes a free one."""
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    with serve(parser.parse_args().port) as server:
        print(f"stand-in teacher and judge at http://127.0.0.1:{server.server_port}/v1", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
