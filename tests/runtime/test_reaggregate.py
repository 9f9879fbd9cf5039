"""Predictions and metrics of a finished run, made again from its stored hypotheses."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from edited_record import record_of, write_record_of
from rich.console import Console

from raypipe.errors import ConfigError, FingerprintError, RaypipeError, ShardError
from raypipe.runtime.reaggregate.job import reaggregate
from raypipe.runtime.reaggregate.plan import Changes
from raypipe.store.location import Location
from raypipe.store.run_record import RunRecord

PARTITION = "model=tiny-alm/prompt=distribution"
SHARD = f"{PARTITION}/shard-000001.parquet"
TAU_FREE = ("token", "token_softmax")

pytestmark = pytest.mark.usefixtures("ray_cluster")


def again(run: object, output: object, **changes: Any) -> RunRecord:
    quiet = Console(file=io.StringIO())
    return reaggregate(str(run), Changes.of(**changes), output=str(output), console=quiet)


def computed(tables: dict[str, bytes]) -> dict[str, bytes]:
    """Everything but the hypotheses, which stay where they are, and the names of settings."""
    return {
        name: data
        for name, data in tables.items()
        if not name.startswith(("generations/", "settings/"))
    }


def written(folder: Path) -> dict[Path, tuple[int, bytes]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="module")
def copy(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, with neither the shards nor its old predictions in reach."""
    folder = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("predictions", "metrics"))
    record = record_of(folder)
    record["config"]["input"]["shards"] = str(folder / "gone")
    write_record_of(folder, record)
    return folder


@pytest.fixture(scope="module")
def sweep(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("sweep") / "out"
    again(copy, output, tau=(0.5, 1.0), sub_beams=(1, 3), replicates=100)
    return output


def test_where_nothing_changes_the_bytes_are_those_of_the_run(
    finished: Path, copy: Path, tmp_path: Path, runs: Any
) -> None:
    before = written(copy)
    record = again(copy, tmp_path / "out")
    assert computed(runs.tables(tmp_path / "out")) == computed(runs.tables(finished))
    assert written(copy) == before
    original = json.loads((finished / "run.json").read_text())
    assert record.as_json()["counts"] == original["counts"]
    assert record.fingerprint == original["fingerprint"]
    assert record.made_from is not None
    assert record.made_from.location == str(copy)
    assert "Hypotheses of" in (tmp_path / "out" / "report.html").read_text()


def test_changed_settings_give_what_a_run_with_them_gives(
    corpus: Path, copy: Path, tmp_path: Path, runs: Any
) -> None:
    shutil.copytree(
        copy / "generations", tmp_path / "run" / "generations"
    )  # saves the model's time
    runs.run(
        corpus,
        tmp_path / "run",
        strategies=["w_bon", "token_softmax", "bon"],
        aggregation={
            "tau": 2.5,
            "length_normalised": True,
            "merge_tokenisations": True,
            "token_steps": "words",
            "token_temperature": 3.0,
        },
        metrics={"replicates": 150},
    )
    again(
        copy,
        tmp_path / "out",
        strategies=("w_bon", "token_softmax", "bon"),
        tau=(2.5,),
        length_normalised=(True,),
        merge_tokenisations=(True,),
        token_steps=("words",),
        token_temperature=(3.0,),
        replicates=150,
    )
    expected = computed(runs.tables(tmp_path / "run"))
    assert computed(runs.tables(tmp_path / "out")) == expected


def test_votes_are_understood_as_the_run_understood_them(
    copy: Path, tmp_path: Path, runs: Any
) -> None:
    merged = tmp_path / "run"
    shutil.copytree(copy, merged)
    record = record_of(copy)
    record["vote_policy"]["merges"] = {"anger": "sadness"}
    write_record_of(merged, record)
    again(merged, tmp_path / "out", strategies=("greedy",), replicates=100)
    sql = "SELECT list_contains(votes_union, 'anger') AS angry, count(*) AS n FROM predictions"
    rows = runs.rows(tmp_path / "out", f"{sql} GROUP BY 1")
    assert rows == [{"angry": False, "n": runs.utterances}]
    asked = "SELECT count(*) AS n FROM generations WHERE plurality = 'anger'"
    assert runs.rows(copy, asked)[0]["n"] > 0


def test_a_changed_tau_changes_the_uncertainty_of_strategies_that_use_it(
    finished: Path, sweep: Path, runs: Any
) -> None:
    sql = (
        "SELECT * EXCLUDE (run, strategy), split_part(strategy, '[', 1) AS rule FROM predictions"
        " WHERE strategy NOT LIKE '%of3%' {} ORDER BY rule, utterance_id"
    )
    original = runs.rows(finished, sql.format(""))
    same = runs.rows(sweep, sql.format("AND strategy NOT LIKE '%tau=0.5%'"))
    other = runs.rows(sweep, sql.format("AND strategy NOT LIKE '%tau=1%'"))
    rules = {"greedy", *TAU_FREE}  # the beams' readings have other names in this sweep
    original = [row for row in original if row["rule"] in rules]
    assert same == original
    uncertain = ("aleatoric_uncertainty", "epistemic_uncertainty", "covariance")
    for row, changed in zip(original, other, strict=True):
        expected = set(uncertain) if row["valid"] and max(row["probs"]) < 1 else set()
        expected = set() if row["rule"] in TAU_FREE else expected
        assert {name for name in row if row[name] != changed[name]} == expected


def test_a_sweep_stands_in_one_table_under_names_that_say_what_was_read(
    finished: Path, sweep: Path, runs: Any
) -> None:
    names = [f"greedy[tau={tau}]" for tau in ("0.5", "1")] + list(TAU_FREE)
    names += [
        f"{rule}[beams={count}of3,tau={tau}]"
        for rule in ("bon", "w_bon")
        for count in (1, 3)
        for tau in ("0.5", "1")
    ]
    counts = json.loads((sweep / "run.json").read_text())["counts"]["strategies"]
    assert sorted(counts) == sorted(names)
    where = "WHERE metric = 'js' AND slice = 'all' AND versus IS NULL"
    rows = runs.rows(
        sweep,
        "SELECT rule, tau, sub_beams, beam_count, value FROM metrics JOIN settings USING (strategy)"
        f" {where} AND rule = 'w_bon' ORDER BY sub_beams, tau",
    )
    keys = [(row["sub_beams"], row["tau"], row["beam_count"]) for row in rows]
    assert keys == [(1, 0.5, 3), (1, 1.0, 3), (3, 0.5, 3), (3, 1.0, 3)]
    (plain,) = runs.rows(finished, f"SELECT value FROM metrics {where} AND strategy = 'w_bon'")
    assert rows[3]["value"] == plain["value"]
    judged = runs.rows(
        sweep,
        "SELECT strategy FROM metrics WHERE metric = 'epistemic_auroc' AND slice = 'all'",
    )
    assert {row["strategy"] for row in judged} == set(names) - set(TAU_FREE)
    versus = runs.rows(
        sweep,
        "SELECT DISTINCT versus FROM metrics WHERE strategy = 'w_bon[beams=3of3,tau=1]'"
        " AND versus IS NOT NULL",
    )
    assert {row["versus"] for row in versus} == {
        *("w_bon[beams=1of3,tau=1]", "bon[beams=3of3,tau=1]", "greedy[tau=1]"),
        *TAU_FREE,
        *("prior", "uniform"),
    }


def test_one_sub_beam_is_the_first_by_rank(copy: Path, sweep: Path, runs: Any) -> None:
    from raypipe.labels import LABEL_SETS
    from raypipe.parsing import parse_answer

    texts = runs.rows(copy, "SELECT utterance_id, hypotheses FROM generations")
    predicted = runs.rows(
        sweep,
        "SELECT utterance_id, probs FROM predictions WHERE strategy = 'bon[beams=1of3,tau=1]'",
    )
    found = {row["utterance_id"]: row["probs"] for row in predicted}
    for row in texts:
        (first,) = (h for h in row["hypotheses"] if (h["kind"], h["rank"]) == ("beam", 0))
        probs = parse_answer(first["text"], LABEL_SETS["crema-d-6"]).probs
        expected = None if probs is None else pytest.approx(probs.tolist(), abs=1e-15)
        assert found[row["utterance_id"]] == expected


THRESHOLDS = (0.0, 0.7, 1.5)


@pytest.fixture(scope="module")
def curve(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adaptive at several thresholds beside the strategies that it chooses from."""
    output = tmp_path_factory.mktemp("curve") / "out"
    again(
        copy,
        output,
        strategies=("greedy", "token_softmax", "w_bon", "adaptive"),
        cheap=("greedy", "token_softmax"),
        threshold=THRESHOLDS,
        replicates=100,
    )
    return output


@pytest.mark.parametrize("cheap", ["greedy", "token_softmax"])
def test_adaptive_is_the_cheap_answer_where_that_is_clear(
    curve: Path, runs: Any, cheap: str
) -> None:
    sql = "SELECT utterance_id, strategy, probs, entropy, model_tokens, escalated FROM predictions"
    rows = {(row["utterance_id"], row["strategy"]): row for row in runs.rows(curve, sql)}
    utterances = {utterance for utterance, _ in rows}
    assert len(utterances) == runs.utterances
    shares = []
    for threshold in THRESHOLDS:
        escalated = 0
        for utterance in utterances:
            found = rows[utterance, f"adaptive[cheap={cheap},threshold={threshold:g}]"]
            first, second = rows[utterance, cheap], rows[utterance, "w_bon"]
            needed = first["entropy"] is None or first["entropy"] > threshold
            assert found["escalated"] == needed
            assert found["probs"] == (second if needed else first)["probs"]
            paid = first["model_tokens"] + needed * second["model_tokens"]
            assert found["model_tokens"] == paid
            escalated += needed
        shares.append(escalated / runs.utterances)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]
    sql = f"""SELECT value, ci_low, ci_high FROM metrics JOIN settings USING (strategy)
        WHERE metric = 'escalated' AND slice = 'all' AND cheap = '{cheap}' ORDER BY threshold"""
    metrics = runs.rows(curve, sql)
    assert [row["value"] for row in metrics] == pytest.approx(shares)
    assert all(row["ci_low"] <= row["value"] <= row["ci_high"] for row in metrics)


def test_the_curve_is_on_the_page_and_what_it_means_in_the_record(curve: Path) -> None:
    record = record_of(curve)
    assert record["config"]["adaptive"]["threshold"] == list(THRESHOLDS)
    assert record["config"]["adaptive"]["expensive"] == "w_bon"
    assert record["settings"]["adaptive[cheap=greedy,threshold=0.7]"]["threshold"] == 0.7
    assert "threshold" not in record["settings"]["greedy"]
    page = (curve / "report.html").read_text()
    assert "JS by tokens per utterance: greedy " in page


def test_adaptive_again_gives_what_a_run_with_it_gives(
    corpus: Path, copy: Path, tmp_path: Path, runs: Any
) -> None:
    shutil.copytree(copy / "generations", tmp_path / "run" / "generations")
    names = ["w_bon", "greedy", "adaptive"]
    adaptive = {"cheap": "greedy", "expensive": "w_bon", "threshold": 0.7}
    changes: dict[str, Any] = {"strategies": names, "adaptive": adaptive}
    runs.run(corpus, tmp_path / "run", **changes, metrics={"replicates": 150})
    again(copy, tmp_path / "out", strategies=tuple(names), threshold=(0.7,), replicates=150)
    assert computed(runs.tables(tmp_path / "out")) == computed(runs.tables(tmp_path / "run"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategies": ("w_bon",)}, "w_bon: needs beams of every utterance.*only where adaptive"),
        ({"strategies": ("cot",)}, "cot: needs a chain of thought, which the run did not ask"),
        ({"strategies": ("alm_v",)}, "alm_v: needs beams and a verifier's scores"),
        ({"threshold": (1.5, 0.5)}, r"adaptive\[threshold=0.5\]: .* only where greedy was above 1"),
        ({"cheap": ("token_softmax",)}, "with another cheap strategy"),
        ({"expensive": ("cot",)}, "adaptive: needs a chain of thought"),
    ],
)
def test_what_a_sparing_run_asked_only_of_some_is_not_read_of_all(
    copy: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    record = record_of(copy)
    record["config"] |= {"strategies": ["greedy", "adaptive"]}
    sparing = tmp_path / "sparing"  # nothing of it can be read
    sparing.mkdir()
    write_record_of(sparing, record)
    with pytest.raises(ConfigError, match=words):
        again(sparing, tmp_path / "out", **changes)
    allowed: dict[str, Any] = {"threshold": (1.0, 1.5), "expensive": ("bon",), "tau": (3.0,)}
    with pytest.raises(ConfigError, match="holds no generations"):
        again(sparing, tmp_path / "out", **allowed)


def test_an_interrupted_reaggregation_continues_to_the_same_bytes(
    copy: Path, sweep: Path, tmp_path: Path, runs: Any
) -> None:
    output = tmp_path / "out"
    shutil.copytree(sweep, output)
    (output / "predictions" / SHARD).unlink()
    record = record_of(output)
    write_record_of(output, {**record, "status": "running"})
    kept = output / "predictions" / PARTITION / "shard-000000.parquet"
    before = kept.stat().st_mtime_ns
    changes = {"tau": (0.5, 1.0), "sub_beams": (1, 3), "replicates": 100}
    again(copy, output, **changes)
    assert runs.tables(output) == runs.tables(sweep)
    assert kept.stat().st_mtime_ns == before
    finished = written(output)
    assert again(copy, output, **changes).as_json() == record_of(output)
    assert written(output) == finished


def test_a_damaged_shard_stops_no_other_and_is_named(copy: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(copy, damaged)
    data = bytearray((damaged / "generations" / SHARD).read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    (damaged / "generations" / SHARD).write_bytes(data)
    with pytest.raises(ShardError, match=r"generations/.*shard-000001\.parquet: not a whole"):
        again(damaged, tmp_path / "out", strategies=("greedy", "token"))
    done = sorted(path.name for path in (tmp_path / "out/predictions" / PARTITION).iterdir())
    assert done == ["shard-000000.parquet", "shard-000002.parquet"]
    shutil.copy(copy / "generations" / SHARD, damaged / "generations" / SHARD)
    record = again(damaged, tmp_path / "out", strategies=("greedy", "token"))
    assert record.done_counts.predicted == record.done_counts.input


def test_generations_of_another_run_are_refused(copy: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(copy, mixed)
    record = record_of(mixed)
    record["generation_fingerprint"] = "0" * 64
    write_record_of(mixed, record)
    with pytest.raises(ShardError, match="is of another run"):
        again(mixed, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tau": (0.0,)}, r"aggregation\.tau: .*greater than 0.*got 0"),
        ({"tau": (1.0, -1.0)}, "tau.*-1"),
        ({"strategies": ("best_of",)}, "best_of"),
        ({"token_steps": ("some",)}, "token_steps.*some"),
        ({"sub_beams": (2, 4)}, "4 cannot be read from a search with 3 beams"),
        ({"threshold": (0.5,)}, "adaptive threshold: adaptive is not among the strategies greedy"),
        ({"strategies": ("adaptive",), "threshold": (-1.0,)}, r"adaptive\.threshold.*got -1"),
        ({"strategies": ("adaptive",), "cheap": ("w_bon",)}, "both w_bon"),
        ({"strategies": ("adaptive",), "cheap": ("best",)}, r"adaptive\.cheap.*best"),
        ({"strategies": ("cot",)}, "cot: needs a chain of thought"),
        ({"replicates": 5}, r"metrics\.replicates.*got 5"),
    ],
)
def test_changes_that_cannot_be_are_refused_before_anything_is_written(
    copy: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        again(copy, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_run_is_never_written_to(copy: Path, sweep: Path, tmp_path: Path) -> None:
    before = written(copy)
    for output in (copy, copy / "inside"):
        with pytest.raises(ConfigError, match="is not to be changed"):
            again(copy, output)
    other = tmp_path / "other"
    shutil.copytree(copy, other)
    with pytest.raises(FingerprintError, match="a run of its own"):
        again(copy, other)
    with pytest.raises(FingerprintError, match="holds another run"):
        again(copy, sweep, tau=(7.0,))
    assert written(copy) == before


def test_what_is_no_finished_run_is_refused(copy: Path, sweep: Path, tmp_path: Path) -> None:
    def refused(run: Path, words: str) -> None:
        with pytest.raises(RaypipeError, match=words):
            again(run, tmp_path / "out")

    refused(tmp_path / "nowhere", "is not a run: it holds no run.json")
    refused(sweep, "was made from .*; reaggregate that")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    record = record_of(copy)
    write_record_of(unfinished, {**record, "status": "running"})
    refused(unfinished, "is not finished")
    write_record_of(unfinished, record)
    refused(unfinished, "holds no generations")


def test_from_s3_beside_the_run_through_the_command_line(
    bucket: Location, copy: Path, sweep: Path, runs: Any
) -> None:
    run = bucket.child("runs", "one")
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        run.write(path.relative_to(copy).as_posix(), path.read_bytes())
    options = ["--tau", "0.5, 1", "--sub-beams", "1,3", "--replicates", "100"]
    done = subprocess.run(
        [sys.executable, "-m", "raypipe", "reaggregate", run.uri, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "48 utterances in = 48 predicted + 0 errors" in " ".join(done.stdout.split())
    record = record_of(sweep)
    output = bucket.child("runs", f"one-{record['run']}")
    local = runs.tables(sweep)
    assert output.list(".parquet") == sorted(local)
    for name, data in local.items():
        assert output.read(name) == data


def test_a_wrong_number_is_named(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "raypipe", "reaggregate", str(copy), "--tau", "1,two"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "--tau" in done.stderr
    assert "two" in done.stderr


def test_fitted_strategies_are_fitted_and_applied_on_ray(
    copy: Path, tmp_path: Path, runs: Any
) -> None:
    again(
        copy,
        tmp_path / "out",
        strategies=("token", "calibrate", "conformal"),
        scores=("token",),
        replicates=100,
    )
    fits = runs.rows(tmp_path / "out", "SELECT * FROM fits WHERE strategy = 'calibrate'")
    temperature = {
        speaker: dict(fit["parameters"])["temperature"]
        for fit in fits
        for speaker in fit["scored_speakers"]
    }
    assert all(fit["fitted_rows"] + fit["scored_rows"] == runs.utterances for fit in fits)
    sql = "SELECT strategy, utterance_id, speaker, probs, label_set FROM predictions"
    found = {
        (row["strategy"], row["utterance_id"]): row for row in runs.rows(tmp_path / "out", sql)
    }
    for (strategy, name), row in found.items():
        base = found["token", name]["probs"]
        if strategy == "calibrate":
            powers = [share ** (1 / temperature[row["speaker"]]) for share in base]
            expected = [power / sum(powers) for power in powers]
            assert row["probs"] == pytest.approx(expected, abs=1e-9)
        else:
            assert row["probs"] == base
            assert (row["label_set"] is not None) == (strategy == "conformal")


def test_what_cannot_be_fitted_is_told_as_it_is(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^calibrate: no utterance is of split dev"):
        again(copy, tmp_path / "out", strategies=("token", "calibrate"), fit_on=("split:dev",))
