"""A real server that judges two reasons by a rule, and what a test knows of its rule."""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chat_server import Body, chat_server, clip_of
from relabel_server import prompt_of

Rule = Callable[[str, str, str], str]
"""An answer from the whole prompt, reason A and reason B."""


def always_a(prompt: str, reason_a: str, reason_b: str) -> str:
    return "A"


def longer(prompt: str, reason_a: str, reason_b: str) -> str:
    if len(reason_a) == len(reason_b):
        return "tie"
    return "A" if len(reason_a) > len(reason_b) else "B"


def at_random(prompt: str, reason_a: str, reason_b: str) -> str:
    """A coin, which falls the same way for the same prompt."""
    return random.Random(hashlib.sha256(prompt.encode()).digest()).choice(("A", "B"))


@dataclass
class JudgeServer:
    """What the server does, and what it has seen.

    Attributes:
        rule: how it decides.
        failing: questions that hold one of these texts get an error.
        prompts: of every request that was answered, in order of arrival.
        clips: of every request, None without one.
    """

    rule: Rule = always_a
    base_url: str = ""
    failing: tuple[str, ...] = ()
    prompts: list[str] = field(default_factory=list)
    clips: list[bytes | None] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, body: Body) -> tuple[int, dict[str, str], Any]:
        prompt = prompt_of(body)
        if any(text in prompt for text in self.failing):
            return 500, {}, {"error": {"message": "the server had an error", "code": None}}
        content = body["messages"][0]["content"]
        clip = None if isinstance(content, str) or len(content) == 1 else clip_of(body)
        with self.lock:
            self.prompts.append(prompt)
            self.clips.append(clip)
        text = self.rule(prompt, *reasons_in(prompt))
        return 200, {}, completion(body, text)


def reasons_in(prompt: str) -> tuple[str, str]:
    """Both reasons of a question."""
    match = re.search(r"^Reason A: (.*)\n\nReason B: (.*)$", prompt, re.MULTILINE)
    assert match is not None, prompt
    return match[1], match[2]


def completion(body: Body, text: str) -> Body:
    """What a server of chat completions answers."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": number, **choice} for number in range(body.get("n") or 1)],
        "usage": {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101},
    }


@contextlib.contextmanager
def judge_server(rule: Rule, **settings: Any) -> Iterator[JudgeServer]:
    """A running server that judges."""
    state = JudgeServer(rule, **settings)
    with chat_server(script=state.script) as server:
        state.base_url = server.base_url
        yield state
