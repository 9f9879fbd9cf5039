"""``raypipe cluster``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raypipe.engines.lazy import load_object
from raypipe.reporting.console import Console

if TYPE_CHECKING:
    from pydantic import BaseModel

    from raypipe.cluster import ClusterValues, FileSet

_CONFIGS = {
    "classify": "raypipe.runtime.classify.config:load_classify_config",
    "features": "raypipe.runtime.features.config:load_features_config",
    "heads": "raypipe.runtime.heads.config:load_heads_config",
    "infer": "raypipe.config:load_config",
    "ingest": "raypipe.runtime.ingest.config:load_ingest_config",
    "judge": "raypipe.runtime.judge.config:load_judge_config",
    "rationale": "raypipe.runtime.rationale.config:load_rationale_config",
    "relabel": "raypipe.runtime.relabel.config:load_relabel_config",
}
"""What checks the config of each job, as the job itself does."""

cluster = typer.Typer(
    help="Manifests for a cluster; cluster/README.md says what to do with them.",
    no_args_is_help=True,
)


@cluster.callback()
def cluster_command() -> None:
    """Manifests for a cluster; cluster/README.md says what to do with them."""


@cluster.command("render")
def render(
    values: Annotated[Path, typer.Argument(help="YAML file of the values.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for one file each; default: print them.")
    ] = None,
) -> None:
    """Write a run's Kubernetes manifests for KubeRay; asks no cluster and starts nothing."""
    from raypipe.cluster import load_cluster_values, render_manifests

    told = load_cluster_values(values)
    files, shipper = _files(told, values.parent)
    manifests = render_manifests(told, files, shipper)
    if output is None:
        sys.stdout.write("---\n".join(manifest.text for manifest in manifests))
        return
    output.mkdir(parents=True, exist_ok=True)
    for manifest in manifests:
        (output / manifest.file_name).write_text(manifest.text, encoding="utf-8")
    written = ", ".join(manifest.file_name for manifest in manifests)
    Console().print(f"{written} in {output}", highlight=False, markup=False, soft_wrap=True)


def _files(told: ClusterValues, folder: Path) -> tuple[FileSet, FileSet]:
    """The job's files, its config checked, and the log shipper's."""
    from raypipe.cluster import FileSet, PodPlaces, read_files
    from raypipe.prompts import NAMES

    shipper = () if told.log_shipper is None else (told.log_shipper.config,)
    if told.config is None or told.working_dir is not None:
        return FileSet({}), read_files(folder, shipper)
    files = read_files(folder, tuple(dict.fromkeys((told.config, *told.files))))
    load: Callable[[Path], BaseModel] = load_object(_CONFIGS[told.job])
    source = folder / told.config
    weights = None if told.weights is None else told.weights.path
    PodPlaces(files, folder, weights, NAMES).check(load(source), str(source))
    return files, read_files(folder, shipper)
