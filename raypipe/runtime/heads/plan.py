"""What a heads job reads and trains: features of encoders, heads, seeds and folds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from raypipe.errors import ConfigError, ObjectMissingError
from raypipe.labels import LabelSet
from raypipe.runtime.finish.labels import PlacedTable, TruthTables, ids_in, truth_tables
from raypipe.runtime.finish.output import output_place, refuse_another_run
from raypipe.runtime.heads.beside import OtherRun, other_run
from raypipe.runtime.heads.config import HeadConfig, HeadsConfig
from raypipe.store.location import Location
from raypipe.store.patience import with_patience
from raypipe.store.run_record import LabelsUsed, RunRecord, read_record


@dataclass(frozen=True, slots=True)
class EncoderFeatures:
    """Where the features of one encoder lie.

    Attributes:
        encoder: its name in the tables.
        folder: of its objects, in the features' place.
        fingerprint: of them.
    """

    encoder: str
    folder: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class HeadCell:
    """One head on one encoder's features, learning from one set of labels.

    Attributes:
        table: what it learns; None for the corpus's own labels.
        prompt: its name in the tables, beside the encoder's.
    """

    features: EncoderFeatures
    head: HeadConfig
    table: PlacedTable | None
    prompt: str


@dataclass(frozen=True, slots=True)
class HeadsPlan:
    """A heads job, ready to start.

    Attributes:
        record: of the features job.
        source: where the features lie.
        cells: what is trained, those of one encoder together.
        truth: label tables, which are learned and measured against.
        label_tables: what ``run.json`` says of them.
        beside: a run whose predictions stand beside theirs; None for none.
    """

    config: HeadsConfig
    record: RunRecord
    source: Location
    tables: Location
    labels: LabelSet
    fingerprint: str
    cells: tuple[HeadCell, ...]
    truth: TruthTables
    label_tables: tuple[LabelsUsed, ...] | None = None
    beside: OtherRun | None = None

    @property
    def run(self) -> str:
        """Short id of the job."""
        return self.fingerprint[:12]

    def of_encoder(self) -> Mapping[EncoderFeatures, tuple[HeadCell, ...]]:
        """The cells by their features."""
        by_features: dict[EncoderFeatures, tuple[HeadCell, ...]] = {}
        for cell in self.cells:
            by_features[cell.features] = (*by_features.get(cell.features, ()), cell)
        return by_features


@with_patience
def plan_heads(config: HeadsConfig) -> HeadsPlan:
    """The plan of a heads job.

    Raises:
        ConfigError: if the features or a label table cannot be used.
        FingerprintError: if the output holds another job's tables.
    """
    source = Location.parse(config.features, config.storage.endpoint)
    tables = output_place(config.output, config.storage.endpoint)
    try:
        record = read_record(source)
    except ObjectMissingError as error:
        raise ConfigError(f"{source.uri} holds no features: run raypipe features") from error
    found = _features(source, config.encoders)
    labels = LabelSet(record.labels)
    truth = truth_tables(config.labels, labels, config.storage.endpoint)
    label_tables = truth.used(_utterance_ids(source, found[0]))
    cells = tuple(
        HeadCell(features, head, table, head.name if table is None else f"{head.name}+{table.name}")
        for features in found
        for head in config.grid()
        for table in (None, *truth.all)
    )
    beside = None
    if config.beside is not None:
        place = Location.parse(config.beside, config.storage.endpoint)
        beside = other_run(place, record, truth.fingerprint)
    fingerprint = config.identity(
        [features.fingerprint for features in found],
        None if beside is None else beside.record.fingerprint,
        [(table.name, table.place, table.fingerprint) for table in label_tables or ()],
    )
    refuse_another_run(
        tables,
        fingerprint,
        config.model_dump(mode="json"),
        {features.encoder: features.fingerprint for features in found}
        | {f"label table {table.name}": table.fingerprint for table in truth.all},
    )
    tables.probe_conditional_writes()
    return HeadsPlan(
        config=config,
        record=record,
        source=source,
        tables=tables,
        labels=labels,
        fingerprint=fingerprint,
        cells=cells,
        truth=truth,
        label_tables=label_tables,
        beside=beside,
    )


def _utterance_ids(source: Location, features: EncoderFeatures) -> Iterator[str | None]:
    """Utterance ids of the features, read of one encoder."""
    place = source.child("features", *features.folder.split("/"))
    for _, ids in ids_in(place, place.list()):
        yield from ids


def _features(source: Location, encoders: Sequence[str]) -> tuple[EncoderFeatures, ...]:
    place = source.child("features")
    first: dict[str, str] = {}
    for name in place.list():
        first.setdefault(name.rpartition("/")[0], name)
    found: dict[str, EncoderFeatures] = {}
    for folder, name in first.items():
        encoder = unquote(folder.partition("/")[0].removeprefix("model="))
        if encoder in found:
            raise ConfigError(f"{place.uri} holds several features of {encoder}")
        found[encoder] = EncoderFeatures(encoder, folder, place.fingerprint_of(name) or "")
    unknown = sorted(set(encoders) - found.keys())
    if unknown or not found:
        raise ConfigError(
            f"{place.uri} holds features of {', '.join(found) or 'no encoder'}, "
            f"not of {', '.join(unknown) or 'any'}"
        )
    return tuple(found[name] for name in encoders or found)
