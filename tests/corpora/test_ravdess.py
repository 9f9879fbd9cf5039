"""RAVDESS: the name says what the actor was asked for."""

from __future__ import annotations

from corpus_folder import CorpusFolder, clip

from raypipe.records import Vote

SPEECH, SONG = "03-01-06-01-02-01-12", "03-02-02-01-01-02-12"


def test_names_are_read(folder: CorpusFolder) -> None:
    folder.file(
        f"Audio_Speech_Actors_01-24/Actor_12/{SPEECH}.wav", clip(sampling_rate=48_000, channels=2)
    )
    folder.clips("Audio_Song_Actors_01-24/Actor_12", SONG)
    [found] = folder.read("ravdess").values()
    assert (found.utterance_id, found.speaker, found.sampling_rate) == (SPEECH, "12", 48_000)
    assert found.votes == (Vote("intended", ("fear",)),)
    assert found.transcript == "Dogs are sitting by the door."
    assert list(folder.read("ravdess", channel="song")) == [SONG]
    assert list(folder.read("ravdess", channel="both")) == [SPEECH, SONG]


def test_wrong_names_and_second_copies_are_told(folder: CorpusFolder) -> None:
    folder.clips("Actor_12", SPEECH, "03-01-09-01-02-01-12", "notes")
    folder.clips("archive/Actor_12", SPEECH)
    found, failures = folder.read_all("ravdess")
    assert list(found) == [SPEECH]
    assert [(f.error_type, f.message.partition(":")[0]) for f in failures] == [
        ("duplicate_id", f"archive/Actor_12/{SPEECH}.wav"),
        ("bad_name", "Actor_12/03-01-09-01-02-01-12.wav"),
        ("bad_name", "Actor_12/notes.wav"),
    ]
