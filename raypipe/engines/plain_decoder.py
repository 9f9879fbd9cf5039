"""The search of the tree decoder on a model's own forward pass and cache.

For architectures whose attention or positions the tree does not reproduce (sliding windows, keys
shared between layers, adapters that depend on the input, ...). An utterance's audio is encoded and
its prompt read once; the cache is then copied for every lane and put in order after every step, as
transformers' ``generate()`` does. ``generate()`` itself makes everything ready, so that whatever a
model does there (positions, adapters, kind of cache) is done here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from raypipe.engines.lanes import LaneSettings, OnAnswer, Trace
from raypipe.engines.shared_audio import EncodedClips
from raypipe.errors import EngineError
from raypipe.records import ModelInput


class PlainDecoder:
    """Decoder of one utterance after the other, with the answers of the tree decoder.

    Args:
        model: a transformers model that generates, in evaluation mode, on its device.
        settings: what the lanes do and record.
        features: what the model's forward pass calls a clip's features.
        logits_divisor: what the forward pass leaves to be divided by.
    """

    def __init__(
        self,
        model: Any,
        settings: LaneSettings,
        features: str,
        logits_divisor: float = 1.0,
    ) -> None:
        self._model = model
        self._features = features
        self._logits_divisor = logits_divisor
        self._settings = settings
        # Neutral on purpose: the checkpoint's own settings were looked at before.
        self._config = GenerationConfig(
            max_new_tokens=settings.max_new_tokens,
            eos_token_id=list(settings.end_ids),
            pad_token_id=settings.end_ids[0],
            do_sample=False,
            num_beams=1,
            num_return_sequences=1,
            use_cache=True,
            cache_implementation="dynamic",
        )

    def decode(
        self,
        inputs: Sequence[ModelInput],
        row_count: int,
        on_answer: OnAnswer,
        audio_cache: EncodedClips | None = None,
    ) -> None:
        """Answer any number of inputs.

        Args:
            inputs: what to answer.
            row_count: without effect; part of the decoders' interface.
            on_answer: told the index of an input and its answer: the greedy trace, if asked for,
                and the beams, best first; or the error that makes its numbers worthless.
            audio_cache: without effect; a clip is encoded as often as it is asked about.
        """
        del row_count, audio_cache
        for index, model_input in enumerate(inputs):
            on_answer(index, self._answer(model_input))

    def _answer(self, model_input: ModelInput) -> list[Trace] | EngineError:
        device = self._model.device
        token_ids = torch.from_numpy(model_input.token_ids.copy())[None].to(device)
        tensors = clip_tensors(model_input, self._features, device, self._model.dtype)
        if self._model._hf_peft_config_loaded:
            # The adapter was trained for listening; without it the model is the text model it was.
            (self._model.enable_adapters if tensors else self._model.disable_adapters)()
        with torch.inference_mode():
            answer: list[Trace] | EngineError = self._model.generate(
                input_ids=token_ids,
                attention_mask=torch.ones_like(token_ids),
                **tensors,
                generation_config=self._config,
                custom_generate=partial(self._search, model_input.utterance_id),
            )
        return answer

    def forget(self) -> None:
        """Release the memory of earlier calls, of which there is none."""

    def _search(
        self,
        name: str,
        model: Any,
        input_ids: Tensor,
        *,
        generation_config: GenerationConfig,
        logits_processor: Any,
        stopping_criteria: Any,
        **state: Any,
    ) -> list[Trace] | EngineError:
        """What ``generate()`` calls in place of its own loop, everything being ready."""
        lanes = self._settings.lanes(1, input_ids.device)
        outputs = model._prefill(input_ids, generation_config, state)
        first_row = torch.zeros(1, dtype=torch.int64, device=input_ids.device)
        lanes.start(first_row, self._logits(outputs), [input_ids[0].cpu().numpy()], [name])
        state = model._update_model_kwargs_for_generation(outputs, state)
        sequences, state = model._expand_inputs_for_generation(
            self._settings.lane_count, input_ids=input_ids, **state
        )
        if self._settings.lane_count > 1:
            state["past_key_values"].batch_repeat_interleave(self._settings.lane_count)
        for step in range(1, self._settings.max_new_tokens):
            if lanes.done()[0]:
                break
            if step > 1:
                # After the prompt all lanes are alike.
                parents = lanes.parents[0]
                state["past_key_values"].reorder_cache(parents)
                sequences = sequences[parents]
            sequences = torch.cat([sequences, lanes.tokens[0, :, None]], 1)
            outputs = model(
                **model.prepare_inputs_for_generation(sequences, next_sequence_length=1, **state),
                return_dict=True,
            )
            state = model._update_model_kwargs_for_generation(outputs, state)
            lanes.advance(self._logits(outputs)[None])
        (answer,) = lanes.traces([0])
        return answer

    def _logits(self, outputs: Any) -> Tensor:
        """Raw logits after the last token of every lane, shape ``(lanes, vocabulary)``."""
        logits: Tensor = outputs.logits[:, -1].float()
        return logits / self._logits_divisor


def clip_tensors(
    model_input: ModelInput, features: str, device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """The tensors of an input's clip, as the model's forward pass takes them.

    Args:
        model_input: the input.
        features: what the forward pass calls the clip's features.
        device: where they are wanted.
        dtype: of those that are floating-point numbers.

    Returns:
        The tensors by name; none without a clip.
    """
    if not model_input.features.size:
        return {}
    tensors = {}
    for name, array in {features: model_input.features, **model_input.tensors}.items():
        tensor = torch.from_numpy(np.array(array)).to(device)
        tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return tensors
