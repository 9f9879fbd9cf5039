"""What a judge job asks, of which model, and what of it is done already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from raypipe.audio import AudioLimits
from raypipe.config import RunConfig
from raypipe.explain.judge.verdicts import prompt_hash
from raypipe.labels import LabelSet
from raypipe.prompts import template_source
from raypipe.records import EmotionTokens
from raypipe.runtime.finish.output import existing, output_place, refuse_another_run
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.infer.automatic import AskDevices, Automatic
from raypipe.runtime.infer.devices import local_devices
from raypipe.runtime.infer.models import (
    check_engine,
    check_files,
    make_frontend,
    model_fingerprint,
)
from raypipe.runtime.judge.config import JudgeConfig
from raypipe.runtime.judge.reading import JudgeInput, JudgePart, parts_of, read_pairs
from raypipe.store.location import Location
from raypipe.store.objects import read_object
from raypipe.store.patience import with_patience
from raypipe.store.run_record import RECORD, read_record


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What every part of a job needs; picklable, free of secrets.

    Attributes:
        run: short id of the job.
        shards: corpus of the recordings; None for a judge that does not hear them.
        limits: of usable audio.
        systems: names of both.
        run_config: under which the judge is loaded and asked.
        emotion_tokens: of the judge's frontend; nothing is read off their logits here.
        source: text of the template.
        prompt_hash: of a question without reasons.
    """

    run: str
    tables: Location
    shards: Location | None
    limits: AudioLimits
    systems: tuple[str, str]
    model: str
    prompt: str
    run_config: RunConfig
    emotion_tokens: EmotionTokens
    source: str
    prompt_hash: str
    fingerprint: str

    def object_name(self, table: str, part: str) -> str:
        """Name of a part's object in ``table``, relative to the tables' location."""
        return f"{table}/{partition(self.model, self.prompt)}/{part}"


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """A judge job, ready to start.

    Attributes:
        parts: of the pairs, in order.
        done: names of those that are finished.
        chosen: values of the settings that said ``auto``, by their names.
    """

    config: JudgeConfig
    pairs: JudgeInput
    parts: tuple[JudgePart, ...]
    done: frozenset[str]
    context: JudgeContext
    identity: Mapping[str, str]
    chosen: Mapping[str, str | int | float]

    @property
    def pending(self) -> list[JudgePart]:
        """Parts that are still to be done, in order."""
        return [part for part in self.parts if part.name not in self.done]

    @property
    def tables(self) -> Location:
        """Where the tables go."""
        return self.context.tables

    @property
    def labels(self) -> LabelSet:
        """Labels of both systems."""
        return self.pairs.labels


@with_patience
def plan_judge(config: JudgeConfig, ask: AskDevices = local_devices) -> JudgePlan:
    """The plan of a judge job: what is left to do, from the answers, the model and the output.

    Args:
        config: of the job.
        ask: tells the GPUs that ``auto`` is resolved for.

    Raises:
        ConfigError: if the answers, the template or the model cannot be used.
        FingerprintError: if the output holds another job's tables.
    """
    tables = output_place(config.output, config.storage.endpoint)
    source = template_source(config.template)
    automatic = Automatic(tables, ask)
    run = config.as_run()
    check_files(run)
    run = automatic.with_precision(run)
    pairs = read_pairs(config)
    hashed = prompt_hash(source, audio=config.audio)
    frontend = make_frontend(run.model)
    tokens = frontend.emotion_tokens(pairs.labels)
    check_engine(run, tokens)
    fingerprint = config.identity(pairs.fingerprint, source, model_fingerprint(run.model))
    identity = {"what is judged": pairs.fingerprint[:16], "the prompt": hashed[:16]}
    refuse_another_run(tables, fingerprint, config.model_dump(mode="json"), identity)
    tables.probe_conditional_writes()
    heard = config.shards if config.audio else None
    context = JudgeContext(
        run=fingerprint[:12],
        tables=tables,
        shards=None if heard is None else Location.parse(heard, config.storage.endpoint),
        limits=AudioLimits(max_duration_s=frontend.max_duration_s),
        systems=config.systems,
        model=run.model.label,
        prompt=config.prompt,
        run_config=run,
        emotion_tokens=tokens,
        source=source,
        prompt_hash=hashed,
        fingerprint=fingerprint,
    )
    done = existing(tables, "judgements", partition(context.model, context.prompt), fingerprint)
    failed = _with_failures(context, done)
    return JudgePlan(
        config,
        pairs,
        tuple(replace(part, again=part.name in failed) for part in parts_of(pairs.pairs)),
        frozenset(done - failed),
        context,
        identity,
        automatic.chosen,
    )


def _with_failures(context: JudgeContext, written: set[str]) -> set[str]:
    """Names of an unfinished job's parts with pairs whose questions failed, to be asked again."""
    tables = context.tables
    if not written or not tables.exists(RECORD) or read_record(tables).status == "finished":
        return set()
    return {
        part
        for part in written
        if False
        in read_object(tables, context.object_name("errors", part)).column("refusal").to_pylist()
    }
