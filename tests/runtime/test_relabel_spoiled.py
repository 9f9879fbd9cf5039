"""A thousand items by an endpoint that spoils 30 % of items and 10 % of requests."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from relabel_server import ITEM_FAULTS, relabel_server
from rich.console import Console
from typed_items import silent_utterances

from raypipe.runtime.relabel.config import RelabelConfig
from raypipe.runtime.relabel.job import relabel
from raypipe.tiny_alm.lexicon_reader import relabelled
from raypipe.tiny_alm.synth import EMOTIONS

ITEMS, ATTEMPTS = 1000, 3


def test_every_item_ends_adjusted_or_left_and_is_paid_for_once(
    ray_cluster: None, runs: Any, tmp_path: Path
) -> None:
    rows = list(silent_utterances(ITEMS))
    shards = runs.shards(rows, tmp_path / "shards", 300)
    with relabel_server(seed=10, item_faults=0.3, request_faults=0.1) as server:
        api = {"preset": "vllm", "base_url": server.base_url, "first_wait_s": 0.01, "attempts": 2}
        model = {"engine": "openai", "path": "m", "api": {**api, "cache": str(tmp_path / "c")}}

        def table(output: Path) -> dict[str, dict[str, Any]]:
            document = {"input": {"shards": str(shards)}, "output": str(output), "model": model}
            relabel(RelabelConfig.model_validate(document), console=Console(file=io.StringIO()))
            labels = runs.rows(output, "SELECT * FROM labels")
            assert len({row["utterance_id"] for row in labels}) == len(labels)
            return {row["utterance_id"]: row for row in labels}

        labels = table(tmp_path / "first")
        requests, errors = len(server.requests), server.done["http_500"]
        assert table(tmp_path / "first") == labels
        assert len(server.requests) == requests, "a finished job asks nothing"
        again = table(tmp_path / "second")
        failed_again = server.done["http_500"] - errors
        assert len(server.requests) == requests + failed_again, "nothing is paid for twice"
    assert {name: row["adjusted"] for name, row in again.items()} == {
        name: row["adjusted"] for name, row in labels.items()
    }
    assert all(server.done[kind] for kind in (*ITEM_FAULTS, "http_500", "cut", "empty"))

    statuses: Counter[str] = Counter()
    for utterance in rows:
        words = [vote.typed for vote in utterance.votes if vote.typed]
        row = labels.get(utterance.utterance_id)
        if utterance.soft_label is None:
            assert row is None
            continue
        assert row is not None
        statuses[row["status"]] += 1
        expected = np.array(utterance.soft_label)
        if row["status"] == "adjusted":
            expected = relabelled(utterance.soft_label, words, EMOTIONS)
            assert 1 <= row["attempts"] <= ATTEMPTS
        elif row["status"] == "left":
            assert row["attempts"] == len(row["faults"]) == ATTEMPTS
        else:
            assert words == []
        # The job takes a change below .005 for rounding.
        assert np.abs(np.array(row["adjusted"]) - expected).sum() / 2 <= 0.005
    assert statuses["adjusted"] + statuses["left"] == ITEMS
    # An item is right with .7 * .92 or more at every attempt: some 4.5 % are left.
    assert 0.005 * ITEMS < statuses["left"] < 0.1 * ITEMS
