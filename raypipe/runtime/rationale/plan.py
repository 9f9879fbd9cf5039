"""What a rationale job asks, of which model, and what of it is done already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow.compute as pc

from raypipe.audio import AudioLimits
from raypipe.config import RunConfig
from raypipe.errors import ConfigError
from raypipe.explain.rationale.draft import RuleSettings
from raypipe.explain.rationale.prompt import rationale_prompt, rationale_prompt_hash
from raypipe.labels import LabelSet
from raypipe.prompts import template_source
from raypipe.records import EmotionTokens
from raypipe.runtime.finish.output import existing, output_place, refuse_another_run
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.infer.automatic import AskDevices, Automatic
from raypipe.runtime.infer.context import ShardTask
from raypipe.runtime.infer.devices import local_devices
from raypipe.runtime.infer.models import (
    check_engine,
    check_files,
    make_frontend,
    model_fingerprint,
)
from raypipe.runtime.infer.plan import audio_limits, shard_tasks
from raypipe.runtime.rationale.choosing import UtteranceChoice, count_left_out
from raypipe.runtime.rationale.config import RationaleConfig
from raypipe.shards import ShardIndex, read_index
from raypipe.store.location import Location
from raypipe.store.objects import read_object
from raypipe.store.patience import with_patience
from raypipe.store.rationale_schema import RATIONALE_TABLES, Purpose
from raypipe.store.run_record import RECORD, read_record


@dataclass(frozen=True, slots=True)
class ModelToAsk:
    """A model as an actor loads it.

    Attributes:
        run: under which it is loaded and asked.
        emotion_tokens: of its frontend; nothing is read off their logits here.
    """

    run: RunConfig
    emotion_tokens: EmotionTokens


@dataclass(frozen=True, slots=True)
class RationaleContext:
    """What every shard of a job needs; picklable, free of secrets.

    Attributes:
        run: short id of the job.
        labels: of the shards.
        model: the teacher's name in the tables.
        source: text of the template.
        guesser: None where nothing is guessed.
        guessed: labels that it chooses among.
        limits: of usable audio.
        window_s: most seconds of a clip that are heard.
    """

    run: str
    shards: Location
    tables: Location
    labels: LabelSet
    model: str
    prompt: str
    source: str
    purpose: Purpose
    choice: UtteranceChoice
    rules: RuleSettings
    tries: int
    teacher: ModelToAsk
    guesser: ModelToAsk | None
    guessed: LabelSet
    limits: AudioLimits
    window_s: float
    fingerprint: str

    @property
    def table(self) -> str:
        """Name of the table."""
        return RATIONALE_TABLES[self.purpose]

    def object_name(self, table: str, shard: str) -> str:
        """Name of a shard's object in ``table``, relative to the tables' location."""
        return f"{table}/{partition(self.model, self.prompt)}/{shard}"


@dataclass(frozen=True, slots=True)
class RationalePlan:
    """A rationale job, ready to start.

    Attributes:
        tasks: shards, in order.
        done: names of those that are finished.
        again: names of those that were written with utterances that the model failed; they are
            written anew.
        left_out: utterances that are not asked about, by shard and reason.
        chosen: values of the settings that said ``auto``, by their names.
    """

    config: RationaleConfig
    index: ShardIndex
    tasks: tuple[ShardTask, ...]
    done: frozenset[str]
    again: frozenset[str]
    left_out: Mapping[str, Mapping[str, int]]
    context: RationaleContext
    identity: Mapping[str, str]
    chosen: Mapping[str, str | int | float]

    @property
    def pending(self) -> list[ShardTask]:
        """Shards that are still to be done, in order."""
        return [task for task in self.tasks if task.entry.name not in self.done]

    @property
    def tables(self) -> Location:
        """Where the tables go."""
        return self.context.tables

    def asked_in(self, task: ShardTask) -> int:
        """Utterances of a shard that are asked about, those that fail among them."""
        return task.take - sum(self.left_out[task.entry.name].values())

    @property
    def reasons_left_out(self) -> Mapping[str, int]:
        """Utterances that are left out, by reason; most first."""
        total: Counter[str] = Counter()
        for counts in self.left_out.values():
            total.update(counts)
        return dict(sorted(total.items(), key=lambda entry: (-entry[1], entry[0])))


@with_patience
def plan_rationale(config: RationaleConfig, ask: AskDevices = local_devices) -> RationalePlan:
    """The plan of a rationale job: what is left to do, from the input, the models and the output.

    Args:
        config: of the job.
        ask: tells the GPUs that ``auto`` is resolved for.

    Raises:
        ConfigError: if the input, the template or a model cannot be used, or no utterance is in
            the splits.
        FingerprintError: if the output holds another job's tables.
    """
    tables = output_place(config.output, config.storage.endpoint)
    source = template_source(config.template)
    hashed = rationale_prompt_hash(source)
    if rationale_prompt(source, "anger", "Stop.") == rationale_prompt(
        source, "anger", "Stop.", ["DO NOT ask."]
    ):
        raise ConfigError(
            f"template {config.template} does not show the rules in `broken`: a model would answer "
            "the same again"
        )
    automatic = Automatic(tables, ask)
    run = config.as_run()
    check_files(run)
    run = automatic.with_precision(run)
    shards = Location.parse(config.input.shards, config.storage.endpoint)
    index = read_index(shards)
    labels = LabelSet(tuple(index.labels))
    choice = UtteranceChoice(
        config.splits, config.gold, config.label_set, config.transcript == "required"
    )
    tasks = shard_tasks(shards, index, config.input.limit)
    left_out = count_left_out(shards, tasks, labels, choice)
    _refuse_nothing(config, tasks, left_out)
    frontend = make_frontend(run.model)
    teacher = ModelToAsk(run, frontend.emotion_tokens(labels))
    check_engine(run, teacher.emotion_tokens)
    guesser = _guesser(config, automatic, labels)
    fingerprints = {"teacher": model_fingerprint(run.model)}
    if guesser is not None:
        fingerprints["guesser"] = model_fingerprint(guesser.run.model)
    fingerprint = config.identity(index.fingerprint, source, fingerprints)
    identity = {"what the shards hold": index.fingerprint[:16], "the prompt": hashed[:16]}
    refuse_another_run(tables, fingerprint, config.model_dump(mode="json"), identity)
    tables.probe_conditional_writes()
    context = RationaleContext(
        run=fingerprint[:12],
        shards=shards,
        tables=tables,
        labels=labels,
        model=run.model.label,
        prompt=config.prompt,
        source=source,
        purpose=config.purpose,
        choice=choice,
        rules=config.rules.settings,
        tries=config.tries,
        teacher=teacher,
        guesser=guesser,
        guessed=config.label_set or labels,
        limits=audio_limits(run, frontend.max_duration_s),
        window_s=frontend.max_duration_s,
        fingerprint=fingerprint,
    )
    done = existing(tables, context.table, partition(context.model, context.prompt), fingerprint)
    again = _failed_by_the_model(context, done)
    return RationalePlan(
        config,
        index,
        tasks,
        frozenset(done - again),
        frozenset(again),
        left_out,
        context,
        identity,
        automatic.chosen,
    )


def _refuse_nothing(
    config: RationaleConfig, tasks: tuple[ShardTask, ...], left_out: Mapping[str, Mapping[str, int]]
) -> None:
    total = sum(task.take for task in tasks)
    reasons: Counter[str] = Counter()
    for counts in left_out.values():
        reasons.update(counts)
    if sum(reasons.values()) == total:
        told = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
        raise ConfigError(
            f"none of {total} utterances is to be asked about with splits "
            f"{', '.join(config.splits)} ({told})"
        )


def _guesser(config: RationaleConfig, automatic: Automatic, labels: LabelSet) -> ModelToAsk | None:
    run = config.as_guesser()
    if run is None:
        return None
    check_files(run)
    run = automatic.with_precision(run)
    guesser = ModelToAsk(run, make_frontend(run.model).emotion_tokens(labels))
    check_engine(run, guesser.emotion_tokens)
    return guesser


def _failed_by_the_model(context: RationaleContext, written: set[str]) -> set[str]:
    """Names of an unfinished job's shards with utterances that the model failed."""
    tables = context.tables
    if not written or not tables.exists(RECORD) or read_record(tables).status == "finished":
        return set()
    failed = set()
    for shard in written:
        errors = read_object(tables, context.object_name("errors", shard))
        if pc.any(pc.equal(errors.column("stage"), "engine")).as_py():
            failed.add(shard)
    return failed
