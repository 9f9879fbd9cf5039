"""Oracle: counting votes one by one, in whole numbers, for every threshold there could be."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from made_up_hypotheses import beams, heard, predicted

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.strategies import Settings
from raypipe.strategies.catalogue.conformal import STRATEGY, membership, vote_threshold
from raypipe.strategies.fit_rows import FitRows

NAMES = LabelSet(("anger", "fear", "neutral", "sadness"))


def some_votes(count: int, seed: int, votes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(4, 0.7), count)
    return (
        np.stack([rng.multinomial(votes, row) for row in shares]),
        0.5 * shares + 0.5 * rng.dirichlet(np.ones(4), count),
    )


def own_threshold(votes: np.ndarray, probs: np.ndarray, coverage: Fraction) -> float:
    """The highest share at which enough votes are inside, by trying every share that occurs."""
    count = len(votes)
    allowed = (1 - coverage) * (count + 1) - 1
    best = 0.0
    for threshold in sorted({*probs.ravel().tolist(), 1.0}):
        outside = Fraction(0)
        for row, shares in zip(votes, probs, strict=True):
            top = shares.max()
            missed = sum(
                int(given)
                for given, share in zip(row, shares, strict=True)
                if share < threshold and share < top
            )
            outside += Fraction(missed, int(row.sum()))
        if outside <= allowed:
            best = threshold
    return best


@pytest.mark.parametrize("coverage", ["0.5", "0.8", "0.9"])
@pytest.mark.parametrize(("count", "seed"), [(7, 1), (40, 2), (99, 3)])
def test_the_threshold_is_the_highest_that_covers_enough_votes(
    coverage: str, count: int, seed: int
) -> None:
    votes, probs = some_votes(count, seed)
    weights = votes / votes.sum(axis=1, keepdims=True)
    threshold, _ = vote_threshold(weights, probs, float(coverage))
    assert threshold == pytest.approx(own_threshold(votes, probs, Fraction(coverage)), abs=1e-9)


def test_votes_outside_of_the_fitted_rows_are_what_is_said() -> None:
    votes, probs = some_votes(60, 4)
    weights = votes / 6
    threshold, outside = vote_threshold(weights, probs, 0.8)
    inside = (probs >= threshold - 1e-9) | (probs == probs.max(axis=1, keepdims=True))
    assert outside == pytest.approx(1 - (weights * inside).sum(axis=1).mean(), abs=1e-9)


def test_too_few_utterances_for_a_coverage_give_sets_of_all_labels() -> None:
    """Nine may miss nothing at .9: the tenth alone could be wholly outside."""
    weights, probs = np.eye(4)[[0] * 8], np.full((8, 4), [0.7, 0.1, 0.1, 0.1])
    assert vote_threshold(weights, probs, 0.9) == (0.0, 0.0)
    assert vote_threshold(np.eye(4)[[0] * 9], np.tile(probs[0], (9, 1)), 0.9) == (1.0, 0.0)
    assert vote_threshold(weights[:0], probs[:0], 0.9) == (0.0, None)


def test_equal_shares_are_in_or_out_together_whatever_their_rounding() -> None:
    probs = np.array([[0.1 + 0.2, 0.3, 0.4 - 1e-17, 0.0]])
    assert len(set(membership(probs)[0][:2].tolist())) == 1
    assert membership(np.array([[0.4, 0.4, 0.2]]))[0].tolist() == [1.0, 1.0, pytest.approx(0.2)]


def rows_of(votes: np.ndarray, probs: np.ndarray) -> FitRows:
    top = votes.max(axis=1, keepdims=True)
    tied = (votes == top).sum(axis=1) > 1
    plurality = np.where(tied, -1, votes.argmax(axis=1))
    return FitRows(NAMES, votes / votes.sum(axis=1, keepdims=True), plurality, probs)


def test_sets_for_the_plurality_leave_out_votes_that_sets_for_votes_hold() -> None:
    votes, probs = some_votes(400, 6)
    rows = rows_of(votes, probs)
    for_votes = STRATEGY.fit(Settings(coverage=0.9), rows).parameters["threshold"]
    plurality = STRATEGY.fit(Settings(coverage=0.9, covers="plurality"), rows)
    assert plurality.parameters["threshold"] > for_votes
    clear = rows.plurality >= 0
    alone = np.eye(4, dtype=int)[rows.plurality[clear]]
    expected = own_threshold(alone, probs[clear], Fraction("0.9"))
    assert plurality.parameters["threshold"] == pytest.approx(expected, abs=1e-9)


def test_a_set_holds_the_labels_at_or_above_the_threshold_and_always_the_largest() -> None:
    base = predicted("bon", beams(0.7))
    names = LabelSet(("anger", "sadness"))
    for threshold, expected in ((0.0, 2), (0.3, 2), (0.31, 1), (0.99, 1)):
        made = STRATEGY.apply({"threshold": threshold}, base, names)
        assert made.label_set == names.names[:expected]
        assert made.probs is base.probs


def test_its_distribution_is_that_of_its_strategy() -> None:
    answers = [heard("greedy", 0.6), *beams(0.7, 0.5)]
    base, made = predicted("w_bon", answers), predicted("conformal", answers, scores="w_bon")
    assert repr(replace(made, strategy="w_bon", label_set=None)) == repr(base)
    assert made.label_set


def test_what_is_invalid_has_no_set() -> None:
    made = predicted("conformal", [heard("greedy", None)], scores="greedy")
    assert (made.probs, made.label_set) == (None, None)


@pytest.mark.parametrize("coverage", [0.0, 1.0])
def test_a_coverage_of_nothing_or_everything_is_refused(coverage: float) -> None:
    with pytest.raises(ConfigError, match=r"conformal\.coverage"):
        Settings(coverage=coverage)
