"""What is shown of an utterance: its descriptions and its reference."""

from __future__ import annotations

from in_process import utterance

from raypipe.records import Vote
from raypipe.relabel.item import described, typed_descriptions


def test_descriptions_stand_in_the_votes_order_without_blanks_and_self_reports() -> None:
    votes = (
        Vote("a", ("other",), "  Slightly\tAngry "),
        Vote("b", ("anger",), " "),
        Vote("self:s1", ("other",), "proud"),
        Vote("c", ("anger",), "tired"),
    )
    assert typed_descriptions(votes) == ("Slightly Angry", "tired")
    assert typed_descriptions(votes, self_reports=True) == ("Slightly Angry", "proud", "tired")


def test_without_a_vote_for_a_label_there_is_no_reference() -> None:
    import dataclasses

    heard = utterance("u1")
    item = described(heard)
    assert item is not None
    assert (item.reference, item.words) == (heard.soft_label, ())
    assert described(dataclasses.replace(heard, soft_label=None)) is None
