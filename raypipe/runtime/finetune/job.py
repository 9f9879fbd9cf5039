"""A finetune job from an export to an adapter; the training is Ray Train's."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
from ray import train
from ray.exceptions import RayError
from ray.train.torch import TorchTrainer

from raypipe.finetune.record import (
    ADAPTER,
    CURVE,
    ExampleCounts,
    FinetuneRecord,
    OddExample,
    counts_of,
    read_curve,
    write_finetune_record,
)
from raypipe.reporting.console import Console
from raypipe.reporting.finetune.page import html_finetuning
from raypipe.runtime.finetune.board import Board
from raypipe.runtime.finetune.config import FinetuneConfig
from raypipe.runtime.finetune.plan import FinetunePlan, plan_finetune
from raypipe.runtime.finetune.worker import RESULT, WorkerTask, train_worker
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.ray.session import (
    check_resources,
    own_error,
    possible_resources,
    ray_session,
)

REPORT = "report.html"
_CHECKPOINTS = "checkpoints"
_ASKED_EVERY_S = 1.0


def finetune(
    config: FinetuneConfig, *, address: str | None = None, console: Console | None = None
) -> FinetuneRecord:
    """Train an adapter; the same config again goes on from the last checkpoint.

    Args:
        config: what to do.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.
        console: where progress goes.

    Returns:
        The record, as written to ``finetune.json``.

    Raises:
        RaypipeError: if the config, the export or the model is wrong.
    """
    return carry_out_finetune(plan_finetune(config), address=address, console=console)


def carry_out_finetune(
    plan: FinetunePlan, *, address: str | None = None, console: Console | None = None
) -> FinetuneRecord:
    """The rest of :func:`finetune` after everything was checked, from its plan."""
    if plan.finished is not None:
        return plan.finished
    with ray_session(address):
        return _train(plan, console or Console())


def _train(plan: FinetunePlan, console: Console) -> FinetuneRecord:
    started, clock = datetime.now(UTC), time.monotonic()
    config = plan.config
    gpus = _gpus(config)
    check_resources(gpus=gpus * config.workers, cpus=config.cpus_per_worker * config.workers)
    plan.output.mkdir(parents=True, exist_ok=True)
    record = _record(plan, started)
    write_finetune_record(plan.output, record)
    board = ray.remote(num_cpus=0)(Board).remote()
    export = str(Path(config.input.export).absolute())
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"task": WorkerTask(config, export, board)},
        scaling_config=train.ScalingConfig(
            num_workers=config.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": config.cpus_per_worker, **({"GPU": 1} if gpus else {})},
        ),
        run_config=train.RunConfig(
            name=_CHECKPOINTS,  # Ray Train goes on with what has this name
            storage_path=str(plan.output),
            checkpoint_config=train.CheckpointConfig(num_to_keep=1),
            failure_config=train.FailureConfig(max_failures=config.max_failures),
        ),
    )
    with _shown(board, console):
        result = _fit(trainer)
    with result.checkpoint.as_directory() as folder:
        record = _finish(plan, record, Path(folder), round(time.monotonic() - clock, 1))
    shutil.rmtree(plan.output / _CHECKPOINTS)
    return record


def _gpus(config: FinetuneConfig) -> int:
    """GPUs of each worker."""
    if config.gpus_per_worker == "auto":
        return int(possible_resources().get("GPU", 0) > 0)
    return config.gpus_per_worker


def _fit(trainer: TorchTrainer) -> Any:
    """Ray Train's result.

    Raises:
        RaypipeError: one that a worker raised.
    """
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    try:
        return trainer.fit()
    except train.v2.api.exceptions.WorkerGroupError as error:
        for failure in error.worker_failures.values():
            raise own_error(failure) from error
        raise
    except RayError as error:
        raise own_error(error) from error


@contextmanager
def _shown(board: Any, console: Console) -> Iterator[None]:
    """Context in which every evaluation, and the steps between, are printed."""
    is_over = threading.Event()

    def show() -> None:
        is_told, last = False, 0.0
        while not is_over.wait(_ASKED_EVERY_S):
            steps, points = ray.get(board.take.remote())
            if steps is not None and not is_told:
                is_told = True
                console.print(f"{steps[0]}/{steps[1]} steps done", highlight=False)
            for point in points:
                is_measured = point.development_loss is not None
                if is_measured or time.monotonic() - last > 10 * _ASKED_EVERY_S:
                    last = time.monotonic()
                    note = f", development {point.development_loss:.4f}" if is_measured else ""
                    console.print(
                        f"step {point.step}, epoch {point.epoch:.2f}: loss "
                        f"{point.train_loss:.4f}{note}",
                        highlight=False,
                    )

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _record(plan: FinetunePlan, started: datetime) -> FinetuneRecord:
    examples = plan.examples
    return FinetuneRecord(
        name=plan.config.name,
        status="running",
        fingerprint=plan.fingerprint,
        identity=plan.identity,
        config=plan.config.model_dump(mode="json"),
        versions={**versions(["transformers"]), "peft": version("peft")},
        started=started.isoformat(timespec="seconds"),
        counts=ExampleCounts(train=len(examples.train), development=len(examples.development)),
    )


def _finish(
    plan: FinetunePlan, record: FinetuneRecord, checkpoint: Path, seconds: float
) -> FinetuneRecord:
    """Put the adapter, the curve, the report and, last, the record into the output."""
    output = plan.output
    result = json.loads((checkpoint / RESULT).read_bytes())
    odd = [OddExample(**example) for example in result.pop("odd")]
    if (output / ADAPTER).is_dir():
        shutil.rmtree(output / ADAPTER)
    shutil.copytree(checkpoint / ADAPTER, output / ADAPTER)
    shutil.copyfile(checkpoint / CURVE, output / CURVE)
    examples = plan.examples
    document = {
        **record.model_dump(),
        **result,
        "status": "finished",
        "counts": counts_of(len(examples.train), len(examples.development), odd),
        "odd": [
            {"example_id": example.example_id, "cut_tokens": example.cut_tokens}
            if not example.error_type
            else {
                "example_id": example.example_id,
                "error_type": example.error_type,
                "message": example.message,
            }
            for example in odd
        ],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
    }
    record = FinetuneRecord.model_validate(document)
    page = html_finetuning(record, read_curve(output / CURVE))
    (output / REPORT).write_text(page, encoding="utf-8")
    write_finetune_record(output, record)
    return record
