"""How far annotators agree beyond chance: Krippendorff's alpha and Fleiss' kappa.

Both need only how often each label was given to each utterance. Most utterances of a corpus share
one of a few hundred such patterns, so the coefficients are worked out from the distinct patterns
and how often they occur: exact, in memory that does not grow with the corpus. They are written out
here because the packages that have them do not fit: ``krippendorff`` is under the GPL and
``statsmodels`` takes equal numbers of ratings only. The tests compare with the former.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def krippendorff_alpha(patterns: Array, utterances: Array) -> float | None:
    """Krippendorff's alpha for labels without an order: 1 - observed / expected disagreement.

    Utterances may have any number of ratings; those with fewer than two tell nothing about
    agreement and play no part. Source: K. Krippendorff, Content Analysis (2004), chapter 11.

    Args:
        patterns: number of ratings of each label, shape ``(patterns, labels)``.
        utterances: how many utterances have the pattern, shape ``(patterns,)``.

    Returns:
        At most 1; 0 is what chance gives; None where it is undefined: no utterance has two
        ratings, or all ratings are for one label.

    Example:
        >>> patterns = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        >>> round(krippendorff_alpha(patterns, np.array([4.0, 4.0, 1.0])), 4)
        0.7901
    """
    patterns, utterances, ratings = _with_ratings(patterns, utterances, 2)
    of_label = utterances @ patterns
    total = of_label.sum()
    expected = total**2 - (of_label**2).sum()
    if expected <= 0:
        return None
    disagreeing = (ratings**2 - (patterns**2).sum(axis=1)) / (ratings - 1)
    return float(1 - (total - 1) * (utterances @ disagreeing) / expected)


def fleiss_kappa(patterns: Array, utterances: Array) -> float | None:
    """Fleiss' kappa: (observed - chance) / (1 - chance) agreement of two random ratings.

    For unequal numbers of ratings in the generalised form: the observed agreement is the mean of
    the share of agreeing pairs over utterances with two ratings or more, chance comes from the
    mean of each label's share over utterances with any. With equal numbers it is Fleiss' own.
    Sources: J. L. Fleiss, Psychological Bulletin 76 (1971) 378-382; K. L. Gwet, Handbook of
    Inter-Rater Reliability (2014), chapter 2.

    Args:
        patterns: number of ratings of each label, shape ``(patterns, labels)``.
        utterances: how many utterances have the pattern, shape ``(patterns,)``.

    Returns:
        At most 1; None where it is undefined, as for :func:`krippendorff_alpha`.

    Example:
        >>> patterns = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        >>> round(fleiss_kappa(patterns, np.array([4.0, 4.0, 1.0])), 4)
        0.7778
    """
    rated, weights, ratings = _with_ratings(patterns, utterances, 1)
    chance = ((weights @ (rated / ratings[:, None]) / max(weights.sum(), 1)) ** 2).sum()
    pairable, weights, ratings = _with_ratings(patterns, utterances, 2)
    if not weights.any() or np.isclose(chance, 1.0, rtol=0, atol=1e-12):
        return None
    agreeing = (pairable * (pairable - 1)).sum(axis=1) / (ratings * (ratings - 1))
    return float((weights @ agreeing / weights.sum() - chance) / (1 - chance))


def _with_ratings(patterns: Array, utterances: Array, least: int) -> tuple[Array, Array, Array]:
    """Patterns with so many ratings or more, how often they occur, their numbers of ratings."""
    if patterns.ndim != 2 or utterances.shape != patterns.shape[:1]:
        raise ValueError(f"{patterns.shape} patterns do not go with {utterances.shape} utterances")
    ratings = patterns.sum(axis=1)
    held = ratings >= least
    return patterns[held], utterances[held], ratings[held]
