"""Fitted strategies of a reaggregation: a pass over the corpus before any prediction is written.

The first pass reads every shard, and keeps of each utterance its labels and the predictions that
fitted strategies start from. Then the parameters are fitted, and written to ``fits/``; a
reaggregation that goes on after an interruption reads them there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import ray
from ray.exceptions import RayError

from raypipe.errors import ShardError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Prediction, Utterance
from raypipe.reporting.console import Console
from raypipe.runtime.finish.aggregation import Fits, read_predictions
from raypipe.runtime.finish.output import existing
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.ray.session import own_error
from raypipe.runtime.ray.tasks import in_order
from raypipe.runtime.reaggregate.plan import ReaggregationPlan
from raypipe.runtime.reaggregate.work import (
    ReaggregationWork,
    ShardOfModel,
    broken_shards,
    read_shard,
)
from raypipe.store.fits import fits_from_table, fits_table
from raypipe.store.objects import object_bytes, read_object
from raypipe.strategies import Fitted, Variant, strategy_named
from raypipe.strategies.fitting import CorpusFit, CorpusRows, fit_corpus
from raypipe.strategies.sweep import used_settings

_Base = tuple[object, ...]
"""What a fitted strategy starts from: a strategy with the settings that it uses."""

_Bases = dict[tuple[str, _Base], CorpusRows]
"""Rows of one shard or of all, by prompt and base."""


def fitted_variants(variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """Those of them that are fitted."""
    return tuple(each for each in variants if isinstance(strategy_named(each.strategy), Fitted))


def fit_strategies(plan: ReaggregationPlan, console: Console) -> Mapping[tuple[str, str], Fits]:
    """The parameters of a reaggregation's fitted strategies, by model and prompt.

    Those that the output holds already are read; otherwise they are fitted and written there.

    Raises:
        ConfigError: as :func:`raypipe.strategies.fitting.fit_corpus`.
        ShardError: if shards cannot be read.
    """
    work, variants = plan.work, fitted_variants(plan.work.variants)
    if not variants:
        return {}
    models = [model.label for model in plan.config.all_models]
    cells = [(model, prompt) for model in models for prompt in work.all_prompts]
    if all(existing(work.output, "fits", partition(*cell), work.fingerprint) for cell in cells):
        return {cell: _stored(work, *cell) for cell in cells}
    fits = _fitted(_read(plan, console), variants, cells, console)
    for (model, prompt), own in fits.items():
        table = fits_table(own, run=work.run, model=model, prompt=prompt)
        data = object_bytes(table, model=model, prompt=prompt, fingerprint=work.fingerprint)
        work.output.write(_name(model, prompt), data)
    return fits


def _stored(work: ReaggregationWork, model: str, prompt: str) -> Fits:
    table = read_object(work.output, _name(model, prompt))
    return {strategy: fit for (_, _, strategy), fit in fits_from_table(table).items()}


def _name(model: str, prompt: str) -> str:
    return f"fits/{partition(model, prompt)}/fits.parquet"


def _read(plan: ReaggregationPlan, console: Console) -> Mapping[str, _Bases]:
    """Rows of all shards by model."""
    task = ray.remote(num_cpus=1)(base_rows)
    parts: dict[str, list[_Bases]] = {}
    broken: list[str] = []
    what = "shards for the fit"
    progress = RunProgress(len(plan.parts), 0, console, what=what, waiting="reading")
    with progress:
        try:
            results = in_order(task, plan.parts, ray.put(plan.work))
            for part, result in zip(plan.parts, results, strict=True):
                progress.advance(1, int(isinstance(result, str)))
                if isinstance(result, str):
                    broken.append(result)
                else:
                    parts.setdefault(part.model, []).append(result)
        except RayError as error:
            raise own_error(error) from error
    if broken:
        raise ShardError(broken_shards(broken))
    return {
        model: {key: CorpusRows.joined([bases[key] for bases in own]) for key in own[0]}
        for model, own in parts.items()
    }


def base_rows(part: ShardOfModel, work: ReaggregationWork) -> _Bases | str:
    """What fitted strategies start from in one shard, or why it cannot be read."""
    variants = fitted_variants(work.variants)
    read = read_shard(part, work)
    if isinstance(read, str):
        return read
    generations, settings = read
    rows: _Bases = {}
    for prompt, answers in read_predictions(generations, settings, variants).items():
        answered = [answer for answer in answers if not isinstance(answer, Failure)]
        for place, variant in enumerate(variants):
            key = prompt, _base_of(variant)
            if key not in rows:
                own = [(utterance, made[place]) for utterance, made, _ in answered]
                rows[key] = _corpus_rows(own, work.labels)
    return rows


def _base_of(variant: Variant) -> _Base:
    base = variant.base
    return base.strategy, *used_settings(base).items()


def _corpus_rows(rows: Sequence[tuple[Utterance, Prediction]], labels: LabelSet) -> CorpusRows:
    unknown = np.full(len(labels), np.nan)
    truth = [unknown if each.soft_label is None else each.soft_label for each, _ in rows]
    probs = [unknown if made.probs is None else made.probs for _, made in rows]
    places = {name: place for place, name in enumerate(labels.names)}
    return CorpusRows(
        labels,
        tuple(each.utterance_id for each, _ in rows),
        tuple(each.split for each, _ in rows),
        tuple(each.speaker for each, _ in rows),
        np.array(truth, dtype=np.float64).reshape(-1, len(labels)),
        np.array([places.get(each.plurality or "", -1) for each, _ in rows], dtype=np.int64),
        np.array(probs, dtype=np.float64).reshape(-1, len(labels)),
    )


def _fitted(
    rows: Mapping[str, _Bases],
    variants: Sequence[Variant],
    cells: Sequence[tuple[str, str]],
    console: Console,
) -> dict[tuple[str, str], dict[str, CorpusFit]]:
    speakers = {
        who for bases in rows.values() for own in bases.values() for who in own.speakers if who
    }
    placed = {
        (model, *key): ray.put(own) for model, bases in rows.items() for key, own in bases.items()
    }
    jobs = [(cell, variant) for cell in cells for variant in variants]
    tasks = ((variant, [placed[*cell, _base_of(variant)]]) for cell, variant in jobs)
    with console.status("fitting"):
        try:
            results = list(in_order(ray.remote(num_cpus=1)(_fit), tasks, ray.put(speakers)))
        except RayError as error:
            raise own_error(error) from error
    named = zip(jobs, results, strict=True)
    return {
        cell: {variant.name: fit for (_, variant), fit in own}
        for cell, own in groupby(named, key=lambda item: item[0][0])
    }


def _fit(task: tuple[Variant, list[ray.ObjectRef]], speakers: set[str]) -> CorpusFit:
    variant, (rows,) = task
    return fit_corpus(variant, ray.get(rows), speakers)
