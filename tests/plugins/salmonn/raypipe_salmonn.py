"""SALMONN, run by the code of bytedance/SALMONN.

Seen of that code: ``config.py``, ``configs/decode_config.yaml``, ``models/salmonn.py``
(``SALMONN.from_config``, ``SALMONN.generate``), ``utils.py`` (``prepare_one_sample``) and the turn
of its command line. Never run here: its weights, Vicuna, Whisper and BEATs.

.. code-block:: yaml

    model: {engine: salmonn, path: decode_config.yaml, options: {code: SALMONN/}}
    strategies: [greedy]

``path`` is its decode config with the paths filled in. It asks for beams and gives no scores of
them, so greedy answers are all that is offered. Its code puts a stop token on a GPU and needs one.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from raypipe.engines.plugins import EngineSettings, PluginOptions
from raypipe.engines.text_plugin import clip_file, import_from, text_plugin
from raypipe.records import Request

RATE = 16_000
CLIP = "<Speech><SpeechHere></Speech>"


class Options(PluginOptions):
    """Where the code is.

    Attributes:
        code: folder of the checkout.
        also: files and folders that the decode config names, for the model's identity; all of the
            section ``model`` whose names end in ``path`` or ``ckpt`` are best.
    """

    code: str
    also: tuple[str, ...] = ()


class Salmonn:
    """The loaded model."""

    def __init__(self, settings: EngineSettings) -> None:
        import torch

        self._torch = torch
        self._device = "cpu" if settings.model.device == "cpu" else "cuda:0"
        self._on_gpu = self._device != "cpu"
        import_from(settings.model.options.code)
        from config import Config
        from models.salmonn import SALMONN
        from transformers import WhisperFeatureExtractor
        from utils import prepare_one_sample

        config = Config(Namespace(cfg_path=settings.model.path, options=None)).config
        self._prepare = prepare_one_sample
        self._template: str = config["model"]["prompt_template"]
        self._settings = dict(config["generate"])
        self._extractor = WhisperFeatureExtractor.from_pretrained(config["model"]["whisper_path"])
        self._model = SALMONN.from_config(config["model"])
        self._model.to(self._device)
        self._model.eval()

    def answer(self, requests: Sequence[Request], max_new_tokens: int) -> list[str]:
        """Greedy answers, one at a time: its padding on the right is no good for a batch."""
        return [self._answer(request, max_new_tokens) for request in requests]

    def _answer(self, request: Request, max_new_tokens: int) -> str:
        greedy = {"num_beams": 1, "do_sample": False, "max_new_tokens": max_new_tokens}
        turn = self._template.format(f"{CLIP} {request.prompt.strip()}")
        with clip_file(request, RATE) as path:
            samples = self._prepare(path, self._extractor, cuda_enabled=self._on_gpu)
        with self._torch.autocast("cuda", dtype=self._torch.float16, enabled=self._on_gpu):
            (text,) = self._model.generate(samples, {**self._settings, **greedy}, prompts=[turn])
        return str(text).replace("<s>", "").replace("</s>", "").strip()


PLUGIN = text_plugin(
    Salmonn,
    sampling_rate=RATE,
    max_duration_s=30.0,
    options=Options,
    marks=("<SpeechHere>",),
    also_loads=lambda options: options.also,
    packages=("transformers", "peft"),
)
