"""Qwen2-Audio's parts, called one by one so that nothing is computed twice.

``generate()`` encodes the audio and reads the prompt once per beam, pads every clip to 30 s, and
multiplies every prompt position with the vocabulary. Here a clip is encoded once, on its real
frames, and only the last position meets the vocabulary. The modules and weights are transformers'.

Audio Flamingo 3 is built of the same parts under the same names, with another projector.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu

from raypipe.engines.attention import using_tree_attention
from raypipe.engines.buckets import similar_lengths
from raypipe.engines.model_input import InputLimits, audio_token_count, encoder_frame_count
from raypipe.engines.tree_cache import PromptSlots, TreeCache
from raypipe.errors import UnsupportedError
from raypipe.records import ModelInput

_ATTENTION_TYPE = "full_attention"
_LENGTH_INDEPENDENT_ROPE = ("default", "linear", "llama3", "yarn")
_FRAMES_AT_ONCE = 48_000
"""Clips are encoded together up to so many feature frames (8 minutes): bounds the memory."""
_MASK_ALIGNMENT = 16


class Qwen2Audio:
    """A loaded model, taken apart.

    Args:
        model: a ``Qwen2AudioForConditionalGeneration`` or one built alike, in evaluation mode, on
            its device.

    Raises:
        UnsupportedError: for a variant whose attention or positions the tree decoder does not
            reproduce (sliding windows, positions scaled by the length of the sequence).
    """

    def __init__(self, model: Any) -> None:
        self._audio_tower = model.model.audio_tower
        self._projector = model.model.multi_modal_projector
        self._language_model = model.model.language_model
        self._head = model.lm_head
        self._audio_token_id: int = model.config.audio_token_id
        config = self._language_model.config
        require_plain_attention(config)
        self.limits = InputLimits(
            vocabulary=self._language_model.embed_tokens.num_embeddings,
            audio_token_id=self._audio_token_id,
            mel_bins=self._audio_tower.num_mel_bins,
            window_frames=2 * int(self._audio_tower.max_source_positions),
            max_positions=config.max_position_embeddings,
        )
        self.device: torch.device = self._head.weight.device

    def attending(self) -> AbstractContextManager[None]:
        """Attend the way the tree needs it while the context lasts."""
        return using_tree_attention(self._language_model.config)

    def encode(self, inputs: Sequence[ModelInput]) -> list[Tensor]:
        """Encode the clips of some inputs.

        Args:
            inputs: each passed by ``limits.check``.

        Returns:
            Encoder outputs of each input, shape ``(audio tokens, hidden)``, in input order; none
            for a question without a clip.
        """
        windows = [self.limits.windows(one) if one.feature_frames else [] for one in inputs]
        encoded = iter(self._encode_windows([window for some in windows for window in some]))
        nothing = torch.empty(0, self._head.weight.shape[1], device=self.device)
        outputs = []
        for some in windows:
            parts = [next(encoded) for _ in some]
            outputs.append(torch.cat(parts) if len(parts) > 1 else (*parts, nothing)[0])
        return outputs

    def _encode_windows(self, windows: Sequence[ModelInput]) -> list[Tensor]:
        outputs: list[Tensor] = [torch.empty(0)] * len(windows)
        lengths = [one.feature_frames for one in windows]
        for group in similar_lengths(lengths, _FRAMES_AT_ONCE):
            encoded = self._encode_group([windows[row] for row in group])
            for row, output in zip(group, encoded, strict=True):
                outputs[row] = output
        return outputs

    def embed(self, inputs: Sequence[ModelInput], audio: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Embed the prompts, audio included.

        Args:
            inputs: one per row, each passed by ``limits.check``.
            audio: what :meth:`encode` made of them.

        Returns:
            Right-padded embeddings, shape ``(rows, tokens, hidden)``, and prompt lengths, shape
            ``(rows,)``.
        """
        lengths = [len(one.token_ids) for one in inputs]
        padded = np.zeros((len(inputs), max(lengths)), dtype=np.int64)
        for row, one in enumerate(inputs):
            padded[row, : lengths[row]] = one.token_ids
        token_ids = torch.from_numpy(padded).to(self.device)
        embeddings: Tensor = self._language_model.embed_tokens(token_ids)
        where = torch.from_numpy((padded == self._audio_token_id).reshape(-1).nonzero()[0])
        flat = embeddings.flatten(0, 1)
        flat[where.to(self.device)] = torch.cat(list(audio)).to(embeddings.dtype)
        return embeddings, torch.tensor(lengths, device=self.device)

    def prefill(self, embeddings: Tensor, lengths: Tensor, cache: PromptSlots) -> Tensor:
        """Read the prompts into ``cache``.

        Prompts are padded on the right, so that causal attention alone keeps the padding out of
        sight and no mask is needed.

        Returns:
            Raw logits after each prompt's last token, shape ``(rows, vocabulary)``, float32.
        """
        positions = torch.arange(embeddings.shape[1], device=self.device)[None]
        hidden = self._language_model(
            inputs_embeds=embeddings,
            position_ids=positions,
            attention_mask={_ATTENTION_TYPE: None},
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        rows = torch.arange(len(lengths), device=self.device)
        return self._logits(hidden[rows, lengths - 1])

    def step(self, tokens: Tensor, positions: Tensor, visible: Tensor, cache: TreeCache) -> Tensor:
        """Feed one token per lane.

        Args:
            tokens: shape ``(rows, lanes)``.
            positions: position of every row's tokens, the same for all lanes, shape ``(rows,)``.
            visible: slots each lane sees, shape ``(rows, 1, lanes, slots)``.
            cache: the slots.

        Returns:
            Raw logits, shape ``(rows, lanes, vocabulary)``, float32.
        """
        hidden = self._language_model(
            input_ids=tokens,
            position_ids=positions[:, None].expand_as(tokens),
            attention_mask={_ATTENTION_TYPE: visible},
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return self._logits(hidden)

    def _logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._head(hidden)
        return logits.float()

    def _encode_group(self, inputs: Sequence[ModelInput]) -> list[Tensor]:
        tower = self._audio_tower
        lengths = torch.tensor([encoder_frame_count(one.feature_frames) for one in inputs])
        width = int(lengths.max())
        mask = None
        if bool((lengths < width).any()):
            aligned = -(-width // _MASK_ALIGNMENT) * _MASK_ALIGNMENT
            width = min(aligned, int(tower.max_source_positions))
            mask = (torch.arange(width) < lengths[:, None])[:, None, None, :]
            mask = mask.expand(-1, 1, width, -1).to(self.device)
        hidden = self._convolve(inputs, width)
        hidden = hidden + tower.embed_positions.weight[:width]
        for layer in tower.layers:
            hidden = layer(hidden, mask)
        pooled = tower.avg_pooler(hidden.permute(0, 2, 1)).permute(0, 2, 1)
        projected = self._projector(tower.layer_norm(pooled))
        counts = [audio_token_count(one.feature_frames) for one in inputs]
        return [projected[row, :count] for row, count in enumerate(counts)]

    def _convolve(self, inputs: Sequence[ModelInput], width: int) -> Tensor:
        """The first ``width`` encoder frames, shape ``(rows, width, channels)``."""
        tower = self._audio_tower
        # One more encoder frame than is kept: the last kept one must not see the convolution's
        # own zero padding where the full window has features.
        frames = min(2 * width + 2, self.limits.window_frames)
        features = np.zeros((len(inputs), tower.num_mel_bins, frames), dtype=np.float32)
        for row, one in enumerate(inputs):
            kept = min(one.features.shape[1], frames)
            features[row, :, :kept] = one.features[:, :kept]
        hidden = torch.from_numpy(features).to(self.device, tower.conv1.weight.dtype)
        hidden = gelu(tower.conv2(gelu(tower.conv1(hidden))))
        return hidden.permute(0, 2, 1)[:, :width]


def require_plain_attention(config: Any) -> None:
    """Refuse a language model that the tree decoder does not reproduce.

    Raises:
        UnsupportedError: for attention other than full, or positions scaled by the length of the
            sequence.
    """
    found = _attention_types(config)
    if found != {_ATTENTION_TYPE}:
        raise UnsupportedError(
            f"the language model has layers of types {sorted(found)}; the tree decoder reproduces "
            f"{_ATTENTION_TYPE} only"
        )
    rope_type = config.rope_parameters["rope_type"]
    if rope_type not in _LENGTH_INDEPENDENT_ROPE:
        raise UnsupportedError(
            f"rope type {rope_type!r} depends on the length of the whole sequence; known: "
            f"{', '.join(_LENGTH_INDEPENDENT_ROPE)}"
        )


def _attention_types(config: Any) -> set[str]:
    if types := getattr(config, "layer_types", None):
        return set(types)
    # A config that does not tell its layers apart has one window for all of them, or none.
    windowed = getattr(config, "sliding_window", None) is not None
    return {"sliding_attention" if windowed else _ATTENTION_TYPE}
