import pytest

from raypipe.explain.classify.replies import read_extraction, read_groups
from raypipe.labels import LabelSet

LABELS = LabelSet(("anger", "sadness"))
ANSWER = "The speaker is Fed up and will not hide it."


@pytest.mark.parametrize("reply", ["fed up", '"Fed up."', "<think>hm</think> fed up", "**fed up**"])
def test_an_emotion_in_the_answers_words(reply):
    assert read_extraction(reply, ANSWER) == "fed up"


def test_an_answer_may_decide_on_none():
    assert read_extraction("None.", ANSWER) is None


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("", "empty"),
        ("annoyed", "not those of the answer"),
        ("the speaker is fed up and will", "longer than 5 words"),
    ],
)
def test_a_reply_that_cannot_be_used(reply, fault):
    with pytest.raises(ValueError, match=fault):
        read_extraction(reply, ANSWER)


def test_groups_are_read_whole():
    reply = 'Here: {"fed up": "anger", "low": "sadness", "odd": "other"}'
    assert read_groups(reply, ["fed up", "low", "odd"], LABELS) == {
        "fed up": "anger",
        "low": "sadness",
        "odd": "other",
    }


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("anger", "no JSON"),
        ("{fed up: anger}", "broken"),
        ('{"low": "sadness"}', "leaves out fed up"),
        ('{"fed up": "rage"}', "'rage', given to fed up, is no category"),
        ('{"fed up": ["anger"]}', "no category"),
    ],
)
def test_a_reply_that_groups_wrongly(reply, fault):
    with pytest.raises(ValueError, match=fault):
        read_groups(reply, ["fed up"], LABELS)
