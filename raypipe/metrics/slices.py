"""The slices of a corpus that metrics are given for.

``all``, ``ambiguity_count_1`` .. ``5`` (bins of equal count by entropy of the soft label, 1 the
clearest), ``ambiguity_width_1`` .. ``5`` (bins of equal width over [0, log2 K]),
``label=<plurality>``, ``majority`` (one label above 50 % of the votes), ``split=<split>`` and, on
request, ``speaker=<id>`` and ``<column>=<value>`` (:mod:`raypipe.metrics.columns`). Unlabelled
utterances are in ``all`` and ``split=`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.metrics import bins
from raypipe.metrics.classification import strict_majority
from raypipe.metrics.summary import CorpusFrame
from raypipe.metrics.utterances import Utterances

Indices = NDArray[np.int64]

ALL = "all"
AMBIGUITY_COUNT, AMBIGUITY_WIDTH = "ambiguity_count", "ambiguity_width"
SPEAKER, SPLIT = "speaker", "split"


def is_bootstrapped(name: str) -> bool:
    """Whether the metrics of a slice have intervals."""
    return not name.startswith(f"{SPEAKER}=")


def family_of(name: str) -> str:
    """What slices of one kind have in common: no row is in two of them.

    Example:
        >>> family_of("ambiguity_count_3"), family_of("split=test"), family_of("all")
        ('ambiguity_count', 'split=', 'all')
    """
    for kind in (AMBIGUITY_COUNT, AMBIGUITY_WIDTH):
        if name.startswith(f"{kind}_"):
            return kind
    return "".join(name.partition("=")[:2])


def has_costs(name: str) -> bool:
    """Whether costs are given for a slice."""
    return name == ALL or name.startswith((f"{AMBIGUITY_COUNT}_", f"{AMBIGUITY_WIDTH}_"))


def slices(
    utterances: Utterances, frame: CorpusFrame, labels: LabelSet, *, per_speaker: bool
) -> Iterator[tuple[str, Indices]]:
    """Name and rows of every slice that has rows among the utterances.

    Args:
        utterances: any part of the corpus.
        frame: of the whole corpus.
        labels: the K labels.
        per_speaker: also give ``speaker=`` slices.

    Yields:
        The slice's name and the indices of its utterances, ascending.
    """
    labelled = utterances.labelled
    yield ALL, np.arange(labelled.size)
    rows = np.flatnonzero(labelled)
    entropy = utterances.entropy[rows]
    by_count = bins.count_bin(entropy, utterances.hashes[rows], frame.edges)
    by_width = bins.equal_width(entropy, len(labels))
    for family, index in ((AMBIGUITY_COUNT, by_count), (AMBIGUITY_WIDTH, by_width)):
        for bin_index in np.unique(index):
            yield f"{family}_{bin_index + 1}", rows[index == bin_index]
    plurality = utterances.plurality[rows]
    for label in np.unique(plurality[plurality >= 0]):
        yield f"label={labels.names[label]}", rows[plurality == label]
    majority = rows[strict_majority(utterances.truth[rows])] if rows.size else rows
    if majority.size:
        yield "majority", majority
    yield from _named(SPLIT, utterances.splits, np.ones(labelled.size, dtype=np.bool_))
    if per_speaker:
        yield from _named(SPEAKER, utterances.speakers, labelled)
    for column in frame.columns:
        if column.name != SPLIT:
            names = column.slice_names(utterances.columns[column.name])
            yield from _grouped(names, labelled)


def _named(
    family: str, names: Sequence[str | None], wanted: NDArray[np.bool_]
) -> Iterator[tuple[str, Indices]]:
    return _grouped([f"{family}={name}" if name else None for name in names], wanted)


def _grouped(
    names: Sequence[str | None], wanted: NDArray[np.bool_]
) -> Iterator[tuple[str, Indices]]:
    known = np.array([name or "" for name in names], dtype=object)
    for name in sorted({name for name in names if name}):
        rows = np.flatnonzero((known == name) & wanted)
        if rows.size:
            yield name, rows
