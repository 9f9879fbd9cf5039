"""Items are asked in requests, and again in smaller ones; none is lost or stands twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from relabel_items import LABELS, Model, item, items_in, said

from raypipe.errors import StoppedError
from raypipe.prompts import template_source
from raypipe.records import Failure
from raypipe.relabel.rounds import Outcome, ask_about
from raypipe.relabel.settings import RelabelSettings

SOURCE = template_source("relabel")
ITEMS = [item(f"u{number}", f"word{number}") for number in range(10)]
Items = Mapping[int, Mapping[str, Any]]


def ask(model: Model, items: Any = ITEMS, **settings: Any) -> list[Outcome]:
    return ask_about(items, model, SOURCE, LABELS, RelabelSettings(items_per_request=4, **settings))


def good(items: Items, _: str) -> object:
    return [said(index, shown["descriptions"]) for index, shown in items.items()]


def sizes(model: Model) -> list[int]:
    return [len(items_in(prompt)) for prompt in model.prompts]


def test_items_without_descriptions_are_not_asked() -> None:
    model = Model(good)
    silent = item("silent")
    silent = type(silent)("silent", silent.reference, ())
    outcomes = ask(model, [ITEMS[0], silent, ITEMS[1]])
    assert [outcome.item.utterance_id for outcome in outcomes] == ["u0", "silent", "u1"]
    assert [outcome.attempts for outcome in outcomes] == [1, 0, 1]
    assert outcomes[1].answer is None
    assert sizes(model) == [2]
    nothing = Model(good)
    assert ask(nothing, [silent])[0].attempts == 0
    assert nothing.prompts == []


def test_requests_have_so_many_items_and_answers_find_their_own() -> None:
    def each_its_own(items: Items, _: str) -> object:
        answers = []
        for index, shown in items.items():
            share = int(shown["descriptions"][0].removeprefix("word")) / 10
            answers.append(said(index, shown["descriptions"], anger=share, neutral=1 - share))
        return answers[::-1]

    model = Model(each_its_own)
    outcomes = ask(model)
    assert sizes(model) == [4, 4, 2]
    for number, outcome in enumerate(outcomes):
        assert outcome.answer is not None
        assert outcome.answer.probs[0] == pytest.approx(number / 10)


def test_what_cannot_be_used_is_asked_again_in_smaller_requests_and_then_left() -> None:
    """Odd items never get an answer, u2 at the second attempt only."""

    def answer(items: Items, prompt: str) -> object:
        words = {index: shown["descriptions"] for index, shown in items.items()}
        return [
            said(index, text)
            for index, text in words.items()
            if int(text[0][4:]) % 2 == 0 and (text != ["word2"] or "attempt 2" in prompt)
        ]

    model = Model(answer)
    outcomes = ask(model)
    assert [outcome.attempts for outcome in outcomes] == [1, 3, 2, 3, 1, 3, 1, 3, 1, 3]
    assert [outcome.answer is None for outcome in outcomes] == [
        *(False, True, False, True, False, True, False, True, False, True)
    ]
    assert outcomes[2].faults == ("no object with this index",)
    assert outcomes[1].faults == ("no object with this index",) * 3
    assert not any(outcome.failed for outcome in outcomes)
    assert sizes(model) == [4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1]
    asked = Counter(text for prompt in model.prompts for text in words_in(prompt))
    assert asked == {f"word{n}": outcomes[n].attempts for n in range(10)}
    assert len(set(model.prompts)) == len(model.prompts)


def words_in(prompt: str) -> list[str]:
    return [str(shown["descriptions"][0]) for shown in items_in(prompt).values()]  # type: ignore[index]


def test_a_failed_request_is_made_again_and_told() -> None:
    def answer(items: Items, prompt: str) -> object:
        if "word4" in prompt:
            return Failure("request 1", "engine", "timeout", "no answer within 5 s")
        return good(items, prompt)

    outcomes = ask(Model(answer))
    assert [outcome.answer is None for outcome in outcomes] == [False] * 4 + [True] + [False] * 5
    left = outcomes[4]
    assert left.failed
    assert left.attempts == 3
    assert left.faults[-1] == "the request failed: timeout: no answer within 5 s"
    assert outcomes[5].attempts == 3  # stood beside it until it was alone
    assert not outcomes[5].failed


def test_a_refusal_is_no_answer() -> None:
    import dataclasses

    from relabel_items import generation

    class Refusing(Model):
        def __call__(self, prompts: Any) -> Any:
            return [dataclasses.replace(generation("[]", "refusal")) for _ in prompts]

    outcomes = ask(Refusing(good), attempts=1)
    assert {outcome.faults for outcome in outcomes} == {("the model refused: refusal",)}
    assert not any(outcome.failed for outcome in outcomes)


def test_a_stop_goes_through() -> None:
    def stop(items: Items, prompt: str) -> object:
        raise StoppedError("the budget is used up")

    with pytest.raises(StoppedError, match="budget"):
        ask(Model(stop))
