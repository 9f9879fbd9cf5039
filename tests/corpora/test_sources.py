"""Everything that can be ingested goes by a name, its options and its way of counting votes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from corpus_folder import CLIP

from raypipe.corpora import CORPORA
from raypipe.corpora.pending import PendingClip
from raypipe.corpora.readers import READERS, ReadRequest
from raypipe.corpora.sources import CorpusSource, open_source, resolved
from raypipe.errors import ConfigError, CorpusError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))


@pytest.mark.parametrize("name", [*CORPORA, *READERS])
def test_every_name_opens(name: str) -> None:
    source = open_source(name)
    assert isinstance(source, CorpusSource) == (name in CORPORA)
    assert bool(source.licence) == bool(source.title) == (name in CORPORA)
    assert dict(source.options) == dict(open_source(name, source.options).options)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown corpus 'tess'; known: crema-d.*manifest"):
        open_source("tess")
    with pytest.raises(ConfigError, match=r"manifest: option root: .*options: dataset, other"):
        open_source("manifest", {"root": "x"})
    with pytest.raises(ConfigError, match="no selection 'all'"):
        open_source("manifest").selection("all")


def test_a_reader_passes_its_options_on(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(CLIP)
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(
        '{"id": "a", "audio": "a.wav", "votes": ["bored", "glad", "angry"]}\n'
        '{"id": "b", "audio": "b.wav"}\n{"id": "c", "audio": "a.wav", "votes": ["calm"]}\n'
    )
    options = {"audio_root": str(tmp_path / "clips"), "other_labels": "bored,", "dataset": "d"}
    source = open_source("manifest", {**options, "fixed_sentences": "true"})
    assert source.fixed_sentences
    policy = VotePolicy(merges={"glad": "happiness"})
    clip, missing, unknown = source.open(ReadRequest(str(manifest), None, LABELS, policy))
    assert isinstance(clip, PendingClip)
    assert (clip.size, clip.line, clip.utterance.dataset) == (len(CLIP), 1, "d")
    assert [vote.labels for vote in clip.utterance.votes] == [("bored",), ("glad",), ("angry",)]
    assert isinstance(missing, Failure)
    assert (missing.error_type, missing.utterance_id) == ("missing_audio", "b")
    assert missing.message.startswith("m.jsonl line 2: audio: ")
    assert isinstance(unknown, Failure)
    assert unknown.error_type == "unknown_label"


def test_a_part_of_a_long_recording_counts_for_its_part(tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_bytes(CLIP + bytes(10_000_000))
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"audio_filepath": "long.wav", "offset": 3.0, "duration": 0.5}\n')
    [clip] = open_source("nemo").open(ReadRequest(str(manifest), None, LABELS, VotePolicy()))
    assert isinstance(clip, PendingClip)
    assert clip.size == 96_000


def test_a_folder_without_files_of_the_kind_is_refused(tmp_path: Path) -> None:
    for name, ending in (("webdataset", ".tar"), ("parquet", ".parquet or .arrow")):
        with pytest.raises(CorpusError, match=f"there is no {ending} file in"):
            open_source(name).open(ReadRequest(str(tmp_path), None, LABELS, VotePolicy()))


def test_the_selection_s_way_of_counting_is_changed_where_asked() -> None:
    source = open_source("iemocap")
    chosen = source.selection("4-consensus")
    assert chosen is not None
    labels, policy = resolved(source, selected="4-consensus", labels=None, changes={})
    assert (labels, policy) == (chosen.labels, chosen.policy)
    labels, policy = resolved(
        source,
        selected="4-consensus",
        labels=None,
        changes={"rule": "split"},
        merges={"frustration": "anger"},
    )
    merges = {"excitement": "happiness", "frustration": "anger"}
    expected = {**chosen.policy.model_dump(), "rule": "split", "merges": merges}
    assert policy.model_dump() == expected


def test_labels_that_do_not_fit_are_refused() -> None:
    source = open_source("manifest")
    with pytest.raises(ConfigError, match="need a label set"):
        resolved(source, selected=None, labels=None, changes={})
    with pytest.raises(ConfigError, match="merged into 'joy', which is none of anger"):
        resolved(source, selected=None, labels=LABELS, changes={}, merges={"glad": "joy"})
    with pytest.raises(ConfigError, match="count as 'other', which is none"):
        resolved(source, selected=None, labels=LABELS, changes={"outside": "other"})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("manifset", {}, "unknown corpus 'manifset', did you mean 'manifest'?"),
        ("manifest", {"audioroot": "x"}, "unknown option, did you mean 'audio_root'?"),
        ("manifest", {"channel": "left"}, "channel: a channel is mix or a number, counted from 0"),
        ("manifest", {"channel": "-1"}, "channel: a channel is mix or a number, counted from 0"),
    ],
)
def test_a_mistyped_source_or_option_is_told_with_the_nearest_one(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        open_source(name, options)


def test_the_usual_channel_goes_without_saying_in_the_settings_of_an_ingest() -> None:
    assert "channel" not in open_source("manifest").options
    assert open_source("manifest", {"channel": "1"}).options["channel"] == 1
