import pytest

from raypipe.errors import ConfigError
from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.prompts import render_prompt
from raypipe.prompts.options import lettered, option_text

EIGHT = LABEL_SETS["msp-podcast-8"]


def test_the_question_is_the_papers():
    assert render_prompt("closed_form", EIGHT) == (
        "What emotion do you think the audio expresses? Choose one from the following options:\n"
        "A. Angry\nB. Sad\nC. Happy\nD. Surprise\nE. Fear\nF. Disgust\nG. Contempt\nH. Neutral\n"
        "I. Other"
    )
    assert render_prompt("open_form", EIGHT) == "What emotion do you think the audio expresses?"


def test_shuffled_options_follow_from_seed_and_utterance():
    first = lettered(EIGHT, (0, "a"))
    assert first == lettered(EIGHT, (0, "a"))
    assert len({first, lettered(EIGHT, (1, "a")), lettered(EIGHT, (0, "b")), lettered(EIGHT)}) == 4
    assert {option.label for option in first} == {*EIGHT.names, "other"}
    assert [option.letter for option in first] == list("ABCDEFGHI")
    assert first[-1].label == "other"
    shown = render_prompt("closed_form", EIGHT, options=first)
    assert f"A. {option_text(first[0].label)}\n" in shown


def test_every_label_stands_on_every_letter_about_as_often():
    counts = {name: [0] * 8 for name in EIGHT.names}
    for number in range(1600):
        for place, option in enumerate(lettered(EIGHT, (0, str(number)))[:-1]):
            counts[option.label][place] += 1
    assert all(140 < count < 260 for places in counts.values() for count in places)


def test_a_label_other_is_the_option_other():
    labels = LabelSet(("joy", "other", "anger"))
    assert [option.text for option in lettered(labels)] == ["Angry", "Joy", "Other"]


def test_more_labels_than_letters():
    with pytest.raises(ConfigError, match="25 labels"):
        lettered(LabelSet(tuple(f"l{n}" for n in range(26))))
