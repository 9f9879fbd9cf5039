"""The command line, one file per command: from a corpus to shards, to a run, to what it says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import typer

from raypipe.cli.classify import classify_command
from raypipe.cli.cluster import cluster
from raypipe.cli.compare import compare
from raypipe.cli.corpora import corpora
from raypipe.cli.demo import demo
from raypipe.cli.doctor import doctor
from raypipe.cli.export import export_command
from raypipe.cli.features import features_command
from raypipe.cli.finetune import finetune_command
from raypipe.cli.heads import heads_command
from raypipe.cli.ingest import ingest
from raypipe.cli.inspect import inspect
from raypipe.cli.judge import judge_command
from raypipe.cli.metrics import metrics
from raypipe.cli.models import models
from raypipe.cli.parse import parse
from raypipe.cli.presets import presets
from raypipe.cli.query import query
from raypipe.cli.questions import questions_command
from raypipe.cli.rationale import rationale_command
from raypipe.cli.reaggregate import reaggregate
from raypipe.cli.relabel import relabel_command
from raypipe.cli.report import report
from raypipe.cli.run import run_command
from raypipe.cli.selfcheck import selfcheck
from raypipe.cli.sheets import sheets
from raypipe.cli.status import status
from raypipe.cli.strategies import strategies_command
from raypipe.cli.verify import verify
from raypipe.cli.view import view
from raypipe.errors import RaypipeError, exit_code, interruption
from raypipe.reporting.console import Console
from raypipe.reporting.text import visible_lines
from raypipe.runtime.ray.again import as_command

app = typer.Typer(
    help="Emotion distributions from audio language models, for whole speech corpora, on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_COMMANDS: Mapping[str, Callable[..., None]] = {
    "demo": demo,
    "doctor": doctor,
    "run": run_command,
    "ingest": ingest,
    "corpora": corpora,
    "inspect": inspect,
    "reaggregate": reaggregate,
    "features": features_command,
    "heads": heads_command,
    "relabel": relabel_command,
    "classify": classify_command,
    "judge": judge_command,
    "rationale": rationale_command,
    "export": export_command,
    "finetune": finetune_command,
    "compare": compare,
    "presets": presets,
    "query": query,
    "view": view,
    "status": status,
    "verify": verify,
    "parse": parse,
    "report": report,
    "selfcheck": selfcheck,
    "strategies": strategies_command,
    "questions": questions_command,
    "metrics": metrics,
    "models": models,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(sheets, name="sheets")
app.add_typer(cluster, name="cluster")


def main() -> None:
    """Entry point: own errors print as one clear message and exit code 1, without a stack."""
    try:
        with as_command(starts_again=True):
            app()
    except RaypipeError as error:
        Console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: ", end="")
        sys.stderr.write(f"{visible_lines(str(error))}\n")
        sys.exit(1)
    except SystemExit as ended:
        # Typer takes Ctrl-C for itself and exits without a word.
        interrupt = ended.__context__ and ended.__context__.__cause__
        if not isinstance(interrupt, KeyboardInterrupt):
            raise
        sys.stderr.write(f"{interruption(interrupt)}\n")
        sys.exit(exit_code())
