"""A loaded model as the tree decoder drives it: encode clips, embed and read prompts, take steps.

``generate()`` encodes the audio and reads the prompt once per beam, and multiplies every prompt
position with the vocabulary. Here a clip is encoded once and only the last position meets the
vocabulary. The modules and weights are transformers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raypipe.engines.attention import using_tree_attention
from raypipe.engines.model_input import InputLimits, PromptLimits
from raypipe.engines.plain_decoder import clip_tensors
from raypipe.engines.tree_cache import PromptSlots, TreeCache
from raypipe.errors import UnsupportedError
from raypipe.records import ModelInput

_ATTENTION_TYPE = "full_attention"
_LENGTH_INDEPENDENT_ROPE = ("default", "linear", "llama3", "yarn")


class DecoderAdapter:
    """A language model with plain causal attention behind an encoder of clips.

    The encoder's outputs take the place of the audio tokens. Here a clip is encoded by the model's
    own ``get_audio_features`` from its processor's own tensors; a subclass overrides
    :meth:`encode` and ``limits`` where a family's clips are encoded otherwise.

    Args:
        model: a transformers model in evaluation mode, on its device.

    Attributes:
        language_model: the part of it that reads prompts and takes steps.

    Raises:
        UnsupportedError: for a variant whose attention or positions the tree decoder does not
            reproduce (sliding windows, positions scaled by the length of the sequence).
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        inner = model.model
        self.language_model: Any = getattr(inner, "language_model", inner)
        self._embed_tokens = self.language_model.get_input_embeddings()
        self._head = model.get_output_embeddings()
        config = self.language_model.config
        require_plain_attention(config)
        self._takes_masks_by_type = hasattr(config, "layer_types")
        self.device: torch.device = self._head.weight.device
        self.limits: InputLimits | PromptLimits = PromptLimits.of(model)

    def attending(self) -> AbstractContextManager[None]:
        """Context in which the language model attends as the tree needs it."""
        return using_tree_attention(self.language_model.config)

    def encode(self, inputs: Sequence[ModelInput]) -> list[Tensor]:
        """Audio embeddings of each input, shape ``(audio tokens, hidden)``; empty without a clip.

        Each clip is encoded by itself, so that no padding but its processor's own gets in.

        Args:
            inputs: each passed by ``limits.check``.
        """
        return [self._encode_clip(model_input) for model_input in inputs]

    def embed(self, inputs: Sequence[ModelInput], audio: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Prompt embeddings, audio included.

        Args:
            inputs: one per row, each passed by ``limits.check``.
            audio: what :meth:`encode` made of them.

        Returns:
            Right-padded embeddings, shape ``(rows, tokens, hidden)``, and prompt lengths, shape
            ``(rows,)``.
        """
        lengths = [len(model_input.token_ids) for model_input in inputs]
        padded = np.zeros((len(inputs), max(lengths)), dtype=np.int64)
        for row, model_input in enumerate(inputs):
            padded[row, : lengths[row]] = model_input.token_ids
        embeddings = self.embed_text(torch.from_numpy(padded))
        if self.limits.audio_token_id is not None:
            (places,) = (padded == self.limits.audio_token_id).reshape(-1).nonzero()
            encoded = torch.cat(list(audio)).to(embeddings.dtype)
            embeddings.flatten(0, 1)[torch.from_numpy(places).to(self.device)] = encoded
        return embeddings, torch.tensor(lengths, device=self.device)

    def embed_text(self, token_ids: Tensor) -> Tensor:
        """Embeddings of tokens without any of a clip, shape ``(rows, tokens, hidden)``."""
        embeddings: Tensor = self._embed_tokens(token_ids.to(self.device))
        return embeddings

    def prefill(self, embeddings: Tensor, lengths: Tensor, cache: PromptSlots) -> Tensor:
        """Logits after each prompt's last token; the prompts are read into ``cache``.

        Prompts are padded on the right, so that causal attention alone keeps the padding out of
        sight and no mask is needed.

        Args:
            embeddings: of the tokens after a prefix, if ``cache`` was given one, shape
                ``(rows, tokens, hidden)``.
            lengths: how many tokens each row has of them, shape ``(rows,)``.
            cache: where their keys and values go.

        Returns:
            Raw logits, shape ``(rows, vocabulary)``, float32.
        """
        positions = torch.arange(embeddings.shape[1], device=self.device)[None] + cache.offset
        hidden = self._forward(None, cache, positions, inputs_embeds=embeddings)
        rows = torch.arange(len(lengths), device=self.device)
        return self._logits(hidden[rows, lengths - 1])

    def step(self, tokens: Tensor, positions: Tensor, visible: Tensor, cache: TreeCache) -> Tensor:
        """Logits after one more token in every lane.

        Args:
            tokens: shape ``(rows, lanes)``.
            positions: position of every lane's token, shape ``(rows, lanes)``, or ``(rows, 1)``
                where it is the same for all.
            visible: slots each lane sees, shape ``(rows, 1, lanes, slots)``.
            cache: the slots.

        Returns:
            Raw logits, shape ``(rows, lanes, vocabulary)``, float32.
        """
        positions = positions.expand_as(tokens)
        return self._logits(self._forward(visible, cache, positions, input_ids=tokens))

    def _forward(
        self, mask: Tensor | None, cache: Any, positions: Tensor, **tokens: Tensor
    ) -> Tensor:
        hidden: Tensor = self.language_model(
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

    def _no_audio(self) -> Tensor:
        """Audio embeddings of a question without a clip, shape ``(0, hidden)``."""
        return torch.empty(0, self._head.weight.shape[1], device=self.device)

    def _encode_clip(self, model_input: ModelInput) -> Tensor:
        tensors = clip_tensors(model_input, "input_features", self.device, self._head.weight.dtype)
        if not tensors:
            return self._no_audio()
        outputs = self._model.get_audio_features(**tensors, return_dict=True)
        # Encoders with a projector behind them give both what they and what it made.
        projected = getattr(outputs, "pooler_output", None)
        encoded: Tensor = outputs.last_hidden_state if projected is None else projected
        expected = int((model_input.token_ids == self.limits.audio_token_id).sum())
        if encoded.shape[0] != expected:
            # Unnoticed, one clip's outputs would stand in the next one's place.
            raise ValueError(f"{encoded.shape[0]} encoder outputs for {expected} audio tokens")
        return encoded


def require_plain_attention(config: Any) -> None:
    """Refuse a language model that the tree decoder does not reproduce.

    Raises:
        UnsupportedError: for attention other than full, or positions scaled by the length of the
            sequence.
    """
    types = _attention_types(config)
    if types != {_ATTENTION_TYPE}:
        raise UnsupportedError(
            f"the language model has layers of types {sorted(types)}; the tree decoder reproduces "
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
