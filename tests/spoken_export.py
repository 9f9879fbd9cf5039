"""Exports of the spoken corpus, written as raypipe export writes them, and a random adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from raypipe.finetune.model import LoraModel
from raypipe.finetune.settings import LoraSettings
from raypipe.tiny_alm.spoken import clip_id, sentence, spoken_clip
from raypipe.tiny_alm.synth import SAMPLING_RATE

QUESTION = "What emotion do you think the audio expresses?"
END = 994  # of tiny-alm's generation config


def answer_text(index: int, split: str, emotion: str) -> str:
    said = sentence(index, split)
    return f"<asr>{said}</asr><answer>I think the emotion is {emotion}</answer>"


def write_export(folder: Path, train: int, development: int = 0, **manifest: object) -> Path:
    """An export of the first clips of the spoken corpus, every second one "surprise"."""
    (folder / "audio").mkdir(parents=True)
    counts = {"train": train, "development": development}
    for split, count in counts.items():
        lines = []
        for index in range(count):
            name = f"audio/{clip_id(index, split)}.flac"
            samples, _ = spoken_clip(index, split)
            soundfile.write(folder / name, np.asarray(samples), SAMPLING_RATE)
            lines.append(line(clip_id(index, split), name, index, split))
        if count:
            (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    document = {"format": 1, "made_from": [], "reasons": False, "contains": counts, **manifest}
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


def line(name: str, audio: str, index: int, split: str) -> dict[str, object]:
    emotion = ("surprise", "contempt")[index % 2]
    return {
        "id": name,
        "label": emotion,
        "instruction": "open_form",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "audio", "audio": audio}, {"type": "text", "text": QUESTION}],
            },
            {
                "role": "assistant",
                "content": [{"type": "text", "text": answer_text(index, split, emotion)}],
            },
        ],
    }


def save_random_adapter(folder: Path, checkpoint: str) -> Path:
    """An adapter of random matrices, large enough to change what the model says."""
    model = LoraModel(checkpoint, None, LoraSettings(rank=4, alpha=8), seed=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters.values():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    model.save(folder)
    return folder


def finetune_settings(export: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """A config's keys and values: 11 examples, two workers, steps of four."""
    training = {
        "learning_rate": 3e-3,
        "epochs": 3,
        "batch_size": 1,
        "accumulation": 2,
        "evaluations_per_epoch": 1,
        "checkpoint_steps": 1,
    }
    return {
        "input": {"export": str(export)},
        "output": str(output),
        "preset": "tiny-alm",
        "lora": {"rank": 4, "alpha": 8},
        "training": {**training, **changes.pop("training", {})},
        "workers": 2,
        "cpus_per_worker": 1,
        **changes,
    }
