"""Everything that finished runs predicted, joined by utterance, for comparisons and presets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from raypipe.errors import ConfigError, StoreError
from raypipe.labels import LabelSet
from raypipe.metrics.comparison import Comparison, Systems, comparable_metrics, compare_systems
from raypipe.metrics.joining import Joining, SystemName
from raypipe.metrics.rows import read_groups
from raypipe.store.damage import damage_named
from raypipe.store.location import Location
from raypipe.store.query import table_dataset
from raypipe.store.run_record import read_record

_COLUMNS = (
    *("utterance_id", "model", "prompt", "strategy", "probs", "soft_label", "plurality"),
    *("n_votes", "votes_primary", "split", "speaker", "dataset"),
)


@dataclass(frozen=True, slots=True)
class RunSystems:
    """What finished runs predicted, and the predictor ``prior``, joined by utterance.

    Attributes:
        labels: that distributions are aligned with.
        datasets: names of the corpora, sorted.
    """

    systems: Systems
    labels: LabelSet
    datasets: tuple[str, ...]


def read_systems(
    runs: Mapping[str, Location], strategies: Sequence[str] | None = None
) -> RunSystems:
    """Read the predictions of some finished runs.

    Args:
        runs: where they lie, by what they are called.
        strategies: names of those that are wanted, as tables have them; None for all.

    Raises:
        ConfigError: if a run is not finished, the runs have different labels, or no run has a
            strategy.
        StoreError: if a run has no predictions.
        AccountingError: if the runs have two soft labels for one utterance.
    """
    joining, labels = Joining(), _common_labels(runs)
    wanted = None if strategies is None else frozenset(strategies)
    datasets: set[str] = set()
    for name, tables in runs.items():
        dataset = table_dataset(tables, "predictions")
        if dataset is None:
            raise StoreError(f"{tables.uri} has no predictions")
        for fragment in dataset.get_fragments():  # an object has whole utterances
            with damage_named(tables):
                table = fragment.to_table(schema=dataset.schema, columns=list(_COLUMNS))
            joining.add(name, read_groups(table, labels), wanted)
            datasets |= {*pc.unique(table["dataset"]).drop_null().to_pylist()}
    absent = sorted((wanted or frozenset()) - joining.strategies)
    if absent:
        there = ", ".join(sorted(joining.strategies))
        raise ConfigError(f"no run has a strategy {absent[0]!r}; there are: {there}")
    systems = joining.systems(_names(joining.names))
    return RunSystems(systems, labels, tuple(sorted(datasets)))


def compare_runs(
    runs: Mapping[str, Location],
    *,
    strategies: Sequence[str] | None = None,
    metrics: Sequence[str],
    replicates: int,
    seed: int = 0,
    by_speaker: bool = False,
) -> Comparison:
    """Paired differences of all that some finished runs predicted, and the predictor ``prior``.

    Args:
        runs: where they lie, by what they are called.
        strategies: names of those that are compared, as tables have them; None for all.
        metrics: names of those they are compared in.
        replicates: bootstrap replicates.
        seed: of the bootstrap.
        by_speaker: whether the bootstrap draws speakers with all their utterances.

    Raises:
        ConfigError: if a metric cannot be compared or no speakers are known; else as
            :func:`read_systems`.
        StoreError: as there, like AccountingError.
    """
    known = comparable_metrics()
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise ConfigError(f"metric {unknown[0]!r} is none that can be compared: {', '.join(known)}")
    read = read_systems(runs, strategies)
    return compare_systems(
        read.systems,
        read.labels,
        [known[name] for name in metrics],
        replicates=replicates,
        seed=seed,
        by_speaker=by_speaker,
    )


def _common_labels(runs: Mapping[str, Location]) -> LabelSet:
    labels: dict[str, tuple[str, ...]] = {}
    for name, tables in runs.items():
        record = read_record(tables)
        if record.status != "finished":
            raise ConfigError(
                f"{tables.uri} is not finished; the command that began it continues it"
            )
        labels[name] = tuple(record.labels)
    first = next(iter(labels))
    for name, own in labels.items():
        if own != labels[first]:
            raise ConfigError(
                f"{first} has the labels {', '.join(labels[first])} and {name} the labels "
                f"{', '.join(own)}: distributions over different labels cannot be compared"
            )
    return LabelSet(labels[first])


def _names(systems: Sequence[SystemName]) -> dict[SystemName, str]:
    """What systems are called: the strategy, and of the rest what not all have in common."""
    parts: tuple[Callable[[SystemName], str], ...] = (
        lambda system: system.prompt,
        lambda system: system.model,
        lambda system: system.run,
    )
    telling = [part for part in parts if len({part(system) for system in systems}) > 1]
    return {
        system: " · ".join([system.strategy, *(part(system) for part in telling)])
        for system in systems
    }
