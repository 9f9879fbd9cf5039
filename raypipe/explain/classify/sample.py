"""A sample of answers for a person to label, and how often the reading agrees with the labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from raypipe.errors import ConfigError

SAMPLE_COLUMNS = ("system", "form", "utterance_id", "text", "label")

Key = tuple[str, str, str]
"""System, form and utterance id."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """An answer of the sample.

    Attributes:
        key: whose answer it is.
        text: what the model wrote.
        label: that a person says it names, ``other`` included; empty while unlabelled.
    """

    key: Key
    text: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the reading agrees with a person.

    Attributes:
        decided_by: steps that decided, such as ``parser``; ``all`` for all together.
        n: labelled answers.
        right: of them, those with the person's label.
        low: lower end of Wilson's 95 % interval of the share.
        high: upper end.
    """

    decided_by: str
    n: int
    right: int
    low: float
    high: float


def draw_sample(texts: Mapping[Key, str], count: int, seed: int) -> list[SampleRow]:
    """Randomly drawn answers, distinct ones first, in the order of their keys.

    Args:
        texts: what models wrote, by key.
        count: number of answers.
        seed: of the draw.
    """
    keys = sorted(texts)
    order = [keys[place] for place in np.random.default_rng(seed).permutation(len(keys))]
    firsts: dict[str, Key] = {}
    for key in order:
        firsts.setdefault(texts[key], key)
    distinct = list(firsts.values())
    rest = [key for key in order if key not in set(distinct)]
    return [SampleRow(key, texts[key]) for key in sorted([*distinct, *rest][:count])]


def sample_csv(rows: Sequence[SampleRow]) -> str:
    """The file that a person fills in."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(SAMPLE_COLUMNS)
    for row in rows:
        writer.writerow([*row.key, row.text, row.label])
    return buffer.getvalue()


def read_sample(text: str, name: str, allowed: Collection[str]) -> list[SampleRow]:
    """The rows of a file, filled in or not.

    Args:
        text: of the file.
        name: of the file, for messages.
        allowed: labels that there may be.

    Raises:
        ConfigError: for a wrong header or an unknown label.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    if tuple(next(reader, [])) != SAMPLE_COLUMNS:
        raise ConfigError(f"{name}: the first line must be {','.join(SAMPLE_COLUMNS)}")
    rows = []
    for cells in reader:
        if len(cells) != len(SAMPLE_COLUMNS):
            raise ConfigError(f"{name}, line {reader.line_num}: it has {len(cells)} cells, not 5")
        system, form, utterance_id, said, label = cells
        if label and label not in allowed:
            raise ConfigError(
                f"{name}, line {reader.line_num}: label {label[:80]!r} is none of "
                f"{', '.join(allowed)}"
            )
        rows.append(SampleRow((system, form, utterance_id), said, label))
    return rows


def agreement(
    rows: Sequence[SampleRow], labels: Mapping[Key, str], decided_by: Mapping[Key, str]
) -> list[Agreement]:
    """How often the reading agrees with the person, all together first, then by what decided.

    Args:
        rows: of the sample.
        labels: that were read, by key.
        decided_by: what decided on them, by key.
    """
    counted = [row for row in rows if row.label and row.key in labels]
    groups = {"all": counted}
    for row in counted:
        groups.setdefault(decided_by[row.key], []).append(row)
    first, *others = groups
    return [_agreement(name, groups[name], labels) for name in (first, *sorted(others)) if counted]


def _agreement(name: str, rows: Sequence[SampleRow], labels: Mapping[Key, str]) -> Agreement:
    right = sum(labels[row.key] == row.label for row in rows)
    ends = binomtest(right, len(rows)).proportion_ci(method="wilson")
    return Agreement(name, len(rows), right, float(ends.low), float(ends.high))
