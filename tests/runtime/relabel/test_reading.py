"""What is relabelled: references and descriptions of shards or of a label table, without audio."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_process import InProcess
from relabel_runs import document, typed

from raypipe.errors import ConfigError
from raypipe.relabel.item import Described
from raypipe.runtime.relabel.config import RelabelConfig
from raypipe.runtime.relabel.reading import FailedInput, RelabelInput, parts_of, read_input


def read(run: InProcess, **changes: object) -> RelabelInput:
    return read_input(RelabelConfig.model_validate(document(run, **changes)))


def test_shards_give_references_and_descriptions_in_order(empty: InProcess) -> None:
    empty.write(
        *(typed("u0", "calm"), typed("u1"), typed("u2", "only typed", soft=False)),
        *(typed("u3", "a", "b"), typed("u4", "c")),
        rows_per_shard=2,
    )
    corpus = read(empty)
    u0, u1, u2, u3, u4 = corpus.rows
    assert isinstance(u0, Described)
    assert isinstance(u1, Described)
    assert isinstance(u3, Described)
    assert isinstance(u4, Described)
    assert (u0.words, u1.words, u3.words) == (("calm",), (), ("a", "b"))
    assert (u0.dataset, u0.split, u0.speaker, u0.n_votes) == ("noise", "test", "s0", 3)
    assert isinstance(u2, FailedInput)
    assert (u2.failure.utterance_id, u2.failure.error_type) == ("u2", "no_reference")
    assert u2.failure.is_refusal
    assert (u2.shard, u2.row) == ("shard-000001.parquet", 0)
    assert len(read(empty, input={"shards": str(empty.shards), "limit": 3}).rows) == 3


def test_a_shard_that_cannot_be_read_stands_for_its_rows(empty: InProcess) -> None:
    empty.write(*(typed(f"u{number}", "calm") for number in range(4)), rows_per_shard=2)
    (empty.shards / "shard-000000.parquet").write_bytes(b"PAR1")
    first, *others = read(empty).rows
    assert isinstance(first, FailedInput)
    assert (first.row, first.utterances, first.failure.stage) == (None, 2, "read")
    assert [isinstance(row, Described) for row in others] == [True, True]


def test_a_corpus_without_descriptions_is_refused(in_process: InProcess) -> None:
    with pytest.raises(ConfigError, match="none of 6 utterances has a typed description"):
        read(in_process)


def test_parts_are_cut_between_requests(empty: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raypipe.runtime.relabel.reading.REQUESTS_PER_PART", 2)
    rows = [typed(f"u{at}", "calm") if at % 3 else typed(f"u{at}") for at in range(13)]
    empty.write(*rows)
    corpus = read(empty)
    parts = parts_of(corpus, 2)
    assert [part.name for part in parts] == [f"part-0000{number}.parquet" for number in range(2)]
    assert tuple(row for part in parts for row in part.rows) == corpus.rows
    items = [
        sum(isinstance(row, Described) and bool(row.words) for row in part.rows) for part in parts
    ]
    assert items == [4, 4]
    assert sum(part.utterances for part in parts) == 13


def made_up_table(rows: int) -> str:
    """A label table with a column of words, in the layout and with the quirks of published ones.

    No name above the clips, comma-joined words in quotes, a trailing tab, thirds of nine digits,
    votes for Other that have no column, clips that nobody labelled, an empty description.
    """
    shares = [
        "0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0",
        "0.333333333,0.333333333,0.0,0.0,0.0,0.333333333,0.0,0.0",
        "0.0,0.2,0.0,0.0,0.0,0.5,0.0,0.0",  # three of ten chose Other
        "0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0",  # all did
    ]
    words = ['"Concerned,Interest"', "Excited\t", "Slightly Angry", '""', '"calm, ,calm"']
    lines = [",angry,sad,disgust,contempt,fear,neutral,surprise,happy,words"]
    for row in range(rows):
        cells = shares[row % len(shares)], words[row % len(words)]
        lines.append(f"MSP-PODCAST_{row:04d}_0001.wav,{','.join(cells)}")
    return "\n".join(lines) + "\n"


def test_a_label_table_of_emo_superb_is_read_with_its_quirks(
    empty: InProcess, tmp_path: Path
) -> None:
    table = tmp_path / "input_train.csv"
    table.write_text(made_up_table(600))
    corpus = read(empty, input=None, table={"path": str(table), "labels": "msp-podcast-8"})
    assert len(corpus.rows) == 600
    failed = [row for row in corpus.rows if isinstance(row, FailedInput)]
    assert {row.failure.error_type for row in failed} == {"no_reference"}
    assert len(failed) == 150
    first, second, third, _, fifth = corpus.rows[:5]
    assert isinstance(first, Described)
    assert first.utterance_id == "MSP-PODCAST_0000_0001"
    assert first.words == ("Concerned", "Interest")
    assert dict(zip(corpus.labels.names, first.reference, strict=True))["neutral"] == 1.0
    assert isinstance(second, Described)
    assert second.words == ("Excited",)
    assert sorted(second.reference)[-3:] == pytest.approx([1 / 3] * 3)
    assert sum(second.reference) == pytest.approx(1, abs=1e-12)
    # Documented: what sums to .7 is normalised, and the sum kept.
    assert isinstance(third, Described)
    shares = dict(zip(corpus.labels.names, third.reference, strict=True))
    assert (shares["sadness"], shares["neutral"]) == pytest.approx((2 / 7, 5 / 7))
    assert third.reference_sum == pytest.approx(0.7)
    assert isinstance(fifth, Described)
    assert fifth.words == ("calm", "calm")
    silent = [row for row in corpus.rows if isinstance(row, Described) and not row.words]
    assert len(silent) == 90  # every fifth has no words, a quarter of them no reference either


def test_a_row_that_cannot_be_used_costs_only_itself(empty: InProcess, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    lines = made_up_table(3).splitlines()
    lines[2] = lines[2].replace("0.333333333", "x", 1)
    lines.append(lines[1])
    table.write_text("\n".join(lines))
    rows = read(empty, input=None, table={"path": str(table), "labels": "msp-podcast-8"}).rows
    told = [row.failure.message for row in rows if isinstance(row, FailedInput)]
    assert told == [
        "t.csv line 3: angry is no share: 'x'",
        "t.csv line 5: MSP-PODCAST_0000_0001 is also in line 2",
    ]
    assert sum(isinstance(row, Described) for row in rows) == 2
