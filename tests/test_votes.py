"""Votes add up to what the policy says, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import Utterance, Vote
from raypipe.votes import (
    NO_AGREEMENT,
    Excluded,
    VotePolicy,
    consensus,
    labelled,
    soft_label,
)

LABELS = LabelSet(("anger", "happiness", "sadness"))


def utterance(*labels: str | tuple[str, ...], **fields: Any) -> Utterance:
    votes = tuple(
        Vote(str(number), (label,) if isinstance(label, str) else label)
        for number, label in enumerate(labels)
    )
    return Utterance("u", "d", None, None, b"x", 16_000, 1.0, votes=votes, **fields)


def test_votes_are_counted_by_the_rule() -> None:
    votes = (
        Vote("a", ("Sad", "angry")),
        Vote("b", ("other", "angry")),
        Vote("c", (), "no idea"),
        Vote("d", ("anger", "happy", "other")),
    )
    primary = soft_label(votes, LABELS)
    assert (primary.probs, primary.plurality, primary.n_votes) == ((0.5, 0.0, 0.5), None, 2)
    every = soft_label(votes, LABELS, VotePolicy(rule="primary+secondary"))
    assert every.probs == pytest.approx((3 / 5, 1 / 5, 1 / 5))
    assert (every.plurality, every.n_votes) == ("anger", 5)
    split = soft_label(votes, LABELS, VotePolicy(rule="split"))
    assert split.probs == pytest.approx((2 / 3, 0.5 / 3, 0.5 / 3))
    assert (split.plurality, split.n_votes) == ("anger", 3)
    assert soft_label(votes[2:3], LABELS).probs is None


def test_a_merge_comes_before_the_tie() -> None:
    votes = utterance("happiness", "excitement", "anger").votes
    merged = soft_label(votes, LABELS, VotePolicy(merges={"excitement": "happiness"}))
    assert (merged.plurality, merged.n_votes) == ("happiness", 3)
    apart = soft_label(votes, LABELS)
    assert (apart.plurality, apart.n_votes, apart.outside) == (None, 2, ("excitement",))


def test_votes_outside_the_set_go_where_the_policy_says() -> None:
    clip = utterance("anger", "anger", "frustration", "other")
    dropped = labelled(clip, LABELS)
    assert isinstance(dropped, Utterance)
    assert (dropped.soft_label, dropped.n_votes) == ((1.0, 0.0, 0.0), 2)
    excluded = labelled(clip, LABELS, VotePolicy(outside="drop_clip"))
    assert isinstance(excluded, Excluded)
    assert (excluded.error_type, excluded.utterance_id) == ("outside_label", "u")
    assert "frustration, other" in excluded.message
    wide = LabelSet((*LABELS.names, "other"))
    kept = labelled(clip, wide, VotePolicy(outside="other"))
    assert isinstance(kept, Utterance)
    assert (kept.soft_label, kept.plurality, kept.n_votes) == ((0.5, 0.0, 0.0, 0.5), None, 4)
    with pytest.raises(ConfigError, match="'other'"):
        labelled(clip, LABELS, VotePolicy(outside="other"))


def test_only_the_labels_that_count_can_drop_a_clip() -> None:
    clip = utterance(("anger", "frustration"), "anger")
    assert isinstance(labelled(clip, LABELS, VotePolicy(outside="drop_clip")), Utterance)
    policy = VotePolicy(outside="drop_clip", rule="primary+secondary")
    assert isinstance(labelled(clip, LABELS, policy), Excluded)


def test_all_inclusive_hears_typed_words_too() -> None:
    votes = (
        Vote("a", ("other",), "Furious, curious."),
        Vote("b", ("sadness",), "sad/a bit of everything"),
    )
    policy = VotePolicy(rule="all_inclusive", outside="other", aliases=False)
    counted = soft_label(votes, LabelSet((*LABELS.names, "other")), policy)
    assert counted.probs == pytest.approx((1 / 3, 0, 1 / 3, 1 / 3))


def test_a_label_is_not_its_relative_unless_aliases_say_so() -> None:
    votes = utterance("annoyed", "anger").votes
    assert soft_label(votes, LABELS).n_votes == 2
    assert soft_label(votes, LABELS, VotePolicy(aliases=False)).outside == ("annoyed",)


def test_speakers_own_judgements_count_only_when_asked() -> None:
    votes = (Vote("self:C-F1", ("anger",)), Vote("C-E1", ("sadness",)))
    assert soft_label(votes, LABELS).plurality == "sadness"
    assert soft_label(votes, LABELS, VotePolicy(self_reports=True)).n_votes == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), None),
        (("anger", "anger", "sadness"), "anger"),
        (("anger", "sadness"), NO_AGREEMENT),
        (("other", "other", "sadness"), "other"),
        (("other", "other", "sadness", "sadness", "anger"), NO_AGREEMENT),
    ],
)
def test_consensus_is_a_plurality_with_other_as_a_class(
    words: tuple[str, ...], expected: str | None
) -> None:
    assert consensus(utterance(*words).votes) == expected


@pytest.mark.parametrize(
    ("clips", "words", "consensus_word", "reason"),
    [
        ("all", ("fear",), NO_AGREEMENT, None),
        ("voted", ("fear",), None, "no_vote"),
        ("voted", ("anger", "sadness"), None, None),
        ("plurality", ("anger", "sadness"), None, "tie"),
        ("plurality", ("anger", "anger", "sadness", "happiness"), None, None),
        ("majority", ("anger", "anger", "sadness", "happiness"), None, "no_majority"),
        ("majority", ("anger", "anger", "sadness"), None, None),
        ("consensus", ("anger",), "fear", "no_consensus"),
        ("consensus", ("anger",), NO_AGREEMENT, "no_consensus"),
        ("consensus", ("anger",), "anger", None),
    ],
)
def test_clips_stay_by_the_rule(
    clips: Any, words: tuple[str, ...], consensus_word: str | None, reason: str | None
) -> None:
    found = labelled(utterance(*words, consensus=consensus_word), LABELS, VotePolicy(clips=clips))
    assert (found.error_type if isinstance(found, Excluded) else None) == reason


def test_the_corpus_consensus_can_be_the_reference() -> None:
    policy = VotePolicy(plurality="corpus", merges={"excitement": "happiness"})
    agreed = labelled(utterance("anger", consensus="excitement"), LABELS, policy)
    torn = labelled(utterance("anger", consensus=NO_AGREEMENT), LABELS, policy)
    assert isinstance(agreed, Utterance)
    assert isinstance(torn, Utterance)
    assert (agreed.plurality, torn.plurality) == ("happiness", None)
