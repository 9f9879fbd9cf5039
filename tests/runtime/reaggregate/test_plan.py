"""What a reaggregation reads, under which settings, and what of it is done already."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from edited_record import record_of, write_record_of
from in_process import InProcess, utterance

from raypipe.errors import ConfigError, FingerprintError
from raypipe.runtime.reaggregate.plan import Changes, ReaggregationPlan, plan_reaggregation
from raypipe.runtime.reaggregate.work import ShardOfModel, reaggregate_part
from raypipe.store.run_record import read_record, write_record
from raypipe.votes import AnnotatorLabels

NAMES = ["shard-000000.parquet", "shard-000001.parquet"]


@pytest.fixture
def run(fake_engine: None, tmp_path: Path) -> InProcess:
    """A finished run over two shards."""
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(4)), rows_per_shard=2)
    runs.finished(strategies=["greedy", "token", "w_bon"])
    return runs


def plan(run: InProcess, output: Any = None, **changes: Any) -> ReaggregationPlan:
    return plan_reaggregation(
        run.tables.uri,
        Changes.of(**changes),
        output=None if output is None else str(output),
        endpoint=None,
    )


def test_where_nothing_changes_the_fingerprints_are_those_of_the_run(run: InProcess) -> None:
    record = read_record(run.tables)
    made = plan(run)
    assert made.work.fingerprint == record.fingerprint
    assert made.work.generation_fingerprint == record.generation_fingerprint
    assert made.work.run == record.run
    assert [variant.name for variant in made.work.variants] == ["greedy", "token", "w_bon"]
    assert made.swept == {}


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"tau": [2.5]}, {"aggregation": {"tau": 2.5}}),
        ({"strategies": ["bon"]}, {"strategies": ["bon"]}),
        (
            {"strategies": ["greedy", "w_bon", "adaptive"], "threshold": [0.5]},
            {"strategies": ["greedy", "w_bon", "adaptive"], "adaptive": {"threshold": 0.5}},
        ),
    ],
)
def test_changed_settings_are_the_run_that_would_have_had_them(
    run: InProcess, changes: dict[str, Any], settings: dict[str, Any], tmp_path: Path
) -> None:
    other = InProcess(tmp_path / "other", shards=run.shards)
    expected = other.context(**{"strategies": ["greedy", "token", "w_bon"], **settings})
    assert expected.generation_fingerprint == read_record(run.tables).generation_fingerprint
    made = plan(run, **changes)
    assert made.work.fingerprint == expected.prediction_fingerprint
    assert made.work.run == expected.run


def test_a_sweep_is_no_run_and_has_a_fingerprint_of_its_own(run: InProcess) -> None:
    sweep = plan(run, tau=[1.0, 2.0])
    assert sweep.swept == {"tau": [1.0, 2.0]}
    assert sweep.config.aggregation.model_dump()["tau"] == 1.0
    names = [variant.name for variant in sweep.work.variants]
    assert names == [
        *("greedy[tau=1]", "greedy[tau=2]"),
        "token",
        *("w_bon[tau=1]", "w_bon[tau=2]"),
    ]
    others = [plan(run), plan(run, tau=[2.0]), plan(run, tau=[2.0, 1.0]), plan(run, sub_beams=[1])]
    assert len({made.work.fingerprint for made in (sweep, *others)}) == 5


def test_bootstrap_replicates_change_no_prediction(run: InProcess) -> None:
    made = plan(run, replicates=500)
    assert made.work.fingerprint == read_record(run.tables).fingerprint
    assert made.config.metrics.replicates == 500


def test_tables_go_beside_the_run_unless_it_is_said_where(run: InProcess, tmp_path: Path) -> None:
    made = plan(run, tau=[2.0])
    assert made.work.output.uri == f"{run.tables.uri}-{made.work.run}"
    assert plan(run, tmp_path / "there").work.output.uri == str(tmp_path / "there")
    assert made.config.output == made.work.output.uri


def test_every_shard_of_the_run_is_read_and_what_is_done_is_not(
    run: InProcess, tmp_path: Path
) -> None:
    made = plan(run, tmp_path / "there")
    parts = [ShardOfModel("fake", name) for name in NAMES]
    assert list(made.parts) == made.pending == parts
    assert reaggregate_part(parts[1], made.work) is None
    after = plan(run, tmp_path / "there")
    assert after.pending == parts[:1]
    assert after.done == {parts[1]}


def test_neither_shards_nor_the_model_need_be_there(run: InProcess, tmp_path: Path) -> None:
    shutil.rmtree(run.shards)
    assert plan(run, tmp_path / "there").pending


def test_a_run_that_is_not_finished_is_refused(run: InProcess) -> None:
    write_record(run.tables, read_record(run.tables).changed(status="stopped"))
    with pytest.raises(ConfigError, match="is not finished; the command that began it"):
        plan(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a run: it holds no run\.json"):
        plan(InProcess(tmp_path))


def test_features_and_heads_hold_no_generations(run: InProcess) -> None:
    record = read_record(run.tables)
    write_record(run.tables, record.changed(config={"features": "f", "metrics": {}}))
    with pytest.raises(ConfigError, match="no model was asked there"):
        plan_reaggregation(run.tables.uri, Changes(), output=None, endpoint=None)


def test_what_was_made_from_a_run_leads_back_to_it(run: InProcess) -> None:
    made_from = {"run": "r", "location": "/the/run", "fingerprint": "f"}
    record = read_record(run.tables).changed(made_from=made_from)
    write_record(run.tables, record)
    with pytest.raises(ConfigError, match="made from /the/run; reaggregate that"):
        plan(run)


def test_a_run_without_generations_is_refused(run: InProcess) -> None:
    shutil.rmtree(Path(run.tables.uri) / "generations")
    with pytest.raises(ConfigError, match="holds no generations"):
        plan(run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": ["cot"]}, "cot: needs a chain of thought, which the run did not ask for"),
        ({"threshold": [0.5]}, "adaptive threshold: adaptive is not among the strategies"),
        ({"sub_beams": [4]}, "4 cannot be read from a search with 3 beams"),
        ({"tau": [0.0]}, "greater than 0"),
        ({"tau": [1.0, 1.0]}, "tau: give each value once"),
        ({"strategies": ["none such"]}, "unknown strategy 'none such'"),
        ({"volume": [11]}, "unknown settings"),
        ({"replicates": 3}, "greater than or equal to 100"),
    ],
)
def test_changes_that_cannot_be_are_refused_before_anything_is_written(
    run: InProcess, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(run, tmp_path / "there", **changes)
    assert not (tmp_path / "there").exists()


def test_the_run_itself_is_never_an_output(run: InProcess, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lies in the run, which is not to be changed"):
        plan(run, f"{run.tables.uri}/below")
    other = InProcess(tmp_path / "other", shards=run.shards)
    other.finished(strategies=["greedy"])
    with pytest.raises(FingerprintError, match="holds a run of its own"):
        plan(run, other.tables.uri)


def test_the_output_of_another_reaggregation_is_refused_with_what_differs(
    run: InProcess, tmp_path: Path
) -> None:
    made = plan(run, tmp_path / "there", tau=[2.0])
    record = made.source_record.changed(
        fingerprint=made.work.fingerprint,
        config=made.config.model_dump(mode="json"),
        identity=dict(made.identity),
        made_from={"run": "r", "location": run.tables.uri, "fingerprint": "f"},
    )
    write_record(made.work.output, record)
    assert plan(run, tmp_path / "there", tau=[2.0]).work.fingerprint == made.work.fingerprint
    with pytest.raises(FingerprintError, match=r"aggregation\.tau was 2\.0, is now 3\.0"):
        plan(run, tmp_path / "there", tau=[3.0])


def test_changes_stand_in_the_section_of_their_setting() -> None:
    changes = Changes.of(["greedy"], threshold=[0.5], tau=[1, 2])
    assert changes.in_section("adaptive") == {"threshold": (0.5,)}
    assert changes.in_section("aggregation") == {"tau": (1, 2)}
    assert changes.strategies == ("greedy",)
    assert Changes.of() == Changes()


def test_votes_are_understood_as_the_run_says(run: InProcess) -> None:
    folder = Path(run.tables.uri)
    document = record_of(folder)
    document["vote_policy"]["merges"] = {"anger": "sadness"}
    write_record_of(folder, document)
    made = plan(run)
    assert made.work.policy is not None
    assert made.work.policy.merges == {"anger": "sadness"}


def test_what_replicates_draw_is_a_matter_of_the_reduce(run: InProcess) -> None:
    changes = Changes(draw="speakers")
    made = plan_reaggregation(run.tables.uri, changes, output=None, endpoint=None)
    assert made.config.metrics.draw == "speakers"
    assert plan(run).config.metrics.draw == "utterances"
    assert made.work.fingerprint == read_record(run.tables).fingerprint


def test_annotators_labels_are_a_matter_of_the_reduce(run: InProcess) -> None:
    def planned(which: AnnotatorLabels | None) -> ReaggregationPlan:
        changes = Changes(annotator_labels=which)
        return plan_reaggregation(run.tables.uri, changes, output=None, endpoint=None)

    made = planned("primary+secondary")
    assert made.config.metrics.annotator_labels == "primary+secondary"
    assert made.config.metrics.replicates == planned(None).config.metrics.replicates
    assert planned(None).config.metrics.annotator_labels == "primary"
    assert made.work.fingerprint == read_record(run.tables).fingerprint
