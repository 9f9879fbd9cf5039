"""Reading features, training one head, predictions of one shard: functions without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from safetensors.numpy import save

from raypipe.errors import ConfigError, ShardError
from raypipe.labels import LabelSet
from raypipe.metrics.catalogue.threshold import batch_threshold_macro_f1, threshold_counts
from raypipe.metrics.classification import macro_f1
from raypipe.metrics.distribution import entropy_bits
from raypipe.records import OWN_LABELS, Failure, LabelTable, Prediction, Utterance
from raypipe.runtime.finish.aggregation import PredictionsOf, scored_predictions
from raypipe.runtime.finish.labels import (
    NO_TABLES,
    TruthTables,
    read_table,
    table_instead,
)
from raypipe.runtime.finish.partition import partition
from raypipe.runtime.heads.config import HeadsConfig
from raypipe.runtime.heads.plan import EncoderFeatures, HeadCell
from raypipe.ssl.folds import Fold, has_splits, official_fold, speaker_folds
from raypipe.ssl.targets import training_targets
from raypipe.ssl.training import Examples, TrainedHead, train_head
from raypipe.store.features import read_features
from raypipe.store.head_schemas import HEADS
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes, read_object
from raypipe.store.strict import table_from_rows

AUTOMATIC_FOLDS = 5


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A row without features.

    Attributes:
        shard: number of its shard.
        row: number in it; None for all rows of a shard that could not be read.
        utterance: None where even the row could not be read.
        utterances: number of inputs that it stands for.
    """

    shard: int
    row: int | None
    failure: Failure
    utterance: Utterance | None
    utterances: int = 1


@dataclass(frozen=True, slots=True)
class EncodedCorpus:
    """All features of one encoder.

    Attributes:
        shards: names of the objects.
        shard_of: number of the shard of every clip.
        utterances: without audio, in corpus order.
        mean: shape ``(clips, layers, width)``, float32.
        std: same shape; None where the features have none.
        failed: rows without features.
    """

    shards: tuple[str, ...]
    shard_of: NDArray[np.int64]
    utterances: tuple[Utterance, ...]
    mean: NDArray[np.float32]
    std: NDArray[np.float32] | None
    failed: tuple[FailedRow, ...]


def read_corpus(source: Location, features: EncoderFeatures) -> EncodedCorpus:
    """All features of one encoder, shard after shard.

    Raises:
        ShardError: if an object is damaged, or has layers of another shape than the others.
        ConfigError: if there are no features in them.
    """
    place = source.child("features", *features.folder.split("/"))
    names = place.list()
    shard_of: list[int] = []
    utterances: list[Utterance] = []
    means, stds = [], []
    failed: list[FailedRow] = []
    for number, name in enumerate(names):
        try:
            stored = read_features(read_object(place, name))
        except ShardError as error:
            raise ShardError(f"{place.uri}/{name}: {error}") from error
        failed += [FailedRow(number, row, why, known) for row, why, known in stored.failures]
        failed += _unread(source.child("errors", *features.folder.split("/")), name, number)
        if stored.utterances:
            shard_of += [number] * len(stored.utterances)
            utterances += stored.utterances
            means.append(stored.mean)
            stds.append(stored.std)
    if not means:
        raise ConfigError(f"{place.uri} holds no features, only errors")
    if len({part.shape[1:] for part in means}) > 1:
        raise ShardError(f"{place.uri}: shards have layers of different shapes")
    with_std = [part for part in stds if part is not None]
    return EncodedCorpus(
        shards=tuple(names),
        shard_of=np.array(shard_of, np.int64),
        utterances=tuple(utterances),
        mean=np.concatenate(means),
        std=np.concatenate(with_std) if len(with_std) == len(means) else None,
        failed=tuple(failed),
    )


def _unread(errors: Location, name: str, number: int) -> list[FailedRow]:
    """The failure of a shard that could not be read, which has no rows of features."""
    rows = read_object(errors, name).to_pylist()
    return [
        FailedRow(
            number,
            None,
            Failure(None, row["stage"], row["error_type"], row["message"]),
            None,
            row["utterances"],
        )
        for row in rows
        if row["row"] is None
    ]


def folds_of(corpus: EncodedCorpus, config: HeadsConfig) -> tuple[Fold, ...]:
    """The folds that a job trains in.

    Raises:
        ConfigError: if the corpus has not what they need.
    """
    splits = [utterance.split for utterance in corpus.utterances]
    names = config.splits.names()
    folds = config.folds
    if folds == "auto":
        folds = "splits" if has_splits(splits, names) else AUTOMATIC_FOLDS
    if folds == "splits":
        return (official_fold(splits, names),)
    speakers = [utterance.speaker for utterance in corpus.utterances]
    return speaker_folds(speakers, folds, config.fold_seed)


def untested(corpus: EncodedCorpus, folds: Sequence[Fold], config: HeadsConfig) -> list[FailedRow]:
    """Rows without features that belong to the test: all that are not known to be elsewhere."""
    if len(folds) > 1:
        return list(corpus.failed)
    names = config.splits.names()
    return [
        row
        for row in corpus.failed
        if row.utterance is None or names.part(row.utterance.split) == "test"
    ]


def tested_ids(
    corpus: EncodedCorpus, folds: Sequence[Fold], failed: Sequence[FailedRow]
) -> Mapping[str, frozenset[str]]:
    """Ids of the test clips by the name of their shard, those without features included."""
    ids: dict[str, set[str]] = {shard: set() for shard in corpus.shards}
    for fold in folds:
        for row in fold.test:
            shard = corpus.shards[corpus.shard_of[row]]
            ids[shard].add(corpus.utterances[row].utterance_id)
    for failure in failed:
        if failure.failure.utterance_id is not None:
            ids[corpus.shards[failure.shard]].add(failure.failure.utterance_id)
    return {shard: frozenset(names) for shard, names in ids.items()}


@dataclass(frozen=True, slots=True)
class HeadTask:
    """One training.

    Attributes:
        cell: what is trained.
        strategy: of its predictions in the tables.
        number: of the fold.
    """

    cell: HeadCell
    strategy: str
    seed: int
    number: int
    fold: Fold

    @property
    def object_name(self) -> str:
        """Of the trained head."""
        place = partition(self.cell.features.encoder, self.cell.prompt)
        return f"heads/{place}/seed-{self.seed}-fold-{self.number}.parquet"


def train_task(
    task: HeadTask,
    corpus: EncodedCorpus,
    labels: LabelSet,
    tables: Location,
    fingerprint: str,
    truth: TruthTables = NO_TABLES,
) -> None:
    """Train one head and write it with its predictions of the test clips.

    Args:
        task: what is trained.
        corpus: features of the cell's encoder.
        labels: of the corpus.
        tables: where the head goes.
        fingerprint: of the job.
        truth: what the test clips are measured against.

    Raises:
        ConfigError: if there is nothing to learn from, or the features lack what the head reads.
    """
    cell = task.cell
    if tables.exists(task.object_name):
        return
    features = _inputs(corpus, cell)
    targets = training_targets(corpus.utterances, labels, table_instead(cell.table))
    parts = [
        Examples(features[rows], targets[rows])
        for rows in (_labelled(task.fold.train, targets), _labelled(task.fold.dev, targets))
    ]
    trained = train_head(parts[0], parts[1], cell.head.settings(), task.seed)
    probs = trained.predict(features[task.fold.test])
    row = _head_row(task, trained, probs, corpus, fingerprint[:12], labels)
    tested = [corpus.utterances[row] for row in task.fold.test]
    own = threshold_scores(tested, probs, labels, table_instead(truth.instead))
    row |= own | {"other_scores": _other_scores(tested, probs, labels, truth)}
    row |= {"train": len(parts[0].labels), "dev": len(parts[1].labels)}
    table = table_from_rows([row], HEADS)
    data = object_bytes(
        table, model=cell.features.encoder, prompt=cell.prompt, fingerprint=fingerprint
    )
    tables.write_new(task.object_name, data, fingerprint)


def _inputs(corpus: EncodedCorpus, cell: HeadCell) -> NDArray[np.float32]:
    if cell.head.statistics == "mean":
        return corpus.mean
    if corpus.std is None:
        raise ConfigError(f"head {cell.head.name}: the features have no std; make them with std")
    return np.concatenate([corpus.mean, corpus.std], axis=2)


def _labelled(rows: NDArray[np.int64], targets: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(rows[~np.isnan(targets[rows]).any(axis=1)])


def _head_row(
    task: HeadTask,
    trained: TrainedHead,
    probs: NDArray[np.float64],
    corpus: EncodedCorpus,
    run: str,
    labels: LabelSet,
) -> dict[str, object]:
    tested = [corpus.utterances[row] for row in task.fold.test]
    return {
        "run": run,
        "model": task.cell.features.encoder,
        "prompt": task.cell.prompt,
        "strategy": task.strategy,
        "fold": task.number,
        "seed": task.seed,
        "test": len(tested),
        "best_epoch": trained.best_epoch,
        "labels": labels.names,
        "train_losses": list(trained.train_losses),
        "dev_losses": list(trained.dev_losses),
        "class_weights": trained.class_weights.tolist(),
        "layer_weights": trained.layer_weights.tolist(),
        "weights": save({name: np.ascontiguousarray(v) for name, v in trained.weights.items()}),
        "test_ids": [utterance.utterance_id for utterance in tested],
        "test_probs": probs.tolist(),
    }


def threshold_scores(
    tested: Sequence[Utterance], probs: NDArray[np.float64], labels: LabelSet, truth: LabelTable
) -> dict[str, object]:
    """Threshold macro-F1 of test clips, pooled and by batches; None without labelled ones."""
    targets = training_targets(tested, labels, truth)
    known = ~np.isnan(targets).any(axis=1)
    pooled = batches = None
    if known.any():
        pooled = float(macro_f1(threshold_counts(targets[known], probs[known])))
        batches = batch_threshold_macro_f1(targets[known], probs[known])
    return {"threshold_macro_f1": pooled, "batch_threshold_macro_f1": batches}


def _other_scores(
    tested: Sequence[Utterance], probs: NDArray[np.float64], labels: LabelSet, truth: TruthTables
) -> list[dict[str, object]] | None:
    """The same against every label table that stands beside the test labels."""
    return [
        {"labels": table.name, **threshold_scores(tested, probs, labels, read_table(table))}
        for table in truth.beside
    ] or None


def read_test_probs(
    tables: Location, tasks: Sequence[HeadTask]
) -> Mapping[str, Mapping[str, NDArray[np.float64]]]:
    """Distributions of every test clip by its id, by strategy, over all folds."""
    by_strategy: dict[str, dict[str, NDArray[np.float64]]] = {}
    for task in tasks:
        [row] = read_object(tables, task.object_name, without=("weights",)).to_pylist()
        known = by_strategy.setdefault(task.strategy, {})
        for utterance_id, probs in zip(row["test_ids"], row["test_probs"], strict=True):
            known[utterance_id] = np.array(probs, np.float64)
    return by_strategy


def shard_predictions(
    corpus: EncodedCorpus,
    shard: int,
    probs: Mapping[str, Mapping[str, NDArray[np.float64]]],
    whose: PredictionsOf,
    prompt: str,
    truth: LabelTable = OWN_LABELS,
) -> pa.Table:
    """The ``predictions/`` rows of one shard: its test clips under every strategy."""
    rows: list[tuple[Utterance, Prediction]] = []
    for place in np.flatnonzero(corpus.shard_of == shard):
        utterance = truth.relabelled(corpus.utterances[place])
        for strategy, known in probs.items():
            guess = known.get(utterance.utterance_id)
            if guess is not None:
                entropy = float(entropy_bits(guess[None])[0])
                rows.append((utterance, Prediction(strategy, guess, None, entropy=entropy)))
    return scored_predictions(rows, whose, prompt)
