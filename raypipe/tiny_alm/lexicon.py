"""A small lexicon of emotion words: what a typed description means, as a mix of emotions.

The simulated annotators of :mod:`raypipe.tiny_alm.typed` choose their words from it, and the
stand-in for a language model, :mod:`raypipe.tiny_alm.lexicon_reader`, understands them by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raypipe.tiny_alm.synth import EMOTIONS

Array = NDArray[np.float64]

# Shares in the order of EMOTIONS: anger, disgust, fear, happiness, neutral, sadness.
WORDS: Mapping[str, tuple[float, ...]] = {
    "angry": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "annoyed": (0.6, 0.2, 0.0, 0.0, 0.2, 0.0),
    "irritated": (0.7, 0.2, 0.0, 0.0, 0.1, 0.0),
    "frustrated": (0.6, 0.0, 0.0, 0.0, 0.0, 0.4),
    "bitter": (0.4, 0.2, 0.0, 0.0, 0.0, 0.4),
    "hostile": (0.6, 0.4, 0.0, 0.0, 0.0, 0.0),
    "defensive": (0.5, 0.0, 0.5, 0.0, 0.0, 0.0),
    "stern": (0.4, 0.0, 0.0, 0.0, 0.6, 0.0),
    "fired up": (0.5, 0.0, 0.0, 0.5, 0.0, 0.0),
    "disgusted": (0.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    "dismissive": (0.0, 0.5, 0.0, 0.0, 0.5, 0.0),
    "sarcastic": (0.2, 0.5, 0.0, 0.3, 0.0, 0.0),
    "smug": (0.0, 0.5, 0.0, 0.5, 0.0, 0.0),
    "disappointed": (0.0, 0.4, 0.0, 0.0, 0.0, 0.6),
    "creeped out": (0.0, 0.5, 0.5, 0.0, 0.0, 0.0),
    "fearful": (0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
    "nervous": (0.0, 0.0, 0.7, 0.0, 0.3, 0.0),
    "tense": (0.3, 0.0, 0.5, 0.0, 0.2, 0.0),
    "worried": (0.0, 0.0, 0.6, 0.0, 0.0, 0.4),
    "hesitant": (0.0, 0.0, 0.4, 0.0, 0.6, 0.0),
    "excited": (0.0, 0.0, 0.3, 0.7, 0.0, 0.0),
    "happy": (0.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    "hopeful": (0.0, 0.0, 0.0, 0.6, 0.4, 0.0),
    "relaxed": (0.0, 0.0, 0.0, 0.4, 0.6, 0.0),
    "bittersweet": (0.0, 0.0, 0.0, 0.5, 0.0, 0.5),
    "calm": (0.0, 0.0, 0.0, 0.1, 0.9, 0.0),
    "bored": (0.0, 0.0, 0.0, 0.0, 0.7, 0.3),
    "resigned": (0.0, 0.0, 0.0, 0.0, 0.4, 0.6),
    "sad": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
}
"""English words and what they mean, each summing to 1."""

TRANSLATIONS: Mapping[str, Mapping[str, str]] = {
    "German": {
        **{"angry": "wütend", "irritated": "gereizt", "disgusted": "angeekelt"},
        **{"fearful": "ängstlich", "nervous": "nervös", "happy": "glücklich"},
        **{"calm": "ruhig", "sad": "traurig", "slightly": "etwas", "very": "sehr"},
    },
    "Japanese": {"angry": "怒っている", "happy": "嬉しい", "calm": "穏やか", "sad": "悲しい"},
    "Spanish": {
        **{"angry": "enojado", "annoyed": "molesto", "disgusted": "asqueado"},
        **{"fearful": "asustado", "nervous": "nervioso", "happy": "feliz"},
        **{"calm": "tranquilo", "sad": "triste", "slightly": "un poco", "very": "muy"},
    },
}
"""Words, and the intensities ``slightly`` and ``very``, in other languages."""

_DEGREES = {
    **dict.fromkeys(("slightly", "a bit", "bit", "a little", "mildly"), 0.5),
    **dict.fromkeys(("somewhat", "kind of", "fairly"), 0.75),
    **dict.fromkeys(("very", "really", "quite"), 1.5),
}
INTENSITIES: Mapping[str, float] = {
    **_DEGREES,
    **{
        words[degree]: _DEGREES[degree]
        for words in TRANSLATIONS.values()
        for degree in ("slightly", "very")
        if degree in words
    },
}
"""Weights of the words that stand before another; a word alone has 1."""

MEANINGS: Mapping[str, Array] = {
    **{word: np.array(shares) for word, shares in WORDS.items()},
    **{
        translated: np.array(WORDS[word])
        for words in TRANSLATIONS.values()
        for word, translated in words.items()
        if word in WORDS
    },
}
"""Every word of every language with its mix, shape ``(emotions,)``."""

VAGUE = ("hmm", "unclear", "not sure", "can't tell", "none of these", "no idea", "n/a")
"""What people type who have nothing to say."""

_NEUTRAL = EMOTIONS.index("neutral")
_LONGEST = max(len(phrase.split()) for phrase in (*MEANINGS, *INTENSITIES))
_SHORTEST_MISSPELT = 4


def _letters(phrase: str) -> tuple[str, str]:
    """What swapped letters leave as it was: the first letter, and which letters there are."""
    return phrase[:1], "".join(sorted(phrase))


_BY_LETTERS = {
    _letters(phrase): phrase
    for phrase in (*MEANINGS, *INTENSITIES)
    if len(phrase) >= _SHORTEST_MISSPELT
}


def meaning(text: str, labels: Sequence[str] = EMOTIONS) -> Array | None:
    """The mix of emotions that a typed description stands for.

    Each word counts with the weight of its intensity; what is missing to 1 is neutral, so that
    ``slightly angry`` is half neutral. Swapped letters are understood, unknown words passed over.

    Args:
        text: one annotator's description.
        labels: names of the emotions of the result; what falls on others is left out.

    Returns:
        Shape ``(labels,)``, summing to 1; None if no word is known.

    Example:
        >>> meaning("slightly agnry")
        array([0.5, 0. , 0. , 0. , 0.5, 0. ])
        >>> meaning("wütend, very sad", ["anger", "sadness"])
        array([0.4, 0.6])
    """
    terms = list(_terms(re.findall(r"[^\s,;:/&.!?()\"]+", text.casefold())))
    if not terms:
        return None
    total = np.asarray(sum(weight * MEANINGS[word] for word, weight in terms))
    total[_NEUTRAL] += max(0.0, 1.0 - sum(weight for _, weight in terms))
    kept = np.array([total[EMOTIONS.index(name)] if name in EMOTIONS else 0.0 for name in labels])
    return kept / kept.sum() if kept.sum() > 0.0 else None


def _terms(tokens: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Known words and their weights."""
    weight, position = 1.0, 0
    while position < len(tokens):
        for length in range(min(_LONGEST, len(tokens) - position), 0, -1):
            written = " ".join(tokens[position : position + length])
            known = written in MEANINGS or written in INTENSITIES
            phrase = written if known else _BY_LETTERS.get(_letters(written))
            if phrase is not None and phrase in INTENSITIES:
                weight = INTENSITIES[phrase]
                break
            if phrase is not None:
                yield phrase, weight
                weight = 1.0
                break
        position += length
