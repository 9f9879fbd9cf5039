"""One worker of a training, as Ray Train calls it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from ray import train

from raypipe.engines.frontend import TransformersFrontend
from raypipe.engines.generation_config import generation_config_of
from raypipe.engines.model_loading import end_ids
from raypipe.finetune.encoding import ExampleEncoder
from raypipe.finetune.examples import read_examples
from raypipe.finetune.model import LoraModel
from raypipe.finetune.record import ADAPTER, CURVE, curve_lines
from raypipe.finetune.training import Finetuning
from raypipe.finetune.workers import TorchWorkers
from raypipe.runtime.finetune.config import FinetuneConfig
from raypipe.runtime.infer.models import engine_of

STATE, RESULT = "state.pt", "result.json"


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """What a worker is told.

    Attributes:
        config: of the job.
        export: folder of the examples, absolute.
        board: Ray actor that hears of every step.
    """

    config: FinetuneConfig
    export: str
    board: Any


def train_worker(task: dict[str, WorkerTask]) -> None:
    """Train on this worker's share of the examples, going on from the last checkpoint.

    The last checkpoint that is reported holds the adapter, the curve and a summary.
    """
    (told,) = task.values()
    config = told.config
    if not torch.cuda.is_available():
        torch.set_num_threads(config.cpus_per_worker)
    finetuning, model = _finetuning(config, told.export)
    checkpoint = train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            finetuning.restore(torch.load(Path(folder, STATE), weights_only=True))
    is_first = train.get_context().get_world_rank() == 0
    if is_first:
        told.board.begin.remote(finetuning.step, finetuning.steps)
    for point in finetuning.go_on():
        if is_first:
            told.board.note.remote(point)
        if finetuning.is_checkpoint(point):
            _report(finetuning, is_first=is_first)
    state = finetuning.state()
    finetuning.take_best()
    _report_adapter(finetuning, model, state, is_first=is_first)


def _finetuning(config: FinetuneConfig, export: str) -> tuple[Finetuning, LoraModel]:
    """The training on this worker's device, at its beginning."""
    _, settings = engine_of(config.model, weights=True)
    frontend = TransformersFrontend(settings.path, settings.revision, settings.trust_remote_code)
    on_gpu = torch.cuda.is_available()
    model = LoraModel(
        settings.path,
        settings.revision,
        config.lora,
        seed=config.training.seed,
        name=config.model.path,
        device=str(train.torch.get_device()) if on_gpu else "cpu",
        dtype=torch.bfloat16 if on_gpu else torch.float32,
        gradient_checkpointing=config.training.gradient_checkpointing,
        trust_remote_code=settings.trust_remote_code,
    )
    generation = generation_config_of(settings.path, settings.revision)
    ends = end_ids(model.family, generation, frontend.tokenizer)
    finetuning = Finetuning(
        model,
        ExampleEncoder(frontend, ends, config.training.cutoff),
        read_examples(export),
        config.training,
        TorchWorkers(),
        max_error_fraction=config.max_error_fraction,
    )
    return finetuning, model


def _report(finetuning: Finetuning, *, is_first: bool) -> None:
    """Keep the state; every worker takes part, the first one brings it."""
    if not is_first:
        train.report({})
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(finetuning.state(), Path(folder, STATE))
        train.report({"step": finetuning.step}, train.Checkpoint.from_directory(folder))


def _report_adapter(
    finetuning: Finetuning, model: LoraModel, state: dict[str, Any], *, is_first: bool
) -> None:
    """Keep what the job is about, with the state, so that a lost driver finds it again."""
    if not is_first:
        train.report({})
        return
    losses = [p.development_loss for p in finetuning.curve if p.step == finetuning.best_step]
    result = {
        "steps": finetuning.step,
        "best_step": finetuning.best_step,
        "development_loss": losses[0] if losses else None,
        "stopped_early": finetuning.stopped_early,
        "device": model.device.type,
        "targets": list(model.peft_model.targeted_module_names),
        "parameters": sum(parameter.numel() for parameter in model.parameters.values()),
        "odd": [asdict(example) for example in finetuning.odd.values()],
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        torch.save(state, place / STATE)
        model.save(place / ADAPTER)
        (place / CURVE).write_text(curve_lines(finetuning.curve))
        (place / RESULT).write_text(json.dumps(result))
        train.report({"step": finetuning.step}, train.Checkpoint.from_directory(folder))
