"""Baichuan-Omni-1.5, run by the code that comes with its checkpoint.

Seen of that code: ``processor_omni.py`` of baichuan-inc/Baichuan-Omni-1.5 and two of its demos
(``base_asr_demo.py``: loading, ``bind_processor``, ``processor``, ``generate``;
``s2s_gradio_demo_cosy_multiturn.py``: a turn and where an answer in text ends). Not seen: the
model's own module and config. Never run here: its weights, nor its code with the transformers that
raypipe pins.

.. code-block:: yaml

    model:
      {engine: baichuan-omni, path: baichuan-inc/Baichuan-Omni-1d5, trust_remote_code: true}
    strategies: [greedy]

Its demos sample; greedy answers are asked for here, with their repetition penalty of 1.1 unless
``options: {repetition_penalty: 1.0}`` says otherwise. How a clip and a question share a turn was
not seen: the clip comes first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from raypipe.engines.plugins import EngineSettings, PluginOptions
from raypipe.engines.text_plugin import clip_file, text_plugin
from raypipe.records import Failure, Request

RATE = 16_000
USER, ASSISTANT, END = "<C_Q>", "<C_A>", "<|endoftext|>"


class Options(PluginOptions):
    """How its answers are searched.

    Attributes:
        repetition_penalty: of ``generate()``.
    """

    repetition_penalty: float = 1.1


class BaichuanOmni:
    """The loaded model."""

    def __init__(self, settings: EngineSettings) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        self._device = "cpu" if settings.model.device == "cpu" else "cuda"
        origin: dict[str, Any] = {"trust_remote_code": True}
        if settings.model.revision is not None:
            origin["revision"] = settings.model.revision
        self._penalty = settings.model.options.repetition_penalty
        self._tokenizer = AutoTokenizer.from_pretrained(
            settings.model.path, model_max_length=128_000, **origin
        )
        self._model = AutoModelForCausalLM.from_pretrained(
            settings.model.path, device_map=self._device, dtype=torch.bfloat16, **origin
        )
        self._model.eval()
        self._model.bind_processor(self._tokenizer, training=False, relative_path="/")
        audio = self._model.config.audio_config
        self._begin, self._end = (
            self._tokenizer.convert_ids_to_tokens(token)
            for token in (audio.audio_start_token_id, audio.audio_end_token_id)
        )

    def answer(self, requests: Sequence[Request], max_new_tokens: int) -> list[str | Failure]:
        """Greedy answers, one at a time, as its demos ask."""
        return [self._answer(request, max_new_tokens) for request in requests]

    def _answer(self, request: Request, max_new_tokens: int) -> str | Failure:
        with clip_file(request, RATE) as path:
            clip = f"{self._begin}{json.dumps({'path': path})}{self._end}"
            inputs = self._model.processor([f"{USER}{clip}{request.prompt}{ASSISTANT}"])
        if inputs.audios is None:  # it prints what went wrong and goes on without the clip
            return Failure(
                request.utterance_id, "engine", "clip_not_read", "its processor has none"
            )
        with self._torch.no_grad():
            (tokens,) = self._model.generate(
                inputs.input_ids.to(self._device),
                attention_mask=inputs.attention_mask.to(self._device),
                audios=inputs.audios.to(self._device),
                encoder_length=inputs.encoder_length.to(self._device),
                bridge_length=inputs.bridge_length.to(self._device),
                tokenizer=self._tokenizer,
                stop_strings=[END],
                max_new_tokens=max_new_tokens,
                do_sample=False,
                repetition_penalty=self._penalty,
            )
        answer = tokens[inputs.input_ids.shape[1] :]
        return str(self._tokenizer.decode(answer, skip_special_tokens=True)).strip()


PLUGIN = text_plugin(
    BaichuanOmni,
    sampling_rate=RATE,
    max_duration_s=30.0,
    options=Options,
    marks=(USER, ASSISTANT, "<B_SYS>", END),
    runs_remote_code=True,
    packages=("transformers",),
)
