"""The check that answers do not depend on the batch, on an engine whose answers are known."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess, utterance
from rich.console import Console

from raypipe.engines.agreement import AnswerAgreement
from raypipe.errors import ConfigError
from raypipe.records import Failure, Generation
from raypipe.runtime.infer import selfcheck as module
from raypipe.runtime.infer.selfcheck import SelfCheck, selfcheck, selfcheck_table

AGREES = AnswerAgreement(4, 0, 0, 0, 0, 8, 0, 0.0, 0.0, 0.0)


@pytest.fixture
def three_shards(fake_engine: None, tmp_path: Path) -> InProcess:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(7)), rows_per_shard=3)
    return runs


def noting(monkeypatch: pytest.MonkeyPatch, change: Any = None) -> list[list[str]]:
    """Ids of every call of the engine; its answers may be changed by their place and batch."""
    calls: list[list[str]] = []
    make = module.make_engine

    class Noting:
        def __init__(self, *arguments: Any) -> None:
            self._engine = make(*arguments)

        def generate(self, inputs: Sequence[Any], search: Any) -> list[Generation | Failure]:
            calls.append([item.utterance_id for item in inputs])
            replies = self._engine.generate(inputs, search)
            return replies if change is None else change(replies)

    monkeypatch.setattr(module, "make_engine", Noting)
    return calls


def test_an_engine_that_ignores_its_neighbours_passes(three_shards: InProcess) -> None:
    check = selfcheck(three_shards.config(resources={"batch_size": 2}), 5)
    assert check.passed
    assert check.agreement.agrees
    assert check.agreement.utterances == 5
    assert check.agreement.hypotheses == 5 * 4  # greedy and three beams
    assert (check.dtype, check.batch_size) == ("float32", 2)
    assert check.agreement.score_difference == check.agreement.logit_difference == 0.0


def test_every_utterance_is_asked_alone_and_then_all_together(
    three_shards: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = noting(monkeypatch)
    selfcheck(three_shards.config(), 5)
    names = ["u0", "u1", "u3", "u4", "u6"]  # the first rows of each of the three shards
    assert calls == [[name] for name in names] + [names]


@pytest.mark.usefixtures("fake_engine")
def test_a_small_sample_is_spread_over_the_whole_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(6)), rows_per_shard=1)
    calls = noting(monkeypatch)
    selfcheck(runs.config(), 3)
    assert calls[-1] == ["u0", "u2", "u4"]


def test_the_sample_is_twice_the_batch_unless_it_is_said(three_shards: InProcess) -> None:
    check = selfcheck(three_shards.config(resources={"batch_size": 2}))
    assert check.agreement.utterances == 4
    check = selfcheck(three_shards.config(resources={"batch_size": 50}))
    assert check.agreement.utterances == 7  # all there are
    assert check.batch_size == 7


def test_neither_tables_nor_folders_are_written(three_shards: InProcess) -> None:
    selfcheck(three_shards.config(), 2)
    assert not Path(three_shards.tables.uri).exists()


@pytest.mark.parametrize(("dtype", "passes"), [("float32", False), ("bfloat16", True)])
def test_an_engine_that_minds_its_neighbours_fails_in_full_precision_only(
    three_shards: InProcess, monkeypatch: pytest.MonkeyPatch, dtype: str, passes: bool
) -> None:
    def other(replies: list[Any]) -> list[Any]:
        if len(replies) > 1:
            first, *rest = replies[1].hypotheses
            changed = replace(first, text="other", token_ids=(9, 9, 9))
            replies[1] = replace(replies[1], hypotheses=(changed, *rest))
        return replies

    noting(monkeypatch, other)
    model = {"engine": "fake", "path": "none", "dtype": dtype}
    check = selfcheck(three_shards.config(model=model), 4)
    assert not check.agreement.agrees
    assert (check.agreement.changed, check.agreement.changed_first) == (1, 1)
    assert check.agreement.changed_hypotheses == 1
    assert check.passed is passes


def test_an_utterance_that_fails_in_company_only_is_no_agreement(
    three_shards: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crowded(replies: list[Any]) -> list[Any]:
        if len(replies) > 1:
            replies[0] = Failure(replies[0].utterance_id, "engine", "out_of_memory", "no room")
        return replies

    noting(monkeypatch, crowded)
    check = selfcheck(three_shards.config(), 3)
    assert check.agreement.failed_once == 1
    assert not check.passed


def test_a_failure_of_the_same_kind_alone_and_together_agrees(three_shards: InProcess) -> None:
    options = {"fail": ["greedy"], "fail_ids": ["u1"]}
    model = {"engine": "fake", "path": "none", "options": options}
    check = selfcheck(three_shards.config(model=model), 5)
    assert (check.agreement.failed, check.agreement.failed_once) == (1, 0)
    assert check.passed


def test_a_corpus_that_cannot_be_heard_is_named(three_shards: InProcess) -> None:
    config = three_shards.config(audio={"max_duration_s": 0.2})
    with pytest.raises(ConfigError, match="none of the first 3 rows can be heard"):
        selfcheck(config, 3)


def test_unreadable_shards_leave_their_share_to_the_next(three_shards: InProcess) -> None:
    (three_shards.shards / "shard-000000.parquet").write_bytes(b"damaged")
    check = selfcheck(three_shards.config(), 3)
    assert check.agreement.utterances == 3


def test_only_the_first_of_several_models_is_checked(
    three_shards: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raypipe.config import parse_config

    document = three_shards.document()
    del document["model"]
    models = [{"engine": "fake", "path": "none", "name": name} for name in ("x", "y")]
    calls = noting(monkeypatch)
    selfcheck(parse_config({**document, "models": models}), 2)
    assert len(calls) == 3


def test_the_table_names_what_was_compared() -> None:
    check = SelfCheck("bfloat16", 16, replace(AGREES, changed=1, score_difference=None))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(selfcheck_table(check))
    text = console.export_text()
    assert "4 utterances, bfloat16" in text
    assert "batch size 1 against 16" in text
    assert "1 (25.0%)" in text
    assert "not given" in text
