"""Rates by hand, agreement against a library and Fleiss' own table, intervals by simulation."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from scipy.special import expit

from raypipe.explain.sheets.collecting import Judgement
from raypipe.explain.sheets.key import KeyItem
from raypipe.explain.sheets.rates import crossed_interval, rates_table, sheet_rates
from raypipe.metrics import fleiss_kappa

RATERS, ITEMS = 10, 32


def judgement(rater: int, item: int, value: bool, test: str = "I") -> Judgement:
    label = "anger" if item % 2 else "fear"
    shown = KeyItem(
        item=f"{test}-{item:02d}",
        test=test,  # type: ignore[arg-type]
        utterance_id=f"u{item}",
        speaker=None,
        label=label,
        reference="anger",
    )
    return Judgement(rater, shown, "accept" if value else "reject", value)


def test_rates_are_the_shares_of_the_groups() -> None:
    # Rater 1 accepts all, rater 2 the odd items (the matches), rater 3 none, item 3 is open.
    rows = [judgement(1, item, True) for item in range(8)]
    rows += [judgement(2, item, bool(item % 2)) for item in range(8)]
    rows += [judgement(3, item, False) for item in range(8) if item != 3]
    rows += [judgement(rater, item, item < 2, "II") for rater in (1, 2) for item in range(4)]
    rates = {(rate.test, rate.group): rate for rate in sheet_rates(rows)}
    assert list(rates) == [("I", "overall"), ("I", "match"), ("I", "non-match"), ("II", "overall")]
    assert rates["I", "overall"].rate == pytest.approx(12 / 23)
    assert rates["I", "match"].rate == pytest.approx(8 / 11)
    assert rates["I", "non-match"].rate == pytest.approx(4 / 12)
    assert rates["II", "overall"].rate == pytest.approx(0.5)
    assert rates["II", "overall"].measure == "predicted_preferred"
    assert rates["II", "overall"].fleiss_kappa == pytest.approx(1.0)
    overall = rates["I", "overall"]
    assert (overall.raters, overall.items, overall.judgements) == (3, 8, 23)
    data = np.full((3, 8), np.nan)
    for row in rows[:23]:
        data[row.rater - 1, int(row.item.item[2:])] = row.value
    alpha = krippendorff.alpha(reliability_data=data, level_of_measurement="nominal")
    assert overall.krippendorff_alpha == pytest.approx(float(alpha))
    assert rates_table(rates.values(), "s").num_rows == 4


def test_kappa_of_the_textbook() -> None:
    # Fleiss (1971) as on every page about it: 10 subjects, 14 raters, 5 categories, 0.210.
    table = np.array(
        [
            *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0]),
            *([2, 2, 8, 1, 1], [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2]),
            *([6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
        ],
        dtype=np.float64,
    )
    assert fleiss_kappa(table, np.ones(10)) == pytest.approx(0.210, abs=5e-4)


@pytest.mark.parametrize(
    ("of_raters", "of_items"), [(1.0, 1.0), (1.5, 0.5), (0.3, 1.5)], ids=["both", "raters", "items"]
)
def test_intervals_hold_the_truth_of_other_raters_and_items(
    of_raters: float, of_items: float
) -> None:
    rng = np.random.default_rng(5)
    truth = expit(0.8 + np.hypot(of_raters, of_items) * rng.normal(size=1_000_000)).mean()
    held, held_by_binomial, studies = 0, 0, 300
    for study in range(studies):
        effects = of_raters * rng.normal(size=(RATERS, 1)) + of_items * rng.normal(size=(1, ITEMS))
        values = (rng.random((RATERS, ITEMS)) < expit(0.8 + effects)).astype(np.float64)
        low, high = crossed_interval(values, np.zeros(ITEMS, int), replicates=400, seed=study)
        held += low <= truth <= high
        mean = values.mean()
        half = 1.96 * np.sqrt(mean * (1 - mean) / values.size)
        held_by_binomial += abs(mean - truth) <= half
    assert 0.91 <= held / studies <= 0.99
    assert held_by_binomial / studies < 0.75, "an interval that takes 320 answers as independent"


def test_items_are_drawn_within_strata() -> None:
    # One half is always accepted, the other never: the mean of the whole is known exactly.
    values = np.tile([1.0, 1.0, 0.0, 0.0], (5, 1))
    assert crossed_interval(values, [1, 1, 0, 0]) == (0.5, 0.5)
    low, high = crossed_interval(values, [0, 0, 0, 0])
    assert low < 0.2
    assert high > 0.8
