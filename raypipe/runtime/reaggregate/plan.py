"""What a reaggregation reads, under which settings, and what of it is done already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raypipe.config import RunConfig, parse_config
from raypipe.errors import ConfigError, FingerprintError, ObjectMissingError
from raypipe.labels import LabelSet
from raypipe.runtime.finish.output import existing, refuse_another_run
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.finish.record import RECORD, read_record
from raypipe.runtime.infer.plan import ensembles_of, run_sweep
from raypipe.runtime.reaggregate.asked import refuse_what_was_not_asked
from raypipe.runtime.reaggregate.work import Part, Work
from raypipe.store.location import Location
from raypipe.strategies import Variant
from raypipe.strategies.sweep import compared, used_settings
from raypipe.votes import VotePolicy


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different from a run; None keeps what the run had.

    Several values of a setting are a sweep, see :mod:`raypipe.strategies.sweep`.

    Attributes:
        cheap: of the strategy ``adaptive``, as ``expensive`` and ``threshold``.
        replicates: of the bootstrap.
    """

    strategies: tuple[str, ...] | None = None
    tau: tuple[float, ...] | None = None
    token_steps: tuple[str, ...] | None = None
    token_temperature: tuple[float, ...] | None = None
    length_normalised: tuple[bool, ...] | None = None
    merge_tokenisations: tuple[bool, ...] | None = None
    sub_beams: tuple[int, ...] | None = None
    cheap: tuple[str, ...] | None = None
    expensive: tuple[str, ...] | None = None
    threshold: tuple[float, ...] | None = None
    replicates: int | None = None

    @property
    def aggregation(self) -> dict[str, tuple[Any, ...]]:
        """Values of the settings of that section that are given, by name."""
        return self._given(
            "tau", "token_steps", "token_temperature", "length_normalised", "merge_tokenisations"
        )

    @property
    def adaptive(self) -> dict[str, tuple[Any, ...]]:
        """Values of the settings of that section that are given, by name."""
        return self._given("cheap", "expensive", "threshold")

    def _given(self, *names: str) -> dict[str, tuple[Any, ...]]:
        given = {name: getattr(self, name) for name in names}
        return {name: values for name, values in given.items() if values is not None}


@dataclass(frozen=True, slots=True)
class ReaggregationPlan:
    """A reaggregation, ready to start.

    Attributes:
        config: the run's, with the changes in it; of a swept setting its first value.
        swept: values of the settings that have several, as they stand in the new record.
        compared: pairs of strategy names that get a paired difference.
        parts: every shard of the run as every model answered it, in order.
        done: of them, those all of whose predictions exist already.
    """

    source_record: dict[str, Any]
    config: RunConfig
    swept: dict[str, list[Any]]
    work: Work
    compared: frozenset[tuple[str, str]]
    parts: tuple[Part, ...]
    done: frozenset[Part]

    @property
    def pending(self) -> list[Part]:
        """What is still to be read, in order."""
        return [part for part in self.parts if part not in self.done]


def plan_reaggregation(
    run: str, changes: Changes, *, output: str | None, endpoint: str | None
) -> ReaggregationPlan:
    """Look at the run and the output, and decide what is left to do.

    Raises:
        ConfigError: if the run cannot be reaggregated, or a change does not go with it.
        FingerprintError: if the output holds something else.
    """
    source = Location.parse(run, endpoint)
    record = _source_record(source)
    config = _changed_config(record["config"], changes, f"{source.uri}/{RECORD}")
    if changes.adaptive and "adaptive" not in config.strategies:
        raise ConfigError(
            f"adaptive {', '.join(changes.adaptive)}: adaptive is not among the strategies "
            f"{', '.join(config.strategies)}"
        )
    settings = {**changes.aggregation, **changes.adaptive}
    variants = run_sweep(config, sub_beams=changes.sub_beams or (), **settings).variants()
    place = f"{source.uri}/{RECORD}"
    refuse_what_was_not_asked(parse_config(record["config"], source=place), record, variants)
    policy = _policy(record)
    fingerprint = _fingerprint(record, config, policy, variants)
    tables = Location.parse(output or _beside(source, fingerprint[:12]), endpoint)
    config = config.model_copy(update={"output": tables.uri})
    _refuse_output(tables, source, fingerprint)
    tables.probe_conditional_writes()
    work = Work(
        source=source,
        output=tables,
        run=fingerprint[:12],
        prompts=tuple(prompt.label for prompt in config.all_prompts),
        ensembles=ensembles_of(config),
        labels=LabelSet(tuple(record["labels"])),
        policy=policy,
        variants=variants,
        generation_fingerprint=record["generation_fingerprint"],
        fingerprint=fingerprint,
    )
    swept = {name: list(values) for name, values in settings.items() if len(values) > 1}
    if changes.sub_beams:
        swept["sub_beams"] = list(changes.sub_beams)
    parts = _parts(source, [model.label for model in config.all_models], work.prompts)
    done = _done(work, config)
    return ReaggregationPlan(record, config, swept, work, compared(variants), parts, done)


def _source_record(source: Location) -> dict[str, Any]:
    try:
        record = read_record(source)
    except ObjectMissingError as error:
        raise ConfigError(f"{source.uri} is not a run: it holds no {RECORD}") from error
    if "made_from" in record:
        raise ConfigError(
            f"{source.uri} holds no generations: it was made from "
            f"{record['made_from']['location']}; reaggregate that"
        )
    if record["status"] != "finished":
        raise ConfigError(f"{source.uri} is not finished; the command that began it continues it")
    return record


def _changed_config(document: dict[str, Any], changes: Changes, place: str) -> RunConfig:
    """The run's config with the first value of everything that is changed, checked as a whole."""
    changed = dict(document)
    for section in ("aggregation", "adaptive"):
        given = getattr(changes, section)
        first = {name: values[0] for name, values in given.items() if values}
        if first:
            changed[section] = {**document.get(section, {}), **first}
    if changes.strategies is not None:
        changed["strategies"] = changes.strategies
    if changes.replicates is not None:
        changed["metrics"] = {**document["metrics"], "replicates": changes.replicates}
    return parse_config(changed, source=f"{place} with these changes")


def _parts(source: Location, models: Sequence[str], prompts: Sequence[str]) -> tuple[Part, ...]:
    """Every shard under every model; what a prompt lacks of them is found when it is read."""
    parts = []
    for model in models:
        place = source.child("generations", *partition(model, prompts[0]).split("/"))
        names = place.list(".parquet")
        if not names:
            raise ConfigError(f"{place.uri} holds no generations")
        parts += [Part(model, name) for name in names]
    return tuple(parts)


def _done(work: Work, config: RunConfig) -> frozenset[Part]:
    done: set[Part] = set()
    for model in config.all_models:
        found = [
            existing(work.output, "predictions", partition(model.label, prompt), work.fingerprint)
            for prompt in work.all_prompts
        ]
        done |= {Part(model.label, name) for name in set.intersection(*found)}
    return frozenset(done)


def _policy(record: dict[str, Any]) -> VotePolicy | None:
    """How the run understood votes; one that recorded no policy had none."""
    found = record.get("vote_policy")
    return None if found is None else VotePolicy.model_validate(found)


def _fingerprint(
    record: dict[str, Any],
    config: RunConfig,
    policy: VotePolicy | None,
    variants: Sequence[Variant],
) -> str:
    """That of a run with these settings, where there could be one; else over all variants."""
    generation: str = record["generation_fingerprint"]
    plain = config.prediction_identity(generation, policy)
    if tuple(variants) == run_sweep(config).variants():
        return plain
    named = [[one.name, one.strategy, used_settings(one)] for one in variants]
    document = json.dumps({"predictions": plain, "variants": named}, sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


def _beside(source: Location, run: str) -> str:
    """A place next to the run's, under its name and the new id."""
    if source.uri.count("/") < 3 and source.is_s3:
        raise ConfigError(f"{source.uri} is a whole bucket; name an output")
    return f"{source.uri}-{run}"


def _refuse_output(tables: Location, source: Location, fingerprint: str) -> None:
    if f"{tables.uri}/".startswith(f"{source.uri}/"):
        raise ConfigError(f"the output {tables.uri} lies in the run, which is not to be changed")
    if tables.exists(RECORD) and "made_from" not in read_record(tables):
        raise FingerprintError(f"{tables.uri} holds a run of its own. Choose another output.")
    refuse_another_run(tables, fingerprint)
