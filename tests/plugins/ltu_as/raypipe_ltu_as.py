"""LTU-AS, run by the code of YuanGongND/ltu.

Seen of that code: ``src/ltu_as/inference_gradio.py`` and ``inference_batch.py``, which load the
model while they are imported, so that their calls are repeated here, and LTU's ``prompter.py``. Of
its ``whisper`` only what these call. Never run here: its weights, nor its forks of transformers and
peft, which have to take the place of the published ones in an environment of its own; raypipe needs
transformers for its engine of that name alone.

.. code-block:: yaml

    model: {engine: ltu-as, path: pretrained_mdls/, options: {code: ltu/src/ltu_as/}}
    strategies: [greedy]

``path`` is the folder of what the authors offer for download. Their demo samples at a temperature
of 0.1; greedy answers are asked for here, with their repetition penalty of 1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np

from raypipe.engines.plugins import EngineSettings, PluginOptions
from raypipe.engines.text_plugin import clip_file, import_from, text_plugin
from raypipe.records import Request

RATE = 16_000
RESPONSE = "### Response:\n"
PAD, BEGIN, END = 0, 1, 2


class Options(PluginOptions):
    """Where the code and the weights are.

    Attributes:
        code: folder ``src/ltu_as`` of the checkout.
        language_model: folder of its Vicuna, below ``path``.
        weights: file of what was trained, below ``path``.
        encoder: file of Whisper large v1, below ``path``.
        repetition_penalty: of ``generate()``.
    """

    code: str
    language_model: str = "vicuna_ltuas"
    weights: str = "ltuas_long_noqa_a6.bin"
    encoder: str = "large-v1.pt"
    repetition_penalty: float = 1.1


class LtuAs:
    """The loaded model and the two Whispers before it."""

    def __init__(self, settings: EngineSettings) -> None:
        import torch

        self._torch, options, folder = torch, settings.model.options, Path(settings.model.path)
        self._device = "cpu" if settings.model.device == "cpu" else "cuda:0"
        import_from(options.code)
        import whisper_at
        from peft import LoraConfig, get_peft_model
        from transformers import LlamaForCausalLM, LlamaTokenizer
        from utils.prompter import Prompter
        from whisper.model import ModelDimensions, Whisper

        with chdir(options.code):  # it looks for its templates from there
            self._prompter = Prompter("alpaca_short")
        self._penalty = options.repetition_penalty
        self._transcriber = whisper_at.load_model("large-v2", device=self._device)
        encoder = torch.load(folder / options.encoder, map_location="cpu", weights_only=True)
        self._encoder = Whisper(ModelDimensions(**encoder["dims"]))
        self._encoder.load_state_dict(encoder["model_state_dict"], strict=False)
        self._encoder.to(self._device)
        base = str(folder / options.language_model)
        self._tokenizer = LlamaTokenizer.from_pretrained(base)
        model = LlamaForCausalLM.from_pretrained(base, device_map="auto", torch_dtype=torch.float16)
        for name, parameter in model.named_parameters():
            if "audio_encoder" in name and "ln" in name:
                parameter.data = parameter.data.float()
        adapter = LoraConfig(
            r=8,
            lora_alpha=16,
            target_modules=["q_proj", "v_proj"],
            lora_dropout=0.05,
            bias="none",
            task_type="CAUSAL_LM",
        )
        self._model = get_peft_model(model, adapter)
        weights = torch.load(folder / options.weights, map_location="cpu", weights_only=True)
        self._model.load_state_dict(weights, strict=False)
        self._model.eval()

    def answer(self, requests: Sequence[Request], max_new_tokens: int) -> list[str]:
        """Greedy answers, one at a time, as its scripts ask."""
        return [self._answer(request, max_new_tokens) for request in requests]

    def _answer(self, request: Request, max_new_tokens: int) -> str:
        from transformers import GenerationConfig

        with clip_file(request, RATE) as path:
            words = self._transcriber.transcribe(path)["text"].strip()
            _, features = self._encoder.transcribe_audio(path)
        prompt = self._prompter.generate_prompt(request.prompt, words)
        search = GenerationConfig(
            do_sample=False,
            repetition_penalty=self._penalty,
            max_new_tokens=max_new_tokens,
            pad_token_id=PAD,
            bos_token_id=BEGIN,
            eos_token_id=END,
            num_return_sequences=1,
        )
        tokens = self._tokenizer(prompt, return_tensors="pt")["input_ids"]
        with self._torch.no_grad():
            output = self._model.generate(
                input_ids=tokens.to(self._device),
                audio_input=self._pooled(features).unsqueeze(0).half().to(self._device),
                generation_config=search,
                return_dict_in_generate=True,
            )
        text: str = self._tokenizer.decode(output.sequences[0])
        return text.partition(RESPONSE)[-1].removesuffix("</s>").strip()

    def _pooled(self, features: Any) -> Any:
        """Means of 20 frames of every layer but the first, shape ``(layers, frames, width)``."""
        from skimage.measure import block_reduce

        layers = self._torch.permute(features[0], (2, 0, 1)).detach().cpu().numpy()
        return self._torch.FloatTensor(block_reduce(layers, (1, 20, 1), np.mean)[1:])


PLUGIN = text_plugin(
    LtuAs,
    sampling_rate=RATE,
    max_duration_s=10.0,
    options=Options,
    marks=("### Response:",),
    packages=("transformers", "peft"),
)
