"""A corpus of known durations and what a checkup says of a run over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from in_process import InProcess, utterance

from raypipe.runtime.infer.devices import NO_GPUS, Devices
from raypipe.runtime.infer.doctor import Checkup, checkup
from raypipe.runtime.infer.model_checkup import ModelFacts

LENGTHS = (0.5, 1.0, 9.0, 2.0, 3.0, 8.5, 4.0)


def corpus_of_seven(folder: Path) -> InProcess:
    """Seven clips of half a second to nine seconds, in shards of three, three and one."""
    runs = InProcess(folder)
    rows = [utterance(f"u{number}", seconds) for number, seconds in enumerate(LENGTHS)]
    runs.write(*rows, rows_per_shard=3)
    return runs


def told(runs: InProcess, devices: Devices = NO_GPUS, **changes: Any) -> Checkup:
    """What is said of a run, of the bundled model unless ``changes`` name another."""
    return checkup(runs.config(**{"model": {"path": "tiny-alm"}} | changes), lambda: devices)


def model_of(checked: Checkup) -> ModelFacts:
    """The only model of a run that nothing is wrong with."""
    assert checked.faults == ()
    (model,) = checked.models
    return model
