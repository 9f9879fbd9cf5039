"""What a reaggregation reads, under which settings, and what of it is done already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from raypipe.config import LabelsConfig, RunConfig, parse_config
from raypipe.errors import ConfigError, FingerprintError, ObjectMissingError
from raypipe.labels import LabelSet
from raypipe.records import Drawn
from raypipe.runtime.finish.labels import TruthTables, ids_in, truth_tables
from raypipe.runtime.finish.output import existing, output_place, refuse_another_run
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.finish.slices import check_columns
from raypipe.runtime.infer.plan import ensembles_of, run_sweep
from raypipe.runtime.reaggregate.asked import refuse_what_was_not_asked
from raypipe.runtime.reaggregate.work import ReaggregationWork, ShardOfModel
from raypipe.store.location import Location
from raypipe.store.patience import PATIENCE_S, storage_patience
from raypipe.store.run_record import RECORD, LabelsUsed, RunRecord, read_record
from raypipe.strategies import SETTINGS, STRATEGIES, Variant
from raypipe.strategies.fitting import fitted_splits
from raypipe.strategies.setting import SECTIONS
from raypipe.strategies.sweep import compared, used_settings
from raypipe.votes import AnnotatorLabels, VotePolicy

OWN = "own"
"""In the place of a label table: the corpus's own labels."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different from a run; None keeps what the run had.

    Several values of a setting are a sweep, see :mod:`raypipe.strategies.sweep`.

    Attributes:
        settings: values of strategies' settings, by the settings' names.
        sub_beams: how many beams of the main search to read.
        replicates: of the bootstrap.
        draw: what a bootstrap replicate draws.
        annotator_labels: which of the annotators' labels annotator-aware scores take for right.
        slices: columns of the corpus to slice by.
        labels: label table in the place of the corpus's labels; :data:`OWN` for those.
        labels_beside: label tables to measure against, too. Where this or ``labels`` is given,
            none of the run's own tables is used.
    """

    strategies: tuple[str, ...] | None = None
    settings: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    sub_beams: tuple[int, ...] | None = None
    replicates: int | None = None
    draw: Drawn | None = None
    annotator_labels: AnnotatorLabels | None = None
    slices: tuple[str, ...] | None = None
    labels: str | None = None
    labels_beside: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        strategies: Sequence[str] | None = None,
        sub_beams: Sequence[int] | None = None,
        replicates: int | None = None,
        labels: str | None = None,
        labels_beside: Sequence[str] = (),
        **settings: Sequence[object],
    ) -> Changes:
        """The same from keywords: every setting of a strategy with its values."""
        return cls(
            strategies=None if strategies is None else tuple(strategies),
            settings={name: tuple(values) for name, values in settings.items()},
            sub_beams=None if sub_beams is None else tuple(sub_beams),
            replicates=replicates,
            labels=labels,
            labels_beside=tuple(labels_beside),
        )

    def label_tables(self, used: Sequence[LabelsUsed]) -> list[LabelsConfig]:
        """The label tables to use, which without a change are those that the run used."""
        if self.labels is None and not self.labels_beside:
            return [
                LabelsConfig(table=table.table, name=table.name, place=table.place)
                for table in used
            ]
        beside = [LabelsConfig(table=table) for table in self.labels_beside]
        if self.labels in (None, OWN):
            return beside
        return [LabelsConfig(table=self.labels, place="instead"), *beside]

    def in_section(self, section: str) -> dict[str, tuple[object, ...]]:
        """Values of the settings of a section of the config that are given, by name."""
        return {
            name: values
            for name, values in self.settings.items()
            if name in SETTINGS and SETTINGS[name].section == section
        }


@dataclass(frozen=True, slots=True)
class ReaggregationPlan:
    """A reaggregation, ready to start.

    Attributes:
        config: the run's, with the changes in it; of a swept setting its first value.
        identity: digests of what it is made from.
        swept: values of the settings that have several, as they stand in the new record.
        compared: pairs of strategy names that get a paired difference.
        parts: every shard of the run as every model answered it, in order.
        done: of them, those all of whose predictions exist already.
        truth: label tables that the predictions are measured against.
        label_tables: what ``run.json`` says of them.
    """

    source_record: RunRecord
    config: RunConfig
    identity: Mapping[str, str]
    swept: dict[str, list[object]]
    work: ReaggregationWork
    compared: frozenset[tuple[str, str]]
    parts: tuple[ShardOfModel, ...]
    done: frozenset[ShardOfModel]
    truth: TruthTables
    label_tables: tuple[LabelsUsed, ...] | None

    @property
    def pending(self) -> list[ShardOfModel]:
        """What is still to be read, in order."""
        return [part for part in self.parts if part not in self.done]


@storage_patience(PATIENCE_S)
def plan_reaggregation(
    run: str, changes: Changes, *, output: str | None, endpoint: str | None
) -> ReaggregationPlan:
    """The plan of a reaggregation: what is left to do, from the run and the output.

    Raises:
        ConfigError: if the run cannot be reaggregated, or a change does not go with it.
        FingerprintError: if the output holds something else.
    """
    source = Location.parse(run, endpoint)
    record = _source_record(source)
    config = _changed_config(record, changes, f"{source.uri}/{RECORD}")
    variants = run_sweep(config, changes.sub_beams or (), **changes.settings).variants()
    _refuse_unread(changes, config, variants)
    _refuse_nothing_but_fitted_splits(variants)
    place = f"{source.uri}/{RECORD}"
    refuse_what_was_not_asked(parse_config(dict(record.config), source=place), variants)
    policy = record.vote_policy
    truth = truth_tables(config.labels, LabelSet(record.labels), endpoint)
    fingerprint = _fingerprint(record, config, policy, variants, truth)
    tables = output_place(output or _beside(source, fingerprint[:12]), endpoint)
    config = config.model_copy(update={"output": tables.uri})
    identity = {"the run that is read": record.fingerprint, "what is read": fingerprint}
    identity |= truth.identity()
    _refuse_output(tables, source, fingerprint, config, identity)
    tables.probe_conditional_writes()
    work = ReaggregationWork(
        source=source,
        output=tables,
        run=fingerprint[:12],
        prompts=tuple(prompt.label for prompt in config.all_prompts),
        ensembles=ensembles_of(config),
        labels=LabelSet(record.labels),
        policy=policy,
        variants=variants,
        generation_fingerprint=record.generation_fingerprint,
        fingerprint=fingerprint,
        truth=truth.instead,
        attribute_scales=config.attribute_scales,
    )
    swept = {name: list(values) for name, values in changes.settings.items() if len(values) > 1}
    if changes.sub_beams:
        swept["sub_beams"] = list(changes.sub_beams)
    parts = _parts(source, [model.label for model in config.all_models], work.prompts)
    generations = [part.object_name("generations", work.prompts[0]) for part in parts]
    check_columns(config.metrics.slices, source, generations)
    return ReaggregationPlan(
        source_record=record,
        config=config,
        identity=identity,
        swept=swept,
        work=work,
        compared=compared(variants),
        parts=parts,
        done=_done(work, config),
        truth=truth,
        label_tables=truth.used(_utterance_ids(source, parts, work.prompts[0])),
    )


def _utterance_ids(
    source: Location, parts: Sequence[ShardOfModel], prompt: str
) -> Iterator[str | None]:
    """Utterance ids of the run, read of its first model and prompt."""
    names = [
        part.object_name("generations", prompt) for part in parts if part.model == parts[0].model
    ]
    for _, ids in ids_in(source, names):
        yield from ids


def _refuse_unread(changes: Changes, config: RunConfig, variants: Sequence[Variant]) -> None:
    """Refuse settings of a section of their own where no strategy that is read uses them."""
    used = {name for variant in variants for name in variant.settings_used}
    for name in changes.settings.keys() & SETTINGS.keys() - used:
        section = SETTINGS[name].section
        owners = [key for key, each in STRATEGIES.items() if SETTINGS[name] in each.settings]
        if section != SECTIONS[0]:
            raise ConfigError(
                f"{section} {name}: {', '.join(owners)} is not among the strategies "
                f"{', '.join(config.strategies)}"
            )


def _refuse_nothing_but_fitted_splits(variants: Sequence[Variant]) -> None:
    """Refuse strategies all of which leave out a split, so that its utterances had no row."""
    splits = fitted_splits(variants)
    if len(splits) == len(variants):
        name, split = next(iter(splits.items()))
        raise ConfigError(
            f"{name}: utterances of split {split}, which it is fitted to, get no prediction of it; "
            "name a strategy beside it that is not fitted to a split, such as its base"
        )


def _source_record(source: Location) -> RunRecord:
    try:
        record = read_record(source)
    except ObjectMissingError as error:
        raise ConfigError(f"{source.uri} is not a run: it holds no {RECORD}") from error
    if record.made_from is not None:
        raise ConfigError(
            f"{source.uri} holds no generations: it was made from "
            f"{record.made_from.location}; reaggregate that"
        )
    if "model" not in record.config:
        raise ConfigError(f"{source.uri} holds no generations: no model was asked there")
    if record.status != "finished":
        raise ConfigError(f"{source.uri} is not finished; the command that began it continues it")
    return record


def _changed_config(record: RunRecord, changes: Changes, place: str) -> RunConfig:
    """The run's config with the first value of everything that is changed, checked as a whole."""
    changed = dict(record.config)
    for section in SECTIONS:
        given = changes.in_section(section)
        first = {name: values[0] for name, values in given.items() if values}
        if first:
            changed[section] = {**record.config.get(section, {}), **first}
    if changes.strategies is not None:
        changed["strategies"] = changes.strategies
    tables = changes.label_tables(record.label_tables or ())
    if tables or changed.get("labels"):
        changed["labels"] = [table.model_dump() for table in tables]
    metrics = {
        "replicates": changes.replicates,
        "draw": changes.draw,
        "annotator_labels": changes.annotator_labels,
        "slices": changes.slices,
    }
    given_metrics = {name: value for name, value in metrics.items() if value is not None}
    if given_metrics:
        changed["metrics"] = {**record.config["metrics"], **given_metrics}
    return parse_config(changed, source=f"{place} with these changes")


def _parts(
    source: Location, models: Sequence[str], prompts: Sequence[str]
) -> tuple[ShardOfModel, ...]:
    """Every shard under every model; what a prompt lacks of them is found when it is read."""
    parts = []
    for model in models:
        place = source.child("generations", *partition(model, prompts[0]).split("/"))
        names = place.list(".parquet")
        if not names:
            raise ConfigError(f"{place.uri} holds no generations")
        parts += [ShardOfModel(model, name) for name in names]
    return tuple(parts)


def _done(work: ReaggregationWork, config: RunConfig) -> frozenset[ShardOfModel]:
    done: set[ShardOfModel] = set()
    for model in config.all_models:
        names = [
            existing(work.output, "predictions", partition(model.label, prompt), work.fingerprint)
            for prompt in work.all_prompts
        ]
        done |= {ShardOfModel(model.label, name) for name in set.intersection(*names)}
    return frozenset(done)


def _fingerprint(
    record: RunRecord,
    config: RunConfig,
    policy: VotePolicy | None,
    variants: Sequence[Variant],
    truth: TruthTables,
) -> str:
    """That of a run with these settings, where there could be one; else over all variants."""
    generation = record.generation_fingerprint
    plain = config.prediction_identity(generation, policy, truth.fingerprint)
    if tuple(variants) == run_sweep(config).variants():
        return plain
    named = [[variant.name, variant.strategy, used_settings(variant)] for variant in variants]
    document = json.dumps({"predictions": plain, "variants": named}, sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


def _beside(source: Location, run: str) -> str:
    """A place next to the run's, under its name and the new id."""
    if source.uri.count("/") < 3 and source.is_s3:
        raise ConfigError(f"{source.uri} is a whole bucket; name an output")
    return f"{source.uri}-{run}"


def _refuse_output(
    tables: Location,
    source: Location,
    fingerprint: str,
    config: RunConfig,
    identity: Mapping[str, str],
) -> None:
    if f"{tables.uri}/".startswith(f"{source.uri}/"):
        raise ConfigError(f"the output {tables.uri} lies in the run, which is not to be changed")
    if tables.exists(RECORD) and read_record(tables).made_from is None:
        raise FingerprintError(f"{tables.uri} holds a run of its own. Choose another output.")
    refuse_another_run(tables, fingerprint, config.model_dump(mode="json"), identity)
