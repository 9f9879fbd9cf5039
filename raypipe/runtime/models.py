"""Which model a run uses: found, told apart, and brought to life in a stage."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from raypipe.config import BUNDLED_MODEL, ModelConfig, RunConfig
from raypipe.engines import load_engine, load_frontend
from raypipe.protocols import Engine, Frontend
from raypipe.records import EmotionTokens
from raypipe.tiny_alm import checkpoint_path


def model_path(model: ModelConfig) -> str:
    """Where the model lies: the bundled one's folder, or the path or hub id as given.

    Every process asks for itself: the package may lie elsewhere on another machine.
    """
    return str(checkpoint_path()) if model.path == BUNDLED_MODEL else model.path


def make_frontend(model: ModelConfig) -> Frontend:
    """The CPU half of the run's engine."""
    frontend: Frontend = load_frontend(model.engine)(
        model_path(model), revision=model.revision, trust_remote_code=model.trust_remote_code
    )
    return frontend


def make_engine(config: RunConfig, emotion_tokens: EmotionTokens) -> Engine:
    """The accelerator half of the run's engine, weights and all."""
    model, decoding, resources = config.model, config.decoding, config.resources
    threads = resources.threads_per_actor
    if threads is None and resources.gpus_per_actor == 0:
        threads = max(1, (os.cpu_count() or 1) // resources.actors)
    engine: Engine = load_engine(model.engine)(
        model_path(model),
        revision=model.revision,
        emotion_tokens=emotion_tokens,
        beam_count=decoding.beam_count,
        greedy=decoding.greedy,
        max_new_tokens=decoding.max_new_tokens,
        batch_size=resources.batch_size,
        device=model.device,
        dtype=model.dtype,
        threads=threads,
        trust_remote_code=model.trust_remote_code,
        ignore_generation_config=model.ignore_generation_config,
        cuda_graphs=resources.cuda_graphs,
    )
    return engine


def model_fingerprint(model: ModelConfig) -> str:
    """SHA-256 that tells a local model's files apart; a hub id with its revision otherwise.

    Small files count whole. Of large weight files the size, the header and evenly spaced samples
    count: hashing 15 GB would delay every start by a minute.
    """
    folder = Path(model_path(model))
    if not folder.is_dir():
        return f"{model.path}@{model.revision}"
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix != ".md":
            digest.update(f"{file.name}:{file.stat().st_size}\n".encode())
            _update_with_file(digest, file)
    return digest.hexdigest()


_WHOLE_FILE_BYTES = 64 << 20
_SAMPLE_BYTES, _SAMPLES = 64 << 10, 256


def _update_with_file(digest: Any, file: Path) -> None:
    size = file.stat().st_size
    if size <= _WHOLE_FILE_BYTES:
        digest.update(file.read_bytes())
        return
    with file.open("rb") as stream:
        for sample in range(_SAMPLES):
            stream.seek(sample * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE_BYTES))
