"""A plan knows what is done, and refuses an output with other labels."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from in_process import InProcess
from relabel_items import Model
from relabel_runs import all_afraid, as_model, relabel_plan, typed

from raypipe.errors import ConfigError, FingerprintError
from raypipe.records import Failure
from raypipe.runtime.relabel.plan import RelabelPlan
from raypipe.runtime.relabel.work import relabel_part
from raypipe.store.query import query
from raypipe.store.run_record import write_record


@pytest.fixture
def three_parts(empty: InProcess, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    monkeypatch.setattr("raypipe.runtime.relabel.reading.REQUESTS_PER_PART", 1)
    empty.write(*(typed(f"u{number}", "calm") for number in range(6)))
    return empty


def names(plan: RelabelPlan) -> list[str]:
    return [part.name for part in plan.pending]


def test_what_is_done_is_not_done_again(three_parts: InProcess) -> None:
    plan = relabel_plan(three_parts)
    assert len(names(plan)) == 3
    relabel_part(plan.parts[1], plan.context, as_model(all_afraid()))
    again = relabel_plan(three_parts)
    assert names(again) == ["part-00000.parquet", "part-00002.parquet"]
    assert again.context.fingerprint == plan.context.fingerprint
    with pytest.raises(FingerprintError, match="labels of another run"):
        relabel_plan(three_parts, description_weight=0.5)


def test_items_that_nobody_read_are_asked_again_unless_the_job_is_finished(
    three_parts: InProcess,
) -> None:
    from raypipe.runtime.relabel import job  # imports Ray

    def down(items: object, prompt: str) -> object:
        return Failure("request 1", "engine", "timeout", "no answer")

    plan = relabel_plan(three_parts)
    record = job._record(plan, datetime.now(UTC))
    write_record(plan.tables, record)
    relabel_part(plan.parts[0], plan.context, as_model(Model(down)))
    relabel_part(plan.parts[1], plan.context, as_model(all_afraid()))
    again = relabel_plan(three_parts)
    assert names(again) == ["part-00000.parquet", "part-00002.parquet"]
    assert [part.again for part in again.parts] == [True, False, False]
    write_record(plan.tables, record.changed(status="finished"))
    assert names(relabel_plan(three_parts)) == ["part-00002.parquet"]
    relabel_part(again.parts[0], again.context, as_model(all_afraid()))
    rows = query(plan.tables, "SELECT status, count(*) AS n FROM labels GROUP BY 1").to_pylist()
    assert rows == [{"status": "adjusted", "n": 4}]


def test_a_template_of_ones_own_names_the_prompt(three_parts: InProcess, tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("{% for item in items %}{{ item }}\n{% endfor %}")
    plan = relabel_plan(three_parts, template=str(template))
    assert plan.context.prompt == "mine"
    assert plan.context.object_name("labels", "p") == "labels/model=fake/prompt=mine/p"
    assert plan.context.prompt_hash != relabel_plan(three_parts).context.prompt_hash
    template.write_text("{{ words }}")
    with pytest.raises(ConfigError, match="cannot be filled"):
        relabel_plan(three_parts, template=str(template))
    with pytest.raises(ConfigError, match="neither a file nor one of"):
        relabel_plan(three_parts, template="nothing")


def test_an_unknown_engine_is_refused_before_anything_is_read(three_parts: InProcess) -> None:
    with pytest.raises(ConfigError, match="engine"):
        relabel_plan(three_parts, input={"shards": "nowhere"}, model={"engine": "x", "path": "y"})
