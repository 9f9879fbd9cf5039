"""A run whose answers are held to a grammar, from the config to the tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from raypipe.errors import ConfigError
from raypipe.grammars import distribution_regex
from raypipe.labels import LABEL_SETS
from raypipe.records import EmotionTokens
from raypipe.runtime.infer.models import check_engine, main_search

NONE = EmotionTokens((), (), ())
LABELS = LABEL_SETS["crema-d-6"]


@pytest.mark.usefixtures("ray_cluster")
def test_every_text_of_every_hypothesis_matches(corpus: Path, tmp_path: Path, runs: Any) -> None:
    # A prompt that asks for something else: without the grammar none of them would.
    runs.run(
        corpus,
        tmp_path,
        input={"limit": 8},
        prompt={"template": "single"},
        decoding={"beam_count": 2, "grammar": "distribution"},
    )
    rows = runs.rows(tmp_path, "SELECT unnest(hypotheses).text AS text FROM generations")
    texts = [row["text"] for row in rows]
    assert len(texts) == 8 * 3
    assert all(re.fullmatch(distribution_regex(LABELS).source, text) for text in texts)
    assert all(list(json.loads(text)) == list(LABELS.names) for text in texts)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["config"]["decoding"]["grammar"] == "distribution"


def test_the_search_of_a_run_holds_the_grammar(runs: Any) -> None:
    config = runs.config("in", "out", decoding={"grammar": "distribution"})
    assert main_search(config, LABELS).grammar == distribution_regex(LABELS)
    assert main_search(runs.config("in", "out"), LABELS).grammar is None


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ({"regex": "(a"}, "unclosed group"),
        ({"regex": r"\bword"}, "lookarounds"),
        ({"json_schema": {"type": "emotion"}}, "emotion"),
    ],
)
def test_one_that_cannot_be_followed_is_refused_at_the_door(
    runs: Any, grammar: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)decoding\.grammar: .*{message}"):
        check_engine(runs.config("in", "out", decoding={"grammar": grammar}), NONE)


def test_so_is_a_missing_library(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raypipe.engines.grammar.find_spec", lambda name: None)
    check_engine(runs.config("in", "out"), NONE)
    for grammar in ("distribution", {"regex": "a"}):
        with pytest.raises(ConfigError, match=r"'\.\[grammar\]'"):
            check_engine(runs.config("in", "out", decoding={"grammar": grammar}), NONE)
