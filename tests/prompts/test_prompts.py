import pytest

from raypipe.errors import ConfigError
from raypipe.labels import LABEL_SETS
from raypipe.prompts import (
    DISTRIBUTIONS,
    EXPLAINABLE,
    check_template,
    fill_template,
    render_prompt,
    template_source,
    uses,
)
from raypipe.prompts.examples import Example
from raypipe.records import Descriptors

LABELS = LABEL_SETS["iemocap-4"]
ABOUT_LISTENERS = (*DISTRIBUTIONS, "describe")


HEARD = Descriptors(2.43, 1.6, 182.3, 140.2, 261.7, -21.44, 17.5, 5.12, 2, 0.83)
SILENT = Descriptors(1.0, 0.0, None, None, None, None, None, None, 0, 0.0)


def render(prompt: str, **fields: object) -> str:
    known: dict[str, object] = {
        "candidate": '{"anger": 1.0}' if prompt == "verify" else None,
        "descriptors": HEARD if prompt == "describe" else None,
    }
    return render_prompt(prompt, LABELS, **(known | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("prompt", ABOUT_LISTENERS)
def test_every_prompt_names_every_label_in_order(prompt: str) -> None:
    assert "anger, happiness, neutral, sadness" in render(prompt)


@pytest.mark.parametrize("prompt", ABOUT_LISTENERS)
def test_acted_sentences_stay_out_of_the_prompt(prompt: str) -> None:
    words = "It's eleven o'clock"
    assert words in render(prompt, transcript=words)
    assert words not in render(prompt, transcript=words, fixed_sentences=True)


@pytest.mark.parametrize("prompt", EXPLAINABLE)
def test_the_papers_questions_give_no_words_away(prompt: str) -> None:
    assert "eleven" not in render(prompt, transcript="It's eleven o'clock")


def test_the_task_speaks_of_the_audio_for_fixed_sentences() -> None:
    assert "in the audio" in render("distribution", transcript="x", fixed_sentences=True)
    assert "in the target utterance" in render("distribution", transcript="x")


def test_previous_turns_stand_in_order() -> None:
    text = render("distribution", context=["first turn", "second turn"])
    assert text.index("first turn") < text.index("second turn") < text.index("Emotions")


def test_the_verifier_sees_the_candidate() -> None:
    assert '{"anger": 1.0}' in render("verify")


def test_a_description_gives_every_measurement_with_its_unit() -> None:
    text = render("describe", transcript="Leave me alone.", context=["What is it?"])
    for words in (
        "- What is it?",
        'Words: "Leave me alone."',
        "182 Hz on average, mostly between 140 and 262 Hz (10.8 semitones)",
        "-21.4 dB relative to full scale on average, varying by 17.5 dB",
        "5.1 syllables per second",
        "Pauses: 2, 0.8 s in all",
        "Length: 2.4 s",
    ):
        assert words in text
    assert "Example" not in text


def test_what_could_not_be_measured_is_said_and_not_made_up() -> None:
    text = render("describe", descriptors=SILENT)
    for words in ("Pitch: none could be measured", "Energy: silence", "Pauses: none"):
        assert words in text
    assert "None" not in text
    assert "Speaking rate" not in text


def test_examples_stand_before_the_question_with_their_answers() -> None:
    answer = (("anger", 0.75), ("happiness", 0.0), ("neutral", 0.25), ("sadness", 0.0))
    examples = [
        Example("Go away.", (), HEARD, answer),
        Example(None, ("And then?",), SILENT, (("anger", 1.0),)),
    ]
    text = render("describe", transcript="Now mine.", examples=examples)
    parts = [
        "Example 1\n",
        'Words: "Go away."',
        'Answer: {"anger": 0.75, "happiness": 0.0, "neutral": 0.25, "sadness": 0.0}',
        "Example 2\n",
        "- And then?",
        'Answer: {"anger": 1.0}',
        'Words: "Now mine."',
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.endswith("Answer:")
    acted = render("describe", transcript="Now mine.", examples=examples, fixed_sentences=True)
    assert "Words" not in acted


def test_a_template_is_tried_with_and_without_measurements() -> None:
    check_template(template_source("describe"), LABELS)
    check_template(template_source("verify"), LABELS, candidate="")
    with pytest.raises(ConfigError, match="cannot be filled"):
        check_template("{{ '%.0f' | format(descriptors.pitch_mean_hz) }}", LABELS)
    with pytest.raises(ConfigError, match=r"cannot be filled.*loudness"):
        check_template("{{ descriptors.loudness }}", LABELS)
    with pytest.raises(ConfigError, match="cannot be filled"):
        check_template("{{ transcript.upper() }}", LABELS)
    examples = [Example("x", (), None, (("anger", 1.0),))]
    with pytest.raises(ConfigError, match="does not use them"):
        check_template(template_source("distribution"), LABELS, examples=examples)


def test_a_clip_that_was_not_measured_is_not_described() -> None:
    with pytest.raises(ConfigError, match="uses descriptors, and the clip was not measured"):
        render("describe", transcript="x", descriptors=None)


def test_what_a_template_uses_is_read_from_it() -> None:
    describe = template_source("describe")
    assert uses(describe, "descriptors")
    assert uses(describe, "examples")
    assert not uses(describe, "candidate")
    assert not uses(template_source("distribution"), "descriptors")
    with pytest.raises(ConfigError, match="cannot be filled"):
        uses("{% if %}", "descriptors")


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


def test_a_template_in_the_place_of_its_path_is_not_repeated_in_full() -> None:
    for text in ("{{ labels }} " * 99, "http://me:PASS@host/x.jinja", "password: PASS"):
        with pytest.raises(ConfigError, match="neither a file nor one of") as refused:
            template_source(text)
        assert "PASS" not in str(refused.value)
        assert len(str(refused.value)) < 400
