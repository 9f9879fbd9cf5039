"""Tables shaped like ``predictions/``, and CREMA-D's real vote distributions."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raypipe.labels import LABEL_SETS, LabelSet

CREMA_D = LABEL_SETS["crema-d-6"]
VOTES = Path(__file__).parents[2] / "../shared/data/crema_d/tabulatedVotes.csv"


def crema_d_votes() -> tuple[list[str], np.ndarray]:
    """Utterance ids and voice-only vote counts ``(7442, 6)`` in the order of the label set."""
    if not VOTES.exists():
        pytest.skip("CREMA-D's vote table is not beside this checkout")
    ids, votes = [], []
    with VOTES.open(newline="") as file:
        for row in csv.DictReader(file):
            if row[""].startswith("1"):  # query type 1: voice only
                ids.append(row["fileName"])
                votes.append([float(row[letter]) for letter in "ADFHNS"])
    return ids, np.array(votes)


def random_votes(count: int, label_count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(label_count, 0.5), size=count)
    return np.stack([rng.multinomial(5, share) for share in shares]).astype(float)


def plurality_of(votes: np.ndarray, labels: LabelSet) -> list[str | None]:
    top = votes.max(axis=1)
    tied = (votes == top[:, None]).sum(axis=1) > 1
    return [
        None if tie or not best else labels.names[index]
        for tie, best, index in zip(tied, top, votes.argmax(axis=1), strict=True)
    ]


def predictions_table(
    ids: Sequence[str],
    votes: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    labels: LabelSet,
    *,
    speakers: Sequence[str | None] | None = None,
    splits: Sequence[str | None] | None = None,
    secondary: np.ndarray | None = None,
    model: str = "m",
    prompt: str = "p",
) -> pa.Table:
    """One row per utterance and strategy; NaN rows of a prediction are invalid, and rows of
    ``votes`` without any vote are unlabelled. ``secondary`` says which labels were also given as
    secondary ones."""
    count = len(ids)
    mentioned = votes if secondary is None else votes + secondary
    plurality = plurality_of(votes, labels)
    speakers = list(speakers) if speakers is not None else [None] * count
    splits = list(splits) if splits is not None else [None] * count
    rows = [
        {
            "utterance_id": ids[row],
            "split": splits[row],
            "speaker": speakers[row],
            "model": model,
            "prompt": prompt,
            "strategy": strategy,
            "probs": None if np.isnan(probs[row]).any() else probs[row].tolist(),
            "soft_label": (votes[row] / votes[row].sum()).tolist() if votes[row].any() else None,
            "plurality": plurality[row],
            "n_votes": int(votes[row].sum()),
            "votes_union": [labels.names[k] for k in np.flatnonzero(mentioned[row])],
            "votes_primary": [labels.names[k] for k in np.flatnonzero(votes[row])],
        }
        for row in range(count)
        for strategy, probs in predictions.items()
    ]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("utterance_id", "split", "speaker", "model")),
            *((name, pa.string()) for name in ("prompt", "strategy")),
            ("probs", pa.list_(pa.float64())),
            ("soft_label", pa.list_(pa.float64())),
            ("plurality", pa.string()),
            ("n_votes", pa.int64()),
            ("votes_union", pa.list_(pa.string())),
            ("votes_primary", pa.list_(pa.string())),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)
