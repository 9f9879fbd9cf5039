"""What a features job reads, by which encoders, and what of it is done already."""

from __future__ import annotations

from dataclasses import dataclass

from raypipe.audio import AudioLimits
from raypipe.labels import LabelSet
from raypipe.runtime.features.config import EncoderConfig, FeaturesConfig
from raypipe.runtime.finish.output import existing, output_place, refuse_another_run
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.infer.context import ShardTasks
from raypipe.runtime.infer.plan import shard_tasks
from raypipe.shards import ShardIndex, read_index
from raypipe.ssl import family_of
from raypipe.store.location import Location
from raypipe.store.patience import with_patience


@dataclass(frozen=True, slots=True)
class FeaturesContext:
    """What every stage of one encoder's part needs; picklable, free of secrets.

    Attributes:
        run: short id of the job.
        encoder: that is loaded.
        sampling_rate: of the waveforms that it takes, in Hz.
        heard: how much of a clip it hears, in a word.
        cut_s: seconds of it; None for all.
        with_std: the standard deviation, too.
        limits: of usable audio.
        batch_clips: most clips in a batch.
        batch_s: most seconds in a batch.
        fingerprint: of this encoder's features.
    """

    run: str
    shards: Location
    tables: Location
    labels: LabelSet
    encoder: EncoderConfig
    sampling_rate: int
    heard: str
    cut_s: float | None
    with_std: bool
    limits: AudioLimits
    batch_clips: int
    batch_s: float
    fingerprint: str

    def object_name(self, table: str, shard: str) -> str:
        """Name of a shard's object in ``table``, relative to the tables' location."""
        return f"{table}/{partition(self.encoder.label, self.heard)}/{shard}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRun(ShardTasks):
    """One encoder's part of a job, ready to start."""

    context: FeaturesContext


@dataclass(frozen=True, slots=True)
class FeaturesPlan:
    """A features job, ready to start."""

    config: FeaturesConfig
    index: ShardIndex
    tables: Location
    fingerprint: str
    runs: tuple[EncoderRun, ...]


@with_patience
def plan_features(config: FeaturesConfig) -> FeaturesPlan:
    """The plan of a features job: what is left to do, from the input and the output.

    Raises:
        ConfigError: if the input or an encoder cannot be used.
        FingerprintError: if the output holds other features.
    """
    shards = Location.parse(config.input.shards, config.storage.endpoint)
    tables = output_place(config.output, config.storage.endpoint)
    index = read_index(shards)
    fingerprint = config.identity(index.fingerprint)
    refuse_another_run(tables, fingerprint, config.model_dump(mode="json"), {})
    tables.probe_conditional_writes()
    tasks = shard_tasks(shards, index, config.input.limit)
    runs = []
    for encoder in config.encoders:
        source = encoder.source("cpu", with_std=False)
        family = family_of(source.path, source.revision)
        if family.check is not None:
            family.check(source)
        context = FeaturesContext(
            run=fingerprint[:12],
            shards=shards,
            tables=tables,
            labels=LabelSet(tuple(index.labels)),
            encoder=encoder,
            sampling_rate=family.sampling_rate,
            heard=config.heard,
            cut_s=config.cut_s,
            with_std=config.std,
            limits=AudioLimits(max_channels=config.max_channels),
            batch_clips=config.resources.batch_clips,
            batch_s=config.resources.batch_s,
            fingerprint=config.encoder_identity(encoder, index.fingerprint),
        )
        place = partition(encoder.label, config.heard)
        done = existing(tables, "features", place, context.fingerprint)
        runs.append(EncoderRun(context=context, tasks=tasks, done=frozenset(done)))
    return FeaturesPlan(config, index, tables, fingerprint, tuple(runs))
