"""A paper's way to score: its conventions, which are carried out as they are stated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import ConfigError, RegistryError
from raypipe.labels import LabelSet
from raypipe.metrics.classification import FEW, ClassCounts, dominant_shares, strict_majority
from raypipe.metrics.metric import Better
from raypipe.metrics.sums import LEAST_COUNT, ratio
from raypipe.metrics.utterances import Utterances

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

TruthTies = Literal["first", "left_out"]
PredictedTies = Literal["first", "shared"]
InvalidRule = Literal["left_out", "neutral", "wrong"]
Subset = Literal["all", "strict_majority"]

_TRUTH_TIES: Mapping[TruthTies, str] = {
    "first": "of labels with equally many votes the first one counts",
    "left_out": "utterances whose most-voted labels tie are left out of label scores",
}
_PREDICTED_TIES: Mapping[PredictedTies, str] = {
    "first": "of labels with equal shares the first one is predicted",
    "shared": "labels with equal shares share the credit",
}
_INVALID: Mapping[InvalidRule, str] = {
    "left_out": "left out",
    "neutral": "count as neutral with a share of 1",
    "wrong": "count as wrong",
}


@dataclass(frozen=True)
class PresetRows:
    """The utterances that a preset scores.

    Attributes:
        truth: soft labels, smoothed where the preset does, shape ``(utterances, labels)``.
        prediction: predicted distributions, same shape; NaN rows where an invalid one counts as
            wrong.
        true_class: the true label as one-hot rows, same shape; zero rows where there is none.
        predicted_class: credit of each label as the predicted one, same shape; zero rows where
            nothing is.
        union: labels that any annotator gave, same shape.
        majority: whether one label has more than half of the votes, shape ``(utterances,)``.
        hashes: of the utterances' ids, same shape.
    """

    truth: Array
    prediction: Array
    true_class: Array
    predicted_class: Array
    union: Mask
    majority: Mask
    hashes: NDArray[np.uint64]

    def within(self, subset: Subset) -> PresetRows:
        """The utterances of a subset."""
        if subset == "all":
            return self
        return PresetRows(*(getattr(self, field.name)[self.majority] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class SummedScore:
    """A score that is a function of sums over utterances.

    Attributes:
        columns: what is added up, shape ``(utterances, columns)``, magnitudes below 256; NaN
            counts as 0.
        value: from sums of shape ``(1 + replicates, columns)`` to values ``(1 + replicates,)``.
        count: from the same sums to the utterances behind each value; the last column counts
            them unless told otherwise.
        is_certain: from the plain sums, shape ``(columns,)``, whether percentiles of replicates
            are an interval.
    """

    columns: Callable[[PresetRows], Array]
    value: Callable[[Array], Array]
    count: Callable[[Array], Array] = lambda sums: sums[:, -1]
    is_certain: Callable[[Array], bool] = lambda sums: True


@dataclass(frozen=True, kw_only=True)
class PresetMetric:
    """One score of a paper.

    Attributes:
        name: of the score, as a column of a table.
        definition: formula or rule, with base, smoothing and direction.
        better: which values are better.
        score: how it is worked out: from sums, or, where it is no function of sums, from all
            utterances at once, without an interval.
        has_interval: whether percentiles of the bootstrap are an interval of it.
        subset: utterances that it is of.
        published: name of the score in ``published.csv``; None where the paper has none.
        caution: what a reader must know before comparing with published figures; empty for
            nothing.
    """

    name: str
    definition: str
    better: Better
    score: SummedScore | Callable[[PresetRows], float] | None = None
    has_interval: bool = True
    subset: Subset = "all"
    published: str | None = None
    caution: str = ""

    def __post_init__(self) -> None:
        """Refuse a score without its texts or its function, with RegistryError."""
        if not self.name.isidentifier() or not self.definition.strip():
            raise RegistryError(f"preset score {self.name!r}: its name or definition is missing")
        if self.score is None:
            raise RegistryError(
                f"preset score {self.name!r}: needs either columns and value, or whole utterances"
            )


@dataclass(frozen=True, kw_only=True)
class PaperPreset:
    """A paper's, a code's or a challenge's way to score.

    Attributes:
        name: of the preset.
        rank: place in lists.
        title: the paper and where its rules come from.
        paper: its name in ``published.csv``; None where no figures are kept.
        corpora: names of the corpora it is of.
        labels: number of labels, by corpus or in words.
        base: of logarithms.
        eps: what is added to shares, and where.
        direction: of divergences.
        smoothing: epsilon of the labels' smoothing, y (1 - e) + (1 - y) e / (K - 1); 0 for none.
        truth_ties: what becomes of utterances whose most-voted labels tie.
        predicted_ties: what is predicted where several labels have the largest share.
        invalid: what becomes of invalid answers.
        subset: utterances that the paper scores, in words.
        open_questions: what the paper leaves unsaid or contradicts; empty for nothing.
        metrics: the scores.
    """

    name: str
    rank: int
    title: str
    paper: str | None
    corpora: tuple[str, ...]
    labels: str
    base: str
    eps: str
    direction: str
    smoothing: float = 0.0
    truth_ties: TruthTies
    predicted_ties: PredictedTies
    invalid: InvalidRule
    subset: str
    open_questions: str = ""
    metrics: tuple[PresetMetric, ...]

    def __post_init__(self) -> None:
        """Refuse a preset that leaves a convention unsaid, with RegistryError."""
        for field in ("title", "labels", "base", "eps", "direction", "subset"):
            if not str(getattr(self, field)).strip():
                raise RegistryError(f"preset {self.name!r}: {field} is empty")
        if not self.metrics or not self.corpora:
            raise RegistryError(f"preset {self.name!r} has no score or no corpus")

    @property
    def conventions(self) -> dict[str, str]:
        """Every convention in words, by name."""
        smoothed = "none"
        if self.smoothing:
            smoothed = f"y (1 - e) + (1 - y) e / (K - 1) of the soft labels, e = {self.smoothing:g}"
        return {
            "corpora": ", ".join(self.corpora),
            "labels": self.labels,
            "base": self.base,
            "eps": self.eps,
            "direction": self.direction,
            "ties": f"{_TRUTH_TIES[self.truth_ties]}; {_PREDICTED_TIES[self.predicted_ties]}",
            "invalid answers": _INVALID[self.invalid],
            "subset": self.subset,
            "smoothing": smoothed,
        }

    def rows(
        self, utterances: Utterances, probs: Array, present: Mask, labels: LabelSet
    ) -> PresetRows:
        """The rows that are scored, of one system.

        Args:
            utterances: the truth.
            probs: predictions, shape ``(utterances, labels)``, NaN rows where invalid.
            present: utterances that the system has a prediction for, valid or not.
            labels: the K labels.

        Raises:
            ConfigError: if invalid answers count as neutral and there is no such label.
        """
        kept = utterances.labelled & present
        if self.invalid == "left_out":
            kept &= ~np.isnan(probs).any(axis=1)
        truth, prediction = utterances.truth[kept], probs[kept].copy()
        invalid = np.isnan(prediction).any(axis=1)
        if self.invalid == "neutral" and invalid.any():
            if "neutral" not in labels.names:
                raise ConfigError(
                    f"preset {self.name} counts invalid answers as neutral, which is none of the "
                    f"labels {', '.join(labels.names)}"
                )
            prediction[invalid] = np.eye(len(labels))[labels.names.index("neutral")]
        choice = np.zeros(prediction.shape)
        known = ~np.isnan(prediction).any(axis=1)
        choice[known] = dominant_shares(prediction[known])
        if self.predicted_ties == "first":
            choice[known] = _first(choice[known])
        part = utterances.take(kept)
        true_class = part.plurality_matrix
        if self.truth_ties == "first":
            true_class = _first(dominant_shares(truth))
        smoothed = truth * (1.0 - self.smoothing)
        smoothed += (1.0 - truth) * self.smoothing / (len(labels) - 1)
        return PresetRows(
            smoothed,
            prediction,
            true_class,
            choice,
            part.union,
            strict_majority(truth),
            part.hashes,
        )


def _first(shares: Array) -> Array:
    """One-hot rows of the first label with the largest share."""
    return np.asarray(np.eye(shares.shape[1])[shares.argmax(axis=1)])


# --- scores that several presets have ---------------------------------------------------------


def mean_of(function: Callable[[Array, Array], Array]) -> SummedScore:
    """A mean over utterances; those where ``function`` is NaN are left out."""

    def columns(rows: PresetRows) -> Array:
        values = function(rows.truth, rows.prediction)
        return np.stack([values, (~np.isnan(values)).astype(np.float64)], axis=1)

    return SummedScore(columns, lambda sums: ratio(sums[:, 0], sums[:, 1]))


def class_columns(rows: PresetRows) -> Array:
    """Hits, predictions and truths by label side by side, on utterances with a true label."""
    scorable = np.asarray(rows.true_class.any(axis=1))[:, None]
    hits = rows.true_class * rows.predicted_class
    return np.hstack([hits, rows.predicted_class * scorable, rows.true_class])


def of_classes(function: Callable[[ClassCounts], Array], *, per_label: bool = True) -> SummedScore:
    """A score of class counts.

    Args:
        function: from the counts to the score.
        per_label: whether it is a mean over labels, so that rare ones count as much as others: it
            has no interval where a label has fewer than
            :data:`~raypipe.metrics.classification.FEW` utterances.
    """

    def value(sums: Array) -> Array:
        hits, predicted, true = np.split(sums, 3, axis=1)
        return function(ClassCounts(hits, predicted - hits, true - hits))

    def is_certain(sums: Array) -> bool:
        hits, _, true = np.split(sums, 3)
        is_rare = per_label and bool(((true > 0.0) & (true < FEW)).any())
        return not is_rare and min(hits.sum(), true.sum() - hits.sum()) >= LEAST_COUNT

    def count(sums: Array) -> Array:
        return np.asarray(np.split(sums, 3, axis=1)[2].sum(axis=1))

    return SummedScore(class_columns, value, count, is_certain)


def accuracy_of(counts: ClassCounts) -> Array:
    """Hits / utterances with a true label."""
    hits = counts.true_positives
    return ratio(hits.sum(axis=-1), (hits + counts.false_negatives).sum(axis=-1))
