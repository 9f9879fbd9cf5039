"""NeMo and Lhotse manifests are read as they are; parts of files are cut out exactly."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from corpus_folder import clip

from raypipe.corpora.audio_folder import pending_audio_folder
from raypipe.corpora.manifest import pending_manifest
from raypipe.corpora.pending import read_ahead
from raypipe.corpora.segment import Segment
from raypipe.corpora.webdataset import tar_files
from raypipe.errors import DecodeError
from raypipe.labels import LabelSet
from raypipe.records import Utterance
from raypipe.shards import RowFailure

LABELS = LabelSet(("anger", "happiness", "sadness"))


def samples(audio: bytes, kind: str = "int16") -> tuple[np.ndarray, int]:
    found, rate = soundfile.read(io.BytesIO(audio), dtype=kind)
    return found, rate


def read(folder: Path, *lines: dict[str, Any]) -> list[Utterance | RowFailure]:
    (folder / "wavs").mkdir(exist_ok=True)
    (folder / "wavs/u1.wav").write_bytes(clip(duration_s=1.0))
    manifest = folder / "m.jsonl"
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return list(read_ahead(pending_manifest(str(manifest), LABELS)))


def nemo(**fields: Any) -> dict[str, Any]:
    return {"audio_filepath": "wavs/u1.wav", "duration": 1.0, **fields}


def cut(**fields: Any) -> dict[str, Any]:
    recording = {
        "id": "r1",
        "sources": [{"type": "file", "channels": [0], "source": "wavs/u1.wav"}],
        "sampling_rate": 16_000,
        "num_samples": 16_000,
        "duration": 1.0,
    }
    told = {"text": "yes", "speaker": "F01", "custom": {"votes": {"happy": 3}}}
    whole = {"id": "c1", "start": 0.0, "duration": 1.0, "type": "MonoCut", "channel": 0}
    return {**whole, "supervisions": [told], "recording": recording, **fields}


def test_nemo_lines(tmp_path: Path) -> None:
    whole, part, rest, first = read(
        tmp_path,
        nemo(offset=0.0, label="happy", text="yes"),
        nemo(offset=0.25, duration=0.5, command="sad"),
        nemo(offset=0.5, duration=None),
        nemo(id="first", offset=0.0, duration=0.25),
    )
    assert isinstance(first, Utterance)
    assert first.duration_s == 0.25
    assert isinstance(whole, Utterance)
    assert (whole.utterance_id, whole.transcript, whole.duration_s) == ("wavs/u1", "yes", 1.0)
    assert whole.votes[0].labels == ("happy",)
    assert whole.audio == (tmp_path / "wavs/u1.wav").read_bytes()
    assert isinstance(part, Utterance)
    assert (part.utterance_id, part.duration_s) == ("wavs/u1-0.250", 0.5)
    assert part.votes[0].labels == ("sad",)
    np.testing.assert_array_equal(samples(part.audio)[0], samples(whole.audio)[0][4000:12_000])
    assert isinstance(rest, Utterance)
    assert rest.duration_s == 0.5


def test_lhotse_cuts(tmp_path: Path) -> None:
    whole, part = read(tmp_path, cut(), cut(id="c2", start=0.5, duration=0.25))
    assert isinstance(whole, Utterance)
    assert (whole.utterance_id, whole.transcript, whole.speaker) == ("c1", "yes", "F01")
    assert [vote.labels for vote in whole.votes] == [("happy",)] * 3
    assert isinstance(part, Utterance)
    assert (part.utterance_id, part.duration_s) == ("c2", 0.25)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (nemo(offset=0.8, duration=0.5), "truncated"),
        (nemo(offset="soon"), "bad_type"),
        (nemo(audio_filepath=5), "bad_id"),
        (nemo(audio_filepath="../../etc/passwd"), "bad_audio_path"),
        (cut(supervisions=[{}, {}]), "unsupported_cut"),
        (cut(supervisions=5), "bad_type"),
        (cut(start=-1), "bad_type"),
        (cut(recording={"sources": [{"type": "command", "source": "cat x"}]}), "unsupported_cut"),
    ],
)
def test_faults_cost_their_line(tmp_path: Path, line: dict[str, Any], reason: str) -> None:
    failure, good = read(tmp_path, line, nemo())
    assert isinstance(good, Utterance)
    assert isinstance(failure, RowFailure)
    assert failure.message.startswith("m.jsonl line 1: ")
    if reason != "bad_id":
        assert failure.error_type == reason


def test_a_part_keeps_channels_and_depth() -> None:
    stereo = clip(duration_s=0.5, sampling_rate=48_000, channels=2)
    part, rate = samples(Segment(0.1, 0.2).cut(stereo))
    np.testing.assert_array_equal(part, samples(stereo)[0][4800:14_400])
    assert (rate, part.shape) == (48_000, (9600, 2))
    buffer = io.BytesIO()
    loud = np.linspace(-1.5, 1.5, 8000, dtype=np.float32)
    soundfile.write(buffer, loud, 8000, format="WAV", subtype="FLOAT")
    part, _ = samples(Segment(0.5, None).cut(buffer.getvalue()), "float32")
    np.testing.assert_array_equal(part, loud[4000:])
    with pytest.raises(DecodeError, match="no audio format"):
        Segment(0.0, 1.0).cut(b"no audio")


def streamed_flac(signal: np.ndarray) -> bytes:
    """As an encoder writes it to a pipe: the header cannot tell the number of samples."""
    buffer = io.BytesIO()
    soundfile.write(buffer, signal, 16_000, format="FLAC", subtype="PCM_16")
    audio = bytearray(buffer.getvalue())
    audio[21] &= 0xF0
    audio[22:26] = bytes(4)
    return bytes(audio)


NOISE = np.random.default_rng(0).integers(-3000, 3000, (6 * 16_000, 2), dtype=np.int16)


@pytest.mark.parametrize(
    ("start_s", "duration_s"), [(1.0, 2.0), (4.0, 2.0), (3.0, None), (0.0, 2.5)]
)
def test_parts_of_a_flac_of_unknown_length(start_s: float, duration_s: float | None) -> None:
    end = None if duration_s is None else round((start_s + duration_s) * 16_000)
    part, _ = samples(Segment(start_s, duration_s).cut(streamed_flac(NOISE)))
    np.testing.assert_array_equal(part, NOISE[round(start_s * 16_000) : end])


@pytest.mark.parametrize(("start_s", "duration_s"), [(7.0, None), (7.0, 1.0), (5.0, 1.2)])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_part_beyond_the_end_is_truncated(
    start_s: float, duration_s: float | None, streamed: bool
) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, NOISE, 16_000, format="FLAC", subtype="PCM_16")
    audio = streamed_flac(NOISE) if streamed else buffer.getvalue()
    with pytest.raises(DecodeError, match="ends after the recording") as caught:
        Segment(start_s, duration_s).cut(audio)
    assert caught.value.code == "truncated"


def test_a_channel_is_cut_out_and_one_that_is_not_there_is_refused() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, NOISE, 16_000, format="WAV", subtype="PCM_16")
    stereo = buffer.getvalue()
    for channel in (0, 1):
        part, _ = samples(Segment(1.0, 0.5, (channel,)).cut(stereo))
        np.testing.assert_array_equal(part, NOISE[16_000:24_000, channel])
    swapped, _ = samples(Segment(0.0, None, (1, 0)).cut(stereo))
    np.testing.assert_array_equal(swapped, NOISE[:, ::-1])
    assert Segment(0.0, None, (0, 1)).cut(stereo) is stereo
    mono = clip(duration_s=0.5)
    assert Segment(0.0, None, (1,)).cut(mono) is mono
    with pytest.raises(DecodeError, match="channel 2 of 2") as caught:
        Segment(0.0, None, (2,)).cut(stereo)
    assert caught.value.code == "no_channel"


def call(**fields: Any) -> dict[str, Any]:
    """A cut of a telephone call: each speaker is a channel."""
    recording = {
        "sources": [{"type": "file", "channels": [0, 1], "source": "wavs/call.wav"}],
        "sampling_rate": 16_000,
        "duration": 6.0,
    }
    return {**cut(id="call", duration=6.0, recording=recording), **fields}


def heard(folder: Path, *lines: dict[str, Any]) -> list[np.ndarray | str]:
    """Samples of every line, or why there are none."""
    (folder / "wavs").mkdir(exist_ok=True)
    soundfile.write(folder / "wavs/call.wav", NOISE, 16_000, subtype="PCM_16")
    for channel in (0, 1):
        name = folder / f"wavs/side{channel}.wav"
        soundfile.write(name, NOISE[:, channel], 16_000, subtype="PCM_16")
    return [
        samples(row.audio)[0] if isinstance(row, Utterance) else f"{row.error_type}: {row.message}"
        for row in read(folder, *lines)
    ]


def test_a_cut_has_the_channel_of_its_speaker(tmp_path: Path) -> None:
    multi = {"channel": [0, 1], "type": "MultiCut", "supervisions": [{"channel": 1}]}
    both = {**multi, "supervisions": [{"channel": [0, 1]}]}
    sides = [
        {"type": "file", "channels": [channel], "source": f"wavs/side{channel}.wav"}
        for channel in (0, 1)
    ]
    two_files = {"sources": sides, "sampling_rate": 16_000, "duration": 6.0}
    left, right, part, told, mix, file, beyond = heard(
        tmp_path,
        call(channel=0),
        call(id="c1", channel=1),
        call(id="c2", channel=1, start=1.0, duration=3.0),
        call(id="c3", **multi),
        call(id="c4", **both),
        call(id="c5", channel=1, recording=two_files),
        call(id="c6", channel=2),
    )
    np.testing.assert_array_equal(left, NOISE[:, 0])
    np.testing.assert_array_equal(right, NOISE[:, 1])
    np.testing.assert_array_equal(part, NOISE[16_000:64_000, 1])
    np.testing.assert_array_equal(told, NOISE[:, 1])
    np.testing.assert_array_equal(mix, NOISE)
    np.testing.assert_array_equal(file, NOISE[:, 1])
    assert str(beyond).startswith("no_channel")


def test_a_supervision_shorter_than_its_cut_is_the_part_it_is_about(tmp_path: Path) -> None:
    whole, part, early, outside = heard(
        tmp_path,
        call(channel=0, supervisions=[{"start": 0.02, "duration": 5.97}]),
        call(id="c1", channel=0, start=1, duration=4, supervisions=[{"start": 1, "duration": 2}]),
        call(id="c2", channel=0, start=1, duration=4, supervisions=[{"start": -1, "duration": 2}]),
        call(id="c3", channel=0, start=1, duration=4, supervisions=[{"start": 5, "duration": 1}]),
    )
    np.testing.assert_array_equal(whole, NOISE[:, 0])
    np.testing.assert_array_equal(part, NOISE[32_000:64_000, 0])
    np.testing.assert_array_equal(early, NOISE[16_000:32_000, 0])
    assert str(outside).startswith("unsupported_cut")


@pytest.mark.parametrize(
    "line",
    [
        call(recording={**cut()["recording"], "transforms": [{"name": "Speed"}]}),
        {"id": "m", "type": "MixedCut", "tracks": []},
        {"id": "p", "type": "PaddingCut", "duration": 1.0},
        call(recording={"sources": [], "duration": 6.0}),
    ],
)
def test_what_is_no_plain_part_of_a_recording_is_refused_by_name(
    tmp_path: Path, line: dict[str, Any]
) -> None:
    [refusal] = heard(tmp_path, line)
    assert str(refusal).startswith("unsupported_cut")


@pytest.mark.parametrize("told", [1, 1.0, "1", [1], " 1.0", "[1]", "right", "R", "B", "\uff11"])
def test_a_row_names_its_channel(tmp_path: Path, told: object) -> None:
    line = {"id": "u", "audio": "wavs/call.wav"}
    one, mix, other, both = heard(
        tmp_path,
        {**line, "channel": told},
        {**line, "id": "v", "channel": "nan"},
        {**line, "id": "w", "channel": "A"},
        {**line, "id": "x", "channel": "0|1"},
    )
    np.testing.assert_array_equal(one, NOISE[:, 1])
    np.testing.assert_array_equal(mix, NOISE)
    np.testing.assert_array_equal(other, NOISE[:, 0])
    np.testing.assert_array_equal(both, NOISE)


@pytest.mark.parametrize("told", ["0.5", 0.5, -1, "-1", True, {}, "2", "A2"])
def test_a_channel_that_nobody_knows_is_no_mix(tmp_path: Path, told: object) -> None:
    [refusal] = heard(tmp_path, {"id": "u", "audio": "wavs/call.wav", "channel": told})
    assert isinstance(refusal, str)
    assert refusal.startswith(("no_channel", "bad_type"))
    assert str(told) in refusal


def test_a_name_beside_a_recording_with_one_channel_does_no_harm(tmp_path: Path) -> None:
    [row] = read(tmp_path, {"id": "u", "audio": "wavs/u1.wav", "channel": "telephone"})
    assert isinstance(row, Utterance)
    assert row.audio == (tmp_path / "wavs/u1.wav").read_bytes()


@pytest.mark.parametrize("kind", ["csv", "tsv", "metadata.csv", "json", "tar"])
def test_channels_as_pandas_writes_them_beside_a_gap(tmp_path: Path, kind: str) -> None:
    heard(tmp_path)
    names = ("file_name" if kind == "metadata.csv" else "audio", "votes", "channel")
    cells = [names, *(("call.wav", "anger", channel) for channel in ("0.0", "1.0", ""))]
    rows = [("id", *cells[0]), *((f"u{n}", *row) for n, row in enumerate(cells[1:]))]
    between = "\t" if kind == "tsv" else ","
    text = "\n".join(map(between.join, rows))
    if kind == "json":
        table = {name: {"wav": audio, "channel": told} for name, audio, _, told in rows[1:]}
        text = json.dumps(table)
    path = tmp_path / "wavs" / (kind if kind == "metadata.csv" else f"m.{kind}")
    path.write_text(text)
    if kind == "tar":
        with tarfile.open(path, "w") as tar:
            for name, _, _, told in rows[1:]:
                tar.add(tmp_path / "wavs/call.wav", f"{name}.wav")
                member = tarfile.TarInfo(f"{name}.channel")
                member.size = len(told)
                tar.addfile(member, io.BytesIO(told.encode()))
        [container] = tar_files(str(path), LABELS)
        utterances = list(container.read())
    elif kind == "metadata.csv":
        (tmp_path / "wavs/side0.wav").unlink()
        (tmp_path / "wavs/side1.wav").unlink()
        (tmp_path / "wavs/u1.wav").unlink()
        utterances = list(read_ahead(pending_audio_folder(str(path.parent), LABELS)))
    else:
        utterances = list(read_ahead(pending_manifest(str(path), LABELS)))
    sounds = [samples(row.audio)[0] for row in utterances if isinstance(row, Utterance)]
    for sound, expected in zip(sounds, (NOISE[:, 0], NOISE[:, 1], NOISE), strict=True):
        np.testing.assert_array_equal(sound, expected)


@pytest.mark.parametrize("channels", [[[0, 1]], [{}], [None], "x", [-1], 5, {}])
def test_damage_inside_a_cut_costs_its_line(tmp_path: Path, channels: object) -> None:
    source = {"type": "file", "channels": channels, "source": "wavs/call.wav"}
    recording = {"sources": [source, source], "sampling_rate": 16_000, "duration": 6.0}
    failure, good = read(tmp_path, call(id="c1", channel=1, recording=recording), nemo())
    assert isinstance(failure, RowFailure)
    assert isinstance(good, Utterance)


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
def test_what_nobody_foresaw_costs_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """The border of a line holds whatever is raised while its fields are named."""

    def fails(fields: dict[str, Any]) -> dict[str, Any]:
        if fields.get("speaker") == "bad":
            raise ZeroDivisionError("of all things")
        return fields

    for place in ("manifest.with_usual_names", "manifest.as_fields", "vote_rows.with_labels"):
        monkeypatch.setattr(f"raypipe.corpora.{place}", fails)
    read(tmp_path)
    rows = [{"id": name, "audio": "wavs/u1.wav", "speaker": name} for name in ("good", "bad", "ok")]
    text = {
        "jsonl": "\n".join(map(json.dumps, rows)),
        "json": json.dumps({row["id"]: row for row in rows}),
        "csv": "id,audio,speaker\n" + "\n".join(",".join(row.values()) for row in rows),
    }
    path = tmp_path / f"m.{ending}"
    path.write_text(text[ending])
    good, failure, also = read_ahead(pending_manifest(str(path), LABELS))
    assert (good.utterance_id, also.utterance_id) == ("good", "ok")
    assert isinstance(failure, RowFailure)
    assert failure.error_type == "ZeroDivisionError"
    assert "unexpected ZeroDivisionError: of all things" in failure.message


def test_an_option_names_the_channel_where_a_row_does_not(tmp_path: Path) -> None:
    line = {"audio": "wavs/call.wav"}
    heard(tmp_path, {**line, "id": "u"}, {**line, "id": "v", "channel": "mix"})
    usual, mix = read_ahead(pending_manifest(str(tmp_path / "m.jsonl"), LABELS, channel=0))
    assert isinstance(usual, Utterance)
    assert isinstance(mix, Utterance)
    np.testing.assert_array_equal(samples(usual.audio)[0], NOISE[:, 0])
    np.testing.assert_array_equal(samples(mix.audio)[0], NOISE)


def test_lines_without_an_id_are_named_after_their_paths(tmp_path: Path) -> None:
    for speaker in ("spk1", "spk2"):
        (tmp_path / speaker).mkdir()
        (tmp_path / speaker / "001.wav").write_bytes(clip(duration_s=1.0))
    rows = read(
        tmp_path,
        nemo(audio_filepath="spk1/001.wav"),
        nemo(audio_filepath=str(tmp_path / "spk2/001.wav")),
        nemo(audio_filepath="spk1/001.wav", offset=0.25, duration=0.5),
        nemo(audio_filepath="spk1/001.wav", offset=0.25, duration=0.25),
        nemo(audio_filepath="spk1/001.wav", offset=0.2504, duration=0.5),
        nemo(audio_filepath="spk1/001.wav", offset=0.25, duration=0.25),
        nemo(audio_filepath="spk1/001.wav", offset=float("nan"), duration=float("nan")),
    )
    assert [row.utterance_id for row in rows[:5]] == [
        "spk1/001",
        "spk2/001",
        "spk1/001-0.250",
        "spk1/001-0.25-0.25",
        "spk1/001-0.2504-0.5",
    ]
    assert all(isinstance(row, Utterance) for row in rows[:5])
    assert [row.error_type for row in rows[5:] if isinstance(row, RowFailure)] == [
        "duplicate_id",
        "duplicate_id",
    ]


def test_a_label_in_the_cuts_own_custom_fields(tmp_path: Path) -> None:
    own, both = read(
        tmp_path,
        cut(supervisions=[{"text": "yes"}], custom={"emotion": "sad"}),
        cut(id="c2", custom={"votes": {"sad": 1}}),
    )
    assert isinstance(own, Utterance)
    assert isinstance(both, Utterance)
    assert [vote.labels for vote in own.votes] == [("sad",)]
    assert [vote.labels for vote in both.votes] == [("happy",)] * 3


@pytest.mark.parametrize(
    ("line", "name"),
    [(nemo(offset="soon"), "wavs/u1"), (cut(start=-1), "c1"), (cut(supervisions=5), "c1")],
)
def test_faults_carry_the_id_of_their_line(tmp_path: Path, line: dict[str, Any], name: str) -> None:
    [failure] = read(tmp_path, line)
    assert isinstance(failure, RowFailure)
    assert failure.utterance_id == name


def test_a_duration_of_minus_one_is_the_rest_in_nemo_s_manifests(tmp_path: Path) -> None:
    rest, whole = read(tmp_path, nemo(offset=0.25, duration=-1), nemo(offset=0, duration=-1))
    assert isinstance(rest, Utterance)
    assert isinstance(whole, Utterance)
    assert (rest.duration_s, whole.duration_s) == (0.75, 1.0)
