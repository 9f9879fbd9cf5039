"""Items of the two tests of explainable_speechlm, section 3.4, chosen from answers by a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raypipe.errors import ConfigError
from raypipe.explain.answers import GoldRationale, names_an_emotion
from raypipe.records import ExplainedAnswer
from raypipe.votes import OTHER

ITEMS = 32
"""Items of each test in the paper."""

_TEST_I, _TEST_II = 1, 2


@dataclass(frozen=True, slots=True)
class ChosenItem:
    """An utterance that raters are asked about.

    Attributes:
        label: that the model predicted.
        reference: the annotators' consensus.
        reason: of the model, for its own label.
        gold_reason: of a teacher, for the reference; None in Test I.
    """

    utterance_id: str
    speaker: str | None
    label: str
    reference: str
    reason: str
    gold_reason: str | None = None

    @property
    def is_match(self) -> bool:
        """Whether the prediction is the reference."""
        return self.label == self.reference


@dataclass(frozen=True, slots=True)
class ChosenItems:
    """The items of a test.

    Attributes:
        notes: in words, where there were not enough utterances for the size and balance wanted.
    """

    items: tuple[ChosenItem, ...]
    notes: tuple[str, ...]


def choose_test_i(
    answers: Iterable[ExplainedAnswer], *, item_count: int = ITEMS, seed: int = 0
) -> ChosenItems:
    """Items whose label and reason raters accept or reject.

    Half were predicted right, half wrong; each half has every predicted emotion equally often, as
    far as there are enough utterances. An answer without a label, a reason or a reference is no
    candidate, and neither is the label ``other``.

    Args:
        answers: of one system.
        item_count: even.
        seed: of the choice, which does not depend on the order of the answers.

    Raises:
        ConfigError: if the number is odd, or there is no candidate.
    """
    if item_count < 2 or item_count % 2:
        raise ConfigError(f"Test I has half its items right, half wrong: {item_count} is not even")
    answers = list(answers)
    candidates = _candidates(answers)
    emotions = _emotions(answers)
    rng = np.random.default_rng((seed, _TEST_I))
    chosen: list[ChosenItem] = []
    notes: list[str] = []
    for name, is_match in (("match", True), ("non-match", False)):
        half = [item for item in candidates if item.is_match is is_match]
        picked = _balanced(half, item_count // 2, rng, emotions)
        chosen += picked
        notes += _shortfalls(f"Test I, {name}", picked, item_count // 2, emotions)
    if not chosen:
        raise ConfigError("no answer has a label, a reason and a reference; there is no Test I")
    return ChosenItems(tuple(chosen), tuple(notes))


def choose_test_ii(
    answers: Iterable[ExplainedAnswer],
    rationales: Mapping[str, GoldRationale],
    *,
    item_count: int = ITEMS,
    seed: int = 0,
    avoid: Collection[str] = (),
) -> ChosenItems:
    """Items of which raters prefer the model's reason or one written for the reference label.

    Prediction and reference differ. Every predicted emotion comes equally often, as far as there
    are enough utterances.

    Args:
        answers: of one system.
        rationales: of the reference labels, by utterance. One of another label than the answer's
            reference is not used, and counted in the notes.
        item_count: number of items.
        seed: of the choice.
        avoid: utterances, such as those of Test I, that are taken only where others do not do.

    Raises:
        ConfigError: if there is no candidate.
    """
    answers = list(answers)
    candidates: list[ChosenItem] = []
    of_another_label = 0
    for item in _candidates(answers):
        rationale = rationales.get(item.utterance_id)
        if item.is_match or rationale is None:
            continue
        if rationale.label != item.reference:
            of_another_label += 1
            continue
        candidates.append(
            ChosenItem(
                item.utterance_id,
                item.speaker,
                item.label,
                item.reference,
                item.reason,
                rationale.text,
            )
        )
    if not candidates:
        raise ConfigError(
            "no wrongly predicted utterance has a reason and a rationale of its reference label; "
            "there is no Test II"
        )
    rng = np.random.default_rng((seed, _TEST_II))
    emotions = _emotions(answers)
    chosen = _balanced(candidates, item_count, rng, emotions, avoid)
    notes = _shortfalls("Test II", chosen, item_count, emotions)
    if of_another_label:
        notes.append(
            f"Test II: {of_another_label} rationales are of another label than the reference"
        )
    again = sum(item.utterance_id in avoid for item in chosen)
    if again:
        notes.append(f"Test II: {again} of {len(chosen)} utterances are in Test I, too")
    return ChosenItems(tuple(chosen), tuple(notes))


def _candidates(answers: Iterable[ExplainedAnswer]) -> list[ChosenItem]:
    """Answers that can be shown, in the order of their utterances' ids."""
    return [
        ChosenItem(
            answer.utterance_id, answer.speaker, answer.label, answer.reference, answer.reason
        )
        for answer in sorted(answers, key=lambda answer: answer.utterance_id)
        if names_an_emotion(answer)
        and answer.label is not None
        and answer.reference is not None
        and answer.reason is not None
    ]


def _emotions(answers: Iterable[ExplainedAnswer]) -> list[str]:
    """All labels that were predicted or are a reference, in alphabetical order."""
    labels = {label for answer in answers for label in (answer.label, answer.reference)}
    return sorted(label for label in labels if label is not None and label != OTHER)


def _balanced(
    candidates: Sequence[ChosenItem],
    count: int,
    rng: np.random.Generator,
    emotions: Sequence[str],
    avoid: Collection[str] = (),
) -> list[ChosenItem]:
    """Up to so many items, one of each emotion in turn for as long as it has any."""
    waiting: dict[str, list[ChosenItem]] = {}
    for emotion in emotions:
        of_emotion = [item for item in candidates if item.label == emotion]
        shuffled = [of_emotion[place] for place in rng.permutation(len(of_emotion))]
        waiting[emotion] = sorted(shuffled, key=lambda item: item.utterance_id in avoid)
    turns = [emotions[place] for place in rng.permutation(len(emotions))]
    chosen: list[ChosenItem] = []
    while len(chosen) < count and any(waiting.values()):
        for emotion in turns:
            if waiting[emotion] and len(chosen) < count:
                chosen.append(waiting[emotion].pop(0))
    return chosen


def _shortfalls(
    where: str, chosen: Sequence[ChosenItem], count: int, emotions: Sequence[str]
) -> list[str]:
    notes = []
    if len(chosen) < count:
        notes.append(f"{where}: there are {len(chosen)} items for {count}")
    share = count // len(emotions) if emotions else 0
    counts = Counter(item.label for item in chosen)
    rare = [f"{emotion} {counts[emotion]}" for emotion in emotions if counts[emotion] < share]
    if rare:
        notes.append(f"{where}: fewer than {share} items predicted as {', '.join(rare)}")
    return notes
