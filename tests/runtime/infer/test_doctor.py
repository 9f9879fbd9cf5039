"""What a run will do, and why it would not begin, told from small files."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkups import corpus_of_seven, model_of, told
from in_process import InProcess
from label_files import shares_of, write_table

from raypipe.errors import ConfigError
from raypipe.runtime.infer.devices import Devices
from raypipe.runtime.infer.doctor import taken
from raypipe.runtime.infer.plan import make_plan
from raypipe.shards import ShardEntry, ShardIndex


@pytest.fixture
def corpus(fake_engine: None, tmp_path: Path) -> InProcess:
    return corpus_of_seven(tmp_path)


def test_the_corpus_is_counted_and_its_clips_held_against_the_model_s_limit(
    corpus: InProcess,
) -> None:
    checked = told(corpus)
    assert checked.corpus is not None
    assert (checked.corpus.shards, checked.corpus.utterances) == (3, 7)
    assert checked.corpus.seconds == pytest.approx(28.0)
    assert checked.corpus.longest_s == 9.0
    clips = model_of(checked).clips
    assert (clips.limit_s, clips.too_long, clips.cut, clips.unknown) == (8.0, 2, 0, 0)


def test_strategies_say_what_they_read_and_what_that_needs(corpus: InProcess) -> None:
    strategies = ["greedy", "token", "w_bon", "adaptive"]
    checked = told(corpus, strategies=strategies)
    facts = {each.name: (each.asks, each.needs) for each in checked.strategies}
    assert facts["greedy"] == (("greedy",), ())
    assert facts["token"] == (("greedy",), ("raw logits of emotion tokens",))
    assert facts["w_bon"] == (("beams",), ("several hypotheses",))
    assert facts["adaptive"] == (("greedy", "beams"), ("several hypotheses",))
    (call,) = model_of(checked).calls
    assert call.asked == "greedy and 3 beams, up to 96 tokens"


def test_a_wrong_path_is_told_beside_the_corpus(corpus: InProcess) -> None:
    checked = told(corpus, model={"path": "/nowhere/at/all"})
    assert checked.faults == ("model /nowhere/at/all: no such folder: / has no nowhere",)
    assert checked.corpus is not None
    assert checked.corpus.utterances == 7
    assert checked.models == ()


def test_an_output_that_a_run_refuses_is_told(
    corpus: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = corpus.folder / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    uploaded.mkdir(parents=True)
    monkeypatch.chdir(uploaded)
    [fault] = told(corpus, output="runs/mine").faults
    assert fault.startswith("output 'runs/mine' lies in Ray's copy of the submitted folder")
    with pytest.raises(ConfigError, match="lies in Ray's copy"):
        make_plan(corpus.config(output="runs/mine"))


def test_shards_that_are_not_there_are_told(corpus: InProcess) -> None:
    checked = told(corpus, input={"shards": str(corpus.folder / "none")})
    (fault,) = checked.faults
    assert "holds no shards.json and no shards" in fault
    assert checked.corpus is None


def test_a_model_that_does_not_fit_is_shown_all_the_same(corpus: InProcess) -> None:
    auto = {"gpus_per_actor": "auto", "batch_size": "auto"}
    checked = told(corpus, Devices(1, "small card", 16 << 20), resources=auto)
    (fault,) = checked.faults
    assert "small card" in fault
    assert checked.devices == Devices(1, "small card", 16 << 20)
    assert checked.models[0].memory is not None


def test_an_output_that_holds_another_run_is_a_fault(corpus: InProcess) -> None:
    fake = {"engine": "fake", "path": "none", "name": "fake"}
    corpus.finished(strategies=["greedy"])
    same = told(corpus, model=fake, strategies=["greedy"])
    assert same.faults == ()
    assert same.output.endswith(", continued")
    (fault,) = told(corpus, model=fake, strategies=["greedy", "bon"]).faults
    assert corpus.tables.uri in fault


def test_a_label_table_of_another_corpus_is_a_fault(corpus: InProcess) -> None:
    other = write_table(corpus.folder / "other.parquet", {"x": shares_of(fear=1.0)})
    (fault,) = told(corpus, labels=[{"table": other}]).faults
    assert "names none of the 7 utterances" in fault


def test_nothing_is_written(corpus: InProcess) -> None:
    told(corpus)
    assert not Path(corpus.tables.uri).exists()


def test_a_limit_takes_the_first_rows_of_the_first_shards() -> None:
    entries = tuple(ShardEntry(name=f"{rows}", rows=rows) for rows in (3, 0, 3, 1))
    index = ShardIndex(dataset="", labels=("a", "b"), shards=entries, rows=7, fingerprint="")
    assert [take for _, take in taken(index, None)] == [3, 3, 1]
    assert [take for _, take in taken(index, 4)] == [3, 1]
    assert [take for _, take in taken(index, 3)] == [3]
