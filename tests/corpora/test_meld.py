"""MELD: ids that restart per split, context within a dialogue, films that are no audio yet."""

from __future__ import annotations

import pytest
from corpus_folder import CorpusFolder

from raypipe.audio.media import can_read_media
from raypipe.errors import ConfigError, CorpusError
from raypipe.records import Vote

HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,"
    "StartTime,EndTime\r\n"
)


def row(text: str, speaker: str, emotion: str, dialogue: object, utterance: object) -> str:
    times = '"00:16:16,059","0:16:21,731"'
    return f'1,"{text}",{speaker},{emotion},neutral,{dialogue},{utterance},8,21,{times}\r\n'


def test_dialogues_are_read(folder: CorpusFolder) -> None:
    folder.file(
        "train_sent_emo.csv",
        HEADER
        + row("It\u2019s here, really.", "Ann", "neutral", 0, 0)
        + row("No!", "Bob", "surprise", 0, 1)
        + row("Yes.", "Ann", "joy", 0, 3)
        + row("Elsewhere.", "Cy", "anger", 1, 0),
    )
    folder.file("test_sent_emo.csv", HEADER + row("Other.", "Di", "fear", 0, 0))
    folder.clips("train_splits", "dia0_utt0", "dia0_utt1", "dia0_utt3", "dia1_utt0")
    folder.file("train_splits/dia0_utt0.mp4", b"left beside its audio")
    folder.clips("output_repeated_splits_test", "dia0_utt0", suffix=".flac")
    found = folder.read("meld")
    assert list(found) == [
        "train_dia0_utt0",
        "train_dia0_utt1",
        "train_dia0_utt3",
        "train_dia1_utt0",
        "test_dia0_utt0",
    ]
    third = found["train_dia0_utt3"]
    assert third.context == ("Ann: It\u2019s here, really.", "Bob: No!")
    assert third.votes == (Vote("majority of 3", ("happiness",)),)
    assert (third.speaker, third.split, third.transcript) == ("Ann", "train", "Yes.")
    assert found["train_dia1_utt0"].context == ()
    assert folder.read("meld", context_turns=1)["train_dia0_utt3"].context == ("Bob: No!",)


def test_each_fault_costs_one_clip_and_names_its_line(folder: CorpusFolder) -> None:
    folder.file(
        "dev_sent_emo.csv",
        HEADER.encode()
        + row("Good.", "Ann", "neutral", 0, 0).encode()
        + row("It\u2019s cp1252.", "Ann", "neutral", 0, 1).encode("cp1252")
        + row("Odd.", "Ann", "cheerful", 0, 2).encode()
        + row("No id.", "Ann", "neutral", "", 3).encode()
        + row("Film.", "Ann", "neutral", 0, 4).encode()
        + row("Absent.", "Ann", "neutral", 0, 5).encode()
        + row("Good.", "Ann", "neutral", 0, 6).encode(),
    )
    folder.clips("dev_splits_complete", "dia0_utt0", "dia0_utt6", "final_videos_testdia0_utt0")
    folder.file("dev_splits_complete/dia0_utt4.mp4", b"\0\0\0\x18ftypmp42")
    found, failures = folder.read_all("meld")
    assert list(found) == ["dev_dia0_utt0", "dev_dia0_utt6"]
    assert [(f.utterance_id, f.error_type, getattr(f, "row", None)) for f in failures] == [
        ("dev_dia0_utt1", "not_unicode", 3),
        ("dev_dia0_utt2", "unknown_label", 4),
        (None, "missing_id", 5),
        ("dev_dia0_utt4", "corrupt" if can_read_media() else "video", 6),
        ("dev_dia0_utt5", "missing_audio", 7),
        ("dev_final_videos_testdia0_utt0", "no_votes", None),
    ]
    told = "Invalid data found" if can_read_media() else "ffmpeg -i dia0_utt4.mp4"
    assert told in failures[3].message


def test_a_folder_without_tables_is_refused(folder: CorpusFolder) -> None:
    folder.clips("train_splits", "dia0_utt0")
    with pytest.raises(CorpusError, match=r"train_sent_emo\.csv"):
        folder.read("meld")


def test_a_copy_in_another_encoding_can_be_read(folder: CorpusFolder) -> None:
    folder.file("dev_sent_emo.csv", HEADER + row("It\u2019s.", "Ann", "joy", 0, 0), "cp1252")
    folder.clips("dev", "dia0_utt0")
    assert folder.read("meld", encoding="cp1252")["dev_dia0_utt0"].transcript == "It\u2019s."


def test_a_nested_download_tells_a_stray_clip_once(folder: CorpusFolder) -> None:
    folder.file("train_sent_emo.csv", HEADER + row("Yes.", "Ann", "joy", 0, 0))
    folder.clips("train/train_splits", "dia0_utt0", "dia0_utt9")
    found, failures = folder.read_all("meld")
    assert list(found) == ["train_dia0_utt0"]
    assert [f.utterance_id for f in failures] == ["train_dia0_utt9"]
    with pytest.raises(ConfigError, match="option encoding"):
        folder.read("meld", encoding="klingon")
