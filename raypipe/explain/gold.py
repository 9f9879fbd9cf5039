"""The label that an utterance is explained by and trained towards."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal

from raypipe.labels import ALIASES
from raypipe.records import Utterance
from raypipe.votes import NO_AGREEMENT

GoldRule = Literal["consensus", "plurality"]
"""``consensus``: what the corpus itself publishes, else ``plurality``: the most voted label."""

NO_CONSENSUS = "no_consensus"
"""Why an utterance without a gold label is left out: a tie, no agreement, or no votes."""


def gold_label(utterance: Utterance, rule: GoldRule = "consensus") -> str | None:
    """The gold label, in the words of :mod:`raypipe.labels`; None for a tie or without votes.

    It may be a word outside every label set, such as ``other``, where the corpus publishes that.
    """
    word = utterance.plurality
    if rule == "consensus" and utterance.consensus is not None:
        word = utterance.consensus
    if word is None:
        return None
    clean = word.strip().lower()
    return None if clean in ("", NO_AGREEMENT) else _labels_by_word().get(clean, clean)


@cache
def _labels_by_word() -> Mapping[str, str]:
    """Labels by every word for them; a word that is a label itself stands for no other."""
    by_word = {word: label for label, words in ALIASES.items() for word in words}
    return {**by_word, "annoyed": "annoyed", "depressed": "depressed"}
