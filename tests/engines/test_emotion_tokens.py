import pytest

from raypipe.engines.emotion_tokens import emotion_tokens
from raypipe.labels import LabelSet


class LetterTokenizer:
    """One token per character: its code point."""

    def encode(self, text, *, add_special_tokens):
        assert not add_special_tokens
        return [ord(letter) for letter in text]

    def decode(self, token_ids):
        return "".join(chr(token_id) for token_id in token_ids)


def test_every_label_is_spelled_as_itself_and_as_its_adjective():
    made = emotion_tokens(LetterTokenizer(), LabelSet(("anger", "sadness")))
    assert [word.form for word in made.words if word.label == "anger"] == [
        "anger", " anger", "Anger", " Anger", "angry", " angry", "Angry", " Angry",
    ]  # fmt: skip
    assert [word.form for word in made.words if word.label == "sadness"][4] == "sad"


def test_a_label_without_aliases_is_spelled_as_itself():
    made = emotion_tokens(LetterTokenizer(), LabelSet(("anger", "awe")))
    assert [word.form for word in made.words if word.label == "awe"] == [
        "awe",
        " awe",
        "Awe",
        " Awe",
    ]


def test_recorded_ids_are_the_ascending_union_of_all_sub_tokens():
    made = emotion_tokens(LetterTokenizer(), LabelSet(("awe", "ego")))
    assert made.token_ids == tuple(sorted(map(ord, " AEaegow")))
    assert "".join(made.token_strings) == " AEaegow"
    assert set(made.token_ids) == {token_id for word in made.words for token_id in word.token_ids}


def test_forms_decode_to_what_they_were_made_of(frontend, emotion_tokens):
    tokenizer = frontend._tokenizer
    assert {word.label for word in emotion_tokens.words} == {
        "anger", "disgust", "fear", "happiness", "neutral", "sadness",
    }  # fmt: skip
    for word in emotion_tokens.words:
        assert tokenizer.decode(list(word.token_ids)) == word.form
    assert list(emotion_tokens.token_ids) == sorted(set(emotion_tokens.token_ids))


@pytest.mark.parametrize("form", ["sad", " sad", "Sad", " Sad"])
def test_a_leading_space_or_capital_makes_another_token(emotion_tokens, form):
    tokens = {word.form: word.token_ids for word in emotion_tokens.words}
    others = [tokens[other] for other in ("sad", " sad", "Sad", " Sad") if other != form]
    assert tokens[form] not in others
