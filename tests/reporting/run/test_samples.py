"""Utterances on the report: chosen by rules that Python repeats, heard, and bounded."""

from __future__ import annotations

import base64
import dataclasses
import re
import shutil
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from in_process import InProcess
from viewed_runs import HOSTILE_ID, SECONDS, STRATEGIES, RunsBesideEachOther, clips, finish

from raypipe.reporting.names import strategy_rank
from raypipe.reporting.run import samples as module
from raypipe.reporting.run.choosing import PER_RULE, Candidates, ChosenUtterance, candidates
from raypipe.reporting.run.page import html_report
from raypipe.reporting.run.samples import Samples, gather_samples
from raypipe.reporting.run.scores import Approach
from raypipe.reporting.view.tables import RunTables, shards_place
from raypipe.store.location import Location
from raypipe.store.objects import read_object

GREEDY = Approach("tiny-alm", "distribution", "greedy")
FAKE = Approach("fake", "distribution", "greedy")


# --- choosing -----------------------------------------------------------------------------------


def repeated(table: pa.Table, typical_js: float) -> list[tuple[str, str]]:
    """The rules once more, in Python."""
    rows = [row for row in table.to_pylist() if row["strategy"] == "greedy"]
    scored = [row for row in rows if row["valid"]]
    gaps: dict[str, list[float]] = {}
    for row in table.to_pylist():
        if row["valid"]:
            gaps.setdefault(row["utterance_id"], []).append(row["js"])
    rules: dict[str, list[tuple[float, str]]] = {
        "lowest JS": [(r["js"], r["utterance_id"]) for r in scored],
        "nearest to the median JS": [
            (abs(r["js"] - typical_js), r["utterance_id"]) for r in scored
        ],
        "highest JS": [(-r["js"], r["utterance_id"]) for r in scored],
        "most ambiguous votes": [(-r["true_entropy"], r["utterance_id"]) for r in scored],
        "strategies furthest apart in JS": [
            (min(values) - max(values), key) for key, values in gaps.items()
        ],
        "invalid answers": [(0.0, r["utterance_id"]) for r in rows if not r["valid"]],
    }
    chosen: dict[str, str] = {}
    for rule, ranked in rules.items():
        fresh = [key for _, key in sorted(ranked) if key not in chosen][:PER_RULE]
        chosen |= dict.fromkeys(fresh, rule)
    return list(chosen.items())


def of_shard(table: pa.Table, shard: str = "shard-0") -> pa.Table:
    return table.append_column("shard", pa.repeat(pa.scalar(shard), table.num_rows))


def test_the_rules_choose_what_they_say(made_up_run: Any) -> None:
    chosen = candidates(of_shard(made_up_run.predictions), GREEDY, 0.1).chosen
    found = [(each.utterance_id, each.rule) for each in chosen]
    assert found == repeated(made_up_run.predictions, 0.1)
    assert len(found) == 6 * PER_RULE


def test_the_order_of_the_rows_decides_nothing(made_up_run: Any) -> None:
    table = made_up_run.predictions
    shuffled = table.take(np.random.default_rng(3).permutation(table.num_rows))
    whole = candidates(of_shard(table), GREEDY, 0.1)
    assert candidates(of_shard(shuffled), GREEDY, 0.1) == whole


def test_shards_by_themselves_have_the_candidates_of_all(made_up_run: Any) -> None:
    table = made_up_run.predictions
    names = sorted(set(table["utterance_id"].to_pylist()))
    parts = []
    for at in range(3):
        own = pc.is_in(table["utterance_id"], value_set=pa.array(names[at::3]))
        parts.append(of_shard(table.filter(own), f"shard-{at}"))
    apart = reduce(Candidates.merge, (candidates(part, GREEDY, 0.1) for part in parts))
    assert apart == candidates(pa.concat_tables(parts), GREEDY, 0.1)
    assert len({each.shard for each in apart.chosen}) == 3


def test_without_scores_only_invalid_answers_can_be_chosen(made_up_run: Any) -> None:
    table = made_up_run.predictions
    for name in ("js", "true_entropy"):
        nulls = pa.nulls(table.num_rows, pa.float64())
        table = table.set_column(table.column_names.index(name), name, nulls)
    rules = {each.rule for each in candidates(of_shard(table), GREEDY, None).chosen}
    assert rules == {"invalid answers"}


# --- gathering ----------------------------------------------------------------------------------


@pytest.fixture
def viewed(fake_engine: None, tmp_path: Path) -> tuple[InProcess, RunTables]:
    runs = RunsBesideEachOther(tmp_path)
    runs.write(*clips(), rows_per_shard=3)
    place = finish(runs, "first")
    return runs, RunTables.open(str(place), None)


def gathered(viewed: tuple[InProcess, RunTables], **changes: Any) -> Samples:
    run = dataclasses.replace(viewed[1], **changes)
    return gather_samples(run, run.labels, FAKE, chosen(run))


def chosen(run: RunTables) -> tuple[ChosenUtterance, ...]:
    """Of all that the run predicted; its shards have names by their order."""
    place = run.location.child("predictions", "model=fake", "prompt=distribution")
    parts = [of_shard(read_object(place, name), name) for name in place.list()]
    return candidates(pa.concat_tables(parts), FAKE, 0.2).chosen


def test_every_strategy_stands_beside_the_annotators(
    viewed: tuple[InProcess, RunTables],
) -> None:
    found = gathered(viewed)
    assert len(found.samples) == found.heard == 9
    assert found.missing == ""
    for sample in found.samples:
        in_order = sorted(STRATEGIES, key=strategy_rank)
        assert [row.name for row in sample.rows] == ["annotators", *in_order]
        assert [row.is_focus for row in sample.rows].index(True) == 1
        total = sum(bar.predicted or 0.0 for bar in sample.rows[0].bars)
        assert total == pytest.approx(100.0, abs=0.5)
    plain = next(sample for sample in found.samples if sample.utterance_id == "u3")
    assert plain.about == f"noise · s0 · {SECONDS} s"
    assert plain.votes == ("happiness 2", "neutral 1")
    hostile = next(sample for sample in found.samples if sample.utterance_id.startswith("u9"))
    assert hostile.votes == ("anger 1", "fear 1", "also anger 1")
    assert hostile.typed[0].startswith("<script>")


def test_recordings_are_those_of_the_shards(viewed: tuple[InProcess, RunTables]) -> None:
    stored: Mapping[str, bytes] = {row.utterance_id: row.audio for row in clips()}
    for sample in gathered(viewed).samples:
        head, _, data = sample.audio.partition(",")
        assert head == "data:audio/flac;base64"
        key = HOSTILE_ID if sample.utterance_id.startswith("u9") else sample.utterance_id
        assert base64.b64decode(data) == stored[key]


def test_a_page_holds_so_much_and_no_more(
    viewed: tuple[InProcess, RunTables], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(gathered(viewed).samples[0].audio)
    monkeypatch.setattr(module, "AUDIO_LIMIT", 3 * size + 10_000)
    found = gathered(viewed)
    assert sum(len(sample.audio) for sample in found.samples) <= 3 * size + 10_000
    assert found.heard + found.over_limit == 9
    assert found.over_limit >= 5
    left = [sample for sample in found.samples if not sample.audio]
    assert {sample.audio_note for sample in left} == {"left out: the page holds enough"}


def test_without_shards_all_but_the_sound_is_there(viewed: tuple[InProcess, RunTables]) -> None:
    runs, _ = viewed
    shutil.rmtree(runs.shards)
    found = gathered(viewed)
    assert (found.heard, len(found.samples)) == (0, 9)
    assert "is missing" in found.missing
    assert gathered(viewed, shards=None).missing == "the run does not say which shards it read"


def test_a_page_that_is_to_hold_no_recordings_reads_none(
    viewed: tuple[InProcess, RunTables],
) -> None:
    runs, run = viewed
    shutil.rmtree(runs.shards)
    found = gather_samples(run, run.labels, FAKE, chosen(run), with_audio=False)
    assert len(found.samples) == 9
    assert (found.heard, found.missing, found.over_limit) == (0, "", 0)


def test_a_small_page_of_many_strategies_says_how_many_are_hidden(
    viewed: tuple[InProcess, RunTables], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    for sample in gathered(viewed).samples:
        assert [row.name for row in sample.rows] == ["annotators", "greedy", "cot"]
        assert sample.hidden == len(STRATEGIES) - 2


def test_the_page_states_its_rules_and_escapes_everything(
    viewed: tuple[InProcess, RunTables], made_up_run: Any
) -> None:
    found = gathered(viewed)
    record, metrics, predictions, errors, labels = made_up_run
    page = html_report(record, metrics, predictions, errors, labels, samples=lambda *_: found)
    assert "Chosen by rule, not by hand, up to four each: lowest JS; nearest to the" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<audio controls") == 9
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page)
    silent = dataclasses.replace(
        found,
        samples=tuple(dataclasses.replace(each, audio="") for each in found.samples),
        heard=0,
        missing="the shard x is missing",
    )
    page = html_report(record, metrics, predictions, errors, labels, samples=lambda *_: silent)
    assert "The audio is not at hand: the shard x is missing." in page
    assert "<audio" not in page
    assert shards_place(record) is None


def test_the_same_run_gives_the_same_page(viewed: tuple[InProcess, RunTables]) -> None:
    assert gathered(viewed) == gathered(viewed)
    place = Location.parse(viewed[1].name)
    assert place.uri == viewed[1].location.uri
