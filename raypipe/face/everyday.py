"""Runs, corpora and labels: what is offered to a program or a notebook.

Nothing heavy is imported before it is needed: Ray with the first job, torch with the first model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray
    from pydantic import BaseModel

    from raypipe.config import RunConfig
    from raypipe.records import Drawn
    from raypipe.reporting.corpus.findings import Findings, SliceBy
    from raypipe.runtime.features.config import FeaturesConfig
    from raypipe.runtime.heads.config import HeadsConfig
    from raypipe.runtime.infer.predictor import ClipPrediction
    from raypipe.runtime.ingest.config import IngestConfig
    from raypipe.runtime.relabel.config import RelabelConfig
    from raypipe.shards import ShardIndex
    from raypipe.store.location import Location
    from raypipe.store.run_record import RunRecord
    from raypipe.votes import AnnotatorLabels

Section = TypeVar("Section", bound="BaseModel")

Settings = Mapping[str, object]
"""A config as keys and values, as they stand in its YAML file."""


class Run:
    """A run directory: its record and its tables.

    Args:
        place: directory or ``s3://`` URI of the run.
        endpoint: of an S3-compatible server; None for the environment's.

    Raises:
        ObjectMissingError: if no run is there.
    """

    def __init__(self, place: str | Path, endpoint: str | None = None) -> None:
        from raypipe.store.location import Location
        from raypipe.store.run_record import read_record

        self.location: Location = Location.parse(str(place), endpoint)
        self.record: RunRecord = read_record(self.location)

    def __repr__(self) -> str:
        return f"<raypipe.Run {self.location.uri}: {self.record.status}>"

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that it holds."""
        from raypipe.store.query import TABLES, readable_table

        return tuple(name for name in TABLES if readable_table(self.location, name) is not None)

    def arrow(self, table: str) -> pa.Table:
        """One whole table.

        Raises:
            ConfigError: if the run holds no table of that name.
        """
        from raypipe.errors import ConfigError
        from raypipe.store.damage import damage_named
        from raypipe.store.query import TABLES, readable_table

        dataset = readable_table(self.location, table) if table in TABLES else None
        if dataset is None:
            raise ConfigError(f"{self.location.uri} holds {', '.join(self.tables)}, not {table!r}")
        with damage_named(self.location):
            return dataset.to_table()

    def pandas(self, table: str) -> pd.DataFrame:
        """One whole table as a ``pandas.DataFrame``."""
        return self.arrow(table).to_pandas()

    def polars(self, table: str) -> pl.DataFrame:
        """One whole table as a ``polars.DataFrame``; needs the package polars."""
        import polars

        return polars.from_arrow(self.arrow(table))

    def query(self, sql: str, *, unsafe: bool = False) -> pa.Table:
        """The answer to SQL over the run's tables, which sees these and nothing else.

        Args:
            sql: what to ask.
            unsafe: whether SQL may read and write files, and use the network.
        """
        from raypipe.store.query import query

        answer: pa.Table = query(self.location, sql, unsafe=unsafe)
        return answer


def load(place: str | Path, *, endpoint: str | None = None) -> Run:
    """A run directory that is there already; see :class:`Run`."""
    return Run(place, endpoint)


def run(config: str | Path | Settings | RunConfig, *, address: str | None = None) -> Run:
    """Run a corpus of shards through a model; the same call again continues.

    Args:
        config: path of a YAML file, or what stands in one.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.

    Raises:
        RaypipeError: if the config, the input, the storage or the accounting is wrong.
    """
    from raypipe.config import RunConfig, load_config
    from raypipe.runtime.infer.devices import devices
    from raypipe.runtime.infer.plan import make_plan

    settings = settings_of(config, RunConfig, load_config)
    plan = make_plan(settings, partial(devices, address))

    from raypipe.runtime.infer.pipeline import carry_out  # loads Ray, which checks do without

    carry_out(plan, address=address)
    return Run(settings.output, settings.storage.endpoint)


def ingest(
    config: str | Path | Settings | IngestConfig, *, address: str | None = None
) -> ShardIndex:
    """Write a corpus as shards; the same call again continues.

    Args:
        config: path of a YAML file, or what stands in one.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.

    Raises:
        RaypipeError: if the config, the corpus or the storage is wrong.
    """
    from raypipe.runtime.ingest.config import IngestConfig, load_ingest_config
    from raypipe.runtime.ingest.plan import prepare_ingest

    prepared = prepare_ingest(settings_of(config, IngestConfig, load_ingest_config))

    from raypipe.runtime.ingest.job import carry_out_ingest  # loads Ray

    return carry_out_ingest(prepared, address=address)


def features(config: str | Path | Settings | FeaturesConfig, *, address: str | None = None) -> Run:
    """Encode a corpus of shards with frozen encoders; the same call again continues.

    Args:
        config: path of a YAML file, or what stands in one.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.

    Raises:
        RaypipeError: if the config, the input or the storage is wrong.
    """
    from raypipe.runtime.features.config import FeaturesConfig, load_features_config
    from raypipe.runtime.features.plan import plan_features

    settings = settings_of(config, FeaturesConfig, load_features_config)
    plan = plan_features(settings)

    from raypipe.runtime.features.job import carry_out_features  # loads Ray

    carry_out_features(plan, address=address)
    return Run(settings.output, settings.storage.endpoint)


def heads(config: str | Path | Settings | HeadsConfig, *, address: str | None = None) -> Run:
    """Train light heads on features; the same call again continues.

    Args:
        config: path of a YAML file, or what stands in one.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.

    Raises:
        RaypipeError: if the config, the features or the storage is wrong.
    """
    from raypipe.runtime.heads.config import HeadsConfig, load_heads_config
    from raypipe.runtime.heads.plan import plan_heads

    settings = settings_of(config, HeadsConfig, load_heads_config)
    plan = plan_heads(settings)

    from raypipe.runtime.heads.job import carry_out_heads  # loads Ray

    carry_out_heads(plan, address=address)
    return Run(settings.output, settings.storage.endpoint)


def relabel(config: str | Path | Settings | RelabelConfig, *, address: str | None = None) -> Run:
    """Let a language model change labels by what annotators wrote; the same call again continues.

    Args:
        config: path of a YAML file, or what stands in one.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.

    Raises:
        RaypipeError: if the config, the input, the model or the storage is wrong.
    """
    from raypipe.runtime.infer.devices import devices
    from raypipe.runtime.relabel.config import RelabelConfig, load_relabel_config
    from raypipe.runtime.relabel.plan import plan_relabel

    settings = settings_of(config, RelabelConfig, load_relabel_config)
    plan = plan_relabel(settings, partial(devices, address))

    from raypipe.runtime.relabel.job import carry_out_relabel  # loads Ray

    carry_out_relabel(plan, address=address)
    return Run(settings.output, settings.storage.endpoint)


def settings_of(
    config: str | Path | Settings | Section,
    kind: type[Section],
    load: Callable[[str | Path], Section],
) -> Section:
    """A job's checked config, from its file, from what stands in one, or as it is."""
    from raypipe.config import checked

    if isinstance(config, Mapping):
        return checked(kind, dict(config), "config")
    return load(config) if isinstance(config, str | Path) else config


def inspect(
    shards: str | Path, *, slice_by: SliceBy | None = None, endpoint: str | None = None
) -> Findings:
    """Counts of what is in a corpus of shards: votes, ambiguity, agreement, durations.

    Args:
        shards: directory or ``s3://`` URI.
        slice_by: count each of these on its own, too.
        endpoint: of an S3-compatible server; None for the environment's.
    """
    from raypipe.reporting.corpus.inspect import inspect_shards
    from raypipe.store.location import Location

    return inspect_shards(Location.parse(str(shards), endpoint), slice_by=slice_by)


def reaggregate(
    run: str | Path | Run,
    output: str | Path | None = None,
    *,
    strategies: Sequence[str] | None = None,
    sub_beams: Sequence[int] | None = None,
    replicates: int | None = None,
    labels: str | Path | None = None,
    labels_beside: Sequence[str | Path] = (),
    draw: Drawn | None = None,
    annotator_labels: AnnotatorLabels | None = None,
    slices: Sequence[str] | None = None,
    endpoint: str | None = None,
    address: str | None = None,
    **settings: Sequence[object],
) -> Run:
    """Predictions and metrics of a finished run under other settings, without a model.

    Args:
        run: that is read; it is not changed.
        output: where the tables go; None for beside the run.
        strategies: names; None for those of the run.
        sub_beams: how many beams of the main search to read; None for all.
        replicates: of the bootstrap; None for those of the run.
        labels: label table in the place of the corpus's labels; ``"own"`` for those.
        labels_beside: label tables to measure against, too. Where neither is given, those of
            the run.
        draw: what a bootstrap replicate draws, ``utterances`` or whole ``speakers``; None for what
            the run says.
        annotator_labels: which of the annotators' labels annotator-aware scores take for right;
            None for what the run says.
        slices: columns of the corpus to slice by; None for those of the run.
        endpoint: of an S3-compatible server; None for the environment's.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.
        settings: of strategies, by name, each with its values: several are a sweep.

    Raises:
        RaypipeError: if the run is unfinished or damaged, or a setting cannot be.
    """
    from raypipe.runtime.reaggregate.plan import Changes, plan_reaggregation

    changes = Changes.of(
        strategies,
        sub_beams,
        replicates,
        None if labels is None else str(labels),
        [str(table) for table in labels_beside],
        **settings,
    )
    columns = None if slices is None else tuple(slices)
    changes = replace(changes, draw=draw, annotator_labels=annotator_labels, slices=columns)
    place = run.location.uri if isinstance(run, Run) else str(run)
    into = None if output is None else str(output)
    plan = plan_reaggregation(place, changes, output=into, endpoint=endpoint)

    from raypipe.runtime.reaggregate.job import carry_out  # loads Ray

    record = carry_out(plan, address=address)
    return Run(record.config["output"], endpoint)


def predict(
    samples: NDArray[np.floating],
    sampling_rate: int,
    *,
    labels: str | Sequence[str] = "crema-d-6",
    transcript: str | None = None,
    **config: object,
) -> ClipPrediction:
    """Distributions over emotions for one clip, in this process and without Ray.

    The model stays loaded for further calls with the same config.

    Args:
        samples: audio, shape ``(samples,)`` or ``(samples, channels)``, full scale is 1.
        sampling_rate: of the samples, in Hz.
        labels: name of a label set, or labels.
        transcript: what is said; None where that is not known.
        config: sections of a run's config, such as ``model={"path": …}`` or ``strategies=[…]``.

    Raises:
        RaypipeError: if the config is wrong, or the clip cannot be heard or answered.
    """
    from raypipe.runtime.infer.predictor import predictor

    return predictor(labels, config).predict(samples, sampling_rate, transcript=transcript)
