"""What LLaMA-Factory makes of an export: run by a Python that has it, with its own loader.

Arguments: the export's folder ``llamafactory``, a data set's name in it, a Qwen2-Audio checkpoint,
the file for the answer: one JSON object for each line, with ``input_ids`` and ``labels``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import soundfile
import torch
import torchaudio
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer


def load_without_ffmpeg(path: str) -> tuple[torch.Tensor, int]:
    """What ``torchaudio.load`` gives, where its decoder lacks FFmpeg's shared libraries."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate


def main(folder: str, name: str, checkpoint: str, answer: str) -> None:
    model_args, data_args, training_args, _, _ = get_train_args(
        {
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "lora",
            "model_name_or_path": checkpoint,
            "dataset": name,
            "dataset_dir": folder,
            "template": "qwen2_audio",
            "cutoff_len": 2048,
            "output_dir": str(Path(answer).parent / "output"),
            "overwrite_cache": True,
            "preprocessing_num_workers": 1,
            "report_to": "none",
            "use_cpu": True,
        }
    )
    torchaudio.load = load_without_ffmpeg
    loaded = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
    module = get_dataset(template, model_args, data_args, training_args, stage="sft", **loaded)
    rows = [
        {"input_ids": list(row["input_ids"]), "labels": list(row["labels"])}
        for row in module["train_dataset"]
    ]
    Path(answer).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
