"""The rows of a relabelled corpus: reference and answer, and what takes the reference's place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from raypipe.labels import LabelSet
from raypipe.relabel.rounds import Outcome
from raypipe.ssl.smoothing import SmoothingForm, smoothed
from raypipe.store.schemas import LABELS, labels_metadata, with_metadata
from raypipe.store.strict import table_from_rows
from raypipe.store.tables import short_message

_ROUNDING = 1e-3  # references are shown with four decimals

UNCHANGED = 0.005
"""Largest total variation between reference and answer that is rounding: the reference stands."""


def total_variation(first: Sequence[float], second: Sequence[float]) -> float:
    """Half of the sum of absolute differences of two distributions, in [0, 1]."""
    return float(np.abs(np.subtract(first, second)).sum() / 2)


def labels_table(
    outcomes: Sequence[Outcome],
    *,
    run: str,
    model: str,
    prompt: str,
    prompt_hash: str,
    labels: LabelSet,
    flag_shift: float,
    smoothing: float = 0.0,
    smoothing_form: SmoothingForm = "emo_superb",
) -> pa.Table:
    """Rows of the table ``labels``, one per utterance, in their order.

    Args:
        outcomes: of utterances with a reference.
        run: short id of the job.
        model: name of the model in the tables.
        prompt: name of the prompt in the tables.
        prompt_hash: of the request without items.
        labels: the label set.
        flag_shift: total variation above which a row is flagged.
        smoothing: epsilon of the label smoothing of ``adjusted``; 0 for none.
        smoothing_form: of the smoothing.
    """
    rows = []
    for outcome in outcomes:
        item, answer = outcome.item, outcome.answer
        shift = None if answer is None else total_variation(item.reference, answer.probs)
        changed = shift is not None and shift > UNCHANGED
        adjusted = answer.probs if answer is not None and changed else item.reference
        if smoothing:
            adjusted = tuple(smoothed(np.array([adjusted]), smoothing, smoothing_form)[0].tolist())
        reason = None if answer is None else answer.reason
        rows.append(
            {
                "run": run,
                "utterance_id": item.utterance_id,
                "model": model,
                "prompt": prompt,
                "dataset": item.dataset,
                "split": item.split,
                "speaker": item.speaker,
                "n_votes": item.n_votes,
                "words": list(item.words),
                "labels": labels.names,
                "reference": item.reference,
                "reference_sum": item.reference_sum,
                "answered": None if answer is None else answer.probs,
                "adjusted": adjusted,
                "status": _status(outcome),
                "changed": changed if item.words else None,
                "shift": shift,
                "flagged": None if shift is None else shift > flag_shift + _ROUNDING,
                "reason": reason,
                "reason_words": None if reason is None else len(reason.split()),
                "attempts": outcome.attempts,
                "faults": [short_message(fault) for fault in outcome.faults],
                "prompt_hash": prompt_hash if item.words else None,
            }
        )
    return table_from_rows(rows, with_metadata(LABELS, labels_metadata(labels)))


def _status(outcome: Outcome) -> str:
    if not outcome.item.words:
        return "not_asked"
    return "left" if outcome.answer is None else "adjusted"
