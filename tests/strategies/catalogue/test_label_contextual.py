from dataclasses import replace

import numpy as np
import pytest
from made_up_hypotheses import answers_to, predicted

HEARD, SILENT = answers_to("labels"), answers_to("silence")


def said(alphas: dict[str, float], forms: list) -> list:
    return [replace(form, alpha=alphas.get(form.text, -40.0)) for form in forms]


def test_what_a_model_prefers_without_a_sound_is_taken_off() -> None:
    heard = said({"anger": -1.0, "sad": -2.0}, HEARD)
    silent = said({"anger": -1.0, "sad": -5.0}, SILENT)
    shares = np.exp([0.0, 3.0]) / np.exp([0.0, 3.0]).sum()
    prediction = predicted("label_contextual", [*heard, *silent])
    assert prediction.probs == pytest.approx(shares, abs=1e-9)


def test_without_a_preference_it_is_label_score() -> None:
    silent = said(dict.fromkeys((form.text for form in SILENT), -3.0), SILENT)
    answers = [*HEARD, *silent]
    expected = predicted("label_score", answers).probs
    assert predicted("label_contextual", answers).probs == pytest.approx(expected, abs=1e-12)


def test_both_questions_are_paid_for() -> None:
    once = predicted("label_score", [*HEARD, *SILENT]).model_tokens
    both = predicted("label_contextual", [*HEARD, *SILENT]).model_tokens
    assert (once, both) == (98, 196)


@pytest.mark.parametrize(("answers", "reason"), [(HEARD, "no_silence"), (SILENT, "no_labels")])
def test_without_one_of_the_two_there_is_no_distribution(answers: list, reason: str) -> None:
    prediction = predicted("label_contextual", answers)
    assert (prediction.probs, prediction.invalid_reason) == (None, reason)
