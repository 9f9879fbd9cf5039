"""Ultravox, which transformers has no class for and vLLM runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raypipe.engines.families.family import ClipLimits, Family, VllmSupport
from raypipe.engines.input_builders import (
    NO_FEATURES,
    AudioFeatures,
    control_tokens,
    require_template,
)
from raypipe.engines.model_input import PromptLimits, encoder_frame_count
from raypipe.engines.published import Published
from raypipe.records import ClipPlace, FloatArray, IntArray, ModelInput

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig

_AUDIO_MARK = "<|audio|>"
"""Where the clip stands in the text of a turn."""


def stacked_token_count(feature_frames: int, stack: int) -> int:
    """Audio tokens of a clip whose encoder outputs are stacked, the last stack filled up."""
    return -(-encoder_frame_count(feature_frames) // stack)


class StackedInputBuilder:
    """Inputs equal to those of the processor that comes as code with each checkpoint.

    Whisper's feature extractor takes a clip at its length, which is padded to whole frames. The
    projector stacks the encoder's frames; one stack is one audio token.

    Args:
        family: which one.
        model_path: local directory or hub id.
        origin: ``revision`` and ``trust_remote_code``.

    Raises:
        UnsupportedError: for a tokenizer without a chat template.
    """

    silence = NO_FEATURES

    def __init__(self, family: Family, model_path: str, origin: Mapping[str, object]) -> None:
        from transformers import AutoTokenizer, PreTrainedConfig, WhisperFeatureExtractor

        revision = origin.get("revision")
        config, _ = PreTrainedConfig.get_config_dict(model_path, revision=revision)
        # Any config: the tokenizer names its class, and transformers does not know the model's.
        self.tokenizer = AutoTokenizer.from_pretrained(
            model_path, config=PreTrainedConfig(), **origin
        )
        require_template(self.tokenizer, model_path)
        # The encoder may lie in a place of its own, of which the revision says nothing.
        elsewhere = config.get("audio_model_id")
        place = {"revision": revision} if elsewhere is None else {}
        self._extractor = WhisperFeatureExtractor.from_pretrained(elsewhere or model_path, **place)
        self._stack: int = config.get("stack_factor", 8)
        self.sampling_rate: int = self._extractor.sampling_rate
        self.longest: int | None = self._extractor.n_samples
        self.shortest = 2 * int(self._extractor.hop_length)
        # Outside the vocabulary in published checkpoints: its text is none of the tokenizer's.
        self.audio_token_id: int | None = config.get("audio_token_index", 32_000)
        self.control_tokens = (_AUDIO_MARK, *control_tokens(self.tokenizer))

    def turn(self, prompt: str, *, with_clip: bool, clip: ClipPlace | None = None) -> IntArray:
        """Token ids of the user's turn, a single audio token for the clip, shape ``(tokens,)``."""
        text = self.rendered(prompt, with_clip=with_clip, clip=clip)
        parts = self.tokenizer(text.split(_AUDIO_MARK), add_special_tokens=False)["input_ids"]
        token_ids = [*parts[0]]
        for part in parts[1:]:
            token_ids += [self.audio_token_id, *part]
        return np.asarray(token_ids, dtype=np.int64)

    def rendered(
        self,
        prompt: str,
        *,
        with_clip: bool,
        answer: str | None = None,
        clip: ClipPlace | None = None,
    ) -> str:
        """The conversation as text: the user's turn and the assistant's, open or with an answer."""
        parts = [_AUDIO_MARK, prompt] if with_clip else [prompt]
        content = "\n".join(reversed(parts) if clip == "after" else parts)
        turns = [{"role": "user", "content": content}]
        turns += [] if answer is None else [{"role": "assistant", "content": answer}]
        text: str = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=answer is None, tokenize=False
        )
        return text

    def extract(self, samples: FloatArray) -> AudioFeatures:
        """Features of a mono clip, shape ``(samples,)``."""
        features = self._extractor(
            samples,
            sampling_rate=self.sampling_rate,
            padding="longest",
            pad_to_multiple_of=self._extractor.hop_length,
            truncation=False,
            return_tensors="np",
        )["input_features"][0].astype(np.float32)
        frames = features.shape[1]
        return AudioFeatures(features, frames, {}, stacked_token_count(frames, self._stack))


def encode_in_vllm(model: Any, model_input: ModelInput) -> Tensor:
    """A clip's embeddings by vLLM's ``UltravoxModel``.

    One clip at a time: the projector's last stack would reach into the padding of a batch.
    """
    import torch

    device = model.audio_tower.conv1.weight.device
    tokens = stacked_token_count(model_input.feature_frames, model.config.stack_factor)
    encoded: Sequence[Tensor] = type(model).embed_multimodal(
        model,
        audio_features=torch.from_numpy(model_input.features[None]).to(device),
        audio_lens=torch.tensor([model_input.feature_frames]),
        audio_token_len=torch.tensor([tokens], device=device),
        audio_num_chunks=torch.tensor([1]),
    )
    return encoded[0]


def _take_encoded(model: Any) -> None:
    # vLLM 0.32's UltravoxModel wants an axis too many of an encoded clip, which vLLM then refuses.
    model.embed_multimodal = lambda audio_embeds: tuple(audio_embeds)


def _load_config(model_path: str, origin: Mapping[str, object]) -> PreTrainedConfig:
    from vllm.transformers_utils.config import get_config

    return get_config(model_path, **origin)


def _limits(config: PreTrainedConfig) -> PromptLimits:
    return PromptLimits(
        vocabulary=config.text_config.vocab_size,
        audio_token_id=config.audio_token_index,
        max_positions=config.text_config.max_position_embeddings,
    )


FAMILY = Family(
    name="Ultravox",
    architecture="UltravoxModel",
    processor="UltravoxProcessor",
    input_builder=StackedInputBuilder,
    clips=ClipLimits(
        longest_s=30.0,
        longest_by_checkpoint=True,
        needed=True,
        reason="the window of its feature extractor",
    ),
    decoder=None,
    vllm=VllmSupport(
        encode=encode_in_vllm, limits=_limits, load_config=_load_config, prepare=_take_encoded
    ),
    needs_trust_remote_code=True,
    verified="equals transformers' generate() behind its parts: Whisper's encoder, the "
    "projector, Llama",
    proved="parts",
    published=(
        Published(
            name="fixie-ai/ultravox-v0_3",
            licence="mit",
            gated=False,
            source="its card on the hub: Llama 3.1 8B and Whisper small",
        ),
        Published(
            name="fixie-ai/ultravox-v0_4",
            parameters=8.07,
            weights_gb=16.15,
            dtype="bfloat16",
            licence="mit",
            gated=False,
            source="its file list on the hub: Llama 3.1 8B and Whisper medium, half precision",
        ),
        Published(
            name="fixie-ai/ultravox-v0_4_1-llama-3_1-8b",
            source="its name in a card on the hub; the 70b of its version holds the projector "
            "alone and fetches Llama by itself",
        ),
        Published(
            name="fixie-ai/ultravox-v0_5-llama-3_2-1b",
            source="its name in vLLM's list of models",
        ),
    ),
    notes=("vLLM encodes a second window of 30 s otherwise than the published code",),
)
