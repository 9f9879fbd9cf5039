"""Comparisons against computations of their own, with the bootstrap's weights written out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import t as student_t
from sklearn.metrics import f1_score
from tables_of_predictions import CREMA_D, predictions_table, random_votes

from raypipe.errors import AccountingError, ConfigError
from raypipe.metrics.bootstrap import poisson_weights
from raypipe.metrics.comparison import (
    Comparison,
    comparable_metrics,
    compare_systems,
    leaders,
)
from raypipe.metrics.joining import Joining, SystemName
from raypipe.metrics.rows import read_groups

COUNT, REPLICATES, SEED = 400, 200, 3
IDS = [f"u{number}" for number in range(COUNT)]
SPEAKERS = [f"s{number % 23}" if number % 50 else None for number in range(COUNT)]
VOTES = random_votes(COUNT, 6, seed=2)
VOTES[::40] = 0.0  # unlabelled
TRUTH = VOTES / np.maximum(VOTES.sum(axis=1, keepdims=True), 1)
METRICS = ("js", "r2", "accuracy", "macro_f1")
KNOWN = comparable_metrics()


def predictions() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    near = 0.8 * TRUTH + 0.2 * rng.dirichlet(np.ones(6), COUNT)
    same = 0.8 * TRUTH + 0.2 * rng.dirichlet(np.ones(6), COUNT)
    far = rng.dirichlet(np.ones(6), COUNT)
    made = {"near": near, "same": same, "far": far}
    for place, probs in enumerate(made.values()):
        probs /= probs.sum(axis=1, keepdims=True)
        probs[place :: 11 + place] = np.nan
    made["far"][1::13] = 1 / 6  # R2 is undefined there
    return made


PREDICTIONS = predictions()


def compared(pieces: int = 1, *, metrics: tuple[str, ...] = METRICS, **options: bool) -> Comparison:
    joining = Joining()
    for rows in np.array_split(np.random.default_rng(pieces).permutation(COUNT), pieces):
        table = predictions_table(
            [IDS[row] for row in rows],
            VOTES[rows],
            {name: probs[rows] for name, probs in PREDICTIONS.items()},
            CREMA_D,
            speakers=[SPEAKERS[row] for row in rows],
        )
        joining.add("run", read_groups(table, CREMA_D), None)
    systems = joining.systems({name: name.strategy for name in joining.names})
    chosen = [KNOWN[name] for name in metrics]
    return compare_systems(systems, CREMA_D, chosen, replicates=REPLICATES, seed=SEED, **options)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compared()


def js(p: np.ndarray, q: np.ndarray) -> float:
    return jensenshannon(p, q, base=2) ** 2


def r2(p: np.ndarray, q: np.ndarray) -> float:
    flat = np.ptp(p) < 1e-9 or np.ptp(q) < 1e-9
    return np.nan if flat else np.corrcoef(p, q)[0, 1] ** 2


def by_utterance(name: str, metric: str) -> np.ndarray:
    """Values of one system, NaN where it has none."""
    values = np.full(COUNT, np.nan)
    for row, (votes, probs) in enumerate(zip(VOTES, PREDICTIONS[name], strict=True)):
        if not votes.any() or np.isnan(probs).any():
            continue
        if metric == "accuracy":
            best = np.flatnonzero(votes == votes.max())
            top = np.flatnonzero(probs > probs.max() - 1e-9)
            values[row] = (best[0] in top) / top.size if best.size == 1 else np.nan
        else:
            values[row] = {"js": js, "r2": r2}[metric](TRUTH[row], probs)
    return values


@pytest.mark.parametrize("metric", ["js", "r2", "accuracy"])
@pytest.mark.parametrize("by_speaker", [False, True])
def test_differences_are_weighted_means_of_paired_differences(
    metric: str, by_speaker: bool
) -> None:
    comparison = compared(metrics=(metric,), by_speaker=by_speaker)
    drawn = [s or u for s, u in zip(SPEAKERS, IDS, strict=True)] if by_speaker else IDS
    weights = poisson_weights(drawn, REPLICATES, seed=SEED).astype(float)
    found = {(item.left, item.right): item for item in comparison.differences}
    for left, right in combinations(PREDICTIONS, 2):
        gaps = by_utterance(left, metric) - by_utterance(right, metric)
        rows = ~np.isnan(gaps)
        replicates = weights[rows].T @ gaps[rows] / weights[rows].sum(axis=0)
        item = found.get((left, right)) or found[right, left].turned()
        assert item.n == rows.sum()
        assert item.value == pytest.approx(gaps[rows].mean(), abs=1e-8)
        if (gaps[rows] != 0).sum() < 5:
            assert np.isnan([item.low, item.high, item.p_value, item.corrected]).all()
            continue
        low, high = np.quantile(replicates, [0.025, 0.975])
        assert (item.low, item.high) == pytest.approx((low, high), abs=1e-7)
        units = len({drawn[row] for row in np.flatnonzero(rows)})
        t = gaps[rows].mean() / replicates.std(ddof=1)
        assert item.p_value == pytest.approx(2 * student_t.sf(abs(t), units - 1), rel=1e-4)


def test_macro_f1_is_compared_on_common_utterances(comparison: Comparison) -> None:
    plurality = np.array(
        [votes.argmax() if (votes == votes.max()).sum() == 1 else -1 for votes in VOTES]
    )
    valid = {name: ~np.isnan(probs).any(axis=1) for name, probs in PREDICTIONS.items()}
    rows = (plurality >= 0) & valid["near"] & valid["same"]
    scores = [
        f1_score(plurality[rows], PREDICTIONS[name][rows].argmax(axis=1), average="macro")
        for name in ("near", "same")
    ]
    [item] = [
        item if item.left == "near" else item.turned()
        for item in comparison.differences
        if item.metric == "macro_f1" and {item.left, item.right} == {"near", "same"}
    ]
    assert item.n == rows.sum()
    assert item.value == pytest.approx(scores[0] - scores[1], abs=1e-8)


def test_any_cut_gives_the_same_bits(comparison: Comparison) -> None:
    assert repr(compared(7)) == repr(comparison)  # NaN is not equal to itself
    assert repr(compared(64)) == repr(comparison)


def test_corrected_values_are_over_the_whole_table(comparison: Comparison) -> None:
    items = comparison.differences
    systems = len(PREDICTIONS) + 1  # and the prior
    assert len(items) == systems * (systems - 1) // 2 * len(METRICS)
    known = [item for item in items if not np.isnan(item.p_value)]
    assert 0 < len(items) - len(known) <= len(METRICS)  # too few utterances differ
    for item in known:
        smaller = sum(other.p_value < item.p_value for other in known)
        assert item.corrected >= min(1.0, item.p_value * (len(known) - smaller)) - 1e-12


def test_what_cannot_be_told_apart_leads_together(comparison: Comparison) -> None:
    first, second, *others = leaders(comparison, KNOWN["js"])
    assert {first, second} == {"near", "same"}
    assert others == []
    assert leaders(comparison, KNOWN["macro_f1"])[0] in {"near", "same"}


def test_a_ceiling_count_or_share_of_invalid_answers_is_not_compared() -> None:
    assert "ece" not in KNOWN  # its interval is none of replicates
    assert "invalid_rate" not in KNOWN
    assert "ties" not in KNOWN
    assert {"js", "bc", "r2", "accuracy", "macro_f1", "threshold_macro_f1"} <= KNOWN.keys()


def test_no_speakers_are_refused() -> None:
    table = predictions_table(IDS, VOTES, PREDICTIONS, CREMA_D, speakers=["one"] * COUNT)
    joining = Joining()
    joining.add("run", read_groups(table, CREMA_D), None)
    systems = joining.systems({name: name.strategy for name in joining.names})
    with pytest.raises(ConfigError, match="1 speakers are known; intervals of fewer"):
        compare_systems(systems, CREMA_D, [KNOWN["js"]], replicates=5, by_speaker=True)


def test_runs_of_other_utterances_are_compared_on_those_they_share() -> None:
    joining = Joining()
    for name, rows in (("first", range(300)), ("second", range(200, 400))):
        table = predictions_table(
            [IDS[row] for row in rows],
            VOTES[[*rows]],
            {"near": PREDICTIONS["near"][[*rows]]},
            CREMA_D,
        )
        joining.add(name, read_groups(table, CREMA_D), None)
    systems = joining.systems({system: system.run for system in joining.names})
    assert set(systems.predictions) == {"first", "second", "prior"}
    comparison = compare_systems(systems, CREMA_D, [KNOWN["js"]], replicates=5)
    [item] = [item for item in comparison.differences if item.right == "second"]
    assert item.n == (~np.isnan(by_utterance("near", "js")[200:300])).sum()
    assert item.value == 0.0
    assert np.isnan(item.p_value)  # they do not differ on five utterances
    assert not item.is_told_apart


def test_two_truths_for_one_utterance_are_refused() -> None:
    joining = Joining()
    for votes in (VOTES, VOTES[:, ::-1]):
        table = predictions_table(IDS, votes, {"near": PREDICTIONS["near"]}, CREMA_D)
        joining.add(str(votes[1]), read_groups(table, CREMA_D), None)
    with pytest.raises(AccountingError, match="two soft labels for one utterance"):
        joining.systems({name: str(name) for name in joining.names})


def test_an_utterance_twice_in_a_run_is_refused() -> None:
    joining = Joining()
    table = predictions_table(IDS, VOTES, {"near": PREDICTIONS["near"]}, CREMA_D)
    for _ in range(2):
        joining.add("run", read_groups(table, CREMA_D), None)
    with pytest.raises(AccountingError, match="two rows of near"):
        joining.systems({SystemName("run", "m", "p", "near"): "near"})
