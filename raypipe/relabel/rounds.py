"""Items asked in requests, and asked again until their answers can be used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from raypipe.labels import LabelSet
from raypipe.records import Failure, Generation
from raypipe.relabel.item import Described
from raypipe.relabel.prompt import relabel_prompt
from raypipe.relabel.replies import ItemAnswer, read_reply
from raypipe.relabel.settings import RelabelSettings

Ask = Callable[[Sequence[str]], Sequence[Generation | Failure]]
"""What answers prompts: one reply for each, in their order."""


REQUEST_FAILED = "the request failed:"
"""How the fault of an item begins that nobody has read."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an utterance.

    Attributes:
        answer: that is used; None if none was, or nothing was asked.
        attempts: requests that it stood in; 0 without descriptions.
        faults: why answers could not be used, in order.
        failed: whether the last request failed as a whole, so that nobody has read the item.
    """

    item: Described
    answer: ItemAnswer | None = None
    attempts: int = 0
    faults: tuple[str, ...] = ()
    failed: bool = False


def ask_about(
    items: Sequence[Described],
    ask: Ask,
    source: str,
    labels: LabelSet,
    settings: RelabelSettings,
) -> list[Outcome]:
    """What a model makes of items, in their order; those without descriptions are not asked.

    Items without a usable answer are asked again in requests of half the size, which say what was
    wrong, until they stood in as many as the settings allow.

    Args:
        items: utterances with a reference.
        ask: the model.
        source: text of the template.
        labels: the label set.
        settings: of the job.

    Raises:
        ConfigError: if the template cannot be filled.
        StoppedError: if the model stops, say at the end of its budget.
    """
    outcomes = [Outcome(item) for item in items]
    for attempt in range(1, settings.attempts + 1):
        open_items = [
            number
            for number, outcome in enumerate(outcomes)
            if outcome.item.words and outcome.answer is None
        ]
        size = math.ceil(settings.items_per_request / 2 ** (attempt - 1))
        requests = [open_items[at : at + size] for at in range(0, len(open_items), size)]
        prompts = [
            _prompt([outcomes[number] for number in request], attempt, source, labels, settings)
            for request in requests
        ]
        replies = ask(prompts) if prompts else ()
        for request, reply in zip(requests, replies, strict=True):
            chosen = [outcomes[number] for number in request]
            for number, outcome in zip(
                request, _read(chosen, reply, labels, settings), strict=True
            ):
                outcomes[number] = outcome
    return outcomes


def _prompt(
    outcomes: Sequence[Outcome],
    attempt: int,
    source: str,
    labels: LabelSet,
    settings: RelabelSettings,
) -> str:
    numbered = dict(enumerate(outcomes, 1))
    return relabel_prompt(
        source,
        {index: outcome.item for index, outcome in numbered.items()},
        labels,
        settings,
        attempt=attempt,
        faults={index: outcome.faults[-1] for index, outcome in numbered.items() if outcome.faults},
    )


def _read(
    outcomes: Sequence[Outcome],
    reply: Generation | Failure,
    labels: LabelSet,
    settings: RelabelSettings,
) -> Iterator[Outcome]:
    """The items of one request after its reply."""
    numbered = dict(enumerate(outcomes, 1))
    if isinstance(reply, Failure):
        fault = f"{REQUEST_FAILED} {reply.error_type}: {reply.message}"
        for outcome in outcomes:
            yield _faulty(outcome, fault, failed=True)
        return
    hypothesis = reply.hypotheses[0]
    if not hypothesis.is_answer:
        for outcome in outcomes:
            yield _faulty(outcome, f"the model refused: {hypothesis.finish_reason}")
        return
    items = {index: outcome.item for index, outcome in numbered.items()}
    answers = read_reply(hypothesis.text, items, labels, settings)
    for index, outcome in numbered.items():
        answer = answers[index]
        if isinstance(answer, str):
            yield _faulty(outcome, answer)
        else:
            yield Outcome(outcome.item, answer, outcome.attempts + 1, outcome.faults)


def _faulty(outcome: Outcome, fault: str, *, failed: bool = False) -> Outcome:
    return Outcome(
        outcome.item, None, outcome.attempts + 1, (*outcome.faults, fault), failed=failed
    )
