from dataclasses import replace

import numpy as np
import pytest
from made_up_hypotheses import answers_to, predicted

from raypipe.records import Hypothesis

FORMS = answers_to("labels")


def scored(**alphas: float) -> list[Hypothesis]:
    """The labels' forms with some other log-likelihoods."""
    return [replace(form, alpha=alphas.get(form.text, -30.0)) for form in FORMS]


def test_a_label_is_as_likely_as_any_of_its_forms() -> None:
    likely = {"anger": 0.1, "Angry": 0.2, "sad": 0.1}
    answers = scored(**{text: float(np.log(share)) for text, share in likely.items()})
    assert predicted("label_score", answers).probs == pytest.approx([0.75, 0.25], abs=1e-9)


def test_with_normalised_lengths_the_best_form_s_mean_counts() -> None:
    answers = scored(anger=-4.0, sadness=-4.0)
    answers[0] = replace(answers[0], token_ids=(1, 2, 3, 99))
    shares = np.exp([-1.0, -2.0]) / np.exp([-1.0, -2.0]).sum()
    prediction = predicted("label_score", answers, length_normalised=True)
    assert prediction.probs == pytest.approx(shares)


def test_a_higher_temperature_is_flatter() -> None:
    answers = scored(anger=-1.0, sadness=-2.0)
    sharp = predicted("label_score", answers).probs
    flat = predicted("label_score", answers, token_temperature=4.0).probs
    assert sharp is not None
    assert flat is not None
    assert 0.5 < flat[0] < sharp[0]


def test_it_costs_the_prompt_and_every_beginning_of_the_forms_once() -> None:
    assert predicted("label_score", FORMS).model_tokens == 90 + len(FORMS)
    longer = [replace(form, token_ids=(7, form.rank, 99)) for form in FORMS]
    assert predicted("label_score", longer).model_tokens == 90 + 1 + len(FORMS)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "no_labels"),
        ([replace(form, alpha=None, alpha_kind="none") for form in FORMS], "no_alpha"),
        ([form for form in FORMS if "ad" not in form.text], "not_finite"),
    ],
)
def test_without_a_score_of_every_label_there_is_no_distribution(
    answers: list[Hypothesis], reason: str
) -> None:
    prediction = predicted("label_score", answers)
    assert (prediction.probs, prediction.invalid_reason) == (None, reason)
