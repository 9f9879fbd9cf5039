import dataclasses

import numpy as np
import pytest

from raypipe.engines.agreement import compare
from raypipe.errors import EngineError
from raypipe.records import Failure, Generation, Hypothesis


def hypothesis(kind="beam", rank=0, **changes):
    made = Hypothesis(
        kind, rank, f"text {kind} {rank}", (5, 6), np.zeros(2, np.float32), -3.0, "stop",
        np.full((2, 4), 1.5, np.float32),
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def generation(name="u", *hypotheses):
    given = hypotheses or (hypothesis("greedy"), hypothesis(), hypothesis(rank=1))
    return Generation(name, given, prompt_tokens=9, audio_tokens=3)


def broken(name="u", error_type="not_finite"):
    return Failure(name, "engine", error_type, "…")


def test_equal_answers_agree():
    found = compare([generation("a"), broken("b")], [generation("a"), broken("b")])
    assert found.agrees
    assert (found.utterances, found.failed, found.hypotheses) == (2, 1, 3)
    assert (found.score_difference, found.logit_difference) == (0.0, 0.0)


def test_rounding_is_allowed_and_more_is_not():
    # 1e-4 + 2e-6 * 500 = 1.1e-3
    one = hypothesis(alpha=-500.0)
    near = compare([generation("u", one)], [generation("u", hypothesis(alpha=-500.00109))])
    far = compare([generation("u", one)], [generation("u", hypothesis(alpha=-500.00111))])
    assert near.agrees
    assert not far.agrees
    assert far.score_difference == pytest.approx(1.11e-3)
    assert far.score_excess == pytest.approx(1e-5, rel=1e-3)
    logits = np.full((2, 4), 1.5, np.float32)
    logits[1, 2] += 2e-4
    other = compare([generation("u", hypothesis())], [generation("u", hypothesis(emotion_logits=logits))])  # fmt: skip  # noqa: E501
    assert not other.agrees
    assert other.logit_difference == pytest.approx(2e-4, rel=1e-2)


def test_a_changed_text_is_counted_once_per_utterance():
    changed = generation("u", hypothesis("greedy"), hypothesis(text="other", token_ids=(5, 7)))
    found = compare([generation()], [changed])
    assert not found.agrees
    assert (found.changed, found.changed_first, found.changed_hypotheses) == (1, 1, 1)


def test_swapped_beams_are_a_change_but_not_of_the_first_when_they_stand_behind_it():
    first, second, third = (hypothesis(rank=rank) for rank in range(3))
    swapped = (first, dataclasses.replace(second, text=third.text, token_ids=(5, 9)), third)
    found = compare([generation("u", first, second, third)], [generation("u", *swapped)])
    assert (found.changed, found.changed_first, found.changed_hypotheses) == (1, 0, 1)
    assert not found.agrees


@pytest.mark.parametrize("other", [generation(), broken(error_type="out_of_memory")])
def test_a_failure_on_one_side_is_no_agreement(other):
    found = compare([broken()], [other])
    assert (found.failed, found.failed_once) == (0, 1)
    assert not found.agrees


def test_a_score_that_is_not_a_number_does_not_pass_for_equal():
    other = generation("u", hypothesis(alpha=float("nan")))
    assert not compare([generation("u", hypothesis())], [other]).agrees


def test_what_an_engine_cannot_give_is_not_compared():
    without = generation("u", hypothesis(alpha=None, token_logprobs=None, emotion_logits=None))
    found = compare([without], [without])
    assert found.agrees
    assert (found.score_difference, found.logit_difference) == (None, None)


def test_different_utterances_cannot_be_compared():
    with pytest.raises(EngineError, match="same utterances"):
        compare([generation("a")], [generation("b")])
