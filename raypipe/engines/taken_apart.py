"""Further architectures called part by part, for the tree decoder.

A language model with plain causal attention, and an encoder in front of it whose outputs take the
place of the audio tokens. A clip is encoded by the model's own ``get_audio_features`` from its
processor's own tensors; everything after it is as in :mod:`raypipe.engines.qwen2_audio`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raypipe.engines.attention import using_tree_attention
from raypipe.engines.model_input import PromptLimits
from raypipe.engines.plain_decoder import clip_tensors
from raypipe.engines.qwen2_audio import require_plain_attention
from raypipe.engines.tree_cache import PromptSlots, TreeCache
from raypipe.records import ModelInput

_ATTENTION_TYPE = "full_attention"


class TakenApart:
    """A loaded model, taken apart.

    Args:
        model: one of the families that :mod:`raypipe.engines.families` gives to the tree, in
            evaluation mode, on its device.

    Raises:
        UnsupportedError: for a variant whose attention or positions the tree decoder does not
            reproduce (sliding windows, positions scaled by the length of the sequence).
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.limits = PromptLimits.of(model)
        inner = model.model
        self._language_model = getattr(inner, "language_model", inner)
        self._embed_tokens = self._language_model.get_input_embeddings()
        self._head = model.get_output_embeddings()
        require_plain_attention(self._language_model.config)
        self._takes_masks_by_type = hasattr(self._language_model.config, "layer_types")
        self.device: torch.device = self._head.weight.device

    def attending(self) -> AbstractContextManager[None]:
        """Attend the way the tree needs it while the context lasts."""
        return using_tree_attention(self._language_model.config)

    def encode(self, inputs: Sequence[ModelInput]) -> list[Tensor]:
        """Audio embeddings of each input, shape ``(audio tokens, hidden)``; none without a clip.

        Each clip by itself, so that no padding but its processor's own gets in.
        """
        return [self._encode(one) for one in inputs]

    def embed(self, inputs: Sequence[ModelInput], audio: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Right-padded prompt embeddings, ``(rows, tokens, hidden)``, and prompt lengths."""
        lengths = [len(one.token_ids) for one in inputs]
        padded = np.zeros((len(inputs), max(lengths)), dtype=np.int64)
        for row, one in enumerate(inputs):
            padded[row, : lengths[row]] = one.token_ids
        embeddings: Tensor = self._embed_tokens(torch.from_numpy(padded).to(self.device))
        if self.limits.audio_token_id is not None:
            (where,) = (padded == self.limits.audio_token_id).reshape(-1).nonzero()
            heard = torch.cat(list(audio)).to(embeddings.dtype)
            embeddings.flatten(0, 1)[torch.from_numpy(where).to(self.device)] = heard
        return embeddings, torch.tensor(lengths, device=self.device)

    def prefill(self, embeddings: Tensor, lengths: Tensor, cache: PromptSlots) -> Tensor:
        """Read the prompts; logits after their last tokens, ``(rows, vocabulary)``, float32."""
        positions = torch.arange(embeddings.shape[1], device=self.device)[None]
        hidden = self._run(None, cache, positions, inputs_embeds=embeddings)
        rows = torch.arange(len(lengths), device=self.device)
        return self._logits(hidden[rows, lengths - 1])

    def step(self, tokens: Tensor, positions: Tensor, visible: Tensor, cache: TreeCache) -> Tensor:
        """Feed one token per lane; logits ``(rows, lanes, vocabulary)``, float32."""
        positions = positions[:, None].expand_as(tokens)
        return self._logits(self._run(visible, cache, positions, input_ids=tokens))

    def _run(self, mask: Tensor | None, cache: Any, positions: Tensor, **tokens: Tensor) -> Tensor:
        hidden: Tensor = self._language_model(
            **tokens,
            position_ids=positions,
            attention_mask={_ATTENTION_TYPE: mask} if self._takes_masks_by_type else mask,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._head(hidden)
        return logits.float()

    def _encode(self, one: ModelInput) -> Tensor:
        tensors = clip_tensors(one, "input_features", self.device, self._head.weight.dtype)
        if not tensors:
            return torch.empty(0, self._head.weight.shape[1], device=self.device)
        outputs = self._model.get_audio_features(**tensors, return_dict=True)
        # Encoders with a projector behind them tell both what they and what it made.
        projected = getattr(outputs, "pooler_output", None)
        encoded: Tensor = outputs.last_hidden_state if projected is None else projected
        expected = int((one.token_ids == self.limits.audio_token_id).sum())
        if encoded.shape[0] != expected:
            # Unnoticed, one clip's outputs would stand in the next one's place.
            raise ValueError(f"{encoded.shape[0]} encoder outputs for {expected} audio tokens")
        return encoded
