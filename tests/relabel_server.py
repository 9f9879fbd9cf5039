"""A real server that answers relabel requests by the lexicon, and spoils a share of its answers.

What is spoiled, and how, is a function of the seed and the request's text: the same request is
spoiled in the same way, a request with another text is drawn anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chat_server import Body, chat_server

from raypipe.tiny_alm.lexicon_reader import LexiconAnswer, LexiconItem, item_answer, items_of

ITEM_FAULTS = (
    "wrong_index",
    "another_index",
    "twice",
    "missing",
    "one_too_few",
    "above_one",
    "sum_too_low",
    "wrong_label",
    "order_changed",
    "no_reason",
)
"""Of an object in the answer. ``another_index``: that of the next item of the request, with this
item's words and numbers (an item alone keeps its own); ``twice``: right both times; ``above_one``:
the sum is still 1; ``no_reason``: nothing wrong where none was asked for."""

REQUEST_FAULTS = ("http_500", "cut", "empty", "apology")
"""Of a whole answer."""

HARMLESS = ("prose", "fenced")
"""Around an answer that is as good as any; drawn with the faults of requests."""

APOLOGY = "I am sorry, but I cannot judge the feelings of people I have not heard."
CHARACTERS_PER_TOKEN = 4


@dataclass
class RelabelServer:
    """What the server does, and what it has seen.

    Attributes:
        seed: of everything that goes wrong.
        item_faults: share of items that are spoiled, in [0, 1].
        request_faults: share of requests that are spoiled, in [0, 1].
        item_kinds: what may go wrong with an item, equally likely.
        request_kinds: what may happen to a request, equally likely.
        requests: the items of every request, in order of arrival.
        asked: how often each item was asked, by :func:`item_key`.
        done: how often each thing was done to an item or request; ``none`` counts good items.
        truncated: answers that were longer than the request allowed.
    """

    base_url: str = ""
    seed: int = 0
    item_faults: float = 0.0
    request_faults: float = 0.0
    item_kinds: Sequence[str] = ITEM_FAULTS
    request_kinds: Sequence[str] = (*REQUEST_FAULTS, *HARMLESS)
    requests: list[tuple[LexiconItem, ...]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, body: Body) -> tuple[int, dict[str, str], Any]:
        prompt = prompt_of(body)
        items = tuple(items_of(prompt))
        fault = self._drawn(self.request_faults, self.request_kinds, prompt, "request")
        faults = [
            self._drawn(self.item_faults, self.item_kinds, prompt, f"item {place}")
            for place in range(len(items))
        ]
        with self.lock:
            self.requests.append(items)
            self.asked.update(item_key(item) for item in items)
            self.done.update([fault] if fault != "none" else [])
            self.done.update(faults if fault in ("none", *HARMLESS) else [])
        if fault == "http_500":
            return 500, {}, {"error": {"message": "the server had an error", "code": None}}
        content = _around(
            json.dumps(_spoiled_answers(items, faults, prompt), ensure_ascii=False), fault
        )
        return 200, {}, self._completion(body, prompt, content, cut=fault == "cut")

    def _drawn(self, share: float, kinds: Sequence[str], prompt: str, what: str) -> str:
        digest = hashlib.sha256(f"{self.seed}\n{what}\n{prompt}".encode()).digest()
        dice = random.Random(digest)
        return dice.choice(kinds) if dice.random() < share else "none"

    def _completion(self, body: Body, prompt: str, content: str, *, cut: bool) -> Body:
        limit = body.get("max_tokens") or body.get("max_completion_tokens")
        if limit is not None and len(content) > limit * CHARACTERS_PER_TOKEN:
            content, cut = content[: limit * CHARACTERS_PER_TOKEN], True
            with self.lock:
                self.truncated += 1
        written = len(content) // CHARACTERS_PER_TOKEN
        read = len(prompt) // CHARACTERS_PER_TOKEN
        choice = {
            "message": {"role": "assistant", "content": content},
            "finish_reason": "length" if cut else "stop",
        }
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": number, **choice} for number in range(body.get("n") or 1)],
            "usage": {
                "prompt_tokens": read,
                "completion_tokens": written,
                "total_tokens": read + written,
            },
        }


def prompt_of(body: Body) -> str:
    """The text of all messages of a request."""
    texts: list[str] = []
    for message in body["messages"]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts += [part["text"] for part in parts if part["type"] == "text"]
    return "\n".join(texts)


def item_key(item: LexiconItem) -> str:
    """Descriptions and reference of an item as text, whatever its index in a request."""
    return json.dumps([item.descriptions, item.reference], ensure_ascii=False)


def _around(content: str, fault: str) -> str:
    wrapped: Mapping[str, str] = {
        "prose": f"Here are the distributions:\n\n{content}\n\nLet me know if [more] helps!",
        "fenced": f"```json\n{content}\n```",
        "cut": content[: len(content) // 2],
        "empty": "",
        "apology": APOLOGY,
    }
    return wrapped.get(fault, content)


def _spoiled_answers(
    items: Sequence[LexiconItem], faults: Sequence[str], prompt: str
) -> list[LexiconAnswer]:
    answers: list[LexiconAnswer] = []
    for place, (item, fault) in enumerate(zip(items, faults, strict=True)):
        answer = item_answer(item, reasons="reason" in prompt)
        if fault == "missing":
            continue
        if fault == "wrong_index":
            answer["index"] = max(other.index for other in items) + 1 + place
        elif fault == "another_index":
            answer["index"] = items[(place + 1) % len(items)].index
        elif fault == "no_reason":
            answer.pop("reason", None)
        elif fault == "twice":
            answers.append(answer)
        answer["distribution"] = _spoiled_shares(answer["distribution"], fault)
        answers.append(answer)
    return answers


def _spoiled_shares(shares: Mapping[str, float], fault: str) -> dict[str, float]:
    names = list(shares)
    if fault == "one_too_few":
        return {name: shares[name] for name in names[:-1]}
    if fault == "above_one":
        return {**dict.fromkeys(names, 0.0), names[0]: 1.2, names[1]: -0.2}
    if fault == "sum_too_low":
        return {name: round(0.6 * share, 4) for name, share in shares.items()}
    if fault == "wrong_label":
        renamed = ["enthusiasm", *names[1:]]
        return dict(zip(renamed, shares.values(), strict=True))
    if fault == "order_changed":
        return {name: shares[name] for name in reversed(names)}
    return dict(shares)


@contextlib.contextmanager
def relabel_server(**settings: Any) -> Iterator[RelabelServer]:
    """A running server that relabels."""
    state = RelabelServer(**settings)
    with chat_server(script=state.script) as server:
        state.base_url = server.base_url
        yield state
