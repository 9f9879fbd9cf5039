"""Lettered options of closed-form prompts."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, Option, OptionOrder
from raypipe.votes import OTHER

# The order and the words of explainable_speechlm, section 3.1; other labels come after these.
_TEXTS: Mapping[str, str] = {
    "anger": "Angry",
    "sadness": "Sad",
    "happiness": "Happy",
    "surprise": "Surprise",
    "fear": "Fear",
    "disgust": "Disgust",
    "contempt": "Contempt",
    "neutral": "Neutral",
}


def option_text(label: str) -> str:
    """A label as a word among options.

    Example:
        >>> option_text("sadness"), option_text("boredom")
        ('Sad', 'Boredom')
    """
    return _TEXTS.get(label, label.capitalize())


def lettered(labels: LabelSet, shuffled_by: tuple[int, str] | None = None) -> tuple[Option, ...]:
    """The options of a question: every label, and Other as the last.

    Args:
        labels: of the run.
        shuffled_by: a seed and an utterance's id, which together give the labels an order of their
            own; None for the paper's order.

    Raises:
        ConfigError: for more labels than letters.
    """
    names = [name for name in _TEXTS if name in labels.names]
    names += [name for name in labels.names if name not in _TEXTS and name != OTHER]
    if len(names) >= len(string.ascii_uppercase):
        raise ConfigError(f"a closed form has at most 25 labels, the label set has {len(names)}")
    if shuffled_by is not None:
        seed, utterance_id = shuffled_by
        digest = hashlib.sha256(f"{seed} {utterance_id}".encode()).digest()
        order = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(len(names))
        names = [names[place] for place in order]
    return tuple(
        Option(letter, name, option_text(name))
        for letter, name in zip(string.ascii_uppercase, [*names, OTHER], strict=False)
    )


def options_for(
    order: OptionOrder | None, labels: LabelSet, utterance_id: str
) -> tuple[Option, ...]:
    """The options that a question about an utterance offers; none for another form than closed."""
    if order is None:
        return ()
    return lettered(labels, None if order.seed is None else (order.seed, utterance_id))


LETTERS = LabelSet(tuple(string.ascii_lowercase[:25]))
"""The letters of options as labels, to ask a tokenizer for their tokens."""


def with_letters(tokens: EmotionTokens, letters: EmotionTokens) -> EmotionTokens:
    """Recorded tokens with those of options' letters beside them.

    Args:
        tokens: of the labels' words.
        letters: of :data:`LETTERS`; of their forms the capitals are options.

    Returns:
        Words of letters have the letter as their label, such as ``B``.
    """
    capitals = [word for word in letters.words if word.form.isupper()]
    words = (*tokens.words, *(replace(word, label=word.form.strip()) for word in capitals))
    strings = dict(zip(letters.token_ids, letters.token_strings, strict=True))
    strings |= dict(zip(tokens.token_ids, tokens.token_strings, strict=True))
    ids = sorted({token_id for word in words for token_id in word.token_ids})
    return EmotionTokens(words, tuple(ids), tuple(strings[token_id] for token_id in ids))
