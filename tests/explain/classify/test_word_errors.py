import pytest

from raypipe.explain.classify.word_errors import (
    WordErrors,
    count_word_errors,
    most_frequent_sentence,
    normalised,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Anna's ticket -- TODAY!", "anna's ticket today"),
        ("'Quoted', don\u2019t; e-mail_me", "quoted don't e mail me"),
        ("\uff28\uff49", "hi"),
        (" ... ", ""),
    ],
)
def test_words_are_compared_without_case_and_punctuation(text, words):
    assert normalised(text) == words


def test_errors_are_counted_by_hand():
    assert count_word_errors("Anna lost it.", "anna found it today") == WordErrors(3, 1, 0, 1)
    assert count_word_errors("Anna lost it.", "lost") == WordErrors(3, 0, 2, 0)
    assert count_word_errors("Anna lost it.", "Anna LOST it") == WordErrors(3, 0, 0, 0)


def test_without_a_transcript_every_word_is_deleted():
    assert count_word_errors("Anna lost it.", None) == WordErrors(3, 0, 3, 0)
    assert count_word_errors("Anna lost it.", "...") == WordErrors(3, 0, 3, 0)
    assert count_word_errors("...", "Anna") is None


def test_the_commonest_sentence():
    assert most_frequent_sentence(["B b.", "a a", "b b", "A A!"]) == "a a"
