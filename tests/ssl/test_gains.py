"""Gains by other labels: the paper's own table, and an oracle that counts clip by clip."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from raypipe.metrics.bootstrap import id_hashes, poisson_weights
from raypipe.metrics.catalogue.threshold import batch_threshold_macro_f1
from raypipe.ssl.gains import FoldAnswers, gain_table, relative_gains, t_interval

Array = NDArray[np.float64]

TABLE_IV = {
    "WavLM": (0.350, 0.353, 0.77),
    "W2V2 R": (0.331, 0.335, 1.08),
    "XLS-R-1B": (0.331, 0.341, 3.09),
    "Data2Vec-A": (0.329, 0.338, 2.74),
    "Hubert": (0.342, 0.350, 2.22),
    "W2V2": (0.321, 0.325, 1.28),
    "VQ-W2V": (0.292, 0.300, 2.74),
    "W2V": (0.301, 0.305, 1.58),
    "CPC": (0.265, 0.290, 9.45),
    "DeCoAR 2": (0.308, 0.317, 3.14),
    "TERA": (0.295, 0.306, 3.52),
    "Mockingjay": (0.275, 0.298, 8.49),
    "NPC": (0.275, 0.290, 5.75),
    "VQ-APC": (0.296, 0.310, 4.94),
    "APC": (0.298, 0.307, 3.19),
    "FBANK": (0.186, 0.186, 0.00),
}
"""Threshold macro-F1 without and with relabelled labels, gain in percent, as printed; its last
row is .298, .307, 3.08."""


def test_the_papers_average_gain_is_the_ratio_of_averages() -> None:
    without, relabelled, printed = np.array(list(TABLE_IV.values())).T
    assert round(float(printed.mean()), 2) == 3.37
    # Scores are printed to .0005, a gain of one encoder therefore to .4 percentage points.
    gains = 100 * relative_gains(without, relabelled)
    assert np.abs(gains - printed).max() < 0.4
    assert gains.mean() == pytest.approx(3.37, abs=0.1)
    # Its last row is the ratio of its own two averages, as far as three digits can tell, and not
    # the mean of gains. (The averages themselves are not those of the printed columns.)
    low, high = 100 * relative_gains(np.array([0.2985, 0.2975]), np.array([0.3065, 0.3075]))
    assert low < 3.08 < high < 3.37
    averages = float(without.mean()), float(relabelled.mean())
    assert averages == pytest.approx((0.2997, 0.3094), abs=1e-4)
    assert 100 * float(relative_gains(*map(np.array, averages))) == pytest.approx(3.25, abs=0.01)


def score(truth: Array, guess: Array, weights: Array, size: int | None) -> float:
    """The oracle: clips, labels and batches in plain loops."""
    labels = truth.shape[1]
    scores = []
    for begin in range(0, len(truth), size or len(truth)):
        f1 = []
        for label in range(labels):
            tp = fp = fn = 0.0
            for clip in range(begin, min(begin + (size or len(truth)), len(truth))):
                on, said = truth[clip, label] > 1 / labels, guess[clip, label] > 1 / labels
                tp += weights[clip] * (on and said)
                fp += weights[clip] * (said and not on)
                fn += weights[clip] * (on and not said)
            if tp + fp + fn > 0:
                f1.append(2 * tp / (2 * tp + fp + fn))
            elif size is not None:
                f1.append(0.0)
        scores.append(np.mean(f1))
    return float(np.mean(scores))


IDS = [[f"a{at}" for at in range(14)], [f"b{at}" for at in range(9)]]
REPLICATES, SEED = 40, 3


@pytest.fixture(scope="module")
def tested() -> dict[str, list[FoldAnswers]]:
    """Two encoders, two folds, three seeds; the labels in both trainings are half right."""
    random = np.random.default_rng(5)
    truths = [random.dirichlet([0.4] * 4, len(ids)) for ids in IDS]

    def folds(skill: float) -> list[FoldAnswers]:
        return [
            FoldAnswers(
                id_hashes(ids),
                truth,
                *(
                    (each * truth + (1 - each) * random.dirichlet([0.5] * 4, (3, len(ids))))
                    for each in (skill, skill + 0.2)
                ),
            )
            for ids, truth in zip(IDS, truths, strict=True)
        ]

    return {"wavlm": folds(0.4), "fbank": folds(0.1)}


@pytest.mark.parametrize("size", [None, 4])
def test_scores_gains_and_intervals_are_those_of_the_oracle(
    tested: dict[str, list[FoldAnswers]], size: int | None
) -> None:
    table = gain_table(tested, batch_size=size, replicates=REPLICATES, seed=SEED)
    weights = [poisson_weights(ids, REPLICATES, SEED).T.astype(float) for ids in IDS]
    draws = [[np.ones(len(ids)), *rows] for ids, rows in zip(IDS, weights, strict=True)]

    def scores(folds: list[FoldAnswers], name: str) -> Array:
        """Shape (1 + replicates, seeds)."""
        each = [
            [[score(fold.truth, guess, w, size) for guess in getattr(fold, name)] for w in draw]
            for fold, draw in zip(folds, draws, strict=True)
        ]
        return np.mean(each, axis=0)

    own = np.stack([scores(folds, "without") for folds in tested.values()])
    other = np.stack([scores(folds, "relabelled") for folds in tested.values()])
    a, b = own.mean(axis=2), other.mean(axis=2)
    for at, line in enumerate(table.encoders):
        assert line.without == pytest.approx(a[at, 0])
        assert line.relabelled == pytest.approx(b[at, 0])
        gains = b[at] / a[at] - 1
        assert line.gain.value == pytest.approx(gains[0])
        assert line.gain.utterances == pytest.approx(np.percentile(gains[1:], [2.5, 97.5]))
        paired = other[at, 0] - own[at, 0]
        expected = stats.ttest_1samp(paired, 0).confidence_interval(0.95)
        assert line.gain.seeds == pytest.approx(np.array([*expected]) / a[at, 0])
    means = (b / a - 1).mean(axis=0)
    ratios = b.mean(axis=0) / a.mean(axis=0) - 1
    for gain, values in ((table.mean_of_gains, means), (table.ratio_of_averages, ratios)):
        assert gain.value == pytest.approx(values[0])
        assert gain.utterances == pytest.approx(np.percentile(values[1:], [2.5, 97.5]))
        assert gain.seeds is not None
        assert sum(gain.seeds) / 2 == pytest.approx(values[0])
    assert (table.without, table.relabelled) == pytest.approx((a[:, 0].mean(), b[:, 0].mean()))


def test_scores_are_those_that_heads_state(tested: dict[str, list[FoldAnswers]]) -> None:
    table = gain_table({"wavlm": tested["wavlm"][:1]}, batch_size=4, replicates=0)
    fold = tested["wavlm"][0]
    expected = np.mean([batch_threshold_macro_f1(fold.truth, each, 4) for each in fold.without])
    assert table.encoders[0].without == pytest.approx(expected)
    assert table.encoders[0].gain.utterances is None
    assert table.mean_of_gains.value == table.ratio_of_averages.value


def test_equal_trainings_gain_nothing_and_one_seed_has_no_interval(
    tested: dict[str, list[FoldAnswers]],
) -> None:
    fold = tested["wavlm"][0]
    same = FoldAnswers(fold.hashes, fold.truth, fold.without[:1], fold.without[:1])
    gain = gain_table({"wavlm": [same]}, replicates=20).ratio_of_averages
    assert (gain.value, gain.seeds, gain.utterances) == (0.0, None, (0.0, 0.0))
    assert t_interval(np.array([1.0])) is None
