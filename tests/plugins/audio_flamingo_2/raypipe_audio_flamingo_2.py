"""Audio Flamingo 2, run by the code of NVIDIA/audio-flamingo.

Seen of that code: ``inference_HF_pretrained/inference.py`` (``load_audio``, ``predict``, how the
checkpoint is put together), its ``configs/inference.yaml``, ``src/factory.py``
(``create_model_and_transforms``) and ``src/flamingo.py`` (``Flamingo.generate``). Of ``utils.py``
the name ``get_cast_dtype`` alone. Never run here: its weights, CLAP and Qwen2.5.

.. code-block:: yaml

    model: {engine: audio-flamingo-2, path: inference_HF_pretrained/}
    strategies: [greedy]

``path`` is that folder, with the files of ``nvidia/audio-flamingo-2`` laid into it. Its script
samples (top_k 30, top_p 0.95); greedy answers are asked for here. As in the script, a clip is
scaled to its peak and the prompt is written in small letters. Its CLAP needs a GPU.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from raypipe.engines.plugins import EngineSettings
from raypipe.engines.text_plugin import clip_file, import_from, text_plugin
from raypipe.errors import ConfigError
from raypipe.records import Failure, Request

RATE = 16_000
LONGEST_S = 120.0
LONGEST_PROMPT = 512
"""Tokens after which its script cuts a prompt."""


class AudioFlamingo2:
    """The loaded model."""

    def __init__(self, settings: EngineSettings) -> None:
        import torch

        self._torch = torch
        self._device = "cpu" if settings.model.device == "cpu" else "cuda:0"
        folder = Path(settings.model.path).resolve()
        import_from(str(folder))
        from inference import load_audio
        from safetensors.torch import load_file
        from src.factory import create_model_and_transforms
        from utils import get_cast_dtype

        config = yaml.safe_load((folder / "configs" / "inference.yaml").read_text())
        train, self._clap = config["train_config"], config["clap_config"]
        if self._clap["window_length"] * self._clap["max_num_window"] < LONGEST_S:
            raise ConfigError(f"{folder}: its clap_config takes less than {LONGEST_S:g} s")
        self._clap["checkpoint"] = str(folder / self._clap["checkpoint"])
        self._load_audio, self._dtype = load_audio, get_cast_dtype(train["precision"])
        model, self._tokenizer = create_model_and_transforms(
            **config["model_config"],
            clap_config=self._clap,
            use_local_files=train["offline"],
            gradient_checkpointing=train["gradient_checkpointing"],
            freeze_lm_embeddings=train["freeze_lm_embeddings"],
        )
        weights = {}
        for name in json.loads((folder / "safe_ckpt" / "metadata.json").read_text()):
            weights.update(load_file(folder / "safe_ckpt" / f"{name}.safetensors"))
        self._model = model.to(self._device).eval()
        self._model.load_state_dict(weights, False)

    def answer(self, requests: Sequence[Request], max_new_tokens: int) -> list[str | Failure]:
        """Greedy answers, one at a time, as its script asks."""
        return [self._answer(request, max_new_tokens) for request in requests]

    def _answer(self, request: Request, max_new_tokens: int) -> str | Failure:
        tokenizer = self._tokenizer
        text = f"<audio>{request.prompt.lower().strip()}{tokenizer.sep_token}"
        prompt = tokenizer(text, return_tensors="pt")["input_ids"]
        if prompt.shape[1] > LONGEST_PROMPT:
            message = f"{prompt.shape[1]} tokens, its code takes {LONGEST_PROMPT}"
            return Failure(request.utterance_id, "engine", "prompt_too_long", message)
        with clip_file(request, RATE) as path:
            windows, mask = self._load_audio(path, self._clap)
        with self._torch.no_grad():
            (tokens,) = self._model.generate(
                audio_x=windows.to(self._device, dtype=self._dtype).unsqueeze(0),
                audio_x_mask=mask.to(self._device, dtype=self._dtype).unsqueeze(0),
                lang_x=prompt.to(self._device),
                eos_token_id=tokenizer.eos_token_id,
                max_new_tokens=max_new_tokens,
                do_sample=False,
            )
        answer: str = tokenizer.decode(tokens).split(tokenizer.sep_token)[-1]
        for mark in (tokenizer.eos_token, tokenizer.pad_token, "<|endofchunk|>"):
            answer = answer.replace(mark, "")
        return answer.strip()


PLUGIN = text_plugin(
    AudioFlamingo2,
    sampling_rate=RATE,
    max_duration_s=LONGEST_S,
    marks=("<audio>", "<SEP>", "<|endofchunk|>"),
    packages=("transformers", "torchaudio"),
)
