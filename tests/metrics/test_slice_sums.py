"""Sums of slices: to the bit those of one product each, by fewer products."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from raypipe.metrics import slice_sums as module
from raypipe.metrics.exact import weighted_sums
from raypipe.metrics.slice_sums import SliceWeights, slice_sums

ROWS, REPLICATES, COLUMNS = 300, 20, 7
RNG = np.random.default_rng(5)
UNITS = np.rint(RNG.normal(0, 2**30, (ROWS, COLUMNS)))
WEIGHTS = RNG.integers(0, 9, (REPLICATES, ROWS)).astype(np.float64)
BY_SPEAKER = RNG.integers(0, 9, (REPLICATES, ROWS)).astype(np.float64)


def family(kind: str, index: np.ndarray, wanted: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [
        (f"{kind}{value}", np.flatnonzero((index == value) & wanted)) for value in np.unique(index)
    ]


EVERY = np.ones(ROWS, dtype=np.bool_)
BINS = RNG.integers(1, 6, ROWS)
SPLIT = [("split=test", np.arange(ROWS))]
COLUMN = family("sex=", RNG.integers(0, 2, ROWS), EVERY)
FOUND = [
    ("all", np.arange(ROWS)),
    *family("ambiguity_count_", BINS, EVERY),
    *family("ambiguity_width_", RNG.integers(1, 3, ROWS), RNG.random(ROWS) < 0.9),
    ("majority", np.flatnonzero(RNG.random(ROWS) < 0.6)),
    *SPLIT,
    *family("speaker=", RNG.integers(0, 3, ROWS), EVERY),
    *COLUMN,
    *family("room=", RNG.integers(0, 20, ROWS), EVERY),
]
COLUMNS_OF = [SimpleNamespace(sizes=dict(COLUMN), of_speaker=True)]
DRAWN = SliceWeights(WEIGHTS, BY_SPEAKER, COLUMNS_OF)


def test_sums_are_those_of_one_product_each() -> None:
    found = list(slice_sums(FOUND, DRAWN, UNITS))
    assert [name for name, _, _ in found] == [name for name, _ in FOUND]
    for (name, rows), (_, same, sums) in zip(FOUND, found, strict=True):
        assert same is rows
        expected = weighted_sums(DRAWN.of(name)[:, rows], UNITS[rows])
        np.testing.assert_array_equal(sums, expected, err_msg=name)


def test_nobody_else_has_the_sums() -> None:
    found = [sums for _, _, sums in slice_sums([FOUND[0], *SPLIT], DRAWN, UNITS)]
    before = found[1].copy()
    found[0] += 1
    np.testing.assert_array_equal(found[1], before)


def test_weights_follow_what_is_drawn() -> None:
    assert DRAWN.of("all") is DRAWN.of("label=anger") is WEIGHTS
    assert DRAWN.of("sex=0") is BY_SPEAKER
    np.testing.assert_array_equal(DRAWN.of("speaker=1"), WEIGHTS[:1])


def test_rows_of_a_whole_family_are_multiplied_once_less(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplied = []

    def counted(weights: np.ndarray, units: np.ndarray) -> np.ndarray:
        multiplied.append(len(units))
        return weighted_sums(weights, units)

    monkeypatch.setattr(module, "weighted_sums", counted)
    bins = family("ambiguity_count_", BINS, EVERY)
    list(slice_sums([FOUND[0], *bins, *SPLIT], DRAWN, UNITS))
    assert sum(multiplied) == 2 * ROWS - max(rows.size for _, rows in bins)
