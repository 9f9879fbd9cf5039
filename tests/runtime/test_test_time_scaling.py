"""Every strategy of the second paper in one run: chain of thought, verifiers, adaptive compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raypipe.errors import ConfigError
from raypipe.records import Failure, Search
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.infer.plan import make_plan
from raypipe.runtime.infer.preparing import prepare_shard
from raypipe.runtime.infer.shard_work import answer_shard, commit_shard

ALL = ["greedy", "cot", "token", "token_softmax", "bon", "w_bon", "alm_v", "w_alm_v", "adaptive"]
SETTINGS: dict[str, Any] = {
    "strategies": ALL,
    "prompt": {"cot_max_new_tokens": 96},
    "decoding": {"beam_count": 3, "other_beam_counts": [2]},
    "resources": {"threads_per_actor": 1},
}


def by_hand(config: Any, only_shard: int = 0) -> Any:
    """One shard through the engine in this process, without Ray; the plan."""
    plan = make_plan(config)
    model_run = plan.model_runs[0]
    context = model_run.context
    frontend = make_frontend(model_run.config.model)
    searches = [step.request for step in context.passes if isinstance(step.request, Search)]
    searches += [] if context.verification is None else [context.verification.search]
    engine = make_engine(model_run.config, context.emotion_tokens, searches)
    shard = prepare_shard(model_run.tasks[only_shard], context, frontend)
    verifier = None if context.verification is None else (frontend, engine)
    commit_shard(answer_shard(shard, context, engine, verifier), context)
    return plan


@pytest.fixture(scope="module")
def scaled(
    ray_cluster: None, runs: Any, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("scaled")
    runs.run(corpus, output, **SETTINGS)
    return output


def test_every_strategy_has_metrics_with_intervals_and_its_cost(scaled: Path, runs: Any) -> None:
    sql = """SELECT strategy, metric, value, ci_low, ci_high FROM metrics
        WHERE slice = 'all' AND versus IS NULL AND metric IN ('js', 'model_tokens')"""
    rows = runs.rows(scaled, sql)
    found = {(row["strategy"], row["metric"]): row for row in rows}
    searched_twice = ["bon", "w_bon", "alm_v", "w_alm_v", "adaptive"]
    names = [*ALL, *(f"{name}[beams=2]" for name in searched_twice)]
    for name in names:
        row = found[name, "js"]
        assert row["ci_low"] <= row["value"] <= row["ci_high"]
        assert found[name, "model_tokens"]["value"] > 0
    cost = {name: found[name, "model_tokens"]["value"] for name in names}
    assert cost["greedy"] < cost["w_bon"] < cost["w_alm_v"]
    assert cost["greedy"] < cost["adaptive"] < cost["greedy"] + cost["w_bon"]


def test_the_verifier_scored_every_distinct_candidate_once(scaled: Path, runs: Any) -> None:
    sql = "SELECT hypotheses FROM generations"
    scored = 0
    for row in runs.rows(scaled, sql):
        beams = [one for one in row["hypotheses"] if one["kind"] == "beam"]
        assert {one["beam_count"] for one in beams} == {2, 3}
        by_call: dict[int, set[float]] = {}
        for one in beams:
            if one["verifier_call"] is not None:
                by_call.setdefault(one["verifier_call"], set()).add(one["verifier_score"])
                assert one["verifier_text"]
                assert one["verifier_tokens"] > one["prompt_tokens"] // 2
        assert sorted(by_call) == list(range(len(by_call)))
        assert all(len(scores) == 1 for scores in by_call.values())
        scored += len(by_call)
    told = json.loads((scaled / "run.json").read_text())["timings"]
    assert {one["question"]: one["asked"] for one in told} == {
        "greedy and beams": runs.utterances,
        "2 beams": runs.utterances,
        "cot": runs.utterances,
        "verify": scored,
    }
    assert all(one["seconds"] > 0 for one in told)


def test_another_search_is_not_the_first_beams_of_a_wider_one(scaled: Path, runs: Any) -> None:
    sql = """SELECT [h.text for h in hypotheses if h.beam_count = 2] AS two,
        [h.text for h in hypotheses if h.beam_count = 3 and h.rank < 2] AS first_of_three
        FROM generations"""
    rows = runs.rows(scaled, sql)
    assert all(len(row["two"]) == 2 for row in rows)
    assert any(row["two"] != row["first_of_three"] for row in rows)


def test_a_finished_run_is_left_alone(scaled: Path, runs: Any, corpus: Path) -> None:
    before = runs.tables(scaled)
    runs.run(corpus, scaled, **SETTINGS)
    assert runs.tables(scaled) == before


def test_adaptive_alone_asks_more_about_ambiguous_utterances_only(
    scaled: Path, runs: Any, corpus: Path, tmp_path: Path
) -> None:
    sparing = {**SETTINGS, "strategies": ["greedy", "adaptive"], "decoding": {"beam_count": 3}}
    by_hand(runs.config(corpus, tmp_path / "out", **sparing))
    sql = """SELECT utterance_id, escalated, probs, predictions.model_tokens FROM predictions
        WHERE strategy = 'adaptive' ORDER BY ALL"""
    mine, full = runs.rows(tmp_path / "out", sql), runs.rows(scaled, sql)
    known = {row["utterance_id"]: row for row in full}
    assert len({row["escalated"] for row in mine}) == 2
    for row in mine:
        other = known[row["utterance_id"]]
        assert row["escalated"] == other["escalated"]
        assert row["probs"] == pytest.approx(other["probs"], abs=1e-6)
    sql = "SELECT utterance_id, [h.kind for h in hypotheses] AS kinds FROM generations"
    kinds = {row["utterance_id"]: row["kinds"] for row in runs.rows(tmp_path / "out", sql)}
    for row in mine:
        asked = ["greedy", *(["beam"] * 3 if row["escalated"] else [])]
        assert kinds[row["utterance_id"]] == asked


def test_an_expected_score_is_the_mean_over_the_verifier_s_beams(
    runs: Any, corpus: Path, tmp_path: Path
) -> None:
    changes = {
        **SETTINGS,
        "strategies": ["alm_v"],
        "decoding": {"beam_count": 2},
        "verifier": {"score": "expected", "beam_count": 4, "candidates": 1},
    }
    by_hand(runs.config(corpus, tmp_path / "out", **changes))
    sql = "SELECT [h for h in hypotheses if h.kind = 'beam'] AS beams FROM generations"
    rows = runs.rows(tmp_path / "out", sql)
    assert all(row["beams"][1]["verifier_call"] is None for row in rows)
    scores = [row["beams"][0]["verifier_score"] for row in rows]
    known = [score for score in scores if score is not None]
    assert len(known) > len(scores) / 2
    # The numbers that tiny-alm writes have one decimal; means of several do not.
    assert any(abs(10 * score - round(10 * score)) > 1e-6 for score in known)


def test_a_verifier_that_cannot_answer_is_recorded(
    runs: Any, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raypipe.engines.transformers import TransformersFrontend

    def with_prompt(self: object, prepared: Any, prompt: str) -> Any:
        return Failure(prepared.utterance_id, "prompt", "moody", "not today")

    monkeypatch.setattr(TransformersFrontend, "with_prompt", with_prompt)
    changes = {**SETTINGS, "strategies": ["greedy", "w_alm_v"], "decoding": {"beam_count": 2}}
    by_hand(runs.config(corpus, tmp_path / "out", **changes))
    sql = "SELECT DISTINCT strategy, valid, invalid_reason FROM predictions ORDER BY ALL"
    rows = [tuple(row.values()) for row in runs.rows(tmp_path / "out", sql)]
    assert ("w_alm_v", False, "no_scores") in rows
    assert ("greedy", True, None) in rows
    sql = "SELECT hypotheses[2].verifier_error AS error FROM generations"
    assert {row["error"] for row in runs.rows(tmp_path / "out", sql)} == {"moody: not today"}


def test_all_searches_and_scores_are_read_again_to_the_same_bytes(
    scaled: Path, runs: Any, tmp_path: Path
) -> None:
    from raypipe.runtime.reaggregate.job import reaggregate
    from raypipe.runtime.reaggregate.plan import Changes

    reaggregate(str(scaled), Changes(), output=str(tmp_path / "again"))
    mine, theirs = runs.tables(tmp_path / "again"), runs.tables(scaled)
    compared = [name for name in theirs if not name.startswith("generations")]
    assert {name: mine[name] for name in compared} == {name: theirs[name] for name in compared}


def test_a_further_question_that_fails_costs_only_its_own_strategies(
    runs: Any, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raypipe.engines.transformers import TransformersEngine

    generate = TransformersEngine.generate

    def moody(self: Any, inputs: Any, search: Any) -> Any:
        replies = generate(self, inputs, search)
        if search.greedy and search.beam_count:
            return replies
        # A reason may well name an emotion; it is no answer.
        failed = [Failure(one.utterance_id, "engine", "timeout", "fear") for one in inputs[:2]]
        return [*failed, *replies[2:]]

    monkeypatch.setattr(TransformersEngine, "generate", moody)
    changes = {**SETTINGS, "strategies": ["greedy", "cot", "w_bon", "bon"]}
    by_hand(runs.config(corpus, tmp_path / "out", **changes))
    sql = """SELECT strategy, invalid_reason, count(*) AS n FROM predictions
        WHERE NOT valid AND invalid_reason = 'failed' GROUP BY ALL ORDER BY ALL"""
    rows = [tuple(row.values()) for row in runs.rows(tmp_path / "out", sql)]
    assert rows == [
        ("bon[beams=2]", "failed", 2),
        ("cot", "failed", 2),
        ("w_bon[beams=2]", "failed", 2),
    ]
    assert not runs.rows(tmp_path / "out", "SELECT * FROM errors")
    sql = "SELECT questions, hypotheses FROM generations LIMIT 1"
    (row,) = runs.rows(tmp_path / "out", sql)
    asked = [
        (question["question"], question["beam_count"], question["error_type"])
        for question in row["questions"]
    ]
    assert asked == [
        ("greedy", None, None),
        ("beams", 3, None),
        ("beams", 2, "timeout"),
        ("cot", None, "timeout"),
    ]
    assert [question["error_message"] for question in row["questions"][2:]] == ["fear"] * 2
    assert not any(answer["text"] == "fear" for answer in row["hypotheses"])  # no failure is a beam
    assert {answer["beam_count"] for answer in row["hypotheses"]} == {None, 3}


def test_a_verifier_s_template_that_wants_measurements_is_refused(
    runs: Any, corpus: Path, tmp_path: Path
) -> None:
    template = tmp_path / "measured.jinja"
    template.write_text("{{ candidate }} {{ descriptors.duration_s }}")
    changes = {**SETTINGS, "verifier": {"template": str(template)}}
    with pytest.raises(ConfigError, match=r"verifier\.template.*measured\.jinja"):
        make_plan(runs.config(corpus, tmp_path / "out", **changes))


class TestGrid:
    @pytest.fixture(scope="class")
    def grid(
        self, ray_cluster: None, runs: Any, corpus: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> Path:
        """Two models, the second one judged by the first, two prompts and their mean."""
        output = tmp_path_factory.mktemp("grid")
        document = runs.document(
            corpus,
            output,
            input={"limit": 20},
            models=[{"name": "one"}, {"name": "two", "revision": "other"}],
            prompts=[{"name": "short"}, {"template": "distribution+cot", "cot": "distribution"}],
            ensembles=[{"name": "both"}],
            strategies=["greedy", "w_alm_v"],
            verifier={
                "model": {"name": "judge"},
                "resources": {"cpus_per_actor": 0.5, "threads_per_actor": 1},
            },
            resources={"cpus_per_actor": 0.5, "threads_per_actor": 1},
            decoding={"beam_count": 2},
        )
        from raypipe.config import parse_config
        from raypipe.runtime.infer.pipeline import run

        run(parse_config(document))
        return output

    CELLS = [(m, p) for m in ("one", "two") for p in ("short", "distribution+cot", "both")]  # noqa: RUF012

    def test_one_metrics_table_has_every_model_and_prompt(self, grid: Path, runs: Any) -> None:
        sql = """SELECT model, prompt, strategy FROM metrics
            WHERE metric = 'js' AND slice = 'all' AND versus IS NULL
            AND strategy IN ('greedy', 'w_alm_v')"""
        found = {(row["model"], row["prompt"], row["strategy"]) for row in runs.rows(grid, sql)}
        assert found == {(*cell, name) for cell in self.CELLS for name in ("greedy", "w_alm_v")}

    def test_counts_add_up_in_every_cell(self, grid: Path) -> None:
        counts = json.loads((grid / "run.json").read_text())["counts"]
        assert counts["utterances"] == 20
        assert counts["input"] == 20 * len(self.CELLS)
        assert [(cell["model"], cell["prompt"]) for cell in counts["cells"]] == self.CELLS
        assert all(cell["predicted"] == 20 for cell in counts["cells"])

    def test_the_ensemble_is_the_mean_over_prompts(self, grid: Path, runs: Any) -> None:
        sql = """SELECT utterance_id, prompt, probs, model_tokens FROM predictions
            WHERE model = 'one' AND strategy = 'greedy'"""
        rows: dict[str, dict[str, Any]] = {}
        for row in runs.rows(grid, sql):
            rows.setdefault(row["utterance_id"], {})[row["prompt"]] = row
        for row in rows.values():
            parts = [row[name]["probs"] for name in ("short", "distribution+cot")]
            known = [part for part in parts if part is not None]
            mean = [sum(values) / len(known) for values in zip(*known, strict=True)]
            assert row["both"]["probs"] == pytest.approx(mean, abs=1e-12)
            assert row["both"]["model_tokens"] == sum(
                row[name]["model_tokens"] for name in ("short", "distribution+cot")
            )

    def test_reading_it_again_unchanged_gives_the_same_bytes(
        self, grid: Path, runs: Any, tmp_path: Path
    ) -> None:
        from raypipe.runtime.reaggregate.job import reaggregate
        from raypipe.runtime.reaggregate.plan import Changes

        reaggregate(str(grid), Changes(), output=str(tmp_path / "again"))
        mine, theirs = runs.tables(tmp_path / "again"), runs.tables(grid)
        compared = [name for name in theirs if not name.startswith("generations")]
        assert compared
        assert {name: mine[name] for name in compared} == {n: theirs[n] for n in compared}
