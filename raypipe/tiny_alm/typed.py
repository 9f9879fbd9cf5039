"""Synthetic corpus with typed descriptions: its annotators write when no label fits.

Speech is the synthesiser's and annotators are those of the demo's corpus, with the habit of
choosing Other and typing what they hear (``slightly angry``, ``triste``, ``hapyp``), as in
MSP-Podcast. Clips, speakers and votes are others than the demo's. What was spoken stands nowhere in
the corpus; :func:`true_mix` gives it to those who measure.

Mix, votes and sound of a clip have a source of chance each, so votes are drawn without speech.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.records import Utterance, Vote
from raypipe.tiny_alm.annotators import Annotator, annotator_pool
from raypipe.tiny_alm.corpus import encode_flac, random_mix
from raypipe.tiny_alm.lexicon import TRANSLATIONS, VAGUE, WORDS, meaning
from raypipe.tiny_alm.synth import LABEL_SET, SAMPLING_RATE, Speaker, random_speaker, speak
from raypipe.votes import OTHER, soft_label

DATASET = "synthetic-typed"
TypedSplit = Literal["train", "development", "test"]

SPEAKERS: dict[TypedSplit, int] = {"train": 200, "development": 40, "test": 60}
VOTES_PER_CLIP = 5
"""As many as MSP-Podcast asks for at least."""

_LETTER: dict[TypedSplit, str] = {"train": "l", "development": "d", "test": "t"}
# The demo's corpus has streams 1 and 2.
_STREAM: dict[TypedSplit, int] = {"train": 11, "development": 12, "test": 13}
# A voice's source of chance ends in 0 (numpy fills up with zeros), so these do not.
_MIX, _VOTES, _SOUND = 1, 2, 3
_HABITS_SEED = 2024

_HEARING = 16.0  # concentration of what is heard around what is spoken
_FITS = 0.9  # share of the leading emotion from which on its label fits
_MISFITS = 0.5  # share up to which none does
_LEAST_MISFIT = 0.03
_TYPED_BESIDE = 0.25
_SECONDARY_BESIDE_OTHER = 0.15
_TWO_WORDS = 0.35
_CARE = 0.06  # total variation by which a description e times less likely misses what is heard
_SAYS_NOTHING = 0.07
_MISSPELT = 0.08
_CAPITALS = 0.15
_JOINS = (", ", " and ", "/", " ")
_WEAKENED = ("slightly", "bit", "a little", "somewhat", "kind of")
_STRENGTHENED = ("very", "really")

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TypingAnnotator:
    """A simulated annotator who may write in place of picking a label.

    Attributes:
        annotator: who picks labels.
        impatience: probability of choosing Other where no emotion leads.
        language: of some of the descriptions; None for English throughout.
    """

    annotator: Annotator
    impatience: float
    language: str | None

    def vote(self, mix: Array, rng: np.random.Generator) -> Vote:
        """Vote on a mix of emotions: a label, Other with a description, or both.

        Args:
            mix: the emotion spoken, shape ``(emotions,)``, summing to 1.
            rng: the only source of chance.
        """
        heard = rng.dirichlet(_HEARING * mix + 0.02)
        picked = self.annotator.vote(heard, rng)
        shares = self.annotator.label_probabilities(heard)
        misfit = float(np.clip((_FITS - shares.max()) / (_FITS - _MISFITS), _LEAST_MISFIT, 1.0))
        if rng.random() < self.impatience * misfit:
            beside = rng.random() < _SECONDARY_BESIDE_OTHER
            labels = (OTHER, picked.labels[0]) if beside else (OTHER,)
            return Vote(picked.annotator, labels, typed=self.description(shares, rng))
        if rng.random() < _TYPED_BESIDE * misfit:
            typed = self.description(shares, rng)
            return Vote(picked.annotator, (*picked.labels, OTHER), typed=typed)
        return picked

    def description(self, shares: Array, rng: np.random.Generator) -> str:
        """What the annotator types: words that mean about what was heard, sometimes nothing.

        Args:
            shares: what was heard, shape ``(emotions,)``, summing to 1.
            rng: the only source of chance.
        """
        if rng.random() < _SAYS_NOTHING:
            return str(rng.choice(VAGUE))
        phrases, meanings = _phrases(2 if rng.random() < _TWO_WORDS else 1)
        misses = 0.5 * np.abs(meanings - shares).sum(axis=1)
        weights = np.exp(-(misses - misses.min()) / _CARE)
        terms = phrases[int(rng.choice(len(phrases), p=weights / weights.sum()))]
        foreign = TRANSLATIONS.get(self.language or "", {})
        if foreign and rng.random() < 0.5 and all(_translatable(term, foreign) for term in terms):
            words = [" ".join(foreign[word] for word in term if word) for term in terms]
        else:
            words = [_english(term, rng) for term in terms]
        if rng.random() < _MISSPELT:
            words[-1] = _misspelt(words[-1], rng)
        text = str(rng.choice(_JOINS)).join(words)
        return text.title() if rng.random() < _CAPITALS else text


Term = tuple[str, str]
"""``slightly``, ``very`` or nothing, and a word."""


@lru_cache(maxsize=2)
def _phrases(count: int) -> tuple[list[tuple[Term, ...]], Array]:
    """Every description of one or two terms, and its meaning, shape ``(phrases, emotions)``."""
    terms = [(degree, word) for word in WORDS for degree in ("", "slightly", "very")]
    # "very" changes what a word means only beside another.
    phrases: list[tuple[Term, ...]] = [(term,) for term in terms if term[0] != "very"]
    if count == 2:
        phrases = [
            (first, second)
            for first, second in itertools.permutations(terms, 2)
            if first[1] != second[1] and not first[0] == second[0] == "very"
        ]
    texts = [", ".join(" ".join(term).strip() for term in phrase) for phrase in phrases]
    meanings = [meaning(text) for text in texts]
    return phrases, np.array([mix for mix in meanings if mix is not None])


def _english(term: Term, rng: np.random.Generator) -> str:
    degree, word = term
    ways = {"slightly": _WEAKENED, "very": _STRENGTHENED}.get(degree, ())
    return f"{rng.choice(ways)} {word}" if ways else word


def _translatable(term: Term, foreign: Mapping[str, str]) -> bool:
    return term[1] in foreign and (not term[0] or term[0] in foreign)


def _misspelt(text: str, rng: np.random.Generator) -> str:
    """The text with two letters of its longest word swapped, but for the first."""
    word = max(text.split(), key=len)
    if len(word) < 4:
        return text
    place = int(rng.integers(1, len(word) - 1))
    swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return text.replace(word, swapped, 1)


@lru_cache(maxsize=1)
def typing_pool() -> tuple[TypingAnnotator, ...]:
    """The annotators of the demo's corpus, each with habits of typing."""
    rng = np.random.default_rng(_HABITS_SEED)
    languages = (None, None, None, None, None, *TRANSLATIONS)
    return tuple(
        TypingAnnotator(annotator, float(rng.uniform(0.2, 1.0)), languages[number % len(languages)])
        for number, annotator in enumerate(annotator_pool())
    )


def true_mix(index: int, split: TypedSplit = "test", seed: int = 0) -> Array:
    """The emotion that clip number ``index`` was spoken with: what labels try to recover.

    Returns:
        Shape ``(emotions,)``, summing to 1, in the order of ``synth.EMOTIONS``.
    """
    return random_mix(_generator(index, split, seed, _MIX))


def typed_votes(index: int, split: TypedSplit = "test", seed: int = 0) -> tuple[Vote, ...]:
    """Votes of :data:`VOTES_PER_CLIP` annotators on clip number ``index``, without its audio."""
    rng = _generator(index, split, seed, _VOTES)
    pool, mix = typing_pool(), true_mix(index, split, seed)
    chosen = rng.choice(len(pool), VOTES_PER_CLIP, replace=False)
    return tuple(pool[number].vote(mix, rng) for number in np.sort(chosen))


def clip_id(index: int, split: TypedSplit = "test") -> str:
    """Utterance id of clip number ``index``; its speaker follows from the number.

    Example:
        >>> clip_id(61)
        'typ-t001-00061'
    """
    return f"{_speaker(index, split)}-{index:05d}"


def typed_utterances(
    count: int, *, split: TypedSplit = "test", seed: int = 0
) -> Iterator[Utterance]:
    """The first ``count`` utterances of a split.

    Args:
        count: number of utterances.
        split: splits share no speaker.
        seed: another seed gives other sentences of the same speakers.
    """
    for index in range(count):
        yield typed_utterance(index, split=split, seed=seed)


def typed_utterance(index: int, *, split: TypedSplit = "test", seed: int = 0) -> Utterance:
    """Utterance number ``index`` of a split: FLAC audio and votes, some of them typed.

    Its soft label is the share of the votes for a label; None if all votes are Other.
    """
    voice = _voice(split, index % SPEAKERS[split])
    mix = true_mix(index, split, seed)
    samples, _ = speak(mix, voice, _generator(index, split, seed, _SOUND))
    votes = typed_votes(index, split, seed)
    counted = soft_label(votes, LABEL_SET)
    return Utterance(
        utterance_id=clip_id(index, split),
        dataset=DATASET,
        split=split,
        speaker=_speaker(index, split),
        audio=encode_flac(samples),
        sampling_rate=SAMPLING_RATE,
        duration_s=len(samples) / SAMPLING_RATE,
        votes=votes,
        soft_label=counted.probs,
        plurality=counted.plurality,
        n_votes=counted.n_votes,
    )


def _speaker(index: int, split: TypedSplit) -> str:
    return f"typ-{_LETTER[split]}{index % SPEAKERS[split]:03d}"


@lru_cache(maxsize=sum(SPEAKERS.values()))
def _voice(split: TypedSplit, number: int) -> Speaker:
    return random_speaker(np.random.default_rng([_STREAM[split], number]))


def _generator(index: int, split: TypedSplit, seed: int, part: int) -> np.random.Generator:
    return np.random.default_rng([_STREAM[split], seed, index, part])
