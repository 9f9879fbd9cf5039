"""Rows of the tables ``rationales`` and ``rationales_test_ii``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from raypipe.explain.rationale.rounds import Rationale
from raypipe.records import Utterance
from raypipe.store.rationale_schema import RATIONALES, Purpose
from raypipe.store.schemas import metadata_of, with_metadata
from raypipe.store.strict import table_from_rows
from raypipe.store.tables import short_message

_LEFT_OUT_KEY = "raypipe.left_out"


def rationales_table(
    rows: Sequence[tuple[Utterance, Rationale]],
    *,
    run: str,
    model: str,
    prompt: str,
    purpose: Purpose,
    left_out: Mapping[str, int],
) -> pa.Table:
    """Rows of one shard, in its order.

    Args:
        rows: utterances that a teacher answered about, however often it broke a rule.
        run: short id of the job.
        model: name of the teacher in the tables.
        prompt: name of the prompt in the tables.
        purpose: what the rationales are for.
        left_out: number of other utterances of the shard by why nothing is asked about them.
    """
    return table_from_rows(
        [
            {
                "run": run,
                "model": model,
                "prompt": prompt,
                "utterance_id": utterance.utterance_id,
                "dataset": utterance.dataset,
                "split": utterance.split,
                "speaker": utterance.speaker,
                "label": rationale.label,
                "transcript": rationale.transcript,
                "rationale": rationale.text,
                "tries": rationale.tries,
                "rejections": [refusal.rule for refusal in rationale.refusals],
                "breaches": [short_message(refusal.breach) for refusal in rationale.refusals],
                "drafts": [refusal.text for refusal in rationale.refusals],
                "teacher": model,
                "purpose": purpose,
            }
            for utterance, rationale in rows
        ],
        with_metadata(RATIONALES, {_LEFT_OUT_KEY: json.dumps(dict(sorted(left_out.items())))}),
    )


def left_out_of(rows: pa.Table) -> dict[str, int]:
    """Number of utterances of a shard that nothing was asked about, by reason."""
    counts: dict[str, int] = json.loads(metadata_of(rows.schema).get(_LEFT_OUT_KEY, "{}"))
    return counts
