"""What the scripts of ``jobs/`` share: a config by name, a job, an exit code."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel

from raypipe.errors import RaypipeError, exit_code, interruption
from raypipe.reporting.console import Console
from raypipe.runtime.finish.report import REPORT
from raypipe.runtime.ray.again import as_command
from raypipe.store.location import Location


class JobConfig(Protocol):
    """The config of any job."""

    @property
    def output(self) -> str:
        """Path or URI of its results."""
        ...


Config = TypeVar("Config", bound=JobConfig)


class JobRecord(Protocol):
    """The record of any job."""

    @property
    def done_counts(self) -> BaseModel:
        """What it counted; it is finished."""
        ...


def submitted(
    what: str | None,
    load: Callable[[str], Config],
    job: Callable[[Config, Console], JobRecord],
    show: Callable[[Config, Console], None] | None = None,
    *,
    has_report: bool = True,
) -> int:
    """Exit code: 0 when every utterance is accounted for, 1 on an error that stops the job.

    It is 143 where ``ray job stop`` ended it.

    Args:
        what: the job does, for the help.
        load: reads the config's file, whose path is the option ``--config``.
        job: that is carried out.
        show: prints what came of it before the counts.
        has_report: whether the job writes one.
    """
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--config", required=True, help="YAML file of the job")
    arguments = parser.parse_args()
    console = Console(width=120)
    try:
        with as_command(starts_again=False):
            config = load(arguments.config)
            tell_places(arguments.config, config, console, has_report=has_report)
            record = job(config, console)
    except RaypipeError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt as interrupt:
        console.print(interruption(interrupt), markup=False, soft_wrap=True)
        return exit_code()
    if show is not None:
        show(config, console)
    console.print_json(data=record.done_counts.model_dump(mode="json", exclude_none=True))
    tell_places(arguments.config, config, console, has_report=has_report)
    return 0


def tell_places(path: str, config: JobConfig, console: Console, *, has_report: bool) -> None:
    """Say where a job's config, output and report are, for somebody who reads its log elsewhere."""
    output = Location.parse(config.output).uri
    places = {"config": str(Path(path).absolute()), "output": output}
    if has_report:
        places["report"] = f"{output}/{REPORT}"
    for name, place in places.items():
        console.print(f"{name}: {place}", markup=False, highlight=False, soft_wrap=True)
