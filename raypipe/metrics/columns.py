"""Columns of a corpus that it is sliced by: gender, age, session, duration and the like.

A column is cut by the same rule wherever its rows are: the rule is worked out once, from every
labelled utterance of the corpus.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raypipe.metrics.bins import BINS

Hashes = NDArray[np.uint64]

TABLE_COLUMNS: Final = ("dataset", "split", "duration_s", "n_votes")
"""Columns of ``predictions/`` that an utterance has whatever its corpus."""
MARKS: Final = ("peak", "rms", "clipped_share", "silent", "channel_correlation")
"""Fields of ``audio_marks`` in ``predictions/``."""
OTHERS: Final = "(other)"
"""The rarest values of a column with too many, together."""
MOST_VALUES: Final = 50
"""Slices of a column at most: of a text with more values the rarest are one slice."""
MOST_SINGLE_NUMBERS: Final = 10
"""Distinct numbers of a column that are slices of their own; of more, quantiles are."""
SPEAKER_BINS: Final = 3
"""Quantiles of a number that is the same for all utterances of a speaker; of others five."""
_NEVER_JOINED: Final = "split"  # its slices are given whether it is asked for or not
FEWEST_UTTERANCES: Final = 60
FEWEST_SPEAKERS: Final = 15
"""Utterances, and speakers where whole speakers are drawn, on each side of a difference."""
_MORE_UTTERANCES: Final = 30
_MORE_SPEAKERS: Final = 10
"""So many for each other slice of the column, if that is more: see tests/bench/bench_slices.py."""


def column_values(table: pa.Table, name: str) -> pa.Array:
    """A column's values as text, one per row of a ``predictions/`` table; null where unknown.

    Args:
        table: rows of ``predictions/``.
        name: one of :data:`TABLE_COLUMNS`, of :data:`MARKS`, or of the corpus's own facts.
    """
    (holder,) = held_in([name])
    if holder not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    column = table[holder]
    if holder == "audio_marks":
        column = pc.struct_field(column, name)
    elif holder == "facts":
        column = pc.map_lookup(column, name, "first")
    text = column.cast(pa.string())
    text = pa.concat_arrays(text.chunks) if text.num_chunks else pa.array([], pa.string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def held_in(columns: Iterable[str]) -> frozenset[str]:
    """The columns of ``predictions/`` that hold these.

    Example:
        >>> sorted(held_in(["gender", "age", "peak", "split"]))
        ['audio_marks', 'facts', 'split']
    """
    return frozenset(
        name if name in TABLE_COLUMNS else "audio_marks" if name in MARKS else "facts"
        for name in columns
    )


@dataclass(frozen=True, slots=True)
class SliceSize:
    """Labelled utterances of a slice and their speakers; an unknown speaker has one utterance."""

    utterances: int
    speakers: int


@dataclass(frozen=True)
class SlicedColumn:
    """How one column cuts the corpus.

    Attributes:
        edges: where the bins of numbers begin, but the first; None for single values.
        kept: values that are slices of their own.
        of_speaker: whether it is the same for all utterances of a speaker, so that whole speakers
            are drawn for its intervals.
        sizes: of every slice, by its name.
    """

    name: str
    edges: tuple[float, ...] | None
    kept: frozenset[str]
    of_speaker: bool = False
    sizes: Mapping[str, SliceSize] = field(default_factory=dict)

    def slice_names(self, values: Iterable[str | None]) -> list[str | None]:
        """The slice of every value; None for no value."""
        return [None if value is None else f"{self.name}={self._part(value)}" for value in values]

    def _part(self, value: str) -> str:
        if self.edges is None:
            return value if value in self.kept else OTHERS
        ends = [-math.inf, *self.edges, math.inf]
        place = sum(float(value) >= edge for edge in self.edges)
        opening = "(" if place == 0 else "["
        return f"{opening}{_plain(ends[place])}, {_plain(ends[place + 1])})"

    def too_few(self, slice_name: str) -> str | None:
        """Why the slice's metrics have no interval; None where they have."""
        speakers = self.sizes[slice_name].speakers
        if not self.of_speaker or speakers >= FEWEST_SPEAKERS:
            return None
        return f"no interval: {speakers} speakers, {FEWEST_SPEAKERS} are needed"

    def too_few_to_compare(self, slice_name: str, inside: int, outside: int) -> str | None:
        """Why the difference from the other slices has no interval; None where it has.

        Args:
            slice_name: of the slice.
            inside: utterances of the slice that count.
            outside: those of the other slices.
        """
        needed = max(FEWEST_UTTERANCES, _MORE_UTTERANCES * (len(self.sizes) - 1))
        counted = [("utterances", inside, outside, needed)]
        if self.of_speaker:
            own = self.sizes[slice_name].speakers
            others = sum(size.speakers for size in self.sizes.values()) - own
            needed = max(FEWEST_SPEAKERS, _MORE_SPEAKERS * (len(self.sizes) - 1))
            counted.append(("speakers", own, others, needed))
        for what, own, others, needed in counted:
            if min(own, others) < needed:
                where = "in the slice" if own <= others else "outside of it"
                return f"no interval: {min(own, others)} {what} {where}, {needed} are needed"
        return None


def sliced_column(
    name: str, values: pa.Array, utterances: Hashes, speakers: Hashes
) -> SlicedColumn:
    """The rule that cuts a column, from the whole corpus.

    Args:
        name: of the column.
        values: of every labelled utterance once, see :func:`column_values`.
        utterances: hash of each utterance's id.
        speakers: hash of each utterance's speaker, 0 where unknown.
    """
    known = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    texts = values.take(pa.array(known)).to_pylist()
    counted = Counter(texts)
    drawn = clusters(utterances, speakers)[known]
    all_speakers = np.unique(drawn).size
    pairs = set(zip(drawn.tolist(), texts, strict=True))
    of_speaker = len(pairs) == all_speakers < known.size
    edges = None
    if name != _NEVER_JOINED:
        edges = _edges(counted, SPEAKER_BINS if of_speaker else BINS)
    ranked = sorted(counted, key=lambda value: (-counted[value], value))
    if len(ranked) > MOST_VALUES and name != _NEVER_JOINED:
        ranked = ranked[: MOST_VALUES - 1]
    rule = SlicedColumn(name, edges, frozenset(ranked))
    slices = np.array(rule.slice_names(texts), dtype=object)
    sizes = {
        slice_name: SliceSize(int(rows.sum()), np.unique(drawn[rows]).size)
        for slice_name in sorted(set(slices.tolist()))
        for rows in (slices == slice_name,)
    }
    return SlicedColumn(name, edges, rule.kept, of_speaker, sizes)


def clusters(utterances: Hashes, speakers: Hashes) -> Hashes:
    """What is drawn where whole speakers are: the speaker, or the utterance without a known one."""
    return np.where(speakers != 0, speakers, utterances)


def column_of(columns: Sequence[SlicedColumn], slice_name: str) -> SlicedColumn | None:
    """The column that a slice is of; None for a slice of another kind."""
    return next((column for column in columns if slice_name in column.sizes), None)


def _edges(counted: Mapping[str, int], bins: int) -> tuple[float, ...] | None:
    """Edges of bins of about equal count; None where the values are not many numbers.

    Equal numbers are never cut apart, so bins may differ in size and be fewer.
    """
    numbers: Counter[float] = Counter()
    for text, count in counted.items():
        try:
            numbers[float(text)] += count
        except ValueError:
            return None
    if len(numbers) <= MOST_SINGLE_NUMBERS or not all(map(math.isfinite, numbers)):
        return None
    ordered = sorted(numbers)
    ends = np.cumsum([numbers[value] for value in ordered])
    starts = {
        int(np.searchsorted(ends, place * int(ends[-1]) // bins, side="right"))
        for place in range(1, bins)
    }
    return tuple(_short(ordered[place - 1], ordered[place]) for place in sorted(starts) if place)


def _short(below: float, edge: float) -> float:
    """The number with the fewest digits above ``below`` and not above ``edge``."""
    exact = Decimal(repr(edge))
    for digits in range(-6, 18):
        unit = Decimal(1).scaleb(-digits)
        candidate = float((exact / unit).to_integral_value(ROUND_FLOOR) * unit)
        if below < candidate <= edge:
            return candidate
    return edge


def _plain(edge: float) -> str:
    """An edge as text: a whole number without a point.

    Example:
        >>> _plain(31.0), _plain(1.935), _plain(float("-inf"))
        ('31', '1.935', '-inf')
    """
    return f"{edge:.0f}" if math.isfinite(edge) and edge == int(edge) else repr(edge)
