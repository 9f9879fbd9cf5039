"""What is to be done: which shards, which rows of them, by which model, under which fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from raypipe.audio import AudioLimits
from raypipe.config import RunConfig
from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.prompts import uses
from raypipe.prompts.options import LETTERS, with_letters
from raypipe.runtime.finish.aggregation import Ensemble
from raypipe.runtime.finish.labels import NO_TABLES, TruthTables, ids_in, truth_tables
from raypipe.runtime.finish.output import (
    existing,
    finished_record,
    output_place,
    refuse_another_run,
)
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.finish.slices import check_columns
from raypipe.runtime.infer.automatic import AskDevices, Automatic
from raypipe.runtime.infer.closed_form import check_options
from raypipe.runtime.infer.context import RunContext, ShardTask, ShardTasks
from raypipe.runtime.infer.devices import Devices, local_devices
from raypipe.runtime.infer.duplicates import repeated_ids
from raypipe.runtime.infer.fitted import refuse_fitted
from raypipe.runtime.infer.models import (
    check_engine,
    check_files,
    make_frontend,
    model_fingerprint,
)
from raypipe.runtime.infer.prompts import run_prompt, usable_source
from raypipe.runtime.infer.questions import Verification, passes_of, verification_of
from raypipe.runtime.infer.ratings import check_ratings
from raypipe.shards import ShardIndex, read_index
from raypipe.store.location import Location
from raypipe.store.patience import with_patience
from raypipe.store.run_record import RECORD, LabelsUsed, read_record
from raypipe.strategies.sweep import Sweep

_ANY_DEVICES = Devices(gpus=1 << 20, name="any", memory=1 << 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun(ShardTasks):
    """One model's part of a run, ready to start; a shard is done once all its predictions exist.

    Attributes:
        config: the run's, with this model alone.
    """

    config: RunConfig
    context: RunContext


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, ready to start.

    Attributes:
        model_runs: the run's models, one after the other.
        chosen: values of the settings that said ``auto``, by their names.
        identity: digests of what the run's fingerprints are made of beside its config, by what
            it is.
        truth: label tables that the predictions are measured against.
        label_tables: what ``run.json`` says of them.
    """

    config: RunConfig
    index: ShardIndex
    identity: Mapping[str, str]
    model_runs: tuple[ModelRun, ...]
    chosen: Mapping[str, str | int | float]
    truth: TruthTables = NO_TABLES
    label_tables: tuple[LabelsUsed, ...] | None = None

    @property
    def context(self) -> RunContext:
        """The first model's, for what all share: place, labels, policy, fingerprints."""
        return self.model_runs[0].context

    @property
    def is_done(self) -> bool:
        """Whether every shard is done."""
        return not any(model_run.pending for model_run in self.model_runs)


@with_patience
def make_plan(config: RunConfig, ask: AskDevices = local_devices) -> Plan:
    """The plan of a run: what is left to do, from the input, the models and the output.

    Args:
        config: of the run.
        ask: tells the GPUs that ``auto`` is resolved for.

    Raises:
        ConfigError: if a prompt or the input cannot be used, or a model does not fit.
        FingerprintError: if the output holds the tables of a different run.
    """
    finished = _finished(config)
    return _planned(config, ask) if finished is None else finished


def _finished(config: RunConfig) -> Plan | None:
    """The plan of a run of which nothing is left to do: no cluster is joined to find that out."""
    tables = output_place(config.output, config.storage.endpoint)
    if not tables.exists(RECORD) or read_record(tables).status != "finished":
        return None
    # Whatever GPUs would be chosen now: precision and rows stand in the record.
    plan = _planned(config, lambda: _ANY_DEVICES)
    record = finished_record(tables, config.metrics, plan.label_tables) if plan.is_done else None
    return None if record is None else plan


def _planned(config: RunConfig, ask: AskDevices) -> Plan:
    shards = Location.parse(config.input.shards, config.storage.endpoint)
    tables = output_place(config.output, config.storage.endpoint)
    index = read_index(shards)
    if index.rows == 0:
        raise ConfigError(
            f"the corpus in {shards.uri} is empty: it holds 0 utterances; {index.failures} inputs "
            f"of its ingest failed and {index.excluded} were left out"
        )
    names = [entry.name for entry, _ in index.first(config.input.limit)]
    check_columns(config.metrics.slices, shards, names)
    check_ratings(config.attribute_scales, shards, names)
    truth = truth_tables(config.labels, LabelSet(tuple(index.labels)), config.storage.endpoint)
    label_tables = truth.used(utterance_ids(shards, index, config.input.limit))
    automatic = Automatic(tables, ask)
    config, contexts = run_contexts(config, shards, tables, index, automatic, truth)
    tables.probe_conditional_writes()
    identity = {**identity_of(config, index, contexts[0]), **truth.identity()}
    recorded = config.model_dump(mode="json")
    refuse_another_run(tables, contexts[0].prediction_fingerprint, recorded, identity)
    tasks = shard_tasks(shards, index, config.input.limit)
    model_runs = tuple(
        _model_run(config.with_model(model), context, tasks)
        for model, context in zip(config.all_models, contexts, strict=True)
    )
    chosen = automatic.chosen
    return Plan(config, index, identity, model_runs, chosen, truth, label_tables)


def utterance_ids(shards: Location, index: ShardIndex, limit: int | None) -> Iterator[str | None]:
    """Utterance ids of the run, of shards that can be read."""
    rows = {entry.name: take for entry, take in index.first(limit)}
    for name, ids in ids_in(shards, rows):
        yield from ids[: rows[name]]


def identity_of(config: RunConfig, index: ShardIndex, context: RunContext) -> Mapping[str, str]:
    """Digests of what a run's fingerprints are made of beside its config, by what it is."""
    policy = None if index.policy is None else index.policy.model_dump(mode="json")
    parts: dict[str, object] = {
        "what the shards hold": index.fingerprint,
        "how votes are counted": policy,
        **{f"model {model.label}": model_fingerprint(model) for model in config.loaded_models},
        **{f"prompt {prompt.name}": prompt.identity() for prompt in context.prompts},
    }
    if context.verification is not None:
        parts["the verifier's prompt"] = context.verification.source
    return {
        name: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16]
        for name, part in parts.items()
    }


def _model_run(config: RunConfig, context: RunContext, tasks: Sequence[ShardTask]) -> ModelRun:
    generated = _in_all(context, "generations", context.asked_prompts)
    done = _in_all(context, "predictions", context.all_prompts)
    marked = [dataclasses.replace(task, generated=task.entry.name in generated) for task in tasks]
    return ModelRun(config=config, context=context, tasks=tuple(marked), done=done)


def replanned(model_run: ModelRun) -> ModelRun:
    """The same part of a run with what of it is done by now."""
    return _model_run(model_run.config, model_run.context, model_run.tasks)


def _in_all(context: RunContext, table: str, prompts: Sequence[str]) -> frozenset[str]:
    """Names of the shards whose objects exist under every prompt."""
    fingerprint = {
        "generations": context.generation_fingerprint,
        "predictions": context.prediction_fingerprint,
    }[table]
    found = [
        existing(context.tables, table, partition(context.model, prompt), fingerprint)
        for prompt in prompts
    ]
    return frozenset(set.intersection(*found))


def run_contexts(
    config: RunConfig,
    shards: Location,
    tables: Location,
    index: ShardIndex,
    automatic: Automatic,
    truth: TruthTables = NO_TABLES,
) -> tuple[RunConfig, tuple[RunContext, ...]]:
    """The config with every ``auto`` resolved, and what every stage of each model's part needs.

    Loads tokenizers, not weights. Whoever makes no predictions needs no label tables.

    Raises:
        ConfigError: if a prompt cannot be used, a model's files are not whole, or it cannot do
            what is asked.
    """
    check_files(config)  # first: what follows may start Ray to ask a cluster's GPUs
    config, contexts = unchecked_contexts(config, shards, tables, index, automatic, truth)
    check_engines(config, contexts)
    by_model = {context.model: context for context in contexts}
    return automatic.with_rows(config, by_model), contexts


def unchecked_contexts(
    config: RunConfig,
    shards: Location,
    tables: Location,
    index: ShardIndex,
    automatic: Automatic,
    truth: TruthTables = NO_TABLES,
) -> tuple[RunConfig, tuple[RunContext, ...]]:
    """The config with every ``auto`` but the rows resolved, and the contexts.

    Nobody has looked yet at whether the models' weights are there, what their engines can do and
    whether there is room for them.

    Raises:
        ConfigError: if a prompt or a tokenizer cannot be used, or a strategy is fitted.
    """
    refuse_fitted(config)
    config = automatic.with_precision(config)
    labels = LabelSet(tuple(index.labels))
    prompts = tuple(run_prompt(prompt, config, labels, index) for prompt in config.all_prompts)
    check_options(config, prompts)
    verification = _verification(config, labels, index)
    fingerprints = [model_fingerprint(model) for model in config.loaded_models]
    asked = [asking.identity() for asking in passes_of(config, labels)]
    generation = config.generation_identity(
        index.fingerprint,
        fingerprints,
        [prompt.identity() for prompt in prompts],
        [asked, None if verification is None else dataclasses.asdict(verification)],
    )
    prediction = config.prediction_identity(generation, index.policy, truth.fingerprint)
    variants = run_sweep(config).variants()
    contexts = []
    for model in config.all_models:
        own = config.with_model(model)
        frontend = make_frontend(model)
        emotion_tokens = frontend.emotion_tokens(labels)
        if any(prompt.options is not None for prompt in prompts):
            emotion_tokens = with_letters(emotion_tokens, frontend.emotion_tokens(LETTERS))
        # A model that is only told what was measured has no window.
        is_heard = not all(prompt.text_only for prompt in prompts)
        window_s = frontend.max_duration_s if is_heard else AudioLimits().max_duration_s
        contexts.append(
            RunContext(
                run=prediction[:12],
                shards=shards,
                tables=tables,
                labels=labels,
                policy=index.policy,
                fixed_sentences=index.fixed_sentences,
                model=model.label,
                prompts=prompts,
                ensembles=ensembles_of(config),
                passes=passes_of(own, labels),
                verification=verification,
                limits=audio_limits(config, window_s),
                window_s=window_s,
                long_audio=config.audio.long_audio,
                silence=config.audio.replace_with == "silence",
                strategies=config.strategies,
                variants=variants,
                settings=config.settings,
                beam_count=config.decoding.beam_count,
                emotion_tokens=emotion_tokens,
                generation_fingerprint=generation,
                prediction_fingerprint=prediction,
                truth=truth.instead,
                attribute_scales=config.attribute_scales,
                clip_s=(index.duration_s or 0.0) / index.rows if index.rows else 0.0,
            )
        )
    return config, tuple(contexts)


def check_engines(config: RunConfig, contexts: Sequence[RunContext]) -> None:
    """Refuse what the engines of a run cannot give, before any work starts.

    Raises:
        ConfigError: naming the setting, what it needs and what is offered.
    """
    for model, context in zip(config.all_models, contexts, strict=True):
        check_engine(config.with_model(model), context.emotion_tokens)
    _check_verifier(config, contexts[0].labels)


def run_sweep(
    config: RunConfig, sub_beams: Sequence[int] = (), **changes: Sequence[object]
) -> Sweep:
    """The run's strategies under its settings, of which some may be given other values."""
    plain = {name: (value,) for name, value in config.settings.by_name().items()}
    return Sweep(
        config.strategies,
        config.decoding.beam_count,
        beam_counts=config.decoding.other_beam_counts,
        sub_beams=sub_beams,
        **{**plain, **changes},
    )


def _verification(config: RunConfig, labels: LabelSet, index: ShardIndex) -> Verification | None:
    template = config.verifier.template
    source = usable_source(template, labels, index, candidate="")
    if uses(source, "descriptors"):
        raise ConfigError(f"verifier.template: {template} uses descriptors; a verifier gets none")
    return verification_of(config, source)


def _check_verifier(config: RunConfig, labels: LabelSet) -> None:
    """Refuse a verifier that cannot answer; it serves no strategy by its own answers' logits."""
    model = config.verifier.model
    if model is not None:
        tokens = make_frontend(model).emotion_tokens(labels)
        free = config.decoding.model_copy(update={"grammar": None})
        chat = {"turn": "chat"}  # a verifier's prompt is not the run's
        verifier = config.as_verifier().model_copy(
            update={
                "strategies": (),
                "questions": (),
                "decoding": free,
                "prompt": config.prompt.model_copy(update=chat),
                "prompts": tuple(prompt.model_copy(update=chat) for prompt in config.prompts),
            }
        )
        check_engine(verifier, tokens)


def ensembles_of(config: RunConfig) -> tuple[Ensemble, ...]:
    """The run's means over prompts."""
    everything = tuple(prompt.label for prompt in config.all_prompts)
    return tuple(Ensemble(mean.name, mean.prompts or everything) for mean in config.ensembles)


def audio_limits(config: RunConfig, window_s: float) -> AudioLimits:
    """Limits of usable audio for a model that hears so many seconds at once."""
    is_cut = config.audio.long_audio != "error"
    longest_s = AudioLimits().max_duration_s if is_cut else window_s
    return AudioLimits(
        max_duration_s=config.audio.max_duration_s or longest_s,
        max_channels=config.audio.max_channels,
        channel=config.audio.channel if isinstance(config.audio.channel, int) else None,
        out_of_range=config.audio.out_of_range,
        silent=config.audio.silent,
    )


def shard_tasks(shards: Location, index: ShardIndex, limit: int | None) -> tuple[ShardTask, ...]:
    """The shards of a run, each with its rows that stand elsewhere already."""
    repeated: Mapping[str, Mapping[int, str]] = repeated_ids(shards, index)
    return tuple(
        ShardTask(entry, take, repeated.get(entry.name, {})) for entry, take in index.first(limit)
    )
