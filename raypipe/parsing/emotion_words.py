"""Free words for emotions, and the label each is nearest to.

What a model writes when nobody gave it options (explainable_speechlm, section 3.1). Words that lie
between two labels are left out: a language model, or a person, decides about those.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from raypipe.labels import ALIASES, LabelSet
from raypipe.votes import OTHER

FREE_WORDS: Mapping[str, tuple[str, ...]] = {
    "anger": (
        *("aggravated", "aggressive", "angered", "enraged", "exasperated", "fury", "hostile"),
        *("hostility", "incensed", "indignant", "infuriated", "irate", "irritable", "irritation"),
        *("livid", "outraged", "rage", "resentful", "resentment", "annoyance", "cross"),
    ),
    "boredom": ("uninterested", "weary", "disinterested", "apathetic", "apathy"),
    "calm": ("peaceful", "serene", "tranquil", "at ease", "soothing", "composed"),
    "contempt": (
        *("condescending", "derisive", "disdain", "disdainful", "dismissive", "mocking"),
        *("scornful", "sneering", "haughty"),
    ),
    "disgust": (
        *("appalled", "grossed out", "nauseated", "repelled", "repulsed", "repulsion"),
        *("revolted", "revulsion", "sickened", "put off", "distaste"),
    ),
    "excitement": ("thrilled", "eager", "enthusiastic", "enthusiasm", "exhilarated"),
    "fear": (
        *("alarmed", "apprehensive", "apprehension", "dread", "frightened", "nervous"),
        *("nervousness", "panicked", "panic", "petrified", "terrified", "terror", "worried"),
        *("worry", "uneasy", "scary"),
    ),
    "frustration": ("fed up",),
    "happiness": (
        *("amused", "amusement", "content", "contentment", "delighted", "delight", "ecstatic"),
        *("elated", "elation", "glad", "gleeful", "happily", "jolly", "merry", "pleased"),
        *("pleasure", "satisfied", "satisfaction", "playful", "overjoyed"),
    ),
    "neutral": (
        *("emotionless", "impassive", "indifferent", "matter-of-fact", "unemotional"),
        *("neutrally", "objective", "informative", "no emotion", "no particular emotion"),
    ),
    "sadness": (
        *("dejected", "despair", "despondent", "disappointed", "disappointment", "downcast"),
        *("gloomy", "grief", "grieving", "heartbroken", "hopeless", "hopelessness", "melancholic"),
        *("melancholy", "miserable", "mournful", "sadly", "unhappy", "depression", "tearful"),
        *("somber", "sombre", "regret", "regretful", "lonely"),
    ),
    "surprise": (
        *("amazed", "amazement", "astonishment", "disbelief", "shocked", "shock", "startled"),
        *("stunned", "surprising", "astounded", "incredulous"),
    ),
    OTHER: (
        *("confused", "confusion", "curious", "curiosity", "embarrassed", "embarrassment"),
        *("guilt", "guilty", "jealous", "jealousy", "love", "loving", "nostalgic", "proud"),
        *("pride", "relieved", "relief", "sarcastic", "sarcasm", "shame", "ashamed", "tired"),
        *("thoughtful", "pensive", "hopeful", "grateful", "gratitude", "sympathetic", "determined"),
    ),
}
"""Words by the label they are nearest to; ``other`` for emotions that no label set has."""


@lru_cache(maxsize=8)
def free_vocabulary(labels: LabelSet) -> Mapping[str, str]:
    """Every word that may name an emotion, and its label; ``other`` where the set has none.

    Args:
        labels: of the run.
    """
    known: dict[str, str] = {name: name for name in labels.names}
    taken = {word for name in labels.names for word in labels.words(name)}
    for label, words in FREE_WORDS.items():
        target = label if label in labels.names else OTHER
        own = (label, *ALIASES.get(label, ())) if label != OTHER else ()
        for word in (*own, *words):
            # Abbreviations such as "con" mean a label in label files, not in a sentence.
            if word not in taken and len(word) > 3:
                known.setdefault(word, target)
    return known
