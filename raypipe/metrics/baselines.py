"""The predictors that every table is read against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

UNIFORM, PRIOR = "uniform", "prior"
BASELINES = (PRIOR, UNIFORM)
"""Names under which the constant predictors stand among the strategies."""

HUMANS = "humans"
"""Name under which the agreement of the annotators with each other stands there, see
:mod:`raypipe.metrics.humans`."""

REFERENCES = (*BASELINES, HUMANS)
"""Names of all that is no strategy: what strategies are read against."""


def uniform(utterance_count: int, label_count: int) -> Array:
    """The constant prediction 1/K for every label.

    Returns:
        Shape ``(utterances, labels)``.

    Example:
        >>> uniform(1, 4)
        array([[0.25, 0.25, 0.25, 0.25]])
    """
    return np.full((utterance_count, label_count), 1.0 / label_count)


def prior(soft_label: Array, speakers: Sequence[str | None] | None = None) -> Array:
    """The mean soft label of the corpus, without the utterance's own speaker where known.

    An utterance without a speaker gets the mean of the whole corpus, and so does one whose
    speaker is the only one: there is nobody else to learn from.

    Args:
        soft_label: shape ``(utterances, labels)``, rows summing to 1.
        speakers: the speaker of every utterance, or None for the plain mean.

    Returns:
        Predictions of shape ``(utterances, labels)``.

    Raises:
        ValueError: if the numbers of speakers and of utterances differ.

    Example:
        >>> labels = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        >>> prior(labels, ["a", "b", "b"])
        array([[0.25, 0.75],
               [1.  , 0.  ],
               [1.  , 0.  ]])
    """
    count = soft_label.shape[0]
    if speakers is None:
        return np.tile(soft_label.mean(axis=0), (count, 1))
    if len(speakers) != count:
        raise ValueError(f"{len(speakers)} speakers for {count} utterances")
    codes = {name: code for code, name in enumerate(dict.fromkeys(speakers))}
    index = np.array([codes[name] for name in speakers], dtype=np.int64)
    own = np.zeros((len(codes), soft_label.shape[1]))
    np.add.at(own, index, soft_label)
    held_out = np.bincount(index, minlength=len(codes)).astype(np.float64)
    if None in codes:  # not a speaker: leave nothing out
        own[codes[None]] = 0.0
        held_out[codes[None]] = 0.0
    return leave_one_out(soft_label.sum(axis=0), float(count), own, held_out)[index]


def leave_one_out(total: Array, count: float, own: Array, own_count: Array) -> Array:
    """Mean label of the others, for every speaker.

    Args:
        total: sum of the soft labels of the corpus, shape ``(labels,)``.
        count: number of labelled utterances in the corpus.
        own: sums per speaker, shape ``(speakers, labels)``.
        own_count: number of utterances per speaker, shape ``(speakers,)``.

    Returns:
        Shape ``(speakers, labels)``; the mean of all where nobody else is left.
    """
    others = np.where((own_count < count)[:, None], total - own, total)
    return np.asarray(others / others.sum(axis=1, keepdims=True))
