"""A source-filter synthesiser of expressive, speech-like audio.

A glottal pulse train drives a cascade of formant resonators, syllable by syllable. How it is
driven (pitch, rate, tilt, pauses, roughness, ...) follows from a point on the emotion simplex over
:data:`EMOTIONS`, from the speaker, and from chance. There are no words in it: only a voice.

The emotion shows in contrasts inside a clip and against the speaker's own baseline, because the
recording level is random and Whisper's log-mel clips everything 80 dB below the loudest point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, sosfilt

from raypipe.labels import LABEL_SETS
from raypipe.records import FloatArray

SAMPLING_RATE = 16_000
LABEL_SET = LABEL_SETS["crema-d-6"]
EMOTIONS = LABEL_SET.names
MIN_DURATION_S = 1.2
MAX_DURATION_S = 4.0

Array = NDArray[np.float64]

# Columns follow EMOTIONS: anger, disgust, fear, happiness, neutral, sadness.
_EFFECTS: dict[str, tuple[float, ...]] = {
    # mean pitch over the speaker's own, semitones
    "pitch": (4.0, -2.5, 7.0, 4.5, 0.0, -1.5),
    # standard deviation of the syllables' pitch, semitones
    "accent": (3.2, 1.8, 1.2, 4.2, 1.4, 0.6),
    # pitch from the first to the last syllable, semitones
    "slope": (-3.0, -5.0, 1.5, 3.0, -1.5, -4.0),
    # pitch from the start to the end of a syllable, semitones
    "glide": (-3.0, -4.0, 0.5, 4.0, -0.5, -1.5),
    # natural log of the syllable rate over the speaker's own
    "rate": (0.16, -0.24, 0.32, 0.08, 0.0, -0.42),
    # loudness, dB
    "level": (7.0, 0.0, -1.0, 4.0, 0.0, -7.0),
    # level of stressed over unstressed syllables, dB
    "stress": (9.0, 6.0, 2.5, 5.0, 4.0, 1.5),
    # pole of the tilt filter: 1 is bright, 0 is dark
    "brightness": (0.95, 0.55, 0.5, 0.8, 0.6, 0.15),
    # aspiration noise, share of the voiced amplitude
    "breath": (0.02, 0.1, 0.3, 0.05, 0.06, 0.25),
    # standard deviation of pitch from moment to moment, semitones
    "jitter": (0.3, 0.4, 0.45, 0.12, 0.1, 0.18),
    # standard deviation of amplitude from cycle to cycle, share
    "shimmer": (0.2, 0.15, 0.12, 0.05, 0.05, 0.06),
    # depth of a 6-8 Hz wobble of the pitch, semitones
    "tremor": (0.0, 0.0, 1.3, 0.0, 0.0, 0.3),
    # weakening of every second glottal cycle, share
    "creak": (0.1, 0.6, 0.0, 0.0, 0.0, 0.1),
    # share of syllables followed by a pause
    "pause": (0.08, 0.2, 0.35, 0.1, 0.12, 0.4),
    # natural log of the formant scale: a smile shortens the vocal tract
    "formants": (0.03, -0.1, 0.05, 0.1, 0.0, -0.04),
    # share of the syllable over which it swells
    "attack": (0.05, 0.3, 0.15, 0.15, 0.2, 0.45),
}
FEATURES = tuple(_EFFECTS)
_COLUMN = {name: position for position, name in enumerate(FEATURES)}

PROFILES: Array = np.array(list(zip(*_EFFECTS.values(), strict=True)))
"""Features of each emotion, shape ``(emotions, features)``."""

_SPREAD: Array = PROFILES.std(axis=0)
_SPEAKER_SPREAD = 0.22
_CLIP_SPREAD = 0.15
_LOWEST: Array = np.array(
    [-12, 0.2, -12, -8, -0.7, -20, 0, 0.02, 0.01, 0.03, 0.01, 0, 0, 0, -0.25, 0.02]
)
_HIGHEST: Array = np.array([14, 7, 8, 8, 0.6, 15, 14, 0.98, 0.5, 1, 0.4, 2.5, 0.9, 0.7, 0.25, 0.6])

# First three formants of ten vowels of an adult male vocal tract, in Hz (textbook averages).
_VOWELS: Array = np.array(
    [
        (270, 2290, 3010),
        (390, 1990, 2550),
        (530, 1840, 2480),
        (660, 1720, 2410),
        (730, 1090, 2440),
        (570, 840, 2410),
        (440, 1020, 2240),
        (300, 870, 2240),
        (640, 1190, 2390),
        (490, 1350, 1690),
    ],
    dtype=np.float64,
)
VOWELS = "iIE{AOUuV3"
"""The vowels in X-SAMPA, in the order of their formants."""

_BANDWIDTHS_HZ = (70.0, 100.0, 140.0, 220.0)
_SYLLABLES_PER_S = 4.6


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice.

    Attributes:
        pitch_hz: the speaker's own pitch.
        formant_scale: 1 is an adult male vocal tract; shorter ones are above 1.
        style: what the speaker adds to every feature whatever the emotion, shape ``(features,)``.
    """

    pitch_hz: float
    formant_scale: float
    style: Array


@dataclass(frozen=True, slots=True)
class Delivery:
    """Features of a clip, named as in :data:`FEATURES`.

    Attributes:
        values: clip-level features without the speaker's baseline pitch, shape ``(features,)``.
        spans: first sample of every syllable's vowel and the one after its last, shape
            ``(syllables, 2)``; of what was cut, too.
    """

    values: Array
    spans: NDArray[np.int64]

    def __getitem__(self, feature: str) -> float:
        return _feature(self.values, feature)


@dataclass(frozen=True, slots=True)
class Consonant:
    """A burst of noise before a vowel.

    Attributes:
        duration_s: 0 for none.
        pole: of the filter that shapes the noise: -0.9 is bright, 0.9 is dark.
        strength: 1 is as loud as that of wordless speech.
    """

    duration_s: float
    pole: float
    strength: float


@dataclass(frozen=True, slots=True)
class Syllable:
    """A syllable to be spoken.

    Attributes:
        vowel: number of the vowel in :data:`VOWELS`.
        pause: whether there may be a pause after it.
    """

    consonant: Consonant
    vowel: int
    pause: bool


def random_speaker(rng: np.random.Generator) -> Speaker:
    """Random voice, whose pitch and vocal tract are loosely correlated."""
    shortness = rng.choice([0.0, 1.0])
    semitones = 10.0 * shortness + rng.normal(0.0, 2.0)
    return Speaker(
        pitch_hz=float(112.0 * 2.0 ** (np.clip(semitones, -5, 15) / 12.0)),
        formant_scale=float(np.exp(0.15 * shortness + rng.normal(0.0, 0.035))),
        style=rng.normal(0.0, _SPEAKER_SPREAD, len(FEATURES)) * _SPREAD,
    )


def speak(
    mix: Array,
    speaker: Speaker,
    rng: np.random.Generator,
    *,
    text: Sequence[Syllable] | None = None,
    profiles: Array = PROFILES,
    longest_s: float = MAX_DURATION_S,
) -> tuple[FloatArray, Delivery]:
    """Speech-like samples of one sentence.

    Args:
        mix: the emotion, a point on the simplex over the emotions, shape ``(emotions,)``.
        speaker: the voice.
        rng: the only source of chance.
        text: what is said; None for random syllables.
        profiles: features of each emotion, shape ``(emotions, features)``.
        longest_s: what is longer is cut.

    Returns:
        Samples at :data:`SAMPLING_RATE`, shape ``(samples,)``, within [-1, 1], from 1.2 s to
        ``longest_s``; and their features.
    """
    offset = speaker.style + rng.normal(0.0, _CLIP_SPREAD, len(FEATURES)) * _SPREAD
    values = np.clip(mix @ profiles + offset, _LOWEST, _HIGHEST)
    syllables = _score(mix, offset, values, rng, profiles, text)
    voice = _voice(syllables, speaker, rng)
    samples, lead = _record(voice, _feature(values, "level"), rng, longest_s)
    return samples, Delivery(values, lead + syllables.spans)


@dataclass(frozen=True, slots=True)
class _Syllables:
    """Rhythm and melody of a sentence; arrays have one row per syllable."""

    features: Array
    semitones: Array
    stressed: NDArray[np.bool_]
    samples: NDArray[np.int64]
    pause_samples: NDArray[np.int64]
    onset_samples: NDArray[np.int64]
    text: Sequence[Syllable] | None

    @property
    def spans(self) -> NDArray[np.int64]:
        """Where the vowels are, shape ``(syllables, 2)``, in samples from the first onset."""
        ends = np.cumsum(self.onset_samples + self.samples + self.pause_samples)
        stops = ends - self.pause_samples
        return np.stack([stops - self.samples, stops], axis=1)


def _feature(values: Array, name: str) -> float:
    return float(values[_COLUMN[name]])


def _score(
    mix: Array,
    offset: Array,
    values: Array,
    rng: np.random.Generator,
    profiles: Array,
    text: Sequence[Syllable] | None,
) -> _Syllables:
    """Random rhythm and melody of a sentence."""
    duration_s = rng.uniform(1.5, 3.4)
    rate = _SYLLABLES_PER_S * np.exp(_feature(values, "rate"))
    pause = _feature(values, "pause")
    count = max(4, round(duration_s * rate / (1.0 + 0.9 * pause))) if text is None else len(text)
    # Each syllable of a mixed emotion is closer to one of its parts.
    leaning = rng.dirichlet(np.maximum(8.0 * mix, 1e-3), count)
    features = np.clip((0.5 * mix + 0.5 * leaning) @ profiles + offset, _LOWEST, _HIGHEST)
    stressed = rng.random(count) < 0.4
    stressed[rng.integers(count)] = True
    position = np.linspace(-0.5, 0.5, count)
    column = features.T
    semitones = (
        column[_COLUMN["pitch"]]
        + column[_COLUMN["accent"]] * (1.6 * (stressed - 0.4) + 0.6 * rng.normal(size=count))
        + column[_COLUMN["slope"]] * position
    )
    lengths_s = (1 + 0.35 * (stressed - 0.4)) * rng.uniform(0.8, 1.2, count) / rate
    lengths_s[-1] *= 1.3
    pauses_s = (rng.random(count) < pause) * rng.uniform(0.06, 0.35, count)
    onsets_s = (rng.random(count) < 0.65) * rng.uniform(0.02, 0.06, count)
    if text is not None:
        pauses_s *= [syllable.pause for syllable in text]
        onsets_s = np.array([syllable.consonant.duration_s for syllable in text])
    return _Syllables(
        features=features,
        semitones=semitones,
        stressed=stressed,
        samples=_to_samples(lengths_s),
        pause_samples=_to_samples(pauses_s),
        onset_samples=_to_samples(onsets_s),
        text=text,
    )


def _to_samples(seconds: Array) -> NDArray[np.int64]:
    return np.asarray(np.round(seconds * SAMPLING_RATE), dtype=np.int64)


def _voice(syllables: _Syllables, speaker: Speaker, rng: np.random.Generator) -> Array:
    """Voiced samples: the syllables one after the other through one vocal tract."""
    pieces: list[Array] = []
    tremor_hz = rng.uniform(6.0, 8.0)
    phase = 0.0
    resonance = np.zeros((5, 2))
    for index in range(len(syllables.samples)):
        pitch_hz = _pitch(syllables, index, speaker, tremor_hz, rng)
        source, phase = _glottis(pitch_hz, phase, syllables.features[index], rng)
        text = syllables.text
        vowel = _VOWELS[rng.integers(len(_VOWELS)) if text is None else text[index].vowel]
        scale = speaker.formant_scale * np.exp(syllables.features[index, _COLUMN["formants"]])
        tract = _vocal_tract(vowel * scale, syllables.features[index])
        voiced, resonance = sosfilt(tract, source, zi=resonance)
        pieces.append(_consonant(syllables, index, rng))
        pieces.append(_loudness(syllables, index) * voiced / _VOICED_LEVEL)
        pieces.append(np.zeros(syllables.pause_samples[index]))
    return np.concatenate(pieces)


# Root mean square of the vocal tract's output for a unit source: brings formant gain near 1.
_VOICED_LEVEL = 0.25


def _pitch(
    syllables: _Syllables,
    index: int,
    speaker: Speaker,
    tremor_hz: float,
    rng: np.random.Generator,
) -> Array:
    """Pitch of one syllable in Hz, shape ``(samples,)``: its tone, glide, tremor and jitter."""
    features = syllables.features[index]
    length = int(syllables.samples[index])
    progress = np.linspace(-0.5, 0.5, length)
    time_s = np.arange(length) / SAMPLING_RATE + rng.uniform(0, 1)
    rough = np.interp(
        np.arange(length),
        np.arange(0, length + 80, 80),
        rng.normal(size=len(range(0, length + 80, 80))),
    )
    semitones = (
        syllables.semitones[index]
        + features[_COLUMN["glide"]] * progress
        + features[_COLUMN["tremor"]] * np.sin(2 * np.pi * tremor_hz * time_s)
        + features[_COLUMN["jitter"]] * rough
    )
    hertz: Array = np.clip(speaker.pitch_hz * 2.0 ** (semitones / 12.0), 55.0, 600.0)
    return hertz


def _glottis(
    pitch_hz: Array, phase: float, features: Array, rng: np.random.Generator
) -> tuple[Array, float]:
    """Glottal flow derivative of one syllable, and the phase (in cycles) at which it ends."""
    cycles = phase + np.cumsum(pitch_hz) / SAMPLING_RATE
    index = cycles.astype(np.int64)
    opening = np.minimum((cycles - index) / 0.65, 1.0)
    # Rosenberg's pulse, differentiated; scaled by pitch so that its energy does not grow with it.
    pulse = (2.0 - 3.0 * opening) * opening * (opening < 1.0)
    gain = 1.0 + features[_COLUMN["shimmer"]] * rng.normal(size=int(index[-1]) + 1)
    gain[::2] -= features[_COLUMN["creak"]]
    breath = features[_COLUMN["breath"]] * rng.normal(size=len(pulse))
    return pulse * gain[index] + 0.35 * breath, float(cycles[-1] % 2.0)


def _vocal_tract(formants_hz: Array, features: Array) -> Array:
    """Tilt and four formants as second-order sections, shape ``(5, 6)``."""
    dark = 0.95 * (1.0 - features[_COLUMN["brightness"]])
    sections = np.zeros((5, 6))
    sections[:, 3] = 1.0
    sections[0, 0] = (1.0 - dark) ** 0.5
    sections[0, 4] = -dark
    centres = np.minimum([*formants_hz, 3500.0 * formants_hz[2] / 2450.0], 7000.0)
    for row, (centre, width) in enumerate(zip(centres, _BANDWIDTHS_HZ, strict=True), start=1):
        radius = np.exp(-np.pi * width / SAMPLING_RATE)
        sections[row, 4] = -2.0 * radius * np.cos(2.0 * np.pi * centre / SAMPLING_RATE)
        sections[row, 5] = radius**2
        sections[row, 0] = 1.0 + sections[row, 4] + sections[row, 5]
    return sections


def _consonant(syllables: _Syllables, index: int, rng: np.random.Generator) -> Array:
    """Noise burst before a syllable, louder in brighter voices."""
    length = int(syllables.onset_samples[index])
    if length == 0:
        return np.zeros(0)
    features = syllables.features[index]
    text = syllables.text
    pole = rng.uniform(-0.7, 0.3) if text is None else text[index].consonant.pole
    hiss = np.diff(rng.normal(size=length + 1))
    shaped = np.asarray(lfilter([1.0 - abs(pole)], [1.0, -pole], hiss), dtype=np.float64)
    strength = 1.0 if text is None else text[index].consonant.strength
    strength *= 0.05 + 0.12 * features[_COLUMN["brightness"]]
    burst: Array = shaped * strength * np.hanning(length)
    return burst


def _loudness(syllables: _Syllables, index: int) -> Array:
    """Amplitude of one syllable over its samples: swell, hold, release; stress on top."""
    features = syllables.features[index]
    progress = np.linspace(0.0, 1.0, int(syllables.samples[index]))
    swell = np.minimum(progress / features[_COLUMN["attack"]], 1.0)
    release = np.minimum((1.0 - progress) / 0.25, 1.0)
    decibels = features[_COLUMN["stress"]] * (float(syllables.stressed[index]) - 0.5)
    envelope: Array = 10.0 ** (decibels / 20.0) * np.sin(0.5 * np.pi * swell) * release
    return envelope


def _record(
    voice: Array, level: float, rng: np.random.Generator, longest_s: float
) -> tuple[FloatArray, int]:
    """Recording (random gain, room noise, silence at both ends), and samples of silence before."""
    lead, tail = (np.zeros(int(SAMPLING_RATE * rng.uniform(0.05, 0.2))) for _ in range(2))
    voice = np.concatenate([lead, voice, tail])[: int(longest_s * SAMPLING_RATE)]
    shortfall = int(MIN_DURATION_S * SAMPLING_RATE) - len(voice)
    voice = np.pad(voice, (0, max(shortfall, 0)))
    level_db = -26.0 + level + rng.normal(0.0, 3.0)
    voice = voice * 10.0 ** (level_db / 20.0) / max(float(np.sqrt(np.mean(voice**2))), 1e-6)
    noise_db = rng.uniform(-75.0, -55.0)
    noisy = voice + 10.0 ** (noise_db / 20.0) * rng.normal(size=len(voice))
    # Soft limiting, as a cheap recorder does: no clip may leave [-1, 1].
    return np.asarray(np.tanh(noisy), dtype=np.float32), len(lead)
