"""The summary at the end of an ingest."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from in_process import LABELS, utterance
from rich.console import Console

from raypipe.corpora.manifest import NOTHING_AFTER
from raypipe.corpora.sources import open_source
from raypipe.records import Failure, Utterance, Vote
from raypipe.runtime.ingest.config import IngestConfig
from raypipe.runtime.ingest.plan import PreparedIngest
from raypipe.runtime.ingest.show import ingest_faults, show_ingest
from raypipe.shards import RowFailure, write_shards
from raypipe.store.location import Location
from raypipe.votes import VotePolicy


def shown(folder: Path, *rows: Utterance | Failure, policy: VotePolicy | None = None) -> str:
    place = Location.parse(str(folder))
    index = write_shards(rows, place, LABELS, policy=policy, source="test")
    log = io.StringIO()
    show_ingest(index, place, Console(file=log, width=200))
    return log.getvalue()


def test_counts_of_a_clean_ingest_and_where_it_lies(tmp_path: Path) -> None:
    text = shown(tmp_path, utterance("u0"), utterance("u1"))
    assert text.splitlines()[-1] == (
        f"2 utterances in 1 shards, 0 failures, 0 left out, in {tmp_path}"
    )
    assert "ingest_errors" not in text
    assert "ingest_excluded" not in text


def test_failures_are_shown_by_kind_with_the_place_of_all_of_them(tmp_path: Path) -> None:
    failures = [
        RowFailure("u7", "ingest", "truncated", "votes.csv line 7: the bytes end", 7),
        RowFailure("u8", "ingest", "truncated", "votes.csv line 8: the bytes end", 8),
        RowFailure("u9", "ingest", "missing_audio", "votes.csv line 9: no [red] file", 9),
    ]
    text = shown(tmp_path, utterance("u0"), *failures)
    assert "1 utterances in 1 shards, 3 failures, 0 left out" in text
    assert f"all failures: {tmp_path}/ingest_errors.parquet" in text
    for word in ("truncated", "missing_audio", "votes.csv line 7"):
        assert word in text
    assert "[red]" in text  # what stands in a corpus is no markup


def test_what_the_policy_leaves_out_is_no_failure(tmp_path: Path) -> None:
    votes = (Vote("a", ("anger",)), Vote("b", ("sadness",)))
    tie = replace(utterance("u1"), votes=votes, soft_label=None, plurality=None)
    text = shown(tmp_path, utterance("u0"), tie, policy=VotePolicy(clips="plurality"))
    assert f"left out: {tmp_path}/ingest_excluded.parquet" in text
    assert "1 utterances in 1 shards, 0 failures, 1 left out" in text


def faults(folder: Path, *rows: Utterance | Failure, columns: str = "id,audio,mood") -> list[str]:
    place = Location.parse(str(folder / "shards"))
    (folder / "m.csv").write_text(f"{columns}\n")
    index = write_shards(rows, place, LABELS, source="test")
    config = IngestConfig(
        corpus="manifest",
        source=str(folder / "m.csv"),
        output=place.uri,
        label_set="crema-d-6",
    )
    source = open_source("manifest")
    prepared = PreparedIngest(config, source, place, LABELS, VotePolicy(), {})
    return ingest_faults(index, place, prepared)


def test_a_corpus_with_a_label_has_no_fault(tmp_path: Path) -> None:
    bare = replace(utterance("u1"), votes=(), soft_label=None, plurality=None)
    assert faults(tmp_path, bare, utterance("u0")) == []


def test_a_corpus_without_a_label_names_the_columns_that_were_not_used(tmp_path: Path) -> None:
    bare = replace(utterance("u1"), votes=(), soft_label=None, plurality=None)
    [fault] = faults(tmp_path, bare, columns="id,audio,mood\n1,a.wav,x")
    assert fault.startswith("no utterance has a vote or a soft label")
    assert "columns not used: 'mood'" in fault


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("bad_gzip", "m.jsonl.gz line 9: the gzip file is torn from here on: no end"),
        ("bad_tar", "clips.tar sample 9: the tar file is torn from here on: no end"),
        ("too_large", f"m.jsonl line 9: more than 16,000,000 characters; {NOTHING_AFTER}"),
    ],
)
def test_a_corpus_that_could_not_be_read_to_its_end_is_no_whole_one(
    tmp_path: Path, code: str, message: str
) -> None:
    torn = RowFailure(None, "ingest", code, message, 9)
    other = RowFailure("u7", "ingest", "too_large", "line 7: 17,000,000 bytes", 7)
    found = faults(tmp_path, utterance("u0"), other, torn)
    assert found == [f"the corpus is not whole: {message}"]


def test_an_empty_corpus_says_so(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, RowFailure("u7", "ingest", "truncated", "line 7", 7))
    assert fault.startswith("the corpus is empty: none of 1 inputs")
