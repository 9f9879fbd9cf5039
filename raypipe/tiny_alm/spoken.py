"""Synthetic corpus with words: read sentences of a small vocabulary, spoken in eight emotions.

Every word of :data:`PRONUNCIATIONS` has syllables of its own, so that a transcript can be heard. A
sentence is drawn without regard to the emotion: what was said tells nothing about how it was said.
Two of the emotions, surprise and contempt, are in no other corpus here: the bundled models never
heard their names together with a voice, so what they learn of them, they learn by fine-tuning.

A clip's sentence, mix, votes and sound have a source of chance each, so transcripts and votes are
drawn without speech.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LABEL_SETS
from raypipe.records import FloatArray, Utterance, Vote
from raypipe.tiny_alm.annotators import Annotator
from raypipe.tiny_alm.corpus import encode_flac
from raypipe.tiny_alm.synth import (
    EMOTIONS,
    PROFILES,
    SAMPLING_RATE,
    VOWELS,
    Consonant,
    Delivery,
    Speaker,
    Syllable,
    random_speaker,
    speak,
)
from raypipe.votes import soft_label

DATASET = "synthetic-spoken"
LABEL_SET = LABEL_SETS["msp-podcast-8"]
SpokenSplit = Literal["pretrain", "train", "development", "test"]

SPEAKERS: Mapping[SpokenSplit, int] = {
    "pretrain": 400,
    "train": 120,
    "development": 24,
    "test": 40,
}
"""Voices of each split, which share none. The bundled model was trained on ``pretrain``."""

VOTES_PER_CLIP = 6
"""An even number: some utterances have no majority, and some a tie."""
LONGEST_S = 7.0

_LETTER: Mapping[SpokenSplit, str] = {
    "pretrain": "p",
    "train": "l",
    "development": "d",
    "test": "t",
}
# The demo's corpus has streams 1 and 2, the typed one 11 to 13.
_STREAM: Mapping[SpokenSplit, int] = {"pretrain": 21, "train": 22, "development": 23, "test": 24}
# A voice's source of chance ends in 0 (numpy fills up with zeros), so these do not.
_SENTENCE, _MIX, _VOTES, _SOUND = 1, 2, 3, 4
_POOL_SIZE = 24
_POOL_SEED = 1987
_BIAS = 0.25
_PURE_SHARE = 0.6

_CONSONANTS: Mapping[str, Consonant] = {
    "": Consonant(0.0, 0.0, 0.0),
    "t": Consonant(0.03, -0.8, 3.0),
    "k": Consonant(0.03, 0.8, 3.0),
    "s": Consonant(0.1, -0.8, 3.0),
    "f": Consonant(0.1, 0.6, 3.0),
}
"""Bursts: short or long, bright or dark."""

PRONUNCIATIONS: Mapping[str, str] = {
    "Anna": "{ tV",
    "Lucy": "fu si",
    "Tony": "tO ti",
    "Peter": "fi t3",
    "Doctor": "tA t3",
    "Sister": "sI t3",
    "Brother": "fV s3",
    "Nora": "O t{",
    "found": "fA",
    "lost": "kO",
    "took": "tU",
    "needs": "ki",
    "left": "kE",
    "hid": "I",
    "moved": "u",
    "cut": "kV",
    "the": "sV",
    "her": "3",
    "my": "f{",
    "ticket": "tI kI",
    "letter": "fE t3",
    "window": "E U",
    "garden": "kA tV",
    "money": "V i",
    "table": "tE fU",
    "flower": "fO f3",
    "music": "ku kI",
    "today": "tu sE",
    "again": "A sE",
    "tonight": "sA t{",
    "always": "sO s{",
    "early": "k3 i",
    "soon": "su",
}
"""Syllables of each word: a consonant of :data:`_CONSONANTS` and a vowel of ``synth.VOWELS``.

Every word begins with a syllable that no other word has at any place.
"""

_WORDS = tuple(PRONUNCIATIONS)
SUBJECTS, VERBS, ARTICLES, OBJECTS, TIMES = (
    _WORDS[:8],
    _WORDS[8:16],
    _WORDS[16:19],
    _WORDS[19:27],
    _WORDS[27:],
)
_TIMELESS_SHARE = 0.25

# Columns as in ``synth.FEATURES``: pitch, accent, slope, glide, rate, level, stress, brightness,
# breath, jitter, shimmer, tremor, creak, pause, formants, attack.
_NEW_PROFILES: Mapping[str, tuple[float, ...]] = {
    "surprise": (
        *(7.0, 2.6, 7.0, 7.0, -0.1, 2.0, 3.0, 0.65),
        *(0.2, 0.15, 0.06, 0.0, 0.0, 0.06, 0.04, 0.1),
    ),
    "contempt": (
        *(-4.0, 0.8, 2.0, 3.0, -0.3, 1.0, 8.0, 0.9),
        *(0.03, 0.1, 0.05, 0.0, 0.35, 0.08, -0.12, 0.5),
    ),
}

Array = NDArray[np.float64]

SPOKEN_PROFILES: Array = np.array(
    [
        PROFILES[EMOTIONS.index(name)] if name in EMOTIONS else _NEW_PROFILES[name]
        for name in LABEL_SET.names
    ]
)
"""Features of each of the eight emotions, shape ``(emotions, features)``."""


def syllables(sentence: str) -> tuple[Syllable, ...]:
    """How a sentence is spoken; pauses are between words only.

    Raises:
        KeyError: for a word that is not in :data:`PRONUNCIATIONS`, in either case of its first
            letter.
    """
    spoken = []
    for word in sentence.rstrip(".").split():
        parts = PRONUNCIATIONS[word].split()
        spoken += [_syllable(part, pause=part is parts[-1]) for part in parts]
    return tuple(spoken)


def _syllable(written: str, *, pause: bool) -> Syllable:
    return Syllable(_CONSONANTS[written[:-1]], VOWELS.index(written[-1]), pause)


def sentence(index: int, split: SpokenSplit = "test", seed: int = 0) -> str:
    """What is said in clip number ``index``.

    Example:
        >>> sentence(0)
        'Anna left her ticket soon.'
    """
    rng = _generator(index, split, seed, _SENTENCE)
    words = [str(rng.choice(slot)) for slot in (SUBJECTS, VERBS, ARTICLES, OBJECTS)]
    if rng.random() >= _TIMELESS_SHARE:
        words.append(str(rng.choice(TIMES)))
    return " ".join(words) + "."


def true_mix(index: int, split: SpokenSplit = "test", seed: int = 0) -> Array:
    """The emotion that clip number ``index`` was spoken with: pure, or mixed of two.

    Voices of ``pretrain`` know six emotions only.

    Returns:
        Shape ``(emotions,)``, summing to 1, in the order of :data:`LABEL_SET`.
    """
    rng = _generator(index, split, seed, _MIX)
    known = [n for n, name in enumerate(LABEL_SET.names) if split != "pretrain" or name in EMOTIONS]
    mix = np.zeros(len(LABEL_SET))
    leading, second = rng.choice(known, 2, replace=False)
    share = rng.uniform(0.0, 0.1) if rng.random() < _PURE_SHARE else rng.uniform(0.2, 0.5)
    mix[leading], mix[second] = 1.0 - share, share
    return mix


@lru_cache(maxsize=1)
def annotators() -> tuple[Annotator, ...]:
    """Simulated annotators of eight emotions, the same at every call."""
    rng = np.random.default_rng(_POOL_SEED)
    return tuple(
        Annotator(
            name=f"spoken-a{number:02d}",
            bias=rng.normal(0.0, _BIAS, len(LABEL_SET)),
            generosity=float(rng.uniform(0.0, 0.6)),
            emotions=LABEL_SET.names,
        )
        for number in range(_POOL_SIZE)
    )


def spoken_votes(index: int, split: SpokenSplit = "test", seed: int = 0) -> tuple[Vote, ...]:
    """Votes of :data:`VOTES_PER_CLIP` annotators on clip number ``index``, without its audio."""
    rng = _generator(index, split, seed, _VOTES)
    mix = true_mix(index, split, seed)
    chosen = rng.choice(_POOL_SIZE, VOTES_PER_CLIP, replace=False)
    return tuple(annotators()[number].vote(mix, rng) for number in np.sort(chosen))


def spoken_clip(
    index: int, split: SpokenSplit = "test", seed: int = 0
) -> tuple[FloatArray, Delivery]:
    """Samples of clip number ``index`` at ``synth.SAMPLING_RATE``, and their features."""
    return speak(
        true_mix(index, split, seed),
        _voice(split, index % SPEAKERS[split]),
        _generator(index, split, seed, _SOUND),
        text=syllables(sentence(index, split, seed)),
        profiles=SPOKEN_PROFILES,
        longest_s=LONGEST_S,
    )


def spoken_utterances(
    count: int, *, split: SpokenSplit = "test", seed: int = 0
) -> Iterator[Utterance]:
    """The first ``count`` utterances of a split.

    Args:
        count: number of utterances.
        split: splits share no speaker.
        seed: another seed gives other sentences of the same speakers.
    """
    for index in range(count):
        yield spoken_utterance(index, split=split, seed=seed)


def spoken_utterance(index: int, *, split: SpokenSplit = "test", seed: int = 0) -> Utterance:
    """Utterance number ``index`` of a split: FLAC audio, transcript and votes."""
    samples, _ = spoken_clip(index, split, seed)
    votes = spoken_votes(index, split, seed)
    counted = soft_label(votes, LABEL_SET)
    return Utterance(
        utterance_id=clip_id(index, split),
        dataset=DATASET,
        split=split,
        speaker=_speaker(index, split),
        audio=encode_flac(samples),
        sampling_rate=SAMPLING_RATE,
        duration_s=len(samples) / SAMPLING_RATE,
        transcript=sentence(index, split, seed),
        votes=votes,
        soft_label=counted.probs,
        plurality=counted.plurality,
        n_votes=counted.n_votes,
    )


def clip_id(index: int, split: SpokenSplit = "test") -> str:
    """Utterance id of clip number ``index``; its speaker follows from the number.

    Example:
        >>> clip_id(41)
        'spo-t001-00041'
    """
    return f"{_speaker(index, split)}-{index:05d}"


def _speaker(index: int, split: SpokenSplit) -> str:
    return f"spo-{_LETTER[split]}{index % SPEAKERS[split]:03d}"


@lru_cache(maxsize=sum(SPEAKERS.values()))
def _voice(split: SpokenSplit, number: int) -> Speaker:
    return random_speaker(np.random.default_rng([_STREAM[split], number]))


def _generator(index: int, split: SpokenSplit, seed: int, part: int) -> np.random.Generator:
    return np.random.default_rng([_STREAM[split], seed, index, part])
