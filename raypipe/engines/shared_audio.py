"""Clips that several prompts ask about are encoded once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from raypipe.records import ModelInput

_STRIDE = 16


def same_clips(inputs: Sequence[ModelInput]) -> list[int]:
    """Find inputs that hold the same clip.

    Returns:
        For each input the index of the first one with exactly the same features.
    """
    seen: dict[tuple[int, tuple[int, ...], bytes], list[int]] = {}
    clips = []
    for index, one in enumerate(inputs):
        sample = one.features[::_STRIDE, ::_STRIDE].tobytes()
        alike = seen.setdefault((one.feature_frames, one.features.shape, sample), [])
        clips.append(next((i for i in alike if _equal(inputs[i], one)), index))
        if clips[-1] == index:
            alike.append(index)
    return clips


def _equal(one: ModelInput, other: ModelInput) -> bool:
    return one.features is other.features or np.array_equal(one.features, other.features)


class SharedAudio:
    """Encodes clips when they are first asked for and keeps them as long as a prompt waits.

    Args:
        inputs: all inputs of a call.
        encode: gives each input's audio embeddings, shape ``(audio tokens, hidden)``.
    """

    def __init__(
        self,
        inputs: Sequence[ModelInput],
        encode: Callable[[Sequence[ModelInput]], Sequence[Tensor]],
    ) -> None:
        self._inputs = inputs
        self._encode = encode
        self.clips = same_clips(inputs)
        self._waiting = Counter(self.clips)
        self._encoded: dict[int, Tensor] = {}

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """Audio embeddings of some inputs, each of which is taken once."""
        clips = [self.clips[index] for index in indices]
        missing = [clip for clip in dict.fromkeys(clips) if clip not in self._encoded]
        if missing:
            encoded = self._encode([self._inputs[clip] for clip in missing])
            self._encoded.update(zip(missing, encoded, strict=True))
        taken = [self._encoded[clip] for clip in clips]
        self._waiting.subtract(clips)
        for clip in dict.fromkeys(clips):
            if not self._waiting[clip]:
                del self._encoded[clip]
        return taken
