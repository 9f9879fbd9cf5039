"""A stand-in for a teacher: it measures the clip and says so in a few words of a small vocabulary.

It is no model. What it writes follows from the transcript and from
:func:`raypipe.descriptors.describe` alone: two clips that measure the same are explained the same,
whatever their labels. The label is only there to be checked against the rules.
"""

from __future__ import annotations

import numpy as np

from raypipe.descriptors import describe
from raypipe.errors import DecodeError
from raypipe.records import Descriptors, FloatArray

PITCHES = ("low", "middle", "high")
TRENDS = ("falling", "level", "rising")
MOVEMENTS = ("flat", "varied", "lively")
TEMPOS = ("slow", "steady", "fast")
LOUDNESSES = ("soft", "medium", "loud")
PAUSES = ("few", "many")
"""The words for what is measured; all others of a rationale are always the same, or quoted."""

_FEWEST_QUOTED, _MOST_QUOTED = 2, 3

# Limits between the words: thirds of 240 clips of the spoken corpus, training voices.
_HIGH_HZ = (145.0, 220.0)
_LIVELY_SEMITONES = (5.2, 9.6)
_FAST_SYLLABLES_PER_S = (3.3, 4.0)
_LOUD_DB = (-26.0, -22.0)
_TREND_SEMITONES = 1.2
_EDGE_S = 0.4


def scripted_rationale(transcript: str, samples: FloatArray, sampling_rate: int) -> str:
    """A rationale that quotes words and states how the voice measures.

    Args:
        transcript: what is said.
        samples: mono audio, shape ``(samples,)``, full scale at 1.
        sampling_rate: in Hz.

    Raises:
        DecodeError: if nothing can be measured in the clip.
    """
    return described_rationale(
        transcript, describe(samples, sampling_rate), pitch_trend(samples, sampling_rate)
    )


def described_rationale(
    transcript: str, descriptors: Descriptors, trend_semitones: float | None
) -> str:
    """The same from what was measured.

    Args:
        transcript: what is said.
        descriptors: of the clip.
        trend_semitones: of :func:`pitch_trend`; None where there is no pitch.

    Example:
        >>> measured = Descriptors(2.4, 1.6, 260.0, 180.0, 400.0, -18.0, 19.0, 5.1, 0, 0.0)
        >>> described_rationale("Anna lost my ticket today.", measured, 3.0).partition(". ")[0]
        'The words "lost my ticket" say little'
        >>> described_rationale("Anna lost my ticket today.", measured, 3.0).partition(". ")[2]
        'The voice is high, rising, lively, fast and loud, with few pauses.'
    """
    *voice, loudness, pauses = _words_for(descriptors, trend_semitones)
    return (
        f'The words "{quoted_words(transcript)}" say little. The voice is {", ".join(voice)} and '
        f"{loudness}, with {pauses} pauses."
    )


def measured_words(samples: FloatArray, sampling_rate: int) -> tuple[str, ...]:
    """Words for pitch, trend, movement, tempo, loudness and pauses of a clip.

    Raises:
        DecodeError: if nothing can be measured in it.
    """
    return _words_for(describe(samples, sampling_rate), pitch_trend(samples, sampling_rate))


def _words_for(descriptors: Descriptors, trend_semitones: float | None) -> tuple[str, ...]:
    return (
        _level(descriptors.pitch_mean_hz, _HIGH_HZ, PITCHES),
        _trend(trend_semitones),
        _level(descriptors.pitch_range_semitones, _LIVELY_SEMITONES, MOVEMENTS),
        _level(descriptors.syllables_per_s, _FAST_SYLLABLES_PER_S, TEMPOS),
        _level(descriptors.level_mean_db, _LOUD_DB, LOUDNESSES),
        PAUSES[min(descriptors.pause_count, 1)],
    )


def quoted_words(transcript: str) -> str:
    """Some words from the middle of a transcript, after the first where there are enough.

    Example:
        >>> quoted_words("Anna lost my ticket today."), quoted_words("Stop!")
        ('lost my ticket', 'Stop')
    """
    words = transcript.strip().rstrip(".!?…").split()
    if len(words) > _FEWEST_QUOTED:
        words = words[1 : 1 + _MOST_QUOTED]
    return " ".join(words).replace('"', "")


def pitch_trend(samples: FloatArray, sampling_rate: int) -> float | None:
    """Pitch of the clip's second half over that of its first, in semitones; None without pitch."""
    middle = len(samples) // 2
    if middle < _EDGE_S * sampling_rate:
        return None
    try:
        means = [
            describe(half, sampling_rate).pitch_mean_hz
            for half in (samples[:middle], samples[middle:])
        ]
    except DecodeError:
        return None
    first, second = means
    if first is None or second is None:
        return None
    return float(12.0 * np.log2(second / first))


def _level(value: float | None, limits: tuple[float, float], words: tuple[str, str, str]) -> str:
    """The word for a measurement; the middle one where there is none."""
    if value is None:
        return words[1]
    return words[int(value >= limits[0]) + int(value >= limits[1])]


def _trend(semitones: float | None) -> str:
    if semitones is None or abs(semitones) < _TREND_SEMITONES:
        return TRENDS[1]
    return TRENDS[2] if semitones > 0 else TRENDS[0]
