from typing import Any

import pytest

from raypipe.labels import LabelSet
from raypipe.questions import Asked, PromptOutline, RunOutline, plan_passes
from raypipe.records import Hypothesis, TextScores

FORMS = ("anger", "Anger", "angry", "Angry", "sadness", "Sadness", "sad", "Sad")
ANSWERS = [
    Hypothesis("label", rank, text, (rank, 99), None, -1.0 - rank, "stop", None, prompt_tokens=90)
    for rank, text in enumerate(FORMS)
]


@pytest.mark.parametrize("plain", [False, True])
def test_it_asks_for_every_written_form_after_a_blank_too_where_a_text_goes_on(
    plain: bool,
) -> None:
    outline = RunOutline(
        prompts=(PromptOutline("a"), PromptOutline("b", plain=plain)),
        labels=LabelSet(("anger", "sadness")),
        greedy=False,
        beam_count=0,
    )
    (asking,) = plan_passes(outline, Asked(frozenset({"labels"})))
    assert isinstance(asking.request, TextScores)
    expected = FORMS
    if plain:
        expected = tuple(variant for form in FORMS for variant in (form, f" {form}"))
    assert asking.request.texts == expected
    assert asking.kind == "label"


def test_every_form_comes_with_its_log_likelihood(in_process: Any) -> None:
    in_process.answered(questions=["labels"])
    rows = in_process.rows(
        "SELECT h.text, h.alpha FROM (SELECT unnest(hypotheses) AS h FROM generations)"
        " WHERE h.kind = 'label'"
    )
    labels = in_process.labels
    assert {row["text"] for row in rows} == {
        form for name in labels.names for form in labels.written(name)
    }
    assert all(row["alpha"] < 0 for row in rows)
