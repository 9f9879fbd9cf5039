import pytest

from raypipe.labels import ALIASES, LABEL_SETS
from raypipe.parsing.choices import read_choice, read_free
from raypipe.parsing.emotion_words import FREE_WORDS, free_vocabulary
from raypipe.prompts.options import lettered, options_for
from raypipe.records import OptionOrder

LABELS = LABEL_SETS["msp-podcast-8"]
OPTIONS = lettered(LABELS)


@pytest.mark.parametrize(
    ("text", "label", "rule"),
    [
        ("The speaker sounds gloomy.", "sadness", "word_map"),
        ("The speaker sounds angry.", "anger", "parser"),
        ("The speaker seems put off.", "disgust", "word_map"),
        ("The tone is matter-of-fact.", "neutral", "word_map"),
        ("She is curious.", "other", "word_map"),
        ("She sounds thrilled!", "other", "word_map"),  # excitement is none of the eight
        ("Annoyed and furious.", "anger", "parser"),
        ("1. Low voice.\n2. Slow.\nThe emotion is scared.", "fear", "parser"),
        ("<asr>I'm so happy</asr><answer>I think the emotion is sad</answer>", "sadness", "parser"),
    ],
)
def test_a_free_answer_names_an_emotion(text, label, rule):
    emotion = read_free(text, LABELS)
    assert (emotion.label, emotion.rule) == (label, rule)
    assert emotion.phrase is not None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("It sounds annoyed, with a touch of fear.", "several"),
        ("Gloomy and nervous.", "several"),
        ("There is no voice.", "no_answer"),
        ("I think the emotion is upset", "no_answer"),
        ("I can't tell.", "refusal"),
    ],
)
def test_what_is_not_clear_is_no_reading(text, fault):
    emotion = read_free(text, LABELS)
    assert (emotion.phrase, emotion.label, emotion.fault) == (None, None, fault)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *[(text, "sadness") for text in ("B", "B.", "(B)", "B. Sad", "B) Sad", "**B. Sad**")],
        *[(text, "sadness") for text in ("Answer: B", "The answer is B. Sad.", "sad")],
        ("The correct option is (D) Surprise, as the pitch rises.", "surprise"),
        ("A happy voice", "happiness"),  # an article
        ("A sad, low voice. So B.", "sadness"),
        ("I. Other", "other"),
        ("Other", "other"),
        ("1. Anna lost it.\n2. High pitch.\nThe answer is E. Fear.", "fear"),
        ("<asr>B</asr><answer>I think the emotion is happy</answer>", "happiness"),
    ],
)
def test_an_option_is_chosen_by_its_letter_or_its_words(text, label):
    assert read_choice(text, LABELS, OPTIONS).label == label


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("B. Angry", "letter_and_words_differ"),
        ("A. Angry\nB. Sad\nC. Happy", "several"),
        ("The answer is B or C.", "several"),
        ("A and B", "several"),
        ("It might be B or C", "several"),
        ("Either A or C.", "several"),
        ("A/C", "several"),
        ("A, B", "several"),
        ("Not B", "no_answer"),
        ("None of the above", "no_answer"),
        ("I am not sure.", "no_answer"),
    ],
)
def test_what_chooses_nothing_is_no_reading(text, fault):
    emotion = read_choice(text, LABELS, OPTIONS)
    assert (emotion.label, emotion.fault) == (None, fault)


def test_letters_are_those_of_the_utterances_own_order():
    shuffled = options_for(OptionOrder(5), LABELS, "a")
    for option in shuffled:
        assert read_choice(f"{option.letter}.", LABELS, shuffled).label == option.label
    assert shuffled != options_for(OptionOrder(5), LABELS, "b")
    assert options_for(None, LABELS, "a") == ()


def test_every_free_word_has_one_label_and_is_read_as_it():
    words = [word for group in FREE_WORDS.values() for word in group]
    assert len(set(words)) == len(words)
    known = {word for group in ALIASES.values() for word in group}
    assert not known & set(words)
    for word, label in free_vocabulary(LABELS).items():
        assert read_free(f"The emotion is {word}.", LABELS).label == label, word
