"""The tokens that an engine records at every step: the sub-tokens of the emotion words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, EmotionWord


class Tokenizer(Protocol):
    """The two methods of a tokenizer that are needed here."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Token ids of ``text``."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of ``token_ids``."""
        ...


def emotion_tokens(tokenizer: Tokenizer, labels: LabelSet) -> EmotionTokens:
    """Sub-tokens V_n of every surface form of every label (token_level_logits, section 3).

    A label is written as itself or as its adjective, each with and without a leading space and a
    capital, because a tokenizer spells ``sad``, `` sad``, ``Sad`` and `` Sad`` with different
    tokens and which of them an answer holds depends on what stands before it.
    """
    words = tuple(
        EmotionWord(label, form, tuple(tokenizer.encode(form, add_special_tokens=False)))
        for label in labels.names
        for written in labels.written(label)
        for form in (written, f" {written}")
    )
    token_ids = tuple(sorted({token_id for word in words for token_id in word.token_ids}))
    token_strings = tuple(tokenizer.decode([token_id]) for token_id in token_ids)
    return EmotionTokens(words, token_ids, token_strings)
