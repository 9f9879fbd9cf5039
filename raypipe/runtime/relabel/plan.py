"""What a relabel job asks, of which model, and what of it is done already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow.compute as pc

from raypipe.config import RunConfig
from raypipe.labels import LabelSet
from raypipe.prompts import template_source
from raypipe.records import EmotionTokens
from raypipe.relabel.prompt import prompt_hash
from raypipe.relabel.rounds import REQUEST_FAILED
from raypipe.relabel.settings import RelabelSettings
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
from raypipe.runtime.relabel.config import RelabelConfig
from raypipe.runtime.relabel.reading import Part, RelabelInput, parts_of, read_input
from raypipe.ssl.smoothing import SmoothingForm
from raypipe.store.location import Location
from raypipe.store.objects import read_object
from raypipe.store.patience import with_patience
from raypipe.store.run_record import RECORD, read_record


@dataclass(frozen=True, slots=True)
class RelabelContext:
    """What every part of a job needs; picklable, free of secrets.

    Attributes:
        run: short id of the job.
        run_config: under which the model is loaded and asked.
        emotion_tokens: of the model's frontend; nothing is read off their logits here.
        source: text of the template.
        prompt_hash: of a request without items.
    """

    run: str
    tables: Location
    labels: LabelSet
    model: str
    prompt: str
    run_config: RunConfig
    emotion_tokens: EmotionTokens
    source: str
    prompt_hash: str
    settings: RelabelSettings
    smoothing: float
    smoothing_form: SmoothingForm
    fingerprint: str

    def object_name(self, table: str, part: str) -> str:
        """Name of a part's object in ``table``, relative to the tables' location."""
        return f"{table}/{partition(self.model, self.prompt)}/{part}"


@dataclass(frozen=True, slots=True)
class RelabelPlan:
    """A relabel job, ready to start.

    Attributes:
        parts: of the corpus, in order.
        done: names of those that are finished.
        chosen: values of the settings that said ``auto``, by their names.
    """

    config: RelabelConfig
    corpus: RelabelInput
    parts: tuple[Part, ...]
    done: frozenset[str]
    context: RelabelContext
    identity: Mapping[str, str]
    chosen: Mapping[str, str | int | float]

    @property
    def pending(self) -> list[Part]:
        """Parts that are still to be done, in order."""
        return [part for part in self.parts if part.name not in self.done]

    @property
    def tables(self) -> Location:
        """Where the tables go."""
        return self.context.tables


@with_patience
def plan_relabel(config: RelabelConfig, ask: AskDevices = local_devices) -> RelabelPlan:
    """The plan of a relabel job: what is left to do, from the input, the model and the output.

    Args:
        config: of the job.
        ask: tells the GPUs that ``auto`` is resolved for.

    Raises:
        ConfigError: if the input, the template or the model cannot be used.
        FingerprintError: if the output holds another job's tables.
    """
    tables = output_place(config.output, config.storage.endpoint)
    source = template_source(config.template)
    automatic = Automatic(tables, ask)
    run = config.as_run()
    check_files(run)
    run = automatic.with_precision(run)
    corpus = read_input(config)
    hashed = prompt_hash(source, corpus.labels, config.settings())
    tokens = make_frontend(run.model).emotion_tokens(corpus.labels)
    check_engine(run, tokens)
    model = model_fingerprint(run.model)
    fingerprint = config.identity(corpus.fingerprint, source, model)
    identity = {"what is relabelled": corpus.fingerprint[:16], "the prompt": hashed[:16]}
    refuse_another_run(tables, fingerprint, config.model_dump(mode="json"), identity)
    tables.probe_conditional_writes()
    context = RelabelContext(
        run=fingerprint[:12],
        tables=tables,
        labels=corpus.labels,
        model=run.model.label,
        prompt=config.prompt,
        run_config=run,
        emotion_tokens=tokens,
        source=source,
        prompt_hash=hashed,
        settings=config.settings(),
        smoothing=config.smoothing,
        smoothing_form=config.smoothing_form,
        fingerprint=fingerprint,
    )
    done = existing(tables, "labels", partition(context.model, context.prompt), fingerprint)
    unread = _unread(context, done)
    parts = parts_of(corpus, config.items_per_request)
    return RelabelPlan(
        config,
        corpus,
        tuple(replace(part, again=part.name in unread) for part in parts),
        frozenset(done - unread),
        context,
        identity,
        automatic.chosen,
    )


def _unread(context: RelabelContext, written: set[str]) -> set[str]:
    """Names of an unfinished job's parts with items whose requests failed, to be asked again."""
    tables = context.tables
    if not written or not tables.exists(RECORD) or read_record(tables).status == "finished":
        return set()
    unread = set()
    for part in written:
        rows = read_object(tables, context.object_name("labels", part))
        faults = rows.filter(pc.equal(rows.column("status"), "left")).column("faults").to_pylist()
        if any(told[-1].startswith(REQUEST_FAILED) for told in faults):
            unread.add(part)
    return unread
