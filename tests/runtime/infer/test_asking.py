from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raypipe.records import Failure, Generation, Hypothesis, Request, Search
from raypipe.runtime.infer.asking import ask_texts


class Half:
    """Both halves of an engine that says every prompt back, and cannot read one with a hash."""

    def __init__(self) -> None:
        self.searches: list[Search] = []

    def prepare(self, requests: Sequence[Request]) -> list[Any]:
        assert all(request.samples is None for request in requests)
        return [
            Failure(item.utterance_id, "prompt", "no", "#") if "#" in item.prompt else item
            for item in requests
        ]

    def generate(self, ready: Sequence[Request], search: Search) -> list[Generation]:
        self.searches.append(search)
        return [
            Generation(
                item.utterance_id,
                (Hypothesis("greedy", 0, item.prompt, (), None, None, "stop", None),),
                None,
                None,
            )
            for item in ready
        ]


def test_replies_stand_in_the_order_of_the_prompts() -> None:
    half = Half()
    replies = ask_texts(["a", "b #", "c"], (half, half), 7)  # type: ignore[arg-type]
    texts = [r.error_type if isinstance(r, Failure) else r.hypotheses[0].text for r in replies]
    assert texts == ["a", "no", "c"]
    assert half.searches == [Search(0, True, 7)]
    ask_texts(["#"], (half, half), 7)  # type: ignore[arg-type]
    assert len(half.searches) == 1
