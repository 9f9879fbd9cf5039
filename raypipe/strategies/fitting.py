"""Parameters of fitted strategies over a whole corpus, each applied to other utterances only.

With ``fit_on: speakers`` the speakers are dealt into folds; the parameters for a fold are fitted to
the utterances of all other folds. With ``fit_on: split:NAME`` they are fitted to that split and
applied to all others; the split itself gets no prediction. What an utterance's own annotators said
thus never plays a part in its prediction.

Rows are put in the order of their ids first, so the cut of a corpus into shards changes no bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import Prediction
from raypipe.strategies.fit_rows import Fit, FitRows
from raypipe.strategies.folds import FIT_FOLDS, FIT_ON, speaker_folds, split_of
from raypipe.strategies.reading import Variant
from raypipe.strategies.registry import strategy_named
from raypipe.strategies.strategy import Fitted

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class CorpusRows:
    """Every utterance of a corpus with its labels and one strategy's prediction.

    Attributes:
        labels: the K labels.
        utterance_ids: unique.
        splits: one per utterance; None where unknown.
        speakers: one per utterance; None where unknown.
        truth: soft labels, shape ``(utterances, labels)``; NaN rows where unlabelled.
        plurality: index of the single most-voted label, shape ``(utterances,)``; -1 without one.
        probs: predicted distributions, shape ``(utterances, labels)``; NaN rows where invalid.
    """

    labels: LabelSet
    utterance_ids: tuple[str, ...]
    splits: tuple[str | None, ...]
    speakers: tuple[str | None, ...]
    truth: Array
    plurality: Indices
    probs: Array

    @classmethod
    def joined(cls, parts: Sequence[CorpusRows]) -> CorpusRows:
        """The rows of at least one part, in the order of their ids."""
        ids = np.array([name for part in parts for name in part.utterance_ids], dtype=object)
        splits = [split for part in parts for split in part.splits]
        speakers = [speaker for part in parts for speaker in part.speakers]
        order = np.argsort(ids, kind="stable")
        return cls(
            parts[0].labels,
            tuple(ids[order]),
            tuple(splits[row] for row in order),
            tuple(speakers[row] for row in order),
            np.concatenate([part.truth for part in parts])[order],
            np.concatenate([part.plurality for part in parts])[order],
            np.concatenate([part.probs for part in parts])[order],
        )

    @property
    def valid(self) -> Mask:
        """Utterances with a valid prediction, shape ``(utterances,)``."""
        return np.asarray(~np.isnan(self.probs).any(axis=1))

    @property
    def usable(self) -> Mask:
        """Those that parameters can be fitted to, labelled too, shape ``(utterances,)``."""
        return np.asarray(self.valid & ~np.isnan(self.truth).any(axis=1))

    def fit_rows(self, rows: Mask) -> FitRows:
        """The usable ones among some rows."""
        chosen = np.flatnonzero(rows & self.usable)
        return FitRows(self.labels, self.truth[chosen], self.plurality[chosen], self.probs[chosen])


@dataclass(frozen=True, slots=True)
class FoldFit:
    """The parameters for one fold of speakers, or for all splits but the one they are fitted to.

    Attributes:
        fold: its number from 0; of a split 0.
        fit: the parameters.
        fitted_rows: number of utterances that they are fitted to.
        fitted_speakers: number of speakers among them.
        scored_rows: number of utterances with a valid prediction that they are applied to.
        scored_speakers: names of the speakers that they are applied to, sorted; empty for a split.
        shared_speakers: number of speakers on both sides, 0 for a fold; None where a speaker of
            either side is not known.
    """

    fold: int
    fit: Fit
    fitted_rows: int
    fitted_speakers: int
    scored_rows: int
    scored_speakers: tuple[str, ...] = ()
    shared_speakers: int | None = 0


@dataclass(frozen=True)
class CorpusFit:
    """All parameters of one fitted strategy for one model and prompt.

    Attributes:
        rule: name of the fitted strategy.
        base: name of the strategy that it starts from.
        fit_on: what they are fitted to, a value of :data:`raypipe.strategies.folds.FIT_ON`.
        folds: one, or one per fold of speakers.
    """

    rule: str
    base: str
    fit_on: str
    folds: tuple[FoldFit, ...]

    def predict(
        self, prediction: Prediction, labels: LabelSet, *, speaker: str | None, split: str | None
    ) -> Prediction | None:
        """The fitted strategy's prediction; an invalid one of its base stays what it is.

        Args:
            prediction: of the base.
            labels: the K labels.
            speaker: of the utterance, one of those of the fit.
            split: of the utterance.

        Returns:
            None if the utterance is of the split that the parameters are fitted to.
        """
        fitted_split = split_of(self.fit_on)
        if fitted_split is not None and split == fitted_split:
            return None
        if not prediction.valid:
            return prediction
        fold = self.folds[0] if fitted_split is not None else self._fold_of_speaker[speaker or ""]
        declared = strategy_named(self.rule)
        assert isinstance(declared, Fitted)
        return declared.apply(fold.fit.parameters, prediction, labels)

    @cached_property
    def _fold_of_speaker(self) -> Mapping[str, FoldFit]:
        return {name: fold for fold in self.folds for name in fold.scored_speakers}


def fitted_splits(variants: Iterable[Variant]) -> Mapping[str, str]:
    """Names of the variants that are fitted to a split, each with the split."""
    splits = {
        variant.name: split_of(str(variant.value(FIT_ON.name)))
        for variant in variants
        if FIT_ON.name in variant.settings_used
    }
    return {name: split for name, split in splits.items() if split is not None}


def fit_corpus(variant: Variant, rows: CorpusRows, speakers: Iterable[str]) -> CorpusFit:
    """Fit a strategy's parameters.

    Args:
        variant: the fitted strategy.
        rows: predictions of its base for a whole corpus, in the order of their ids.
        speakers: of the corpus, those of rows that a model failed on, too, so that all models and
            prompts have the same folds.

    Raises:
        ConfigError: if utterances without a speaker are to be in folds of speakers, there are
            fewer than two speakers, the split is not there or is all there is, or there is
            nothing to fit to.
    """
    declared = strategy_named(variant.strategy)
    assert isinstance(declared, Fitted)
    fit_on = variant.settings[FIT_ON]
    split = split_of(fit_on)
    if split is not None:
        folds = [_split_fit(declared, variant, rows, split)]
    else:
        folds = list(_speaker_fits(declared, variant, rows, set(speakers)))
    return CorpusFit(declared.name, variant.base.strategy, fit_on, tuple(folds))


def _split_fit(declared: Fitted, variant: Variant, rows: CorpusRows, split: str) -> FoldFit:
    known = Counter(str(name) for name in rows.splits)
    is_fitted = np.array([name == split for name in rows.splits], dtype=bool)
    if not is_fitted.any():
        there = ", ".join(f"{name} ({count})" for name, count in sorted(known.items()))
        raise ConfigError(
            f"{variant.name}: no utterance is of split {split}; the splits are {there}"
        )
    if is_fitted.all():
        raise ConfigError(
            f"{variant.name}: every utterance is of split {split}, so nothing would be left to "
            "predict: parameters are not applied to the utterances that they are fitted to"
        )
    here = _fold_fit(declared, variant, rows, is_fitted, ~is_fitted, 0)
    sides = is_fitted & rows.usable, ~is_fitted & rows.valid
    named = np.array([bool(who) for who in rows.speakers])
    if not named[sides[0] | sides[1]].all():
        return replace(here, shared_speakers=None)
    both = _speakers(rows, sides[0]) & _speakers(rows, sides[1])
    return replace(here, shared_speakers=len(both))


def _speaker_fits(
    declared: Fitted, variant: Variant, rows: CorpusRows, speakers: set[str]
) -> Iterable[FoldFit]:
    nameless = [
        name for name, who in zip(rows.utterance_ids, rows.speakers, strict=True) if not who
    ]
    if nameless:
        raise ConfigError(
            f"{variant.name}: {len(nameless)} of {len(rows.utterance_ids)} utterances have no "
            f"speaker (the first is {nameless[0]}), so nothing keeps their speaker out of what is "
            "fitted for them; fit to a split instead (fit_on: split:NAME)"
        )
    if len(speakers) < 2:
        raise ConfigError(
            f"{variant.name}: folds of speakers take two speakers or more, the corpus has "
            f"{len(speakers)}; fit to a split instead (fit_on: split:NAME)"
        )
    fold_of = speaker_folds(speakers, variant.settings[FIT_FOLDS])
    place = np.array([fold_of[who or ""] for who in rows.speakers], dtype=np.int64)
    for fold in sorted(set(fold_of.values())):
        is_scored = np.asarray(place == fold)
        here = _fold_fit(declared, variant, rows, ~is_scored, is_scored, fold)
        scored = sorted(name for name, own in fold_of.items() if own == fold)
        yield replace(here, scored_speakers=tuple(scored))


def _fold_fit(
    declared: Fitted, variant: Variant, rows: CorpusRows, fitted: Mask, scored: Mask, fold: int
) -> FoldFit:
    chosen = rows.fit_rows(fitted)
    scored_rows = int((scored & rows.valid).sum())
    if not len(chosen.truth):
        if scored_rows:
            raise ConfigError(
                f"{variant.name}: none of the {int(fitted.sum())} utterances to fit to has both a "
                f"soft label and a valid prediction of {variant.base.strategy}"
            )
        return FoldFit(fold, Fit({}, None, None), 0, 0, 0)
    fit = declared.fit(variant.settings.declared(*declared.settings), chosen)
    speakers = _speakers(rows, fitted & rows.usable)
    return FoldFit(fold, fit, len(chosen.truth), len(speakers), scored_rows)


def _speakers(rows: CorpusRows, chosen: Mask) -> set[str]:
    return {who for who, is_in in zip(rows.speakers, chosen, strict=True) if is_in and who}
