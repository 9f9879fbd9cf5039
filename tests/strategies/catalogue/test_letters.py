from dataclasses import replace

import numpy as np
import pytest
from made_up_hypotheses import LOGITS, chosen, closed_form, heard

from raypipe.records import Hypothesis

GREEDY = heard("greedy", 0.9, emotion_logits=LOGITS)


def reason(answer: Hypothesis) -> str | None:
    return closed_form("letters", [answer]).invalid_reason


def test_it_is_a_softmax_over_the_letters_where_one_was_chosen() -> None:
    logits = (2.0, 1.0, 0.0)
    prediction = closed_form("letters", [chosen("B", GREEDY, logits)])
    shares = np.exp(logits) / np.exp(logits).sum()
    assert prediction.probs == pytest.approx(shares[:2] / shares[:2].sum())
    assert prediction.dropped_share == pytest.approx(shares[2])
    cold = closed_form("letters", [chosen("B", GREEDY, logits)], token_temperature=0.01)
    assert cold.probs == pytest.approx([1.0, 0.0])


def test_of_two_forms_of_a_letter_the_likelier_counts() -> None:
    """Elsewhere in the answer the same letter may stand in other words."""
    answer = chosen("A", GREEDY)
    twice = replace(answer, token_ids=(30, 30, 2, 3))
    assert closed_form("letters", [twice]).probs == pytest.approx(
        closed_form("letters", [answer]).probs
    )


def test_without_a_letter_or_its_logits_there_is_no_reading() -> None:
    answer = chosen("A", GREEDY)
    assert reason(replace(answer, text="Angry")) == "no_letter"
    assert reason(replace(answer, emotion_logits=None)) == "no_logits"
    assert reason(replace(answer, token_ids=(1, 4, 2, 3))) == "no_letter_step"
    broken = np.array(answer.emotion_logits)
    broken[1, 2] = np.nan
    assert reason(replace(answer, emotion_logits=broken)) == "not_finite"
    assert reason(replace(answer, emotion_logits=broken, emotion_kind="logprob")) == (
        "logprobs_incomplete"
    )
