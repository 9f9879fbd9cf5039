from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from raypipe.errors import CallError
from raypipe.runtime.infer.narrowing import SMALLEST_SHARE, narrowed


class Asked:
    """Answers with the square of every number, if no poison is among them."""

    def __init__(self, *poison: int) -> None:
        self.poison = set(poison)
        self.calls: list[tuple[int, ...]] = []
        self.failed = 0
        self.answered: Counter[int] = Counter()

    def __call__(self, numbers: Sequence[int], share: float) -> list[int]:
        self.calls.append(tuple(numbers))
        self.shares = share
        if self.poison & set(numbers):
            self.failed += 1
            raise CallError("poison", "there is poison")
        self.answered.update(numbers)
        return [number**2 for number in numbers]


def told(number: int, error: CallError) -> list[object]:
    return [(number, error.code)]


def expected(count: int, poison: Sequence[int]) -> list[object]:
    return [(n, "poison") if n in poison else n**2 for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 9, 40, 200])
def test_every_single_poison_is_found_wherever_it_is(count: int) -> None:
    for poison in range(count):
        asked = Asked(poison)
        assert narrowed(range(count), asked, told) == expected(count, [poison])
        assert asked.failed <= 3
        assert sum(map(len, asked.calls)) <= 2 * count + math.ceil(math.sqrt(count))
        assert set(asked.answered.values()) <= {1}  # nobody is asked twice who has answered


def test_any_number_of_them_is_found() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 60))
        poison = rng.choice(count, int(rng.integers(0, count + 1)), replace=False).tolist()
        asked = Asked(*poison)
        assert narrowed(range(count), asked, told) == expected(count, poison)
        assert asked.failed <= 1 + 2 * len(poison)
        assert sum(map(len, asked.calls)) <= 3 * count


def test_what_is_asked_together_stays_together_without_poison() -> None:
    asked = Asked()
    assert narrowed(range(7), asked, told) == expected(7, [])
    assert asked.calls == [tuple(range(7))]


@pytest.mark.parametrize("failures", range(1, 6))
def test_what_does_not_fail_again_leaves_no_trace(failures: int) -> None:
    left = failures

    def ask(numbers: Sequence[int], share: float) -> list[int]:
        nonlocal left
        if len(numbers) > 1 and left:
            left -= 1
            raise CallError("transient", "not now")
        return [number**2 for number in numbers]

    assert narrowed(range(40), ask, told) == expected(40, [])


def test_a_part_has_its_share_of_the_time_but_an_eighth_at_least() -> None:
    shares: list[tuple[int, float]] = []

    def ask(numbers: Sequence[int], share: float) -> list[int]:
        shares.append((len(numbers), share))
        raise CallError("poison", "all of it")

    assert narrowed(range(10), ask, told) == [(n, "poison") for n in range(10)]
    assert set(shares) == {(10, 1.0), (4, 0.4), (2, 0.2), (1, SMALLEST_SHARE)}
