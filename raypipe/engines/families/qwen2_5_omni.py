"""The thinker of Qwen2.5-Omni, the part that takes audio and writes text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import NO_FEATURES, AudioFeatures, WindowInputBuilder
from raypipe.engines.published import Published
from raypipe.records import FloatArray


class CroppedInputBuilder(WindowInputBuilder):
    """Inputs with features of the real frames only, as its encoder looks at no others.

    Qwen2.5-Omni's own processor pads every clip to 300 s, of which its model takes the real frames.
    """

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, object]) -> None:
        super().__init__(family, model_path, origin)
        self.silence = NO_FEATURES

    def extract(self, samples: FloatArray) -> AudioFeatures:
        """Features of a mono clip, shape ``(samples,)``."""
        features, frames, _, audio_tokens = super().extract(samples)
        mask = np.ones((1, frames), dtype=np.int64)
        features = np.ascontiguousarray(features[None, :, :frames])
        return AudioFeatures(features, frames, {"feature_attention_mask": mask}, audio_tokens)


FAMILY = Family(
    name="Qwen2.5-Omni (thinker)",
    architecture="Qwen2_5OmniThinkerForConditionalGeneration",
    published_as=("Qwen2_5OmniModel", "Qwen2_5OmniForConditionalGeneration"),
    processor="Qwen2_5OmniProcessor",
    input_builder=CroppedInputBuilder,
    clips=ClipLimits(
        longest_s=300.0, longest_by_checkpoint=True, reason="the window of its feature extractor"
    ),
    end_token="<|im_end|>",
    published=(
        Published(
            name="Qwen/Qwen2.5-Omni-3B",
            parameters=5.0,
            dtype="bfloat16",
            licence="qwen-research",
            source="hub listings: 5 billion parameters for its thinker alone, 6 in all; licence as "
            "others name it who build on it",
        ),
        Published(
            name="Qwen/Qwen2.5-Omni-7B",
            weights_gb=22.37,
            dtype="bfloat16",
            licence="apache-2.0",
            gated=False,
            source="the file list of a duplicate on the hub",
        ),
    ),
    unused=("images", "video", "spoken answers"),
)
