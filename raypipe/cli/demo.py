"""``raypipe demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raypipe.cli.common import Address, Insecure, show_run
from raypipe.reporting.console import Console


def demo(
    output: Annotated[Path, typer.Argument(help="Run directory to write.")] = Path("runs/demo"),
    utterances: Annotated[int, typer.Option(min=20, help="Clips to synthesise.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic corpus.")] = 0,
    silence: Annotated[
        bool, typer.Option(help="Zero every clip: shows what is left without listening.")
    ] = False,
    everything: Annotated[
        bool, typer.Option(help="Also chain of thought, verifier and adaptive strategies.")
    ] = False,
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Let the bundled model listen to a synthetic corpus: everything at once, on this machine."""
    from raypipe.runtime.infer.demo import demo_config, make_corpus
    from raypipe.runtime.infer.pipeline import run

    console = Console()
    shards = make_corpus(output / "corpus", utterances, seed, console)
    config = demo_config(shards, output, silence=silence, everything=everything)
    record = run(config, address=address, console=console)
    show_run(config.output, record, console, None)
