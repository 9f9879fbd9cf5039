"""What is to be done: which shards, which rows of them, under which fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from raypipe.audio import AudioLimits
from raypipe.config import RunConfig
from raypipe.errors import FingerprintError
from raypipe.labels import LabelSet
from raypipe.prompts import fill_template, template_source
from raypipe.runtime.duplicates import repeated_ids
from raypipe.runtime.models import check_engine, make_frontend, model_fingerprint
from raypipe.runtime.run_record import RECORD, read_record
from raypipe.runtime.shard_work import RunContext, ShardTask
from raypipe.shards import ShardIndex, read_index
from raypipe.store.location import Location
from raypipe.strategies import AggregationSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, ready to start.

    Attributes:
        tasks: every shard of the run, in order.
        done: names of shards whose predictions exist already.
    """

    config: RunConfig
    context: RunContext
    index: ShardIndex
    tasks: tuple[ShardTask, ...]
    done: frozenset[str]

    @property
    def pending(self) -> list[ShardTask]:
        """Shards that are still to be done, in order."""
        return [task for task in self.tasks if task.entry.name not in self.done]

    @property
    def utterances(self) -> int:
        """Utterances in the run."""
        return sum(task.take for task in self.tasks)

    @property
    def utterances_done(self) -> int:
        """Of them, those in finished shards."""
        return sum(task.take for task in self.tasks if task.entry.name in self.done)


def make_plan(config: RunConfig) -> Plan:
    """Look at the input, the model and the output, and decide what is left to do.

    Raises:
        ConfigError: if the prompt or the input cannot be used.
        FingerprintError: if the output holds the tables of a different run.
    """
    shards = Location.parse(config.input.shards, config.storage.endpoint)
    tables = Location.parse(config.output, config.storage.endpoint)
    index = read_index(shards)
    context = run_context(config, shards, tables, index)
    tables.probe_conditional_writes()
    refuse_another_run(tables, context.prediction_fingerprint)
    generated = existing(tables, "generations", context.partition, context.generation_fingerprint)
    done = existing(tables, "predictions", context.partition, context.prediction_fingerprint)
    tasks = _tasks(shards, index, config.input.limit, generated)
    return Plan(config, context, index, tasks, frozenset(done))


def run_context(
    config: RunConfig, shards: Location, tables: Location, index: ShardIndex
) -> RunContext:
    """What every stage of the run needs to know; loads the model's tokenizer, not its weights.

    Raises:
        ConfigError: if the prompt cannot be used.
    """
    labels = LabelSet(tuple(index.labels))
    frontend = make_frontend(config.model)
    emotion_tokens = frontend.emotion_tokens(labels)
    check_engine(config, emotion_tokens)
    source = template_source(config.prompt.template)
    fill_template(source, labels, transcript="", fixed_sentences=index.fixed_sentences)
    generation = config.generation_identity(
        index.fingerprint, model_fingerprint(config.model), source
    )
    prediction = config.prediction_identity(generation, index.policy)
    cut_to_s = frontend.max_duration_s if config.audio.long_audio == "first_window" else None
    longest_s = frontend.max_duration_s if cut_to_s is None else AudioLimits().max_duration_s
    limits = AudioLimits(
        max_duration_s=config.audio.max_duration_s or longest_s,
        max_channels=config.audio.max_channels,
    )
    return RunContext(
        run=prediction[:12],
        shards=shards,
        tables=tables,
        partition=f"model={_segment(config.model.label)}/prompt={_segment(config.prompt.label)}",
        labels=labels,
        policy=index.policy,
        fixed_sentences=index.fixed_sentences,
        model=config.model.label,
        prompt=config.prompt.label,
        prompt_source=source,
        limits=limits,
        cut_to_s=cut_to_s,
        silence=config.audio.replace_with == "silence",
        strategies=config.strategies,
        aggregation=AggregationSettings(**config.aggregation.model_dump()),
        emotion_tokens=emotion_tokens,
        generation_fingerprint=generation,
        prediction_fingerprint=prediction,
    )


def _segment(value: str) -> str:
    """A Hive partition value: readers decode percent signs, a slash would be a new folder."""
    return quote(value, safe=" +")


def refuse_another_run(tables: Location, fingerprint: str) -> None:
    """One output holds one run: its record, report and counts speak of all its tables.

    Raises:
        FingerprintError: if the output holds the tables of a different run.
    """
    if not tables.exists(RECORD):
        return
    found = read_record(tables)["fingerprint"]
    if found != fingerprint:
        raise FingerprintError(
            f"{tables.uri} holds another run (fingerprint {found[:12]}, this run's is "
            f"{fingerprint[:12]}): the shards, the model, the prompt or a "
            "setting differs. Choose another output."
        )


def existing(tables: Location, table: str, partition: str, fingerprint: str) -> set[str]:
    """Names of a table's finished objects; the first one's fingerprint speaks for all.

    Raises:
        FingerprintError: if it is not ``fingerprint``.
    """
    place = tables.child(table, *partition.split("/"))
    names = place.list(".parquet")
    if names:
        found = place.fingerprint_of(names[0])
        if found != fingerprint:
            raise FingerprintError(
                f"{place.uri} holds {table} of another run (fingerprint {str(found)[:12]}, this "
                f"run's is {fingerprint[:12]}): the shards, the model, the prompt or a setting "
                "differs. Choose another output."
            )
    return set(names)


def _tasks(
    shards: Location, index: ShardIndex, limit: int | None, generated: set[str]
) -> tuple[ShardTask, ...]:
    repeated: Mapping[str, Mapping[int, str]] = repeated_ids(shards, index)
    left = limit if limit is not None else index.rows
    tasks = []
    for entry in index.shards:
        take = min(entry.rows, left)
        if take == 0 and entry.rows > 0:
            break
        left -= take
        tasks.append(ShardTask(entry, take, repeated.get(entry.name, {}), entry.name in generated))
    return tuple(tasks)
