"""What is said of a fine-tuning: the record beside its adapter, and its curve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from raypipe.errors import ConfigError

RECORD, CURVE, ADAPTER = "finetune.json", "training.jsonl", "adapter"


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A step, or an evaluation after one.

    Attributes:
        step: from 1.
        epoch: passes over the training examples so far.
        learning_rate: of the step.
        train_loss: mean over the step's target tokens, in nats.
        target_tokens: of the step.
        gradient_norm: before it was clipped.
        development_loss: mean over all target tokens of the development set, in nats; None where
            it was not measured.
    """

    step: int
    epoch: float
    learning_rate: float
    train_loss: float
    target_tokens: int
    gradient_norm: float
    development_loss: float | None = None


@dataclass(frozen=True, slots=True)
class OddExample:
    """An example that was cut or left out.

    Attributes:
        example_id: of the example.
        cut_tokens: of its answer, beyond the cutoff; 0 for one left out.
        error_type: why it was left out; empty for one that was cut.
        message: the same in words.
    """

    example_id: str
    cut_tokens: int
    error_type: str = ""
    message: str = ""


class ExampleCounts(BaseModel):
    """Examples that were learnt from and measured on.

    Attributes:
        train: in the export.
        development: in the export.
        left_out: that could not be heard or written.
        cut: whose answers were cut at the cutoff.
        cut_tokens: tokens that were cut off.
    """

    model_config = ConfigDict(frozen=True)

    train: int
    development: int
    left_out: int = 0
    cut: int = 0
    cut_tokens: int = 0


class FinetuneRecord(BaseModel):
    """The record of a job, ``finetune.json``.

    Attributes:
        fingerprint: of everything that can change the adapter.
        identity: fingerprints of the model and of the examples.
        config: as JSON values, the preset filled in.
        counts: of the examples.
        odd: examples that were cut or left out, each with the reason.
        steps: that were made.
        best_step: whose adapter was kept; None for the last one's.
        development_loss: of that step, in nats a token; None without a development set.
        stopped_early: before the last epoch's end.
        device: kind of the device of the workers.
        targets: full names of the adapted modules.
        parameters: numbers that were learnt.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    status: Literal["running", "finished"]
    fingerprint: str
    identity: Mapping[str, str]
    config: Mapping[str, object]
    versions: Mapping[str, str]
    started: str
    counts: ExampleCounts
    odd: tuple[Mapping[str, object], ...] = ()
    steps: int = 0
    best_step: int | None = None
    development_loss: float | None = None
    stopped_early: bool = False
    device: str | None = None
    targets: tuple[str, ...] = ()
    parameters: int = 0
    finished: str | None = None
    seconds: float | None = None

    @property
    def done_counts(self) -> ExampleCounts:
        """Counts of the examples, as every job's record has them."""
        return self.counts


def read_finetune_record(folder: Path) -> FinetuneRecord | None:
    """The record in an output folder; None if there is none.

    Raises:
        ConfigError: if it cannot be read.
    """
    file = folder / RECORD
    if not file.is_file():
        return None
    try:
        return FinetuneRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ConfigError(f"{file} is no record of a finetune job") from error


def write_finetune_record(folder: Path, record: FinetuneRecord) -> None:
    """Write the record into an output folder, in place of an earlier one."""
    unfinished = folder / f".{RECORD}"
    unfinished.write_text(record.model_dump_json(indent=2) + "\n")
    unfinished.replace(folder / RECORD)


def curve_lines(curve: Sequence[CurvePoint]) -> str:
    """The curve as JSON lines, a step each."""
    return "".join(json.dumps(asdict(point)) + "\n" for point in curve)


def read_curve(file: Path) -> list[CurvePoint]:
    """The curve of :func:`curve_lines`."""
    return [CurvePoint(**json.loads(line)) for line in file.read_text().splitlines()]


def counts_of(train: int, development: int, odd: Sequence[OddExample]) -> ExampleCounts:
    """Counts of examples, of which some are odd."""
    return ExampleCounts(
        train=train,
        development=development,
        left_out=sum(bool(example.error_type) for example in odd),
        cut=sum(not example.error_type for example in odd),
        cut_tokens=sum(example.cut_tokens for example in odd),
    )
