"""Which candidates become lines: held-out speakers, caps and balance, all by seed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raypipe.errors import ConfigError
from raypipe.explain.export.candidates import LineCandidate
from raypipe.explain.export.config import ExportConfig


@dataclass(frozen=True, slots=True)
class Drawn:
    """Candidates that become lines, and how many do not.

    Attributes:
        train: in corpus order.
        development: in corpus order.
        over_corpus_cap: candidates over a corpus's cap, by its number.
        balanced_away: candidates of labels that there are more of, by the corpus's number.
        over_total: candidates over ``max_samples``, by the corpus's number.
        over_development_cap: candidates over the development file's cap, by the corpus's number.
    """

    train: tuple[LineCandidate, ...]
    development: tuple[LineCandidate, ...]
    over_corpus_cap: Counter[int]
    balanced_away: Counter[int]
    over_total: Counter[int]
    over_development_cap: Counter[int]


def drawn_number(seed: int, *key: str) -> int:
    """A number that a seed and a key decide, the same on every machine."""
    text = "\0".join((str(seed), *key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def draw(candidates: Sequence[LineCandidate], config: ExportConfig) -> Drawn:
    """Training and development lines: first speakers, then corpus caps, balance, the total.

    Raises:
        ConfigError: if speakers are to be held out of a corpus that does not tell two, or nothing
            is left to train on.
    """
    candidates = _with_speakers_held_out(candidates, config)
    train = [candidate for candidate in candidates if candidate.part == "train"]
    held_out = [candidate for candidate in candidates if candidate.part == "development"]
    kept: list[LineCandidate] = []
    for number, corpus in enumerate(config.corpora):
        own = [candidate for candidate in train if candidate.corpus == number]
        kept += _first(own, corpus.cap, config.seed)
    capped = _dropped(train, kept)
    balanced = _balanced(kept, config)
    lines = _first(balanced, config.max_samples, config.seed)
    cap = None if config.development is None else config.development.cap
    development = _first(held_out, cap, config.seed)
    if not lines:
        raise ConfigError("no utterance is left to train on")
    return Drawn(
        tuple(lines),
        tuple(development),
        capped,
        _dropped(kept, balanced),
        _dropped(balanced, lines),
        _dropped(held_out, development),
    )


def _dropped(before: Sequence[LineCandidate], after: Sequence[LineCandidate]) -> Counter[int]:
    return Counter(candidate.corpus for candidate in before) - Counter(
        candidate.corpus for candidate in after
    )


def _first(candidates: Sequence[LineCandidate], most: int | None, seed: int) -> list[LineCandidate]:
    """So many candidates drawn by seed, in the order they had."""
    if most is None or len(candidates) <= most:
        return list(candidates)
    numbers = range(len(candidates))
    order = sorted(numbers, key=lambda number: drawn_number(seed, *candidates[number].key))
    return [candidates[number] for number in sorted(order[:most])]


def _balanced(candidates: Sequence[LineCandidate], config: ExportConfig) -> list[LineCandidate]:
    """As many of every label that occurs, at most ``max_samples`` in all."""
    if config.balance == "none" or not candidates:
        return list(candidates)
    counts = Counter(candidate.label for candidate in candidates)
    each = min(counts.values())
    if config.max_samples is not None:
        each = min(each, max(1, config.max_samples // len(counts)))
    chosen: set[int] = set()
    for label in counts:
        own = [candidate for candidate in candidates if candidate.label == label]
        chosen |= {id(candidate) for candidate in _first(own, each, config.seed)}
    return [candidate for candidate in candidates if id(candidate) in chosen]


def _with_speakers_held_out(
    candidates: Sequence[LineCandidate], config: ExportConfig
) -> list[LineCandidate]:
    if config.development is None or config.development.speakers is None:
        return list(candidates)
    share = config.development.speakers
    speakers: dict[int, set[str | None]] = defaultdict(set)
    for candidate in candidates:
        speakers[candidate.corpus].add(candidate.speaker)
    held_out: set[tuple[int, str]] = set()
    for corpus, names in speakers.items():
        known = sorted(name for name in names if name is not None)
        if None in names or len(known) < 2:
            raise ConfigError(
                f"corpus {config.corpora[corpus].shards} names {len(known)} speakers and does not "
                "name all: hold out a split instead (development: {splits: [...]})"
            )
        order = sorted(known, key=lambda name: drawn_number(config.seed, str(corpus), name))
        count = min(max(1, round(share * len(known))), len(known) - 1)
        held_out |= {(corpus, name) for name in order[:count]}
    return [
        replace(candidate, part="development")
        if (candidate.corpus, candidate.speaker) in held_out
        else candidate
        for candidate in candidates
    ]
