"""The same run by another engine, with a merged adapter: the same answers and predictions."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from spoken_export import save_random_adapter

from raypipe.config.model import local_path
from raypipe.runtime.infer.demo import EVERYTHING
from raypipe.tiny_alm.corpus import synthetic_utterances

UTTERANCES = 12

pytestmark = [
    pytest.mark.usefixtures("ray_cluster"),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]

ANSWERS = """
    SELECT utterance_id, h.kind, h.rank, h.text, h.token_ids, h.finish_reason, h.alpha,
        h.verifier_score, h.verifier_call
    FROM (SELECT utterance_id, unnest(hypotheses) AS h FROM generations) ORDER BY 1, 2, 3
"""
PREDICTIONS = """
    SELECT utterance_id, strategy, valid, predicted, parse_rule, invalid_reason, probs,
        model_tokens, verifier_calls, escalated
    FROM predictions ORDER BY 1, 2
"""


def left_by_vllm() -> set[str]:
    return {
        name
        for name in (*os.listdir(tempfile.gettempdir()), *os.listdir("/dev/shm"))
        if name.startswith(("vllm", "psm_", "sem."))
    }


def by_key(rows: list[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row.pop(key) for key in keys): row for row in rows}


@pytest.mark.timeout(1200)
def test_vllm_predicts_what_transformers_predicts(runs: Any, tmp_path: Path) -> None:
    rows = synthetic_utterances(UTTERANCES, seed=3, split="test")
    corpus = runs.shards(rows, tmp_path / "corpus", UTTERANCES // 2)
    adapter = str(save_random_adapter(tmp_path / "adapter", local_path("tiny-alm")))
    adapted = {"adapter": adapter, "name": "adapted"}
    runs.run(corpus, tmp_path / "transformers", model=adapted, **EVERYTHING)
    before = left_by_vllm()
    record = runs.run(corpus, tmp_path / "vllm", model={**adapted, "engine": "vllm"}, **EVERYTHING)
    counts = record.done_counts
    assert (counts.input, counts.predicted, counts.errors) == (UTTERANCES, UTTERANCES, 0)
    assert left_by_vllm() <= before

    answers = by_key(runs.rows(tmp_path / "vllm", ANSWERS), "utterance_id", "kind", "rank")
    expected = by_key(runs.rows(tmp_path / "transformers", ANSWERS), "utterance_id", "kind", "rank")
    assert len(answers) == UTTERANCES * (1 + 3 + 1)
    for key, answer in answers.items():
        assert answer.pop("alpha") == pytest.approx(expected[key].pop("alpha"), rel=2e-6, abs=1e-4)
        assert answer == expected[key]

    predictions = by_key(runs.rows(tmp_path / "vllm", PREDICTIONS), "utterance_id", "strategy")
    expected = by_key(runs.rows(tmp_path / "transformers", PREDICTIONS), "utterance_id", "strategy")
    assert len(predictions) == UTTERANCES * len(EVERYTHING["strategies"])
    for key, prediction in predictions.items():
        assert prediction.pop("probs") == pytest.approx(expected[key].pop("probs"), abs=1e-5)
        assert prediction == expected[key]
