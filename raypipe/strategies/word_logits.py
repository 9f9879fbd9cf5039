"""Label logits of one window's answer, for the token-level strategies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.records import Hypothesis
from raypipe.strategies import token_level
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.shared import TOKEN_STEPS


def logits_source(answers: WindowAnswers) -> Hypothesis | None:
    """The answer whose logits are read: the greedy one, else the best beam; None without any."""
    source = answers.greedy or (answers.searched[0] if answers.searched else None)
    return None if source is None else source.hypothesis


def answer_logits(answers: WindowAnswers) -> NDArray[np.float64] | str:
    """Mean label logits of that answer, shape ``(labels,)``, or the reason why there are none."""
    source = logits_source(answers)
    if source is None or source.emotion_logits is None:
        return "no_logits"
    weights = token_level.label_weights(answers.emotion_tokens, answers.labels)
    if not weights.any(axis=0).all():
        return "no_label_tokens"
    if token_level.text_steps(source) < 1:
        return "no_steps"
    used = token_level.used_steps(
        source, answers.emotion_tokens, answers.labels, answers.settings[TOKEN_STEPS]
    )
    if not used.any():
        return "no_emotion_word"
    raw = np.asarray(source.emotion_logits, dtype=np.float64)
    logits = token_level.label_logits(raw, used, weights)
    if np.isfinite(logits).all():
        return logits
    return "logprobs_incomplete" if source.emotion_kind == "logprob" else "not_finite"
