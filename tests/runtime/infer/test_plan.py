"""What of a run is left to do, and which outputs are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess, utterance

from raypipe.errors import ConfigError, FingerprintError
from raypipe.records import Vote
from raypipe.runtime.infer.context import Prompt
from raypipe.store.run_record import read_record, write_record
from raypipe.votes import VotePolicy

GREEDY: dict[str, Any] = {"strategies": ["greedy"], "decoding": {"beam_count": 0}}


@pytest.fixture
def three_shards(fake_engine: None, tmp_path: Path) -> InProcess:
    """Seven clips in shards of three, three and one."""
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(7)), rows_per_shard=3)
    return runs


def refusal(runs: InProcess, **changes: Any) -> str:
    with pytest.raises(FingerprintError) as refused:
        runs.plan(**changes)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_at_first_everything_is_left_to_do(three_shards: InProcess) -> None:
    plan = three_shards.plan(**GREEDY)
    (model_run,) = plan.model_runs
    assert [task.take for task in model_run.pending] == [3, 3, 1]
    assert not any(task.generated for task in model_run.tasks)
    assert (model_run.utterances, model_run.utterances_done, plan.is_done) == (7, 0, False)


def test_a_plan_writes_no_table(three_shards: InProcess) -> None:
    three_shards.plan(**GREEDY)
    assert three_shards.objects() == {}


@pytest.mark.parametrize(
    ("limit", "takes"),
    [(1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1]), (100, [3, 3, 1])],
)
def test_a_limit_takes_the_first_utterances_and_cuts_a_shard(
    three_shards: InProcess, limit: int, takes: list[int]
) -> None:
    document = {"shards": str(three_shards.shards), "limit": limit}
    plan = three_shards.finished(**GREEDY, input=document)
    assert [task.take for task in plan.model_runs[0].tasks] == takes
    rows = three_shards.rows("SELECT utterance_id FROM predictions ORDER BY 1")
    assert [row["utterance_id"] for row in rows] == [f"u{n}" for n in range(min(limit, 7))]


def test_a_shard_is_done_when_all_its_predictions_are_there(three_shards: InProcess) -> None:
    three_shards.finished(**GREEDY)
    assert three_shards.plan(**GREEDY).is_done
    folder = Path(three_shards.tables.uri) / "predictions"
    next(folder.rglob("shard-000001.parquet")).unlink()
    (model_run,) = three_shards.plan(**GREEDY).model_runs
    (task,) = model_run.pending
    assert (task.entry.name, task.generated) == ("shard-000001.parquet", True)
    assert (model_run.utterances_done, model_run.done) == (
        4,
        {"shard-000000.parquet", "shard-000002.parquet"},
    )


def test_a_shard_is_asked_anew_unless_every_prompt_was_answered(three_shards: InProcess) -> None:
    prompts = {"prompts": [{"name": "a"}, {"name": "b"}]}
    three_shards.finished(**GREEDY, **prompts)
    output = Path(three_shards.tables.uri)
    for table in ("generations", "predictions"):
        (output / table / "model=fake" / "prompt=b" / "shard-000002.parquet").unlink()
    (task,) = three_shards.plan(**GREEDY, **prompts).model_runs[0].pending
    assert (task.entry.name, task.generated) == ("shard-000002.parquet", False)


def test_every_model_has_a_part_of_its_own(three_shards: InProcess) -> None:
    document = three_shards.document(**GREEDY)
    del document["model"]
    models = [{"engine": "fake", "path": "none", "name": name} for name in ("x", "y")]
    from raypipe.config import parse_config
    from raypipe.runtime.infer.plan import make_plan

    plan = make_plan(parse_config({**document, "models": models}))
    assert [part.context.model for part in plan.model_runs] == ["x", "y"]
    assert [part.config.model.name for part in plan.model_runs] == ["x", "y"]
    assert len({part.context.prediction_fingerprint for part in plan.model_runs}) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"resources": {"batch_size": 3, "actors": 2}},
        {"metrics": {"replicates": 500, "seed": 9}},
        {"name": "another name"},
    ],
)
def test_what_changes_no_prediction_is_the_same_run(
    three_shards: InProcess, changes: dict[str, Any]
) -> None:
    first = three_shards.finished(**GREEDY)
    plan = three_shards.plan(**{**GREEDY, **changes})
    assert plan.is_done
    assert plan.context.prediction_fingerprint == first.context.prediction_fingerprint


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"decoding": {"beam_count": 2}},
            ["decoding.beam_count was 0, is now 2"],
        ),
        (
            {"audio": {"max_channels": 1, "replace_with": "silence"}},
            ["audio.max_channels was 2, is now 1", 'audio.replace_with was null, is now "silence"'],
        ),
        (
            {"strategies": ["token", "greedy"]},
            ['strategies was ["greedy"], is now ["token", "greedy"]'],
        ),
        ({"aggregation": {"tau": 3.0}}, ["aggregation.tau was 1.0, is now 3.0"]),
        (
            {"model": {"engine": "fake", "path": "none", "name": "fake", "revision": "abc"}},
            ['model.revision was null, is now "abc"', "model fake differs"],
        ),
        (
            {"prompt": {"template": "ambiguous", "name": "distribution"}},
            [
                'prompt.template was "distribution", is now "ambiguous"',
                "prompt distribution differs",
            ],
        ),
    ],
)
def test_a_refused_run_is_told_every_setting_that_differs(
    three_shards: InProcess, changes: dict[str, Any], named: list[str]
) -> None:
    three_shards.finished(**GREEDY)
    free = {"resources": {"batch_size": 3}, "metrics": {"replicates": 150}, "name": "other"}
    message = refusal(three_shards, **{**GREEDY, **free, **changes})
    assert message.startswith(f"{three_shards.tables.uri} holds another run (fingerprint ")
    assert message.endswith("Choose another output.")
    for text in named:
        assert text in message
    assert not any(text in message for text in ("resources.", "metrics.", "): name was"))


def test_a_refused_run_is_told_that_the_corpus_changed(three_shards: InProcess) -> None:
    three_shards.finished(**GREEDY)
    for path in three_shards.shards.iterdir():
        path.unlink()
    three_shards.write(utterance("u9"))
    message = refusal(three_shards, **GREEDY)
    assert "what the shards hold differs" in message
    assert "model fake differs" not in message


def test_a_refused_run_is_told_that_votes_are_counted_otherwise(three_shards: InProcess) -> None:
    three_shards.finished(**GREEDY)
    index = three_shards.shards / "shards.json"
    document = json.loads(index.read_text())
    document["policy"]["merges"] = {"annoyed": "anger"}
    index.write_text(json.dumps(document))
    message = refusal(three_shards, **GREEDY)
    assert "how votes are counted differs" in message
    assert "what the shards hold" not in message


def test_tables_without_a_record_are_not_overwritten(three_shards: InProcess) -> None:
    three_shards.finished(**GREEDY)
    (Path(three_shards.tables.uri) / "run.json").unlink()
    assert three_shards.plan(**GREEDY).is_done
    message = refusal(three_shards, **{**GREEDY, "decoding": {"beam_count": 2}})
    assert "holds generations of another run" in message


@pytest.mark.parametrize(
    ("status", "words"), [("running", "holds an unfinished run"), ("finished", "holds a run")]
)
def test_a_run_of_version_1_is_refused_in_one_line(
    three_shards: InProcess, status: str, words: str
) -> None:
    three_shards.finished(**GREEDY)
    record = read_record(three_shards.tables)
    old = {"version": 1, "status": status, "versions": {"raypipe": "0.1.3"}}
    write_record(three_shards.tables, record.changed(**old))
    message = refusal(three_shards, **GREEDY)
    assert message == (
        f"{three_shards.tables.uri} {words} of raypipe 0.1.3, whose tables this version reads but "
        "does not continue. Choose another output."
    )


def test_identity_names_all_that_the_config_only_points_to(three_shards: InProcess) -> None:
    plan = three_shards.plan(
        strategies=["alm_v"],
        verifier={"model": {"engine": "fake", "path": "none", "name": "another"}},
        prompts=[{"name": "a"}, {"name": "b"}],
    )
    assert [*plan.identity] == [
        "what the shards hold",
        "how votes are counted",
        "model fake",
        "model another",
        "prompt a",
        "prompt b",
        "the verifier's prompt",
    ]
    again = three_shards.plan(strategies=["alm_v"])
    assert again.identity["what the shards hold"] == plan.identity["what the shards hold"]
    assert "prompt distribution" in again.identity


def test_a_template_on_disk_is_part_of_the_run(three_shards: InProcess, tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("Which of {{ labels | join(', ') }}?")
    prompt = {"prompt": {"template": str(template)}}
    first = three_shards.finished(**GREEDY, **prompt)
    assert first.context.prompts == (Prompt("mine", "Which of {{ labels | join(', ') }}?"),)
    template.write_text("Who of {{ labels | join(', ') }}?")
    message = refusal(three_shards, **GREEDY, **prompt)
    assert message.split("): ")[1].startswith("prompt mine differs.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": {"template": "none.jinja"}}, "neither a file nor one of"),
        ({"verifier": {"template": "describe"}, "strategies": ["alm_v"]}, "a verifier gets none"),
        ({"model": {"engine": "fake", "path": "x", "options": {"a": 1}}}, r"options: a: unknown"),
        ({"input": {"shards": "/nowhere"}}, r"holds no shards\.json"),
        ({"strategies": ["greedy"], "decoding": {"grammar": "distribution"}}, "knows no grammars"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    three_shards: InProcess, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        three_shards.plan(**changes)
    assert not Path(three_shards.tables.uri).exists()


def test_a_verifier_needs_none_of_what_the_run_s_model_needs(three_shards: InProcess) -> None:
    """Logits and grammars are the answering model's business."""
    three_shards.plan(
        strategies=["token", "alm_v"],
        verifier={"model": {"engine": "fake", "path": "none", "name": "another"}},
    )


def test_words_in_a_corpus_mean_in_predictions_what_they_mean_in_its_index(
    fake_engine: None, tmp_path: Path
) -> None:
    """``annoyed`` is an alias of anger elsewhere, but a word of its own in this corpus."""
    from dataclasses import replace

    votes = (
        Vote("a", ("sadness", "annoyed")),
        Vote("b", ("excitement",)),
        Vote("self:c", ("fear",)),
    )
    runs = InProcess(tmp_path)
    runs.write(
        replace(utterance("u0"), votes=votes, soft_label=None, plurality=None),
        policy=VotePolicy(aliases=False, merges={"excitement": "happiness"}),
    )
    runs.finished(**GREEDY)
    (row,) = runs.rows("SELECT votes_union, votes_primary, soft_label FROM predictions")
    assert row["votes_union"] == row["votes_primary"] == ["happiness", "sadness"]
    assert row["soft_label"] == [0.0, 0.0, 0.0, 0.5, 0.0, 0.5]


def test_an_empty_corpus_is_refused_by_its_name(fake_engine: None, tmp_path: Path) -> None:
    runs = InProcess(tmp_path)
    runs.write()
    with pytest.raises(ConfigError, match="is empty: it holds 0 utterances"):
        runs.plan()
