"""What a judge job reads: two tables of answers, and where the recordings are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from raypipe.errors import ConfigError
from raypipe.explain.answers import read_answers
from raypipe.explain.judge.pairs import ChosenPairs, ReasonPair, choose_pairs
from raypipe.labels import LabelSet
from raypipe.records import ExplainedAnswer, Utterance
from raypipe.runtime.judge.config import JudgeConfig
from raypipe.shards import ShardEntry, read_index, read_unheard
from raypipe.store.location import Location
from raypipe.votes import OTHER

PAIRS_PER_PART = 32
"""Pairs between two commits; they are asked side by side as far as the engine does."""


@dataclass(frozen=True, slots=True)
class PlacedPair:
    """A pair with what the judge may be shown beside it.

    Attributes:
        transcript: None where it is not known.
        entry: shard that holds the recording; None without shards.
    """

    pair: ReasonPair
    transcript: str | None = None
    entry: ShardEntry | None = None


@dataclass(frozen=True, slots=True)
class JudgePart:
    """Pairs that are committed together.

    Attributes:
        name: of its objects.
        again: it was written with pairs whose questions failed, and is to be written anew.
    """

    name: str
    pairs: tuple[PlacedPair, ...]
    again: bool = False


@dataclass(frozen=True, slots=True)
class JudgeInput:
    """The pairs of a job.

    Attributes:
        labels: those that either system predicts, and the references.
        fingerprint: of the pairs, their transcripts and recordings.
        chosen: the pairs with what they were chosen from.
    """

    labels: LabelSet
    pairs: tuple[PlacedPair, ...]
    fingerprint: str
    chosen: ChosenPairs


def read_pairs(config: JudgeConfig) -> JudgeInput:
    """The pairs that a config names.

    Raises:
        ConfigError: if a table cannot be read, there is no pair, or an utterance is in no shard.
        StoreError: if the storage refuses.
    """
    endpoint = config.storage.endpoint
    first = read_answers(config.first.answers, endpoint)
    second = read_answers(config.second.answers, endpoint)
    chosen = choose_pairs(first, second, per_emotion=config.per_emotion, seed=config.seed)
    if not chosen.pairs:
        raise ConfigError(
            f"{config.first.name} and {config.second.name} answer {chosen.common} utterances in "
            "common, and on none of them both predict the same label and give a reason"
        )
    pairs = tuple(PlacedPair(pair) for pair in chosen.pairs)
    corpus = ""
    if config.shards is not None:
        shards = Location.parse(config.shards, endpoint)
        corpus = read_index(shards).fingerprint
        pairs = tuple(_placed(chosen.pairs, shards))
    document = json.dumps([corpus, [[asdict(row.pair), row.transcript] for row in pairs]])
    digest = hashlib.sha256(document.encode()).hexdigest()
    return JudgeInput(_labels([*first, *second]), pairs, digest, chosen)


def parts_of(pairs: Sequence[PlacedPair]) -> tuple[JudgePart, ...]:
    """Pairs cut into parts, in order."""
    return tuple(
        JudgePart(f"part-{number:05d}.parquet", tuple(pairs[start : start + PAIRS_PER_PART]))
        for number, start in enumerate(range(0, len(pairs), PAIRS_PER_PART))
    )


def _placed(pairs: Sequence[ReasonPair], shards: Location) -> Iterator[PlacedPair]:
    """Pairs in the order of the corpus, so that a part reads few shards."""
    waiting: Mapping[str, ReasonPair] = {pair.utterance_id: pair for pair in pairs}
    placed: dict[str, PlacedPair] = {}
    for entry in read_index(shards).shards:
        for row in read_unheard(shards, entry):
            pair = waiting.get(str(row.utterance_id))
            if isinstance(row, Utterance) and pair is not None:
                placed.setdefault(row.utterance_id, PlacedPair(pair, row.transcript or None, entry))
    missing = sorted(waiting.keys() - placed.keys())
    if missing:
        raise ConfigError(
            f"{shards.uri} lacks {len(missing)} of {len(pairs)} utterances: "
            f"{', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}"
        )
    yield from placed.values()


def _labels(answers: Sequence[ExplainedAnswer]) -> LabelSet:
    """Labels that stand in answers, in alphabetical order, ``other`` last; at least two."""
    named = {label for answer in answers for label in (answer.label, answer.reference)}
    names = sorted(name for name in named if name is not None and name != OTHER)
    return LabelSet(tuple(names) if len(names) > 1 else (*names, OTHER))
