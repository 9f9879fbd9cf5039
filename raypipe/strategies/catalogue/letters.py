"""Strategy ``letters``: how likely each option's letter was where the answer chose one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raypipe.parsing.choices import read_choice
from raypipe.records import EmotionTokens, Hypothesis, Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.catalogue.token_softmax import TOKEN_TEMPERATURE
from raypipe.strategies.making import from_logits, invalid
from raypipe.strategies.strategy import Strategy
from raypipe.strategies.token_level import softmax_normalised, text_steps
from raypipe.votes import OTHER


def _predict(answers: WindowAnswers) -> Prediction:
    if answers.greedy is None:
        return invalid("no_greedy")
    if not answers.options:
        return invalid("no_options")
    hypothesis = answers.greedy.hypothesis
    if hypothesis.emotion_logits is None:
        return invalid("no_logits")
    chosen = read_choice(hypothesis.text, answers.labels, answers.options)
    if chosen.rule != "letter" or chosen.phrase is None:
        return invalid("no_letter")
    columns = {
        option.letter: _columns(answers.emotion_tokens, option.letter) for option in answers.options
    }
    if not all(columns.values()):
        return invalid("no_letter_tokens")
    step = _letter_step(hypothesis, answers.emotion_tokens, columns[chosen.phrase])
    if step is None:
        return invalid("no_letter_step")
    row = np.asarray(hypothesis.emotion_logits[step], dtype=np.float64)
    # A letter is written with or without a space before it: the one that fits the place leads.
    logits = np.array([row[columns[option.letter]].max() for option in answers.options])
    if not np.isfinite(logits).all():
        known = hypothesis.emotion_kind == "logit"
        return invalid("not_finite" if known else "logprobs_incomplete")
    shares = softmax_normalised(logits, answers.settings[TOKEN_TEMPERATURE])
    names = answers.labels.names
    probs = np.zeros(len(names))
    for share, option in zip(shares, answers.options, strict=True):
        if option.label in names:
            probs[names.index(option.label)] += share
    dropped = float(1.0 - probs.sum()) if OTHER not in names else 0.0
    if not probs.sum() > 0.0:
        return invalid(OTHER)
    return replace(from_logits(probs / probs.sum()), dropped_share=dropped)


def _columns(tokens: EmotionTokens, letter: str) -> list[int]:
    """Columns of the recorded logits that write a letter in one token."""
    place_of = {token_id: place for place, token_id in enumerate(tokens.token_ids)}
    return [
        place_of[word.token_ids[0]]
        for word in tokens.words
        if word.label == letter and len(word.token_ids) == 1
    ]


def _letter_step(hypothesis: Hypothesis, tokens: EmotionTokens, columns: list[int]) -> int | None:
    """The last step that wrote the chosen letter."""
    ids = {tokens.token_ids[column] for column in columns}
    steps = [
        step
        for step, token_id in enumerate(hypothesis.token_ids[: text_steps(hypothesis)])
        if token_id in ids
    ]
    return steps[-1] if steps else None


STRATEGY = Strategy(
    name="letters",
    summary="a softmax over the option letters' logits where the greedy answer chose one",
    source="",
    rank=120,
    questions=("greedy",),
    predict=_predict,
    settings=(TOKEN_TEMPERATURE,),
    requires=frozenset({"emotion_logprobs"}),
    reads_options=True,
)
