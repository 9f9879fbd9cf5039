from dataclasses import replace

import numpy as np
import pytest

from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, EmotionWord, Hypothesis
from raypipe.strategies.token_level import (
    label_logits,
    label_weights,
    softmax_normalised,
    sum_normalised,
    used_steps,
)

LABELS = LabelSet(("anger", "sadness"))
# "Ang"+"er" and " angry" for anger, "sad"+"ness" for sadness; recorded ids ascending.
TOKENS = EmotionTokens(
    words=(
        EmotionWord("anger", "Anger", (40, 41)),
        EmotionWord("anger", " angry", (10,)),
        EmotionWord("sadness", "sadness", (20, 30)),
    ),
    token_ids=(10, 20, 30, 40, 41),
    token_strings=(" angry", "sad", "ness", "Ang", "er"),
)


def answer(token_ids: tuple[int, ...], finish_reason: str = "stop") -> Hypothesis:
    logits = np.arange(len(token_ids) * 5, dtype=np.float32).reshape(-1, 5)
    return Hypothesis("greedy", 0, "x", token_ids, None, None, finish_reason, logits)  # type: ignore[arg-type]


def test_label_logits_follow_equation_1_by_hand() -> None:
    hypothesis = answer((40, 41, 7, 99))
    used = used_steps(hypothesis, TOKENS, LABELS, "all")
    assert used.tolist() == [True, True, True]  # the end-of-sequence step wrote no text
    logits = label_logits(
        np.asarray(hypothesis.emotion_logits, float), used, label_weights(TOKENS, LABELS)
    )
    steps = [[((3 + 4) / 2 + 0) / 2 + 5 * j, (1 + 2) / 2 + 5 * j] for j in range(3)]
    np.testing.assert_allclose(logits, np.mean(steps, axis=0))


def test_a_cut_answer_counts_its_last_step() -> None:
    cut = answer((40, 41, 7), "length")
    assert used_steps(cut, TOKENS, LABELS, "all").tolist() == [True] * 3


def test_words_takes_only_steps_inside_an_emotion_word() -> None:
    spoken = replace(answer((40, 41, 7, 41, 20, 30, 99)), text="Anger, her sadness")
    steps = used_steps(spoken, TOKENS, LABELS, "words")
    assert steps.tolist() == [True, True, False, False, True, True]


def test_a_label_without_recorded_words_has_no_weight() -> None:
    weights = label_weights(TOKENS, LabelSet(("anger", "fear")))
    assert weights[:, 0].sum() == pytest.approx(1.0)
    assert not weights[:, 1].any()


def test_equation_2_needs_every_logit_above_zero() -> None:
    np.testing.assert_allclose(sum_normalised(np.array([3.0, 1.0])), [0.75, 0.25])
    assert sum_normalised(np.array([3.0, 0.0])) is None
    assert sum_normalised(np.array([-3.0, -1.0])) is None  # both signs alike would divide well
    assert sum_normalised(np.array([np.inf, 1.0])) is None


def test_softmax_is_defined_for_any_sign_and_flattens_with_temperature() -> None:
    cold = softmax_normalised(np.array([-800.0, -801.0]), 1.0)
    np.testing.assert_allclose(cold, [1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(1.0))])
    assert softmax_normalised(np.array([-800.0, -801.0]), 10.0)[0] < cold[0]
    with pytest.raises(ValueError, match="temperature"):
        softmax_normalised(np.array([1.0, 2.0]), 0.0)


def test_logits_that_do_not_fit_their_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="do not serve"):
        label_logits(np.zeros((2, 5)), np.ones(3, dtype=bool), label_weights(TOKENS, LABELS))
