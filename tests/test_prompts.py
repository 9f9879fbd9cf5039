import pytest

from raypipe.errors import ConfigError
from raypipe.labels import LABEL_SETS
from raypipe.prompts import BUILT_IN, fill_template, render_prompt, template_source

LABELS = LABEL_SETS["iemocap-4"]


def render(prompt: str, **fields: object) -> str:
    candidate = '{"anger": 1.0}' if prompt == "verify" else None
    return render_prompt(prompt, LABELS, candidate=candidate, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("prompt", BUILT_IN)
def test_every_prompt_names_every_label_in_order(prompt: str) -> None:
    assert "anger, happiness, neutral, sadness" in render(prompt)


@pytest.mark.parametrize("prompt", BUILT_IN)
def test_acted_sentences_stay_out_of_the_prompt(prompt: str) -> None:
    words = "It's eleven o'clock"
    assert words in render(prompt, transcript=words)
    assert words not in render(prompt, transcript=words, fixed_sentences=True)


def test_the_task_speaks_of_the_audio_for_fixed_sentences() -> None:
    assert "in the audio" in render("distribution", transcript="x", fixed_sentences=True)
    assert "in the target utterance" in render("distribution", transcript="x")


def test_previous_turns_stand_in_order() -> None:
    text = render("distribution", context=["first turn", "second turn"])
    assert text.index("first turn") < text.index("second turn") < text.index("Emotions")


def test_the_verifier_sees_the_candidate() -> None:
    assert '{"anger": 1.0}' in render("verify")


def test_a_users_file_takes_a_prompts_place(tmp_path) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text("Pick {{ labels[0] }} or not.")
    assert render_prompt(str(path), LABELS) == "Pick anger or not."


@pytest.mark.parametrize("source", ["{{ label }}", "{% if %}", "{{ labels.__class__.mro() }}"])
def test_a_template_that_cannot_be_filled_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match="cannot be filled"):
        fill_template(source, LABELS)


def test_an_unknown_prompt_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="distribution"):
        template_source("distribtion")
