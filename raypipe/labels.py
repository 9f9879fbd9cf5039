"""Emotion labels: the sets corpora use, and every word that means one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raypipe.errors import ConfigError, did_you_mean

# Words that models, annotators and label files use for a label. The first entry is the label.
# The adjective stands second: together with the label it is what an answer usually contains.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "anger": ("anger", "angry", "ang", "mad", "furious", "irritated", "annoyed"),
    "boredom": ("boredom", "bored", "bor"),
    "calm": ("calm", "calmness", "cal", "relaxed"),
    "contempt": ("contempt", "contemptuous", "con", "scorn"),
    "disgust": ("disgust", "disgusted", "dis", "disgusting"),
    "excitement": ("excitement", "excited", "exc"),
    "fear": ("fear", "fearful", "fea", "afraid", "scared", "anxious", "anxiety"),
    "frustration": ("frustration", "frustrated", "fru"),
    "happiness": ("happiness", "happy", "hap", "joy", "joyful", "cheerful"),
    "neutral": ("neutral", "neutrality", "neu", "neutral state"),
    "sadness": ("sadness", "sad", "depressed", "sorrow", "sorrowful"),
    "surprise": ("surprise", "surprised", "sur", "astonished"),
}

_WRITTEN_WORDS = 2
"""The label and the word after it among its aliases, its adjective: anger, angry."""

_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """An ordered set of K emotion labels; every distribution in a run is aligned with it.

    Args:
        names: the K labels in the order of every ``probs`` and ``soft_label`` list, K >= 2.

    Raises:
        ConfigError: for fewer than two, repeated, or unclean label names.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise ConfigError(f"a label set needs at least 2 labels, got {list(self.names)}")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"a label set names each label once, got {list(self.names)}")
        for name in self.names:
            if name != name.strip().lower() or not name:
                raise ConfigError(f"label {name!r} is not a lower-case word without outer blanks")
            if _UNSEEN.search(name):
                raise ConfigError(
                    f"label {name!a} has a control character or one that turns the direction "
                    "of writing"
                )

    def __len__(self) -> int:
        return len(self.names)

    def words(self, name: str) -> tuple[str, ...]:
        """All words that stand for label ``name``, the label itself first."""
        return ALIASES.get(name, (name,))

    def written(self, name: str) -> tuple[str, ...]:
        """How an answer writes label ``name``: as itself and its adjective, also capitalised.

        Example:
            >>> LabelSet(("anger", "sadness")).written("anger")
            ('anger', 'Anger', 'angry', 'Angry')
        """
        words = self.words(name)[:_WRITTEN_WORDS]
        return tuple(form for word in words for form in (word, word.capitalize()))

    def index(self, word: str) -> int | None:
        """Index of the label that ``word`` stands for, ignoring case and outer blanks, or None.

        Example:
            >>> LabelSet(("anger", "sadness")).index(" Angry ")
            0
        """
        clean = word.strip().lower()
        if clean in self.names:
            return self.names.index(clean)
        for position, name in enumerate(self.names):
            if clean in self.words(name):
                return position
        return None


LABEL_SETS: Mapping[str, LabelSet] = {
    "crema-d-6": LabelSet(("anger", "disgust", "fear", "happiness", "neutral", "sadness")),
    "emodb-7": LabelSet(("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")),
    "iemocap-4": LabelSet(("anger", "happiness", "neutral", "sadness")),
    "iemocap-6": LabelSet(
        ("anger", "excitement", "frustration", "happiness", "neutral", "sadness")
    ),
    "iemocap-5": LabelSet(("anger", "happiness", "neutral", "sadness", "other")),
    "iemocap-9": LabelSet(
        (
            "anger",
            "disgust",
            "excitement",
            "fear",
            "frustration",
            "happiness",
            "neutral",
            "sadness",
            "surprise",
        )
    ),
    "meld-7": LabelSet(("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")),
    "msp-improv-4": LabelSet(("anger", "happiness", "neutral", "sadness")),
    "msp-podcast-4": LabelSet(("anger", "happiness", "neutral", "sadness")),
    "msp-podcast-8": LabelSet(
        (
            "anger",
            "contempt",
            "disgust",
            "fear",
            "happiness",
            "neutral",
            "sadness",
            "surprise",
        )
    ),
    "msp-podcast-16": LabelSet(
        (
            "amused",
            "anger",
            "annoyed",
            "concerned",
            "confused",
            "contempt",
            "depressed",
            "disappointed",
            "disgust",
            "excitement",
            "fear",
            "frustration",
            "happiness",
            "neutral",
            "sadness",
            "surprise",
        )
    ),
    "ravdess-8": LabelSet(
        ("anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    ),
}


def label_set(spec: str | Iterable[str]) -> LabelSet:
    """A label set by its name in :data:`LABEL_SETS`, or from an explicit list of labels.

    Raises:
        ConfigError: for an unknown name or an invalid list.
    """
    if isinstance(spec, str):
        if spec not in LABEL_SETS:
            hint = did_you_mean(spec, LABEL_SETS)
            raise ConfigError(f"unknown label set {spec!r}{hint}; known: {', '.join(LABEL_SETS)}")
        return LABEL_SETS[spec]
    return LabelSet(tuple(spec))
