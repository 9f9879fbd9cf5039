"""``raypipe classify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raypipe.cli.common import Address, Insecure
from raypipe.reporting.console import Console


def classify_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the job.")],
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Find out which emotion each answer of finished runs names; again obeys corrections."""
    from raypipe.runtime.classify.config import load_classify_config
    from raypipe.runtime.classify.job import classify  # loads Ray

    classify(load_classify_config(config), address=address, console=Console())
