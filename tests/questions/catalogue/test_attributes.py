"""Question ``attributes``, from a config to ``predictions/`` and ``metrics/``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import audmetric
import numpy as np
import pytest
from chat_server import ChatServer, chat_server, text_of
from in_process import InProcess, utterance

from raypipe.errors import ConfigError
from raypipe.questions import Asked, RunOutline, plan_passes, question_named
from raypipe.records import Hypothesis, Search
from raypipe.runtime.finish import reduce as module
from raypipe.runtime.reaggregate.plan import Changes, plan_reaggregation
from raypipe.runtime.reaggregate.work import reaggregate_part
from raypipe.store.query import query

ATTRIBUTES = ("arousal", "valence", "dominance")
TEXT = '{"arousal": 4, "valence": 2, "dominance": 3}'
ANSWERS = [Hypothesis("attributes", 0, TEXT, (5, 6), None, -1.0, "stop", None, prompt_tokens=90)]


def test_it_asks_a_greedy_answer_of_its_own_length() -> None:
    outline = RunOutline(attributes_max_new_tokens=70)
    passes = plan_passes(outline, Asked(frozenset({"greedy", "attributes"})))
    asking = passes[-1]
    assert (asking.request, asking.kind, asking.attributes) == (
        Search(0, True, 70),
        "attributes",
        True,
    )
    assert [known for known in passes if "attributes" in known.identity()] == [asking]


def test_without_the_corpus_s_scale_it_is_refused(in_process: Any) -> None:
    assert question_named("attributes").refusal(RunOutline()) is not None
    with pytest.raises(ConfigError, match=r"need attributes\.scale"):
        in_process.config(questions=["attributes"])
    with pytest.raises(ConfigError, match="its lowest and its highest"):
        in_process.config(questions=["attributes"], attributes={"scale": [5, 1]})


SETTINGS: dict[str, Any] = {"questions": ["attributes"], "strategies": ["greedy"]}


@pytest.fixture
def rated(fake_engine: None, tmp_path: Path) -> InProcess:
    """Utterances with ratings from 1 to 5; of one nobody rated dominance, of one anything."""
    runs = InProcess(tmp_path)
    rng = np.random.default_rng(3)
    rows = []
    for number in range(12):
        ratings: dict[str, Any] = dict(zip(ATTRIBUTES, rng.uniform(1, 5, 3).tolist(), strict=True))
        if number == 4:
            ratings["dominance"] = None
        rows.append(replace(utterance(f"u{number}"), **(ratings if number != 7 else {})))
    runs.write(*rows, rows_per_shard=5)
    return runs


def answered(runs: InProcess) -> list[dict[str, Any]]:
    rows = runs.rows("SELECT * FROM predictions WHERE strategy = 'greedy' ORDER BY utterance_id")
    return [dict(row) for row in rows]


def test_answers_are_columns_and_scores_are_those_of_audmetric(
    rated: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_report", lambda *_: None)
    plan = rated.finished(**SETTINGS, attributes={"scale": [1, 5]})
    rated.reduced(plan)
    rows = answered(rated)
    assert [row["attributes_reason"] for row in rows] == [None] * 12
    scores = {
        row["metric"]: row
        for row in rated.rows(
            "SELECT metric, value, ci_low, n, n_invalid, note FROM metrics"
            " WHERE strategy = 'attributes' AND slice = 'all'"
        )
    }
    assert len(scores) == 12
    for name in ATTRIBUTES:
        pairs = [(row[name], row[f"predicted_{name}"]) for row in rows if row[name] is not None]
        truth, predicted = (np.array(side) for side in zip(*pairs, strict=True))
        assert scores[f"ccc={name}"]["n"] == len(pairs) == (10 if name == "dominance" else 11)
        for metric, oracle in (
            ("ccc", audmetric.concordance_cc),
            ("pearson", audmetric.pearson_cc),
            ("mae", audmetric.mean_absolute_error),
        ):
            value = scores[f"{metric}={name}"]["value"]
            assert value == pytest.approx(oracle(truth, predicted), abs=1e-9)
        rmse = np.sqrt(audmetric.mean_squared_error(truth, predicted))
        assert scores[f"rmse={name}"]["value"] == pytest.approx(rmse, abs=1e-9)
        assert scores[f"ccc={name}"]["ci_low"] is None
        assert "utterances, 100 are needed" in scores[f"ccc={name}"]["note"]


def test_how_shards_are_grouped_changes_no_byte(
    rated: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_report", lambda *_: None)
    plan = rated.finished(**SETTINGS, attributes={"scale": [1, 5]})
    whole = rated.reduced(plan)
    monkeypatch.setattr("raypipe.runtime.finish.groups.BYTES_PER_GROUP", 1)
    assert rated.reduced(plan) == whole


def test_a_prompt_on_another_scale_is_laid_onto_the_corpus_s(rated: InProcess) -> None:
    rated.finished(**SETTINGS, attributes={"scale": [1, 5], "asked_scale": [0, 8]})
    texts = rated.rows(
        "SELECT utterance_id, h.text FROM (SELECT utterance_id, unnest(hypotheses) AS h"
        " FROM generations) WHERE h.kind = 'attributes' ORDER BY utterance_id"
    )
    for row, text in zip(answered(rated), texts, strict=True):
        said = json.loads(text["text"])
        for name in ATTRIBUTES:
            assert row[f"predicted_{name}"] == pytest.approx(1 + said[name] / 2)


def test_a_scale_that_the_ratings_are_not_on_is_refused_before_any_work(rated: InProcess) -> None:
    with pytest.raises(ConfigError, match=r"attributes\.scale: \w+ goes from .* the scale from 1"):
        rated.plan(**SETTINGS, attributes={"scale": [1, 3]})


def test_a_question_that_failed_leaves_the_distribution_and_a_reason(rated: InProcess) -> None:
    model = {"engine": "fake", "path": "none", "name": "fake"}
    rated.finished(
        **SETTINGS,
        model={**model, "options": {"fail": ["long"], "fail_ids": ["u3"]}},
        attributes={"scale": [1, 5], "max_new_tokens": 300},
    )
    rows = {row["utterance_id"]: row for row in answered(rated)}
    assert (rows["u3"]["valid"], rows["u3"]["attributes_reason"]) == (True, "failed")
    assert rows["u3"]["predicted_arousal"] is None
    assert rows["u2"]["attributes_reason"] is None


def test_runs_that_do_not_ask_keep_their_fingerprint_and_have_no_scores(
    rated: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, scaled = (
        rated.plan(strategies=["greedy"], **more)
        for more in ({}, {"attributes": {"scale": [1, 5]}})
    )
    assert plain.context.prediction_fingerprint == scaled.context.prediction_fingerprint
    monkeypatch.setattr(module, "write_report", lambda *_: None)
    rated.reduced(rated.finished(strategies=["greedy"]))
    assert not rated.rows("SELECT * FROM metrics WHERE strategy = 'attributes'")
    assert answered(rated)[0]["arousal"] is not None


def test_a_reaggregation_reads_them_again(rated: InProcess) -> None:
    rated.finished(**SETTINGS, attributes={"scale": [1, 5]})
    before = answered(rated)
    made = plan_reaggregation(rated.tables.uri, Changes(), output=None, endpoint=None)
    for part in made.parts:
        assert reaggregate_part(part, made.work) is None
    again = query(
        made.work.output,
        "SELECT * FROM predictions WHERE strategy = 'greedy' ORDER BY utterance_id",
    )
    assert again.to_pylist() == before


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


def test_an_endpoint_s_texts_become_ratings_or_reasons(
    rated: InProcess, server: ChatServer
) -> None:
    """A real server of chat completions, as no bundled model is trained for these answers."""
    said = ["Arousal: 4, valence: 2/5, dominance: 3", "arousal 3-4, valence 2, dominance 3"]
    asked: list[str] = []

    def script(body: dict[str, Any]) -> tuple[int, dict[str, str], Any] | None:
        if "arousal:" not in text_of(body):
            return None
        asked.append(text_of(body))
        reply = ChatServer.reply(
            server, {**body, "messages": [{"role": "user", "content": "Emotions: anger.\n"}]}
        )
        reply["choices"][0]["message"]["content"] = said[len(asked) % 2]
        return 200, {}, reply

    server.script = script
    api = {"preset": "vllm", "base_url": server.base_url, "concurrency": 1}
    rated.finished(
        **SETTINGS,
        model={"engine": "openai", "path": "some", "name": "fake", "api": api},
        decoding={"beam_count": 0},
        attributes={"scale": [1, 5]},
    )
    assert len(asked) == 12
    assert all("from 1 to 5" in text and "5 is very active" in text for text in asked)
    rows = answered(rated)
    assert sorted({str(row["attributes_reason"]) for row in rows}) == ["None", "range"]
    for row in rows:
        told = tuple(row[f"predicted_{name}"] for name in ATTRIBUTES)
        assert told == ((4.0, 2.0, 3.0) if row["attributes_reason"] is None else (None,) * 3)
