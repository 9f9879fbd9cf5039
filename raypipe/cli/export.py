"""``raypipe export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raypipe.reporting.console import Console


def export_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the export.")],
) -> None:
    """Write corpora and their rationales as training files; needs no Ray and no model."""
    from raypipe.explain.export.config import load_export_config
    from raypipe.explain.export.summary import count_table, totals, warning
    from raypipe.explain.export.write import export
    from raypipe.runtime.ray.uploaded import refuse_uploaded_folder

    console = Console()
    settings = load_export_config(config)
    refuse_uploaded_folder(settings.output)
    manifest = export(settings)
    console.print(count_table(manifest))
    console.print(f"{totals(manifest)}; see manifest.json in {settings.output}", highlight=False)
    if (warned := warning(manifest)) is not None:
        console.print(f"Note: {warned}", highlight=False, markup=False)
