import numpy as np
import pytest

from raypipe.tiny_alm.lexicon import INTENSITIES, MEANINGS, TRANSLATIONS, VAGUE, WORDS, meaning
from raypipe.tiny_alm.synth import EMOTIONS


def shares(text: str) -> dict[str, float]:
    mix = meaning(text)
    assert mix is not None
    named = zip(EMOTIONS, mix, strict=True)
    return {name: pytest.approx(float(share)) for name, share in named if share > 0}


def test_every_word_means_a_distribution():
    for word, mix in MEANINGS.items():
        assert mix.sum() == pytest.approx(1.0), word
        assert mix.min() >= 0.0


def test_every_word_means_itself_and_its_translation_the_same():
    for word, mix in WORDS.items():
        np.testing.assert_allclose(meaning(word), mix)
    for words in TRANSLATIONS.values():
        for word, translated in words.items():
            if word in WORDS:
                np.testing.assert_allclose(meaning(translated), WORDS[word])
            else:
                assert INTENSITIES[translated] == INTENSITIES[word]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Slightly Angry", {"anger": 0.5, "neutral": 0.5}),
        ("un poco triste", {"sadness": 0.5, "neutral": 0.5}),
        ("very angry", {"anger": 1.0}),
        # .5 fear beside 1 of tense, which is .3 anger, .5 fear, .2 neutral.
        ("bit fearful, tense", {"anger": 0.2, "fear": 1.0 / 1.5, "neutral": 0.2 / 1.5}),
        ("angry sad", {"anger": 0.5, "sadness": 0.5}),
        ("really angry and slightly sad!", {"anger": 0.75, "sadness": 0.25}),
        ("creeped out", {"disgust": 0.5, "fear": 0.5}),
        ("agnry/hapyp", {"anger": 0.5, "happiness": 0.5}),
        ("悲しい, hmm", {"sadness": 1.0}),
    ],
)
def test_descriptions_worked_by_hand(text, expected):
    assert shares(text) == expected


@pytest.mark.parametrize("text", [*VAGUE, "", "…", "surprised", "zen"])
def test_what_is_not_in_the_lexicon_means_nothing(text):
    assert meaning(text) is None


def test_a_word_with_two_letters_swapped_is_understood():
    for word in WORDS:
        for place in range(1, len(word) - 1):
            swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
            if " " in swapped or len(word) < 4:
                continue
            np.testing.assert_allclose(meaning(swapped), WORDS[word], err_msg=swapped)


def test_what_falls_on_emotions_without_a_label_is_left_out():
    np.testing.assert_allclose(meaning("hostile, sad", ("anger", "sadness")), (0.375, 0.625))
    assert meaning("disgusted", ("anger", "sadness")) is None
    np.testing.assert_allclose(meaning("angry", ("surprise", "anger")), (0.0, 1.0))
