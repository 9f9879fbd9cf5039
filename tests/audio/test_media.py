"""Audio tracks of M4A, AAC and videos are read with an extra, which is named where it lacks."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from raypipe.audio import decode, media, read_header
from raypipe.audio.media import audio_track, media_kind
from raypipe.errors import DecodeError
from raypipe.records import FloatArray

RATE = 16_000
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)


def encoded(kind: str, codec: str, samples: FloatArray = TONE) -> bytes:
    """A tone as PyAV writes it."""
    av: Any = pytest.importorskip("av", reason="extra media is not installed")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("ipod", "aac"), ("mp4", "aac"), ("adts", "aac"), ("matroska", "aac"), ("avi", "mp2")],
)
def test_a_track_is_heard_as_it_was(kind: str, codec: str) -> None:
    audio = encoded(kind, codec)
    assert media_kind(audio) is not None
    heard = decode(audio, sampling_rate=RATE)
    assert len(heard) / RATE == pytest.approx(2.0, abs=0.2)
    spectrum = np.abs(np.fft.rfft(heard[RATE // 2 : -RATE // 2]))
    frequency = float(np.argmax(spectrum) * RATE / (len(heard) - RATE))
    assert frequency == pytest.approx(440, abs=2)
    assert float(np.abs(heard).max()) == pytest.approx(0.3, abs=0.05)
    assert read_header(audio_track(audio)).frames == len(heard)


def test_a_torn_track_is_told_and_costs_itself() -> None:
    audio = encoded("adts", "aac")
    for share in (0.1, 0.5, 0.9):
        for torn in (audio[: int(len(audio) * share)], audio[:40] + bytes(400) + audio[440:]):
            try:
                heard = decode(torn, sampling_rate=RATE)
            except DecodeError:
                continue
            assert len(heard) <= 2.2 * RATE
    with pytest.raises(DecodeError):
        decode(encoded("mp4", "aac")[:200], sampling_rate=RATE)


@pytest.mark.parametrize("kind", ["matroska", "webm"])
def test_a_cut_matroska_file_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)
    audio = encoded(kind, "libopus" if kind == "webm" else "aac", noise.clip(-1, 1))
    assert len(decode(audio, sampling_rate=RATE)) / RATE == pytest.approx(4.0, abs=0.2)
    for share in (0.5, 0.9):
        with pytest.raises(DecodeError) as caught:
            decode(audio[: int(len(audio) * share)], sampling_rate=RATE)
        assert caught.value.code == "truncated"


@pytest.mark.parametrize(("kind", "codec"), [("mpegts", "aac"), ("mpeg", "mp2")])
def test_streams_of_broadcasters_are_read(kind: str, codec: str) -> None:
    audio = encoded(kind, codec)
    assert media_kind(audio) in ("MPEG-TS", "MPEG-PS")
    assert len(decode(audio, sampling_rate=RATE)) / RATE == pytest.approx(2.0, abs=0.3)


def test_aac_behind_an_id3_tag_is_read() -> None:
    audio = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + encoded("adts", "aac")
    assert len(decode(audio, sampling_rate=RATE)) / RATE == pytest.approx(2.0, abs=0.2)


def test_what_a_library_raises_about_a_damaged_file_is_its_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    av: Any = pytest.importorskip("av", reason="extra media is not installed")

    def fails(*_: object, **__: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'name'")

    monkeypatch.setattr(av, "AudioResampler", fails)
    with pytest.raises(DecodeError, match="AVI") as caught:
        decode(encoded("avi", "mp2"), sampling_rate=RATE)
    assert caught.value.code == "corrupt"


def test_a_video_without_sound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av", reason="extra media is not installed")
    with pytest.raises(DecodeError) as caught:
        audio_track(b"\0\0\0\x18ftypmp42" + bytes(100))
    assert caught.value.code in ("corrupt", "not_audio")


@pytest.mark.parametrize(
    "start",
    [
        *(b"\0\0\0\x20ftypM4A ", b"RIFF\x24\0\0\0AVI LIST", b"\xff\xf1\x50\x80"),
        *(b"\x1a\x45\xdf\xa3\x9f", b"\x30\x26\xb2\x75\x8e\x66", b"#!AMR\n", b"FLV\x01"),
    ],
)
def test_without_the_extra_the_message_names_it(
    monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(media, "can_read_media", lambda: False)
    with pytest.raises(DecodeError, match=r"extra media .*\[media\].*ffmpeg") as caught:
        decode(start + bytes(100), sampling_rate=RATE)
    assert caught.value.code == "video"


def test_what_libsndfile_reads_is_no_media(encode: Any) -> None:
    for kind in ("WAV", "AIFF", "RF64", "FLAC", "OGG", "MP3"):
        assert media_kind(encode(TONE, kind=kind)) is None
    assert media_kind(b"") is None
