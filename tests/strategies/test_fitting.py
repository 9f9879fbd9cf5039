"""Parameters are never fitted to the utterances that they are applied to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_hypotheses import LABELS, made_up_rows

from raypipe.errors import ConfigError
from raypipe.records import Prediction
from raypipe.strategies import Settings, Variant
from raypipe.strategies.fitting import CorpusFit, CorpusRows, fit_corpus, fitted_splits
from raypipe.strategies.folds import speaker_folds

ROWS = made_up_rows()


def fitted(rows: CorpusRows = ROWS, strategy: str = "calibrate", **settings: object) -> CorpusFit:
    variant = Variant(strategy, strategy, Settings(**settings))
    return fit_corpus(variant, rows, [name for name in rows.speakers if name])


def taken(rows: CorpusRows, index: np.ndarray) -> CorpusRows:
    return CorpusRows(
        rows.labels,
        tuple(rows.utterance_ids[row] for row in index),
        tuple(rows.splits[row] for row in index),
        tuple(rows.speakers[row] for row in index),
        rows.truth[index],
        rows.plurality[index],
        rows.probs[index],
    )


@pytest.mark.parametrize("count", [2, 5, 10, 40])
def test_folds_of_speakers_are_of_one_size_and_know_no_order(count: int) -> None:
    names = [f"speaker {number}" for number in range(23)]
    folds = speaker_folds(names, count)
    sizes = np.bincount(list(folds.values()))
    assert len(sizes) == min(count, 23)
    assert sizes.max() - sizes.min() <= 1
    assert speaker_folds([*reversed(names), *names], count) == folds


@pytest.mark.parametrize("strategy", ["calibrate", "conformal"])
def test_what_a_speaker_s_annotators_said_plays_no_part_in_their_predictions(
    strategy: str,
) -> None:
    """Other votes for one speaker change the parameters of all folds but that speaker's."""
    own = np.array([who == "s7" for who in ROWS.speakers])
    turned = replace(ROWS, truth=np.where(own[:, None], ROWS.truth[:, ::-1], ROWS.truth))
    before, after = fitted(strategy=strategy), fitted(turned, strategy)
    for first, second in zip(before.folds, after.folds, strict=True):
        same = first.fit.parameters == second.fit.parameters
        assert same == ("s7" in first.scored_speakers)


@pytest.mark.parametrize("strategy", ["calibrate", "conformal"])
def test_the_parameters_of_a_fold_are_those_of_the_other_speakers_alone(strategy: str) -> None:
    made = fitted(strategy=strategy)
    assert sorted(name for fold in made.folds for name in fold.scored_speakers) == sorted(
        {str(name) for name in ROWS.speakers}
    )
    for fold in made.folds:
        others = np.array([who not in fold.scored_speakers for who in ROWS.speakers])
        splits = tuple("in" if is_in else "out" for is_in in others)
        alone = fitted(replace(ROWS, splits=splits), strategy, fit_on="split:in")
        assert alone.folds[0].fit == fold.fit
        assert (fold.fitted_rows, fold.scored_rows) == (others.sum(), (~others).sum())
        assert fold.fitted_speakers == 12 - len(fold.scored_speakers)


def test_a_split_that_is_fitted_to_gets_no_prediction() -> None:
    made = fitted(fit_on="split:dev")
    base = Prediction("calibrate", np.array([0.6, 0.4]), None)
    assert made.predict(base, LABELS, speaker="s1", split="dev") is None
    for split in ("test", None):
        prediction = made.predict(base, LABELS, speaker="s1", split=split)
        assert prediction is not None
        assert prediction.valid
    (fold,) = made.folds
    assert (fold.fitted_rows, fold.scored_rows) == (60, 180)
    assert (fold.fitted_speakers, fold.shared_speakers) == (3, 0)


def test_speakers_on_both_sides_of_a_split_are_counted() -> None:
    splits = tuple("dev" if number % 24 < 6 else "test" for number in range(len(ROWS.splits)))
    (fold,) = fitted(replace(ROWS, splits=splits), fit_on="split:dev").folds
    assert (fold.fitted_speakers, fold.shared_speakers) == (6, 6)


def test_speakers_that_are_not_known_may_be_on_both_sides_of_a_split() -> None:
    speakers = (None, *ROWS.speakers[1:])
    (fold,) = fitted(replace(ROWS, speakers=speakers), fit_on="split:dev").folds
    assert fold.shared_speakers is None


@pytest.mark.parametrize("strategy", ["calibrate", "conformal"])
@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_the_cut_and_the_order_of_the_rows_change_no_bit(strategy: str, pieces: int) -> None:
    order = np.random.default_rng(pieces).permutation(len(ROWS.utterance_ids))
    parts = [taken(ROWS, index) for index in np.array_split(order, pieces)]
    joined = CorpusRows.joined(parts)
    assert joined.utterance_ids == ROWS.utterance_ids
    for settings in ({"bias": True}, {"fit_on": "split:dev"}):
        assert fitted(joined, strategy, **settings) == fitted(strategy=strategy, **settings)


def test_rows_without_a_label_or_a_prediction_are_not_fitted_to() -> None:
    truth, probs = ROWS.truth.copy(), ROWS.probs.copy()
    truth[::3], probs[1::3] = np.nan, np.nan
    made = fitted(replace(ROWS, truth=truth, probs=probs), fit_on="split:dev")
    kept = np.arange(len(truth))[2::3]
    assert made.folds[0].fit == fitted(taken(ROWS, kept), fit_on="split:dev").folds[0].fit
    assert (made.folds[0].fitted_rows, made.folds[0].scored_rows) == (20, 120)


def without_speakers(rows: CorpusRows) -> CorpusRows:
    return replace(rows, speakers=(*rows.speakers[:-2], None, ""))


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (without_speakers(ROWS), {}, r"2 of 240 utterances have no speaker \(the first is u238\)"),
        (replace(ROWS, speakers=("s1",) * 240), {}, "two speakers or more, the corpus has 1"),
        (ROWS, {"fit_on": "split:val"}, r"no utterance is of split val; .* dev \(60\), test"),
        (
            replace(ROWS, splits=("dev",) * 240),
            {"fit_on": "split:dev"},
            "every utterance is of split dev.*not applied to the utterances that they are fitted",
        ),
        (
            replace(ROWS, truth=np.full(ROWS.truth.shape, np.nan)),
            {},
            "none of the .* utterances to fit to has both a soft label and a valid prediction of "
            "token",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    rows: CorpusRows, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        fitted(rows, **settings)


def test_nothing_is_fitted_where_nothing_is_to_be_predicted() -> None:
    made = fitted(replace(ROWS, probs=np.full(ROWS.probs.shape, np.nan)))
    assert {fold.fitted_rows for fold in made.folds} == {0}
    base = Prediction("calibrate", None, None, "no_logits")
    assert made.predict(base, LABELS, speaker="s1", split=None) is base


@pytest.mark.parametrize("value", ["split:", "dev", "split: "])
def test_what_is_no_set_of_utterances_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"fit\.fit_on"):
        Settings(fit_on=value)


def test_splits_that_get_no_prediction_are_known_by_strategy() -> None:
    variants = [
        Variant("a", "calibrate", Settings(fit_on="split:dev")),
        Variant("b", "calibrate", Settings()),
        Variant("c", "token", Settings(fit_on="split:dev")),
    ]
    assert fitted_splits(variants) == {"a": "dev"}
