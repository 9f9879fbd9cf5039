"""Training data: log-mel features and target shares of many clips, cached in a folder of parts.

A part that exists is kept, so that making the cache can be interrupted at any time.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from raypipe.labels import LABEL_SETS
from raypipe.records import FloatArray
from raypipe.tiny_alm.corpus import annotator_pool_cached, random_mix, synthetic_clip
from raypipe.tiny_alm.synth import EMOTIONS, FEATURES, SAMPLING_RATE
from raypipe.tiny_alm.training.model import MEL_BINS, TRAINED_S

TARGET_LABELS = LABEL_SETS["emodb-7"].names
"""Classes of the listening head: the synthetic emotions, and boredom in real speech."""

SYNTHETIC, SILENT, REAL = 0, 1, 2
PART_SIZE = 500
SILENT_EVERY = 40
_HOP = 160
# Frames beyond the last real one that the encoder's two convolutions reach into.
RIGHT_CONTEXT = 2

EMODB_CODES = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
EMODB_HELD_OUT = ("13", "14")
_EMODB_VARIANTS = 6

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Features and target shares of training clips.

    Attributes:
        mels: one array per clip, shape ``(frames + context, mel_bins)``, float16.
        frames: number of real frames, shape ``(clips,)``.
        truth: expected vote shares, shape ``(clips, target labels)``.
        delivery: features of the synthesiser, shape ``(clips, features)``; NaN where it is unknown.
        origin: :data:`SYNTHETIC`, :data:`SILENT` or :data:`REAL`, shape ``(clips,)``.
    """

    mels: list[NDArray[np.float16]]
    frames: NDArray[np.int64]
    truth: Array
    delivery: Array
    origin: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.mels)

    def joined(self, other: TrainingData) -> TrainingData:
        """These clips followed by others."""
        return TrainingData(
            mels=[*self.mels, *other.mels],
            frames=np.concatenate([self.frames, other.frames]),
            truth=np.concatenate([self.truth, other.truth]),
            delivery=np.concatenate([self.delivery, other.delivery]),
            origin=np.concatenate([self.origin, other.origin]),
        )


@lru_cache(maxsize=1)
def _extractor() -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(
        feature_size=MEL_BINS, sampling_rate=SAMPLING_RATE, chunk_length=TRAINED_S
    )


def log_mel(samples: FloatArray) -> tuple[NDArray[np.float16], int]:
    """Log-mel features of one clip, shape ``(frames + context, mel_bins)``, and its real frames."""
    frames = -(-len(samples) // _HOP)
    # The extractor would pad to 8 s, most of it silence. A few hops are enough: the frames kept
    # lie clear of the reflection at the end.
    padded = np.pad(samples, (0, (frames + 8) * _HOP - len(samples)))
    features = _extractor()(
        padded, sampling_rate=SAMPLING_RATE, padding="longest", return_tensors="np"
    )
    mel = features["input_features"][0, :, : frames + RIGHT_CONTEXT]
    return np.ascontiguousarray(mel.T.astype(np.float16)), frames


@lru_cache(maxsize=1)
def prior() -> Array:
    """Mean expected vote shares of synthetic clips, shape ``(target labels,)``."""
    rng = np.random.default_rng(0)
    mixes = np.array([random_mix(rng) for _ in range(4000)])
    return np.asarray(expected_shares(mixes).mean(axis=0), dtype=np.float32)


def expected_shares(mix: NDArray[np.float64]) -> Array:
    """Vote shares in the limit of many annotators.

    Args:
        mix: the emotion spoken, shape ``(..., emotions)``, summing to 1.

    Returns:
        Shares over :data:`TARGET_LABELS`, shape ``(..., target labels)``, summing to 1.
    """
    named = np.mean(
        [annotator.label_probabilities(mix) for annotator in annotator_pool_cached()], axis=0
    )
    shares = np.zeros((*mix.shape[:-1], len(TARGET_LABELS)), dtype=np.float32)
    shares[..., [TARGET_LABELS.index(name) for name in EMOTIONS]] = named
    return shares


Item = tuple[NDArray[np.float16], int, Array, Array, int]
"""A clip's features, real frames, target shares, features of the synthesiser, and origin."""


def synthetic_item(index: int, seed: int) -> Item:
    """Training clip number ``index``; one in 40 has no voice and the prior as its target."""
    if index % SILENT_EVERY == 0:
        return silent_item(index, seed)
    clip, _ = synthetic_clip(index, seed=seed, split="train")
    mel, frames = log_mel(clip.samples)
    delivery = clip.delivery.values.astype(np.float32)
    return mel, frames, expected_shares(clip.mix), delivery, SYNTHETIC


def silent_item(index: int, seed: int) -> Item:
    """A clip without a voice."""
    mel, frames = log_mel(no_voice(np.random.default_rng([seed, index])))
    return mel, frames, prior(), np.full(len(FEATURES), np.nan, dtype=np.float32), SILENT


def synthetic_data(
    folder: Path,
    count: int,
    *,
    seed: int,
    workers: int = 2,
    item: Callable[[int, int], Item] = synthetic_item,
) -> TrainingData:
    """The first ``count`` training clips, from the cache or from ``workers`` new processes.

    Args:
        folder: of the cache; one for each kind of clip.
        count: number of clips.
        seed: of the clips.
        workers: number of processes.
        item: what makes the clip of a number and a seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = range(-(-count // PART_SIZE))
    make = partial(_make_part, folder, seed=seed, item=item)
    # Spawned, not forked: torch's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        paths = pool.map(make, parts, chunksize=1)
    return _load(paths)


def _make_part(folder: Path, part: int, *, seed: int, item: Callable[[int, int], Item]) -> Path:
    torch.set_num_threads(1)  # each worker is one core's
    path = folder / f"seed{seed}-{part:05d}.npz"
    if not path.exists():
        items = [item(index, seed) for index in range(part * PART_SIZE, (part + 1) * PART_SIZE)]
        temporary = path.with_suffix(".tmp.npz")
        np.savez(
            temporary,
            mels=np.concatenate([made[0] for made in items]),
            frames=np.array([made[1] for made in items]),
            truth=np.stack([made[2] for made in items]),
            delivery=np.stack([made[3] for made in items]),
            origin=np.array([made[4] for made in items]),
        )
        temporary.rename(path)
    return path


def no_voice(rng: np.random.Generator) -> FloatArray:
    """Samples of digital silence, noise or mains hum, 1.2 to 4 s."""
    length = int(rng.uniform(1.2, 4.0) * SAMPLING_RATE)
    kind = rng.integers(4)
    if kind <= 1:
        return np.zeros(length, dtype=np.float32)
    level = 10.0 ** rng.uniform(-4.0, -1.5)
    if kind == 2:
        return np.asarray(level * rng.normal(size=length), dtype=np.float32)
    hum = np.sin(2.0 * np.pi * rng.uniform(45.0, 65.0) * np.arange(length) / SAMPLING_RATE)
    return np.asarray(level * hum + 1e-4 * rng.normal(size=length), dtype=np.float32)


def _load(paths: Sequence[Path]) -> TrainingData:
    mels: list[NDArray[np.float16]] = []
    names = ("frames", "truth", "delivery", "origin")
    rest: dict[str, list[NDArray[np.generic]]] = {name: [] for name in names}
    for path in paths:
        with np.load(path) as part:
            ends = np.cumsum(part["frames"] + RIGHT_CONTEXT)[:-1]
            mels.extend(np.split(part["mels"], ends))
            for name, values in rest.items():
                values.append(part[name])
    return TrainingData(mels, **{name: np.concatenate(values) for name, values in rest.items()})


def emodb_clips(folder: Path, *, held_out: bool) -> Iterator[tuple[FloatArray, str]]:
    """Clips of Emo-DB as 16 kHz samples, each with its emotion.

    Args:
        folder: WAV files named as Emo-DB names them, e.g. ``03a01Wa.wav``.
        held_out: clips of the speakers :data:`EMODB_HELD_OUT`; else those of all others.
    """
    for path in sorted(folder.glob("*.wav")):
        if (path.name[:2] in EMODB_HELD_OUT) == held_out:
            samples, _ = librosa.load(path, sr=SAMPLING_RATE)
            yield samples.astype(np.float32), EMODB_CODES[path.name[5]]


def emodb_data(folder: Path, *, seed: int) -> TrainingData:
    """Training speakers of Emo-DB, each clip in several variants of speed, gain and noise."""
    rng = np.random.default_rng([seed, 408])
    mels, frames, truth = [], [], []
    for samples, emotion in emodb_clips(folder, held_out=False):
        for _ in range(_EMODB_VARIANTS):
            mel, count = log_mel(_varied(samples, rng))
            mels.append(mel)
            frames.append(count)
            truth.append([float(name == emotion) for name in TARGET_LABELS])
    return TrainingData(
        mels=mels,
        frames=np.array(frames),
        truth=np.array(truth, dtype=np.float32),
        delivery=np.full((len(mels), len(FEATURES)), np.nan, dtype=np.float32),
        origin=np.full(len(mels), REAL),
    )


def _varied(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    speed = rng.uniform(0.92, 1.08)
    positions = np.arange(0, len(samples) - 1, speed)
    resampled = np.interp(positions, np.arange(len(samples)), samples)
    gain, noise = 10.0 ** rng.uniform(-0.5, 0.3), 10.0 ** rng.uniform(-4.0, -2.6)
    return np.asarray(gain * resampled + noise * rng.normal(size=len(resampled)), dtype=np.float32)
