"""Model families that the transformers engine decodes, and how each was verified."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """Checkpoints of one architecture.

    Attributes:
        name: what people call it.
        architecture: transformers' class of the model, as a checkpoint's config names it.
        processor: transformers' class of tokenizer and feature extractor.
        audio_first: in the user's turn the clip stands before the text.
        verified: what the standing tests compare.
        limits: what it does not do.
    """

    name: str
    architecture: str
    processor: str
    audio_first: bool
    verified: str
    limits: str


_EQUALS_GENERATE = (
    "random checkpoints: hypotheses, scores and logits equal transformers' generate() in float32"
)

FAMILIES: tuple[Family, ...] = (
    Family(
        "Qwen2-Audio",
        "Qwen2AudioForConditionalGeneration",
        "Qwen2AudioProcessor",
        audio_first=True,
        verified=f"{_EQUALS_GENERATE}; so does the bundled tiny-alm",
        limits="one clip per prompt, within the window (30 s); no sliding-window attention",
    ),
    Family(
        "Audio Flamingo 3",
        "AudioFlamingo3ForConditionalGeneration",
        "AudioFlamingo3Processor",
        audio_first=False,
        verified=_EQUALS_GENERATE,
        limits="one clip per prompt, one window (30 s) of the twenty that the model takes",
    ),
)
"""Whatever is not listed is refused: padding, positions or attention may differ unnoticed."""
