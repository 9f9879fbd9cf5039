"""A stand-in for a judge: it measures the clip and counts what each reason says rightly.

It is no model. A reason gains a point for every word for pitch, melody, tempo, loudness or pauses
that fits the measurements, and for quoting words that are said; it loses one for every word that
does not fit. It knows the vocabulary of :mod:`raypipe.tiny_alm.scripted_teacher` only.
"""

from __future__ import annotations

import re

from raypipe.records import FloatArray
from raypipe.tiny_alm.scripted_teacher import (
    LOUDNESSES,
    MOVEMENTS,
    PAUSES,
    PITCHES,
    TEMPOS,
    TRENDS,
    measured_words,
)

_SCALES = (PITCHES, TRENDS, MOVEMENTS, TEMPOS, LOUDNESSES, PAUSES)
_QUOTED = re.compile(r"[\"\u201c]([^\"\u201d]+)[\"\u201d]")


def scripted_verdict(
    first: str, second: str, transcript: str, samples: FloatArray, sampling_rate: int
) -> str:
    """``A``, ``B`` or ``tie``.

    Args:
        first: reason A.
        second: reason B.
        transcript: what is said; empty where it is not known.
        samples: mono audio, shape ``(samples,)``, full scale at 1.
        sampling_rate: in Hz.

    Raises:
        DecodeError: if nothing can be measured in the clip.
    """
    right = measured_words(samples, sampling_rate)
    points = [reason_points(reason, right, transcript) for reason in (first, second)]
    if points[0] == points[1]:
        return "tie"
    return "A" if points[0] > points[1] else "B"


def reason_points(reason: str, right: tuple[str, ...], transcript: str) -> int:
    """Points of a reason.

    Args:
        reason: what a model wrote.
        right: words that fit the clip, one of each scale.
        transcript: what is said.

    Example:
        >>> right = ("high", "rising", "lively", "fast", "loud", "few")
        >>> reason_points('The words "lost it" tell. A high, slow voice.', right, "I lost it.")
        1
        >>> reason_points("The voice is high and fast.", right, "I lost it.")
        2
    """
    words = re.findall(r"[a-z']+", reason.lower())
    said = re.findall(r"[a-z']+", transcript.lower())
    points = 0
    for scale, fitting in zip(_SCALES, right, strict=True):
        stated = [word for word in words if word in scale]
        points += sum(1 if word == fitting else -1 for word in stated)
    quotes = [re.findall(r"[a-z']+", quote.lower()) for quote in _QUOTED.findall(reason)]
    return points + any(quote and set(quote) <= set(said) for quote in quotes)
