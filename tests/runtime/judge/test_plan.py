"""A plan knows what is done, and asks again what failed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from in_process import InProcess
from judge_runs import Judge, judge_plan
from judge_server import always_a

from raypipe.errors import ConfigError, FingerprintError
from raypipe.runtime.judge.plan import JudgePlan
from raypipe.runtime.judge.work import judge_part
from raypipe.store.query import query
from raypipe.store.run_record import write_record


@pytest.fixture
def small_parts(empty: InProcess, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    monkeypatch.setattr("raypipe.runtime.judge.reading.PAIRS_PER_PART", 4)
    return empty


def names(plan: JudgePlan) -> list[str]:
    return [part.name for part in plan.pending]


def test_what_is_done_is_not_done_again(small_parts: InProcess) -> None:
    plan = judge_plan(small_parts)
    assert len(names(plan)) == 3
    judge_part(plan.parts[1], plan.context, Judge(always_a).model)
    again = judge_plan(small_parts)
    assert names(again) == ["part-00000.parquet", "part-00002.parquet"]
    assert again.context.fingerprint == plan.context.fingerprint
    with pytest.raises(FingerprintError, match="judgements of another run"):
        judge_plan(small_parts, seed=1)


def test_pairs_that_failed_are_asked_again_unless_the_job_is_finished(
    small_parts: InProcess,
) -> None:
    from raypipe.runtime.judge import job  # imports Ray

    plan = judge_plan(small_parts)
    record = job._record(plan, datetime.now(UTC))
    write_record(plan.tables, record)
    failing = plan.parts[0].pairs[1].pair.first
    summary = judge_part(
        plan.parts[0], plan.context, Judge(always_a, lambda prompt: failing in prompt).model
    )
    assert (summary.errors, summary.stopped) == (1, None)
    judge_part(plan.parts[1], plan.context, Judge(always_a).model)
    again = judge_plan(small_parts)
    assert names(again) == ["part-00000.parquet", "part-00002.parquet"]
    assert [part.again for part in again.parts] == [True, False, False]
    write_record(plan.tables, record.changed(status="finished"))
    assert names(judge_plan(small_parts)) == ["part-00002.parquet"]
    judge_part(again.parts[0], again.context, Judge(always_a).model)
    assert len(query(plan.tables, "SELECT * FROM judgements")) == 8
    assert len(query(plan.tables, "SELECT * FROM errors")) == 0


def test_a_template_of_ones_own_names_the_prompt(small_parts: InProcess, tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("{{ emotion }}: {{ reason_a }} or {{ reason_b }}?")
    plan = judge_plan(small_parts, template=str(template))
    assert plan.context.object_name("judgements", "p") == "judgements/model=fake/prompt=mine/p"
    assert plan.context.prompt_hash != judge_plan(small_parts).context.prompt_hash
    template.write_text("{{ tuned }}")
    with pytest.raises(ConfigError, match="cannot be filled"):
        judge_plan(small_parts, template=str(template))


def test_an_unknown_engine_is_refused_before_anything_is_read(small_parts: InProcess) -> None:
    with pytest.raises(ConfigError, match="engine"):
        judge_plan(
            small_parts,
            first={"name": "x", "answers": "nowhere.jsonl"},
            model={"engine": "x", "path": "y"},
        )
