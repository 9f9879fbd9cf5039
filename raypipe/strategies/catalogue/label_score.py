"""Strategy ``label_score``: how likely each label is as the whole answer.

Nothing is written: one reading of the prompt tells the log-likelihood of every form of every label
(``anger``, ``Anger``, ``angry``, ``Angry``), its end included.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from raypipe.labels import LabelSet
from raypipe.records import Hypothesis, Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.catalogue.token_softmax import TOKEN_TEMPERATURE
from raypipe.strategies.making import Array, from_logits, invalid
from raypipe.strategies.shared import LENGTH_NORMALISED
from raypipe.strategies.strategy import Strategy
from raypipe.strategies.token_level import softmax_normalised


def _predict(answers: WindowAnswers) -> Prediction:
    scores = scores_of(answers, "label", "labels")
    if isinstance(scores, str):
        return invalid(scores)
    return from_logits(softmax_normalised(scores, answers.settings[TOKEN_TEMPERATURE]))


def scores_of(answers: WindowAnswers, kind: str, question: str) -> Array | str:
    """Score of each label, or the reason why there is none.

    Args:
        answers: of one window.
        kind: of the hypotheses that are the labels' forms.
        question: that they answer.
    """
    forms = [candidate.hypothesis for candidate in answers.of_kind(kind)]
    if not forms:
        return "failed" if answers.has_failed(question) else f"no_{question}"
    if any(form.alpha is None for form in forms):
        return "no_alpha"
    scores = label_scores(forms, answers.labels, normalised=answers.settings[LENGTH_NORMALISED])
    return scores if np.isfinite(scores).all() else "not_finite"


def label_scores(forms: list[Hypothesis], labels: LabelSet, *, normalised: bool) -> Array:
    """Score of each label from the log-likelihoods of its forms, natural log.

    Args:
        forms: whose texts mean a label each, with an alpha.
        labels: the K labels.
        normalised: False for the log of the probability that the answer is any of a label's forms;
            True for the best of its forms' mean log-probability of a token, which are no
            probabilities that could be added up.

    Returns:
        Shape ``(labels,)``; minus infinity for a label without a form.
    """
    scores = np.full(len(labels), -np.inf)
    for place in range(len(labels)):
        own = [form for form in forms if labels.index(form.text) == place]
        alphas = np.array([form.alpha for form in own], dtype=np.float64)
        if not own:
            continue
        if normalised:
            scores[place] = (alphas / [max(1, form.steps) for form in own]).max()
        else:
            scores[place] = logsumexp(alphas)
    return scores


STRATEGY = Strategy(
    name="label_score",
    summary="a softmax over the log-likelihoods of the labels as the whole answer; no answer is "
    "written",
    source="",
    rank=45,
    questions=("labels",),
    predict=_predict,
    settings=(LENGTH_NORMALISED, TOKEN_TEMPERATURE),
    reads_logits=False,
)
