"""What an inspection counts, worked out by hand; what it never touches."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_corpus import BARE, LABELS, Write, utterance

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.metrics.bins import equal_count, equal_width
from raypipe.metrics.distribution import entropy_bits
from raypipe.records import AudioMarks, Failure, Utterance, Vote
from raypipe.reporting.corpus.findings import Signals
from raypipe.reporting.corpus.inspect import inspect_shards
from raypipe.reporting.corpus.words import alerts
from raypipe.store.location import Location
from raypipe.votes import VotePolicy


def small() -> list[Utterance | Failure]:
    return [
        utterance("1", "anger", "anger", "joy", speaker="s1", split="train", duration_s=1.0),
        utterance("2", "calm", "joy", speaker="s1", split="train", duration_s=2.0),
        Failure("x", "ingest", "missing_audio", "x.wav is not there"),
        utterance("3", "joy", "joy", "joy", "bored", speaker="s2", split="test", duration_s=4.5),
        utterance("4", speaker=None, split=None, duration_s=0.0),
        Failure(None, "ingest", "bad_csv", "line 7"),
        Failure("y", "ingest", "missing_audio", "y.wav is not there"),
    ]


def test_it_counts_what_is_there(write: Write, shards: Location) -> None:
    index = write(small())
    found = inspect_shards(shards)
    assert (found.dataset, found.origin, found.fingerprint) == (
        "talks",
        "a test",
        index.fingerprint,
    )
    assert (found.utterances, found.shards) == (4, 2)
    assert found.bytes == sum(entry.bytes or 0 for entry in index.shards)
    assert (found.splits, found.datasets) == ({"train": 2, "test": 1}, {"talks": 4})
    assert (found.sampling_rates, found.durations.total_s) == ({16_000: 4}, 7.5)
    assert (found.durations.zero, found.speakers.distinct, found.speakers.unknown) == (1, 2, 1)
    assert found.durations.spread is not None
    assert (found.durations.spread.n, found.durations.spread.median) == (3, 2.0)
    assert sum(one.utterances for one in found.durations.histogram) == 3
    assert found.failed.inputs == 3
    reasons = [(one.reason, one.inputs, one.example) for one in found.failed.reasons]
    assert reasons == [("missing_audio", 2, "x.wav is not there"), ("bad_csv", 1, "line 7")]
    assert found.problems == ()


def test_it_counts_votes(write: Write, shards: Location) -> None:
    write(small())
    found = inspect_shards(shards)
    by_label = {one.label: one for one in found.labels}
    assert [one.votes for one in found.labels] == [2.0, 5.0, 1.0]
    assert by_label["joy"].vote_share == pytest.approx(5 / 8)
    assert by_label["joy"].soft_mass == pytest.approx(1 / 3 + 1 / 2 + 1)
    assert by_label["joy"].mean_share == pytest.approx((1 / 3 + 1 / 2 + 1) / 3)
    assert [one.plurality for one in found.labels] == [1, 1, 0]
    assert [one.majority for one in found.labels] == [1, 1, 0]
    heard = found.votes
    assert (heard.counted, heard.per_utterance) == (8.0, {0: 1, 2: 1, 3: 2})
    assert (heard.outside, heard.labelled, heard.unlabelled) == ({"bored": 1}, 3, 1)
    assert (heard.unanimous, heard.majority, heard.ties) == (1, 2, {2: 1})
    assert (heard.no_reference, heard.not_from_votes) == (1, 0)
    assert (found.annotators.distinct, found.annotators.numbered) == (4, False)
    assert found.annotators.per_utterance == {0: 1, 2: 1, 3: 1, 4: 1}
    entropy = [0.0, math.log2(3) - 2 / 3, 1.0]
    assert found.entropy.spread is not None
    assert found.entropy.spread.mean == pytest.approx(sum(entropy) / 3)
    assert found.entropy.mean_nats == pytest.approx(sum(entropy) / 3 * math.log(2))
    assert [one.utterances for one in found.entropy.steps] == [1, 0, 2, 0]
    assert [one.utterances for one in found.entropy.equal_width] == [1, 0, 1, 1, 0]
    assert (found.agreement.utterances, found.agreement.ratings) == (3, 8)
    assert (found.agreement.fewest, found.agreement.most) == (2, 3)


def test_the_bins_are_those_of_the_metrics(write: Write, shards: Location) -> None:
    rows = [
        utterance(f"u{n}", *["anger"] * (n % 4 + 1), *["joy"] * (n % 3), *["calm"] * (n % 5))
        for n in range(60)
    ]
    write(rows, rows_per_shard=25)
    found = inspect_shards(shards).entropy
    tables = [
        pq.read_table(path).to_pylist() for path in sorted(Path(shards.uri).glob("sh*.parq*"))
    ]
    kept = [row for table in tables for row in table]
    entropy = entropy_bits(np.array([row["soft_label"] for row in kept]))
    wide = np.bincount(equal_width(entropy, 3), minlength=5)
    assert [one.utterances for one in found.equal_width] == wide.tolist()
    even = equal_count(entropy, [row["utterance_id"] for row in kept])
    for number, one in enumerate(found.equal_count):
        inside = entropy[even == number]
        assert one.utterances == inside.size
        assert (one.low, one.high) == pytest.approx((inside.min(), inside.max()))


def test_every_choice_of_the_policy_is_followed(write: Write, tmp_path: Path) -> None:
    row = replace(
        BARE,
        votes=(
            Vote("a", ("Fury ", "joy")),
            Vote("b", ("annoyed",)),
            Vote("self:c", ("calm",)),
        ),
    )
    counts = {}
    for name, policy in {
        "aliases": VotePolicy(),
        "words": VotePolicy(aliases=False),
        "merged": VotePolicy(aliases=False, merges={"fury": "anger"}),
        "secondary": VotePolicy(rule="primary+secondary"),
        "split": VotePolicy(rule="split", merges={"fury": "anger"}),
        "self": VotePolicy(self_reports=True),
    }.items():
        place = Location.parse(str(tmp_path / name))
        write([row], policy, place=place)
        found = inspect_shards(place)
        counts[name] = [one.votes for one in found.labels]
        assert found.policy == policy
        assert found.votes.not_from_votes == 0
        assert found.self_reports.counted is policy.self_reports
        assert (found.self_reports.votes, found.self_reports.labels) == (1, {"calm": 1})
    assert counts == {
        "aliases": [1, 0, 0],
        "words": [0, 0, 0],
        "merged": [1, 0, 0],
        "secondary": [1, 1, 0],
        "split": [1.5, 0.5, 0],
        "self": [1, 0, 1],
    }


def test_what_a_policy_leaves_out_is_told_with_its_reason(write: Write, shards: Location) -> None:
    index = write(small(), VotePolicy(clips="majority"))
    found = inspect_shards(shards)
    assert (found.utterances, found.excluded.inputs) == (2, index.excluded) == (2, 2)
    assert {one.reason: one.inputs for one in found.excluded.reasons} == {
        "no_majority": 1,
        "no_vote": 1,
    }


def test_outside_votes_that_count_as_other_are_inside(write: Write, shards: Location) -> None:
    labels = LabelSet((*LABELS.names, "other"))
    write(small(), VotePolicy(outside="other"), labels)
    found = inspect_shards(shards)
    assert [one.votes for one in found.labels] == [2, 5, 1, 1]
    assert found.votes.outside == {}


def test_typed_texts_attributes_and_consensus(write: Write, shards: Location) -> None:
    first = replace(
        BARE,
        utterance_id="1",
        votes=(
            Vote("a", ("joy",), " Fed  UP\t", arousal=3.0, valence=1.0),
            Vote("b", ("joy",), "fed up", arousal=5.0),
            Vote("c", (), "curious", arousal=4.0),
            Vote("self:d", (), None, arousal=99.0),
        ),
        consensus="joy",
        arousal=4.0,
    )
    second = replace(BARE, utterance_id="2", consensus="no_agreement", arousal=math.nan)
    write([first, second])
    found = inspect_shards(shards)
    assert found.typed.most_frequent == {"fed up": 2, "curious": 1}
    assert (found.typed.votes, found.typed.utterances, found.typed.distinct) == (3, 1, 2)
    assert set(found.attributes) == {"arousal", "valence"}
    ratings = found.attributes["arousal"].ratings
    assert ratings is not None
    assert (ratings.n, ratings.mean, ratings.std, ratings.maximum) == (3, 4.0, 1.0, 5.0)
    assert found.attributes["arousal"].utterances is not None
    assert found.attributes["arousal"].utterances.n == 1
    assert found.attributes["valence"].utterances is None
    assert found.votes.consensus == {"joy": 1, "no_agreement": 1}


def test_a_soft_label_that_came_along_is_told_from_one_that_was_counted(
    write: Write, shards: Location
) -> None:
    write(
        [
            utterance("same", "joy", "calm", soft_label=(0.0, 0.5, 0.5)),
            utterance("other", "joy", "calm", soft_label=(0.0, 0.75, 0.25)),
            utterance("alone", soft_label=(1.0, 0.0, 0.0)),
        ]
    )
    found = inspect_shards(shards)
    assert (found.votes.not_from_votes, found.votes.labelled) == (2, 3)
    assert [one.soft_mass for one in found.labels] == [1.0, 1.25, 0.75]
    assert [one.votes for one in found.labels] == [0, 2, 2]


def test_annotators_that_are_only_numbered_are_not_counted_as_people(
    write: Write, shards: Location
) -> None:
    numbered = (Vote("1", ("joy",)), Vote("2", ("joy",)))
    write([replace(BARE, utterance_id=name, votes=numbered) for name in "ab"])
    found = inspect_shards(shards).annotators
    assert (found.numbered, found.distinct, found.votes) == (True, None, None)
    assert found.per_utterance == {2: 2}


def test_slices_add_up_to_the_whole(write: Write, shards: Location) -> None:
    write(small())
    found = inspect_shards(shards, slice_by="speaker")
    assert [(one.name, one.utterances) for one in found.slices] == [("s1", 2), (None, 1), ("s2", 1)]
    assert sum(one.duration_s for one in found.slices) == found.durations.total_s
    assert sum(one.votes for one in found.slices) == found.votes.counted
    assert sum(one.ties for one in found.slices) == 1
    first = found.slices[0]
    assert (first.majority, first.plurality) == (1, {"anger": 1, "joy": 0, "calm": 0})
    assert [one.name for one in inspect_shards(shards, slice_by="split").slices] == [
        "train",
        None,
        "test",
    ]


def test_it_reads_the_same_wherever_the_shards_lie(write: Write, place: Location) -> None:
    write(small(), place=place)
    found = inspect_shards(place, slice_by="dataset")
    assert (found.location, found.utterances, found.votes.counted) == (place.uri, 4, 8)
    assert [one.name for one in found.slices] == ["talks"]


def test_the_audio_is_never_read(write: Write, shards: Location) -> None:
    write(small())
    before = inspect_shards(shards)
    for path in Path(shards.uri).glob("shard-*.parquet"):
        metadata = pq.read_metadata(path).row_group(0)
        [audio] = [
            metadata.column(at)
            for at in range(metadata.num_columns)
            if metadata.column(at).path_in_schema == "audio"
        ]
        damaged = bytearray(path.read_bytes())
        start = audio.data_page_offset
        damaged[start : start + audio.total_compressed_size] = bytes(audio.total_compressed_size)
        path.write_bytes(damaged)
    assert inspect_shards(shards) == before


def test_a_shard_that_cannot_be_read_costs_only_itself(write: Write, shards: Location) -> None:
    write(small() + [utterance(f"m{n}", "joy") for n in range(6)], rows_per_shard=2)
    folder = Path(shards.uri)
    (folder / "shard-000000.parquet").unlink()
    (folder / "shard-000001.parquet").write_bytes(b"PAR1 and no more")
    found = inspect_shards(shards)
    assert found.utterances == 6
    missing, torn = found.problems
    assert missing.startswith("shard-000000.parquet (2 utterances): the object is missing")
    assert torn.startswith("shard-000001.parquet (2 utterances): cannot be read")


def test_a_plain_folder_of_shards_is_inspected_too(write: Write, shards: Location) -> None:
    write(small())
    (Path(shards.uri) / "shards.json").unlink()
    found = inspect_shards(shards)
    assert (found.utterances, found.policy, found.bytes) == (4, None, None)
    assert (found.failed.inputs, found.excluded.inputs) == (0, 0)
    assert found.votes.counted == 8


def test_a_row_with_an_impossible_soft_label_is_named(write: Write, shards: Location) -> None:
    write([utterance("a", "joy"), utterance("b", "joy")])
    path = Path(shards.uri) / "shard-000000.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("soft_label")
    pq.write_table(
        table.set_column(at, table.field(at), [[[0.0, 1.0, 0.0], [0.2, 0.2, 0.2]]]), path
    )
    found = inspect_shards(shards)
    assert found.utterances == 1
    [problem] = found.problems
    assert problem.startswith("shard-000000.parquet row 1: soft_label")
    assert "0.6, not 1" in problem


def test_a_lost_table_of_failures_is_a_problem(write: Write, shards: Location) -> None:
    write(small())
    (Path(shards.uri) / "ingest_errors.parquet").unlink()
    found = inspect_shards(shards)
    assert (found.failed.inputs, found.failed.reasons) == (3, ())
    assert "ingest_errors.parquet" in found.problems[0]


def test_a_corpus_of_one_silent_utterance_has_undefined_figures_not_zeros(
    write: Write, shards: Location
) -> None:
    write([replace(BARE, duration_s=0.0)])
    found = inspect_shards(shards)
    assert (found.utterances, found.durations.zero, found.durations.spread) == (1, 1, None)
    assert found.entropy.spread is None
    assert found.labels[0].vote_share is None
    assert found.agreement.krippendorff_alpha is None
    assert found.agreement.undefined == "no utterance has two ratings or more"
    json.loads(json.dumps(found.model_dump(mode="json"), allow_nan=False))


def test_a_crowd_of_a_thousand(write: Write, shards: Location) -> None:
    write(
        [
            replace(
                BARE,
                utterance_id=f"u{n}",
                votes=tuple(Vote(f"w{w}", (LABELS.names[(n * w) % 3],)) for w in range(n, 1000)),
            )
            for n in range(4)
        ]
    )
    found = inspect_shards(shards)
    assert found.annotators.distinct == 1000
    assert found.annotators.per_utterance == {997: 1, 998: 1, 999: 1, 1000: 1}
    assert found.votes.counted == 997 + 998 + 999 + 1000


def test_where_nothing_is_nothing_is_inspected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no shards"):
        inspect_shards(Location.parse(str(tmp_path)))


def test_signals_that_are_no_speech_are_counted_and_warned_of(
    write: Write, shards: Location
) -> None:
    good = AudioMarks(peak=0.5, rms=0.1, clipped_share=0.0, silent=False)
    marked = {
        "1": good,
        "2": replace(good, peak=0.0, rms=0.0, silent=True),
        "3": replace(good, silent=True, channel_correlation=-1.0),
        "4": replace(good, peak=9829.0, clipped_share=0.99),
        "5": replace(good, note="the header declares 0 bytes", channel_correlation=-1.0),
    }
    rows = [replace(utterance(name, "joy"), audio_marks=marks) for name, marks in marked.items()]
    write([*rows, utterance("6", "joy")])
    found = inspect_shards(shards)
    assert found.signals == Signals(
        measured=5, silent=2, antiphase=1, out_of_range=1, clipped=1, mended=1
    )
    warned = "\n".join(alerts(found))
    for words in (
        "2 of 6 utterances are silent, 1 because their channels cancel each other out",
        "1 of 6 utterances reach more than 10 times full scale",
        "1 of 6 utterances are clipped",
        "1 of 6 utterances had a header with a wrong size",
    ):
        assert words in warned


def test_good_signals_and_unmeasured_ones_are_no_warning(write: Write, shards: Location) -> None:
    good = AudioMarks(peak=0.5, rms=0.1, clipped_share=0.001, silent=False)
    write([replace(utterance("1", "joy"), audio_marks=good), utterance("2", "joy")])
    found = inspect_shards(shards)
    assert found.signals.measured == 1
    assert not [alert for alert in alerts(found) if "silent" in alert or "clipped" in alert]
