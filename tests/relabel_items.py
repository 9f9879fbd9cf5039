"""Items, and a model that answers them as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Generation, Hypothesis
from raypipe.relabel.item import Described

LABELS = LABEL_SETS["crema-d-6"]
REASON = "Slightly angry adds some anger, calm keeps most of the weight on what the votes said."


def item(name: str = "u1", *words: str, **reference: float) -> Described:
    shares = tuple(reference.get(label, 0.0) for label in LABELS.names)
    return Described(name, shares if any(shares) else (0, 0, 0, 0, 1.0, 0), words or ("calm",))


def said(index: int, words: Sequence[str] = ("calm",), **shares: float) -> dict[str, object]:
    """The object of a good answer."""
    distribution = {label: shares.get(label, 0.0) for label in LABELS.names}
    if not shares:
        distribution["neutral"] = 1.0
    return {"index": index, "words": list(words), "distribution": distribution, "reason": REASON}


def generation(text: str, finish_reason: str = "stop") -> Generation:
    hypothesis = Hypothesis(
        kind="greedy",
        rank=0,
        text=text,
        token_ids=(),
        token_logprobs=None,
        alpha=None,
        finish_reason=finish_reason,  # type: ignore[arg-type]
        emotion_logits=None,
    )
    return Generation("request", (hypothesis,), None, None)


class Model:
    """Answers prompts by a function of the items in them, and remembers them.

    Args:
        answer: from items by index, and the prompt, to a text, or why there is none.
    """

    def __init__(self, answer: Callable[[Mapping[int, dict[str, object]], str], object]) -> None:
        self._answer = answer
        self.prompts: list[str] = []

    def __call__(self, prompts: Sequence[str]) -> list[Generation | Failure]:
        self.prompts += prompts
        return [self._reply(prompt) for prompt in prompts]

    def _reply(self, prompt: str) -> Generation | Failure:
        reply = self._answer(items_in(prompt), prompt)
        if isinstance(reply, Failure):
            return reply
        return generation(reply if isinstance(reply, str) else json.dumps(reply))


def items_in(prompt: str) -> dict[int, dict[str, object]]:
    """The items of a prompt by index."""
    lines = [line for line in prompt.splitlines() if line.startswith('{"index": ')]
    items = [json.loads(line) for line in lines]
    return {item["index"]: item for item in items}
