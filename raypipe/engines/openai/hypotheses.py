"""Answers of an endpoint as hypotheses, with their probabilities where it gives them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raypipe.engines.openai.replies import Choice, TokenStep
from raypipe.records import (
    AlphaKind,
    EmotionTokens,
    FloatArray,
    Hypothesis,
    HypothesisKind,
)

_ID = "token_id:"


class HypothesisReader:
    """Reader of an endpoint's choices as hypotheses.

    Args:
        emotion_tokens: whose log-probabilities are recorded; may be empty.
        end_token: whether the endpoint lists the token that ends an answer.
    """

    def __init__(self, emotion_tokens: EmotionTokens, end_token: bool) -> None:
        self._end_token = end_token
        self._ids = emotion_tokens.token_ids
        strings = emotion_tokens.token_strings
        # Two tokens with one text cannot be told apart by it.
        self._columns = {
            **{text: at for at, text in enumerate(strings) if strings.count(text) == 1},
            **{f"{_ID}{token_id}": at for at, token_id in enumerate(self._ids)},
        }

    def greedy(self, choice: Choice) -> Hypothesis:
        """The greedy hypothesis."""
        return self._hypothesis(choice, "greedy", 0)

    def samples(self, choices: Sequence[Choice]) -> tuple[Hypothesis, ...]:
        """Samples in place of beams: by alpha where all have one, else as they came."""
        made = [self._hypothesis(choice, "beam", 0) for choice in choices]
        if all(hypothesis.alpha is not None for hypothesis in made):
            order = sorted(range(len(made)), key=lambda at: (-(made[at].alpha or 0.0), at))
        else:
            order = list(range(len(made)))
        return tuple(self._hypothesis(choices[at], "beam", rank) for rank, at in enumerate(order))

    def _hypothesis(self, choice: Choice, kind: HypothesisKind, rank: int) -> Hypothesis:
        logprobs = _logprobs(choice.steps)
        alpha_kind: AlphaKind = "sum_logprob" if self._end_token else "sum_logprob_without_end"
        return Hypothesis(
            kind=kind,
            rank=rank,
            text=choice.text,
            token_ids=_token_ids(choice.steps),
            token_logprobs=logprobs,
            alpha=None if logprobs is None else float(logprobs.sum(dtype=np.float64)),
            finish_reason=choice.finish_reason,
            emotion_logits=self._emotion_logprobs(choice.steps),
            alpha_kind="none" if logprobs is None else alpha_kind,
            emotion_kind="logprob",
            sampled=kind == "beam",
            step_count=len(choice.steps) if choice.steps else None,
        )

    def _emotion_logprobs(self, steps: tuple[TokenStep, ...] | None) -> FloatArray | None:
        """Log-probabilities, shape ``(steps, tokens)``, NaN where the endpoint gives none."""
        if not steps or not self._ids:
            return None
        table = np.full((len(steps), len(self._ids)), np.nan, dtype=np.float32)
        for row, step in enumerate(steps):
            logprobs = dict(step.others)
            if step.logprob is not None:
                logprobs[step.token] = step.logprob
            for token, logprob in logprobs.items():
                column = self._columns.get(token)
                if column is not None:
                    table[row, column] = logprob
        return table


def _logprobs(steps: tuple[TokenStep, ...] | None) -> FloatArray | None:
    """Log-probability of every token; None if one is missing, as the sum would be another thing."""
    if not steps:  # an empty list beside a text: some endpoints mean none by it
        return None
    known = [step.logprob for step in steps if step.logprob is not None]
    return np.array(known, dtype=np.float32) if len(known) == len(steps) else None


def _token_ids(steps: tuple[TokenStep, ...] | None) -> tuple[int, ...]:
    """Ids if every token is given by its id, else none."""
    names = [step.token for step in steps or ()]
    if not all(name.startswith(_ID) for name in names):
        return ()
    return tuple(int(name.removeprefix(_ID)) for name in names)
