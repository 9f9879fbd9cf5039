"""Strategy ``conformal``: a set of labels that holds a wanted share of annotators' votes.

The distribution is another strategy's, unchanged. The set holds every label with at least a share
t of it, and always those with the largest share. t is the highest share at which, in the utterances
it is fitted to, the votes outside the sets are few enough: with n utterances, whose votes weigh 1
together, and the wanted coverage c,

    sum_i (share of i's votes outside its set) + 1 <= (1 - c) (n + 1).

The 1 stands for the utterance to come, all of whose votes may be outside. If utterances are
exchangeable, on average over utterances at least the share c of the votes is inside: conformal
risk control with the share of votes outside as the loss. Equivalently, the label that an annotator
drawn at random gave lies in the set with probability c.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from raypipe.labels import LabelSet
from raypipe.metrics.classification import dominant_shares
from raypipe.records import Prediction
from raypipe.strategies.fit_rows import Fit, FitRows
from raypipe.strategies.folds import FIT_FOLDS, FIT_ON
from raypipe.strategies.setting import Setting, Settings
from raypipe.strategies.strategy import Fitted, base_named

Array = NDArray[np.float64]
Covers = Literal["votes", "plurality"]

SCORES: Setting[str] = Setting(
    name="scores",
    annotation=Annotated[str, AfterValidator(base_named)],
    default="pool",
    summary="strategy whose shares decide which labels are in a set",
    examples=("token_softmax", "w_bon"),
    section="conformal",
)
COVERAGE: Setting[float] = Setting(
    name="coverage",
    annotation=Annotated[float, Field(gt=0, lt=1)],
    default=0.9,
    summary="share of the votes that is to be inside the sets, on average over utterances",
    examples=(0.99, 0.5),
    section="conformal",
    changes_probs=False,
)
COVERS: Setting[Covers] = Setting(
    name="covers",
    annotation=Literal["votes", "plurality"],
    default="votes",
    summary="what the sets are fitted to hold: votes (of all annotators) or plurality (the most "
    "voted label alone, which leaves out the votes of the others)",
    examples=("votes", "plurality"),
    section="conformal",
    changes_probs=False,
)

# Shares on a grid of 2^-40, so that rounding decides about no label; votes in the same units.
_GRID = 2.0**40
_SLACK = 1e-9  # of an utterance, per utterance: thirds of votes do not add up to wholes


def membership(probs: Array) -> Array:
    """The threshold up to which each label is in the set: its share; 1 for the largest ones.

    Args:
        probs: shape ``(rows, labels)``, rows sum to 1.

    Example:
        >>> membership(np.array([[0.5, 0.3, 0.2]]))
        array([[1. , 0.3, 0.2]])
    """
    shares = np.rint(probs * _GRID) / _GRID
    return np.where(dominant_shares(probs) > 0.0, 1.0, shares)


def vote_threshold(weights: Array, probs: Array, coverage: float) -> tuple[float, float | None]:
    """The highest share t at which sets of labels with at least that share cover enough.

    Args:
        weights: of each label, shape ``(rows, labels)``, rows sum to 1: shares of the votes.
        probs: shape ``(rows, labels)``, rows sum to 1.
        coverage: share of the weights that is to be inside, in (0, 1).

    Returns:
        t in [0, 1], 0 for sets of all labels; the mean weight outside the sets of these rows,
        None without rows.

    Example:
        >>> shares = np.tile([0.6, 0.3, 0.1], (9, 1))
        >>> vote_threshold(shares, shares, 0.8)
        (0.3, 0.1)
    """
    count = len(weights)
    allowed = (1.0 - coverage) * (count + 1) - 1.0 + _SLACK * (count + 1)
    if allowed < 0.0 or not count:
        return 0.0, 0.0 if count else None
    values = membership(probs).ravel()
    order = np.argsort(values, kind="stable")
    units = np.rint(weights.ravel()[order] * _GRID).astype(np.int64)
    thresholds, first = np.unique(values[order], return_index=True)
    outside = np.concatenate([[0], np.cumsum(units)])[first] / _GRID
    place = int(np.searchsorted(outside, allowed, side="right")) - 1
    return float(thresholds[place]), float(outside[place] / count)


def _fit(settings: Settings, rows: FitRows) -> Fit:
    weights, probs = rows.truth, rows.probs
    if settings[COVERS] == "plurality":
        chosen = np.flatnonzero(rows.plurality >= 0)
        weights = np.eye(len(rows.labels))[rows.plurality[chosen]]
        probs = probs[chosen]
    threshold, outside = vote_threshold(weights, probs, settings[COVERAGE])
    return Fit({"threshold": threshold}, None, outside)


def _apply(parameters: Mapping[str, float], base: Prediction, labels: LabelSet) -> Prediction:
    assert base.probs is not None  # it is applied to valid ones
    inside = membership(base.probs[None])[0] >= parameters["threshold"]
    names = tuple(name for name, is_in in zip(labels.names, inside, strict=True) if is_in)
    return replace(base, label_set=names)


STRATEGY = Fitted(
    name="conformal",
    summary="another strategy's, with a set of labels that holds a wanted share of the votes, "
    "fitted to the annotators' labels of other speakers or of a split",
    source="Angelopoulos et al., ICLR 2024 (risk control); Stutz et al., TMLR 2023 (votes)",
    rank=98,
    base=lambda settings: settings[SCORES],
    fit=_fit,
    apply=_apply,
    settings=(SCORES, COVERAGE, COVERS, FIT_ON, FIT_FOLDS),
)
