"""One encoding for each clip that several prompts ask about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from raypipe.records import FloatArray, ModelInput

_STRIDE = 16


def same_clips(inputs: Sequence[ModelInput]) -> list[int]:
    """Indices of the first inputs with the same clip.

    Returns:
        For each input the index of the first one with exactly the same features.
    """
    seen: dict[tuple[int, tuple[int, ...], bytes], list[int]] = {}
    clips = []
    for index, model_input in enumerate(inputs):
        sample = model_input.features[::_STRIDE, ::_STRIDE].tobytes()
        alike = seen.setdefault(
            (model_input.feature_frames, model_input.features.shape, sample), []
        )
        clips.append(next((i for i in alike if _equal(inputs[i], model_input)), index))
        if clips[-1] == index:
            alike.append(index)
    return clips


def _equal(first: ModelInput, second: ModelInput) -> bool:
    if first.features is second.features:
        return True
    return np.array_equal(first.features, second.features) and all(
        np.array_equal(array, second.tensors[name]) for name, array in first.tensors.items()
    )


class EncodedClips:
    """Encodings kept beyond the call they were made in, up to a number of bytes.

    Clips are told apart by their features' array: inputs made of each other share it.
    """

    def __init__(self, most_bytes: int = 1 << 30) -> None:
        self._left = most_bytes
        # The features are held on to, or another array could get their id.
        self._kept: dict[int, tuple[FloatArray, Tensor]] = {}

    def find(self, model_input: ModelInput) -> Tensor | None:
        """Encoding of an input's clip, shape ``(audio tokens, hidden)``; None if none is kept."""
        kept = self._kept.get(id(model_input.features))
        return None if kept is None else kept[1]

    def keep(self, model_input: ModelInput, encoded: Tensor) -> None:
        """Store an input's encoding if there is room for it."""
        size = encoded.numel() * encoded.element_size()
        if size <= self._left:
            self._left -= size
            # A view would hold on to the whole group that was encoded together.
            self._kept[id(model_input.features)] = model_input.features, encoded.clone()


class SharedAudio:
    """Encodes clips when they are first asked for and keeps them as long as a prompt waits.

    Args:
        inputs: all inputs of a call.
        encode: gives each input's audio embeddings, shape ``(audio tokens, hidden)``.
        audio_cache: encodings of earlier calls; None where none are kept.
    """

    def __init__(
        self,
        inputs: Sequence[ModelInput],
        encode: Callable[[Sequence[ModelInput]], Sequence[Tensor]],
        audio_cache: EncodedClips | None = None,
    ) -> None:
        self._inputs = inputs
        self._encode = encode
        self._audio_cache = audio_cache
        self.clips = same_clips(inputs)
        self._waiting = Counter(self.clips)
        self._encoded: dict[int, Tensor] = {}

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """Audio embeddings of some inputs, each of which is taken once."""
        clips = [self.clips[index] for index in indices]
        missing = [clip for clip in dict.fromkeys(clips) if not self._has(clip)]
        if missing:
            encoded = self._encode([self._inputs[clip] for clip in missing])
            self._encoded.update(zip(missing, encoded, strict=True))
            if self._audio_cache is not None:
                for clip in missing:
                    self._audio_cache.keep(self._inputs[clip], self._encoded[clip])
        taken = [self._encoded[clip] for clip in clips]
        self._waiting.subtract(clips)
        for clip in dict.fromkeys(clips):
            if not self._waiting[clip]:
                del self._encoded[clip]
        return taken

    def _has(self, clip: int) -> bool:
        """Whether a clip need not be encoded."""
        if clip not in self._encoded and self._audio_cache is not None:
            kept = self._audio_cache.find(self._inputs[clip])
            if kept is not None:
                self._encoded[clip] = kept
        return clip in self._encoded
