"""The table ``gains/`` of a heads job: what training from other labels changes, by encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raypipe.config import MetricsConfig
from raypipe.metrics.bootstrap import id_hashes
from raypipe.metrics.catalogue.threshold import PUBLISHED_BATCH
from raypipe.records import LabelTable
from raypipe.runtime.finish.labels import read_table, table_instead
from raypipe.runtime.heads.plan import HeadCell, HeadsPlan
from raypipe.runtime.heads.work import EncodedCorpus, HeadTask
from raypipe.ssl.folds import Fold
from raypipe.ssl.gains import FoldAnswers, Gain, gain_table
from raypipe.ssl.targets import training_targets
from raypipe.store.head_schemas import GAINS
from raypipe.store.location import Location
from raypipe.store.objects import read_object
from raypipe.store.parquet import to_parquet_bytes
from raypipe.store.strict import table_from_rows

GAINS_OBJECT = "gains/gains.parquet"

SCORES: Mapping[str, int | None] = {"pooled": None, "batches": PUBLISHED_BATCH}
"""Batch size of the two ways to score a test set, by their names in the table."""

Comparison = tuple[str, str, str | None]
"""Head, label table learned from, label table measured against (None for the test labels)."""


def fold_answers(
    plan: HeadsPlan, cells: Sequence[HeadCell], corpus: EncodedCorpus, folds: Sequence[Fold]
) -> Mapping[Comparison, list[FoldAnswers]]:
    """Test predictions of an encoder's heads, with and without each label table.

    Args:
        plan: of the job.
        cells: every head of the encoder, all of them trained.
        corpus: features of the encoder.
        folds: that they were trained in.
    """
    own = {cell.head.name: cell for cell in cells if cell.table is None}
    truths: dict[str | None, LabelTable] = {None: table_instead(plan.truth.instead)}
    truths |= {table.name: read_table(table) for table in plan.truth.beside}
    answers: dict[Comparison, list[FoldAnswers]] = {}
    for number, fold in enumerate(folds):
        tested = [corpus.utterances[row] for row in fold.test]
        hashes = id_hashes([utterance.utterance_id for utterance in tested])
        targets = {
            name: training_targets(tested, plan.labels, truth) for name, truth in truths.items()
        }
        probs = {cell.prompt: _probs(plan, cell, number, fold) for cell in cells}
        for cell in cells:
            if cell.table is None:
                continue
            for name, target in targets.items():
                known = ~np.isnan(target).any(axis=1)
                if known.any():
                    answers.setdefault((cell.head.name, cell.table.name, name), []).append(
                        FoldAnswers(
                            hashes[known],
                            target[known],
                            probs[own[cell.head.name].prompt][:, known],
                            probs[cell.prompt][:, known],
                        )
                    )
    return answers


def _probs(plan: HeadsPlan, cell: HeadCell, number: int, fold: Fold) -> NDArray[np.float64]:
    """Test distributions of every seed, shape ``(seeds, clips, labels)``."""
    seeds = []
    for seed, strategy in zip(plan.config.seeds, plan.config.strategies(), strict=True):
        name = HeadTask(cell, strategy, seed, number, fold).object_name
        [row] = read_object(plan.tables, name, without=("weights",)).to_pylist()
        seeds.append(np.array(row["test_probs"], np.float64).reshape(-1, len(plan.labels)))
    return np.stack(seeds)


def write_gains(
    tables: Location,
    tested: Mapping[Comparison, Mapping[str, Sequence[FoldAnswers]]],
    settings: MetricsConfig,
    *,
    run: str,
    fingerprint: str,
) -> None:
    """Write the table; nothing where no head learned from a label table.

    Args:
        tables: where it goes.
        tested: folds by encoder, of every comparison.
        settings: of the bootstrap.
        run: short id of the job.
        fingerprint: of the job.
    """
    if tested:
        table = gains_rows(tested, settings, run)
        data = to_parquet_bytes(table, {"raypipe.fingerprint": fingerprint})
        tables.write(GAINS_OBJECT, data)


def gains_rows(
    tested: Mapping[Comparison, Mapping[str, Sequence[FoldAnswers]]],
    settings: MetricsConfig,
    run: str,
) -> pa.Table:
    """Rows of ``gains/``: of every comparison and score the encoders', then both summaries."""
    rows: list[dict[str, object]] = []
    for (head, labels, truth), encoders in tested.items():
        for score, batch_size in SCORES.items():
            table = gain_table(
                encoders,
                batch_size=batch_size,
                replicates=settings.replicates,
                seed=settings.seed,
            )
            common = {"run": run, "head": head, "labels": labels, "truth": truth, "score": score}
            lines: list[tuple[str, str | None, float, float, Gain]] = [
                ("encoder", line.encoder, line.without, line.relabelled, line.gain)
                for line in table.encoders
            ]
            both = table.without, table.relabelled
            lines += [
                ("mean_of_gains", None, *both, table.mean_of_gains),
                ("ratio_of_averages", None, *both, table.ratio_of_averages),
            ]
            rows += [
                common
                | {"row": row, "encoder": encoder, "without": own, "relabelled": other}
                | _gain_columns(gain)
                for row, encoder, own, other, gain in lines
            ]
    return table_from_rows(rows, GAINS)


def _gain_columns(gain: Gain) -> dict[str, object]:
    none = (None, None)
    seeds, utterances = gain.seeds or none, gain.utterances or none
    return {
        "gain": gain.value,
        "seeds_low": seeds[0],
        "seeds_high": seeds[1],
        "utterances_low": utterances[0],
        "utterances_high": utterances[1],
    }
