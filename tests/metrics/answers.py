"""One strategy's made-up answers to a made-up corpus, as the oracles of metrics want them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from tables_of_predictions import predictions_table, random_votes

from raypipe.labels import LabelSet

LABELS = LabelSet(("anger", "fear", "neutral", "sadness"))
K = len(LABELS)
UNCERTAINTIES = ("aleatoric_uncertainty", "epistemic_uncertainty")
REPEATS = 12
"""Times that an utterance stands in pairs, so that 2, 3 or 4 tied labels share it equally."""
COSTS = ("model_tokens", "verifier_calls", "escalated")


@dataclass(frozen=True)
class Answers:
    """What a strategy said of every utterance.

    Attributes:
        votes: number of votes for each label, shape ``(utterances, labels)``; no vote at all for
            an unlabelled utterance.
        secondary: labels that an annotator gave as a secondary one, same shape.
        probs: predicted distributions, same shape; NaN rows where invalid.
        stated: uncertainties and costs by column of ``predictions/``, shape ``(utterances,)``
            each; NaN where unknown.
        label_set: whether a label is in the strategy's set, shape ``(utterances, labels)``; none
            where the prediction is invalid.
    """

    votes: np.ndarray
    secondary: np.ndarray
    probs: np.ndarray
    stated: dict[str, np.ndarray]
    label_set: np.ndarray

    @cached_property
    def labelled(self) -> np.ndarray:
        return self.votes.any(axis=1)

    @cached_property
    def truth(self) -> np.ndarray:
        """Soft labels; zeros where unlabelled."""
        return self.votes / np.maximum(self.votes.sum(axis=1, keepdims=True), 1.0)

    @cached_property
    def given(self) -> np.ndarray:
        return ~np.isnan(self.probs).any(axis=1)

    @cached_property
    def valid(self) -> np.ndarray:
        return self.given & self.labelled

    @cached_property
    def plurality(self) -> np.ndarray:
        """Index of the most voted label; -1 for a tie or without votes."""
        tied = (self.votes == self.votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
        return np.where(tied, -1, self.votes.argmax(axis=1))

    @cached_property
    def scorable(self) -> np.ndarray:
        return self.valid & (self.plurality >= 0)

    @cached_property
    def leading(self) -> list[list[int]]:
        """Labels with the largest share of every valid prediction; none of another."""
        rounded = np.round(self.probs, 9)
        return [
            [label for label in range(K) if row[label] == row.max()] if valid else []
            for row, valid in zip(rounded, self.valid, strict=True)
        ]

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Plurality and dominant label of the scorable utterances, each ``REPEATS`` times."""
        return self._pairs(self.scorable)

    @cached_property
    def pairs_with_guesses(self) -> tuple[np.ndarray, np.ndarray]:
        """The same with an invalid prediction as a tie of all labels."""
        return self._pairs(self.labelled & (self.plurality >= 0))

    def _pairs(self, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = np.flatnonzero(counted)
        predicted = [np.resize(self.leading[row] or range(K), REPEATS) for row in rows]
        return np.repeat(self.plurality[rows], REPEATS), np.concatenate(predicted)

    @cached_property
    def confidence(self) -> np.ndarray:
        """Largest share in the predictions of the scorable utterances."""
        return self.probs[self.scorable].max(axis=1)

    @cached_property
    def correct(self) -> np.ndarray:
        """1 where the scorable utterances' dominant label is the plurality, else 0; 1/T in ties."""
        truth, predicted = self.pairs
        return (truth == predicted).reshape(-1, REPEATS).mean(axis=1)

    @cached_property
    def ambiguous(self) -> np.ndarray:
        """Utterances with more entropy in their soft label than the median utterance."""
        shares = np.where(self.truth > 0, self.truth, 1.0)
        entropy = np.round(-(shares * np.log2(shares)).sum(axis=1), 9)
        return entropy > np.median(entropy[self.labelled])


def some_answers(count: int = 240, seed: int = 7) -> Answers:
    rng = np.random.default_rng(seed)
    votes = random_votes(count, K, seed)
    votes[::29] = 0.0  # unlabelled
    votes[3::31] = 1.0  # every label the same: a tie, and a constant soft label
    truth = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1.0)
    probs = 0.6 * np.where(truth.any(axis=1)[:, None], truth, 1 / K)
    probs += 0.4 * rng.dirichlet(np.ones(K), count)
    probs[5::23] = np.eye(K)[rng.integers(0, K, len(probs[5::23]))]
    probs[6::37] = 1 / K
    probs[rng.random(count) < 0.15] = np.nan
    given = ~np.isnan(probs).any(axis=1)
    stated = {name: np.where(given, 1.5 * rng.random(count), np.nan) for name in UNCERTAINTIES}
    known = rng.random(count) < 0.8
    stated["model_tokens"] = np.where(known, rng.integers(50, 90_000, count), np.nan)
    stated["verifier_calls"] = np.where(known, rng.integers(0, 6, count), np.nan)
    stated["escalated"] = np.where(known, rng.random(count) < 0.3, np.nan)
    secondary = (rng.random(votes.shape) < 0.2) & votes.any(axis=1)[:, None]
    return Answers(votes, secondary, probs, stated, sets_of(probs, rng.uniform(0.1, 0.6, count)))


def sets_of(probs: np.ndarray, thresholds: np.ndarray | float) -> np.ndarray:
    """Labels with at least a share, and those with the largest; none of an invalid prediction."""
    known = np.nan_to_num(probs)
    least = np.minimum(np.broadcast_to(thresholds, len(known)), known.max(axis=1))
    return (known >= least[:, None]) & (known > 0)


def table_of(answers: Answers, strategy: str = "w_bon") -> pa.Table:
    """The answers as ``predictions/``."""
    names = [f"u{number:04d}" for number in range(len(answers.votes))]
    table = predictions_table(
        names, answers.votes, {strategy: answers.probs}, LABELS, secondary=answers.secondary
    )
    kinds = dict.fromkeys(answers.stated, pa.float64()) | {"escalated": pa.bool_()}
    for name, values in answers.stated.items():
        column = pa.array(values, pa.float64(), from_pandas=True)
        table = table.append_column(name, column.cast(kinds[name]))
    sets = [
        [LABELS.names[label] for label in np.flatnonzero(row)] or None for row in answers.label_set
    ]
    return table.append_column("label_set", pa.array(sets, pa.list_(pa.string())))
