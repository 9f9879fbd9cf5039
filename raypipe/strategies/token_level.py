"""Distributions from the raw logits of emotion words (token_level_logits, section 3.4.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, Hypothesis
from raypipe.strategies.word_steps import word_steps

Array = NDArray[np.float64]
TokenSteps = Literal["all", "words"]


def text_steps(hypothesis: Hypothesis) -> int:
    """Number of generated steps J that produced text: all but a closing end-of-sequence step.

    The paper averages over the J tokens of the generated text. The step that ends the sequence
    writes none, and its logits say how sure the model is to stop, not what it heard. Some
    endpoints leave it out.
    """
    closing = hypothesis.alpha_kind != "sum_logprob_without_end"
    return hypothesis.steps - (closing and hypothesis.finish_reason == "stop")


def used_steps(
    hypothesis: Hypothesis, tokens: EmotionTokens, labels: LabelSet, steps: TokenSteps
) -> NDArray[np.bool_]:
    """Steps that enter the average: every one, or those that wrote emotion words.

    Args:
        hypothesis: the output; its last step is left out where it is the end of the sequence.
        tokens: the recorded tokens and the words they write.
        labels: the K labels, whose words count.
        steps: ``all`` or ``words`` (the two variants of section 5.3), see
            :func:`~raypipe.strategies.word_steps.word_steps`.

    Returns:
        Mask of shape ``(J,)``.
    """
    if steps == "all":
        return np.ones(text_steps(hypothesis), dtype=np.bool_)
    written = hypothesis.token_ids[: text_steps(hypothesis)]
    return word_steps(written, hypothesis.text, tokens, labels)


@lru_cache(maxsize=8)
def label_weights(tokens: EmotionTokens, labels: LabelSet) -> Array:
    """Matrix that averages token logits into label logits.

    z^n is the mean over the sub-tokens V_n of a word (Eq. 1); a label with several surface forms
    takes the mean over its forms, so that a form cut into many pieces counts once.

    Args:
        tokens: the recorded tokens and the words they write.
        labels: the K labels.

    Returns:
        Shape ``(tokens, labels)``, read-only; each column sums to 1, or is all zero for a label
        without any recorded word.

    Example:
        >>> from raypipe.records import EmotionWord
        >>> words = (EmotionWord("anger", "anger", (5, 9)), EmotionWord("fear", "fear", (7,)))
        >>> tokens = EmotionTokens(words, (5, 7, 9), ("ang", "fear", "er"))
        >>> label_weights(tokens, LabelSet(("anger", "fear")))
        array([[0.5, 0. ],
               [0. , 1. ],
               [0.5, 0. ]])
    """
    column_of = {token_id: column for column, token_id in enumerate(tokens.token_ids)}
    weights = np.zeros((len(tokens.token_ids), len(labels)), dtype=np.float64)
    for position, name in enumerate(labels.names):
        forms = [word for word in tokens.words if word.label == name and word.token_ids]
        for form in forms:
            for token_id in form.token_ids:
                weights[column_of[token_id], position] += 1.0 / (len(form.token_ids) * len(forms))
    weights.flags.writeable = False  # every later call gets this very array
    return weights


def label_logits(emotion_logits: Array, used: NDArray[np.bool_], weights: Array) -> Array:
    """Mean label logits z^n over the used steps (token_level_logits, Eq. 1 and the mean below it).

    Args:
        emotion_logits: raw logits, shape ``(steps, tokens)``; rows beyond ``used`` are ignored.
        used: shape ``(J,)``, J <= steps, at least one True.
        weights: from :func:`label_weights`, shape ``(tokens, labels)``.

    Returns:
        Shape ``(labels,)``; all NaN if a logit is not finite.

    Raises:
        ValueError: if there are fewer logit rows than steps, or the ``tokens`` axes differ.
    """
    if emotion_logits.shape[0] < used.shape[0] or emotion_logits.shape[1] != weights.shape[0]:
        raise ValueError(
            f"logits of shape {emotion_logits.shape} do not serve {used.shape[0]} steps "
            f"and {weights.shape[0]} tokens"
        )
    rows = np.asarray(emotion_logits, dtype=np.float64)[: used.shape[0]][used]
    if not np.isfinite(rows).all():  # 0 * inf would warn, and spread NaN to other labels
        return np.full(weights.shape[1], np.nan)
    return np.asarray(rows.mean(axis=0) @ weights)


def sum_normalised(logits: Array) -> Array | None:
    """phi^n = z^n / sum z (token_level_logits, Eq. 2); None unless every z^n > 0.

    Args:
        logits: mean label logits z, shape ``(labels,)``.

    Returns:
        Shape ``(labels,)``, positive, summing to 1; or None.

    Example:
        >>> sum_normalised(np.array([6.0, 2.0])), sum_normalised(np.array([6.0, -2.0]))
        (array([0.75, 0.25]), None)
    """
    if not (logits > 0.0).all() or not np.isfinite(logits).all():
        return None
    return np.asarray(logits / logits.sum())


def softmax_normalised(logits: Array, temperature: float) -> Array:
    """softmax(z / temperature): defined for any finite logits.

    Args:
        logits: mean label logits z, shape ``(labels,)``.
        temperature: > 0; larger is flatter.

    Returns:
        Shape ``(labels,)``, summing to 1.

    Raises:
        ValueError: if the temperature is not positive.

    Example:
        >>> softmax_normalised(np.array([np.log(3.0), 0.0]), temperature=1.0).round(6)
        array([0.75, 0.25])
    """
    if not temperature > 0.0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    scaled = logits / temperature
    shares = np.exp(scaled - scaled.max())
    return np.asarray(shares / shares.sum())
