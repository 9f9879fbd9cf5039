"""Damaged inputs of every kind: read whole, read in part or refused by name, soon.

``tests/bench/bench_mutations.py`` does the same with 10,000 of them, each kind in a process whose
memory it watches.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mutated_inputs import KINDS, MutatedInput

LONGEST_S = 10.0


@pytest.mark.parametrize("count", [8, pytest.param(80, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_input_is_read_or_refused(tmp_path: Path, kind: str, count: int) -> None:
    source = MutatedInput(kind, tmp_path)
    for seed in range(count):
        began = time.monotonic()
        source.outcome(seed)
        assert time.monotonic() - began < LONGEST_S, f"{kind}, seed {seed}"
