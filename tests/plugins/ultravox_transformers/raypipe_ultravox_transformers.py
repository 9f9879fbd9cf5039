"""Ultravox in transformers, run by the code that comes with its checkpoints.

Seen of that code: ``ultravox/model/ultravox_pipeline.py`` of fixie-ai/ultravox and the call that
its cards show. Never run here: its weights, nor its code with the transformers that raypipe pins.
vLLM's class gives beams, log-probabilities and raw logits as well: ``model: {engine: vllm}``.

.. code-block:: yaml

    model:
      {engine: ultravox-transformers, path: fixie-ai/ultravox-v0_4, trust_remote_code: true}
    strategies: [greedy]

Its pipeline has a repetition penalty of 1.1 unless it is told another one, and so has this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raypipe.engines.plugins import EngineSettings, PluginOptions
from raypipe.engines.text_plugin import text_plugin
from raypipe.records import Request

RATE = 16_000
CLIP = "<|audio|>"


class Options(PluginOptions):
    """How its answers are searched.

    Attributes:
        repetition_penalty: of ``generate()``.
    """

    repetition_penalty: float = 1.1


class Ultravox:
    """The loaded pipeline."""

    def __init__(self, settings: EngineSettings) -> None:
        import torch
        import transformers

        model = settings.model
        self._penalty = model.options.repetition_penalty
        origin = {} if model.revision is None else {"revision": model.revision}
        self._pipeline: Any = transformers.pipeline(
            model=model.path,
            **origin,
            trust_remote_code=True,
            dtype=getattr(torch, model.dtype),
            device=None if model.device == "auto" else model.device,
        )

    def answer(self, requests: Sequence[Request], max_new_tokens: int) -> list[str]:
        """Greedy answers: without a temperature its pipeline does not sample."""
        return [
            str(
                self._pipeline(
                    {
                        "audio": request.samples,
                        "turns": [],
                        "prompt": f"{CLIP}\n{request.prompt}",
                        "sampling_rate": RATE,
                    },
                    max_new_tokens=max_new_tokens,
                    repetition_penalty=self._penalty,
                )
            ).strip()
            for request in requests
        ]


PLUGIN = text_plugin(
    Ultravox,
    sampling_rate=RATE,
    max_duration_s=30.0,
    options=Options,
    marks=(CLIP, "<|eot_id|>"),
    runs_remote_code=True,
    packages=("transformers",),
)
