"""Recordings out of their shards, in a form that a browser plays."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import soundfile

from raypipe.audio import AudioLimits, decode, read_header
from raypipe.errors import ShardError
from raypipe.records import FloatArray
from raypipe.store.location import Location
from raypipe.store.parquet import parquet_file

_ROWS_AT_ONCE: Final = 32
_READ_AHEAD: Final = 1 << 20
# PCM, floating point, and the extensible header that holds either.
_WAVE_FORMATS: Final = frozenset({0x0001, 0x0003, 0xFFFE})
# A page plays what a run refused as too long or as silent, too.
_ANY_CLIP: Final = AudioLimits(max_duration_s=24 * 3600.0, max_channels=64)


@dataclass(frozen=True, slots=True)
class BrowserClip:
    """A recording that a browser plays.

    Attributes:
        data: the encoded file.
        content_type: its media type.
        note: what was done to it; empty for one that is as it is stored.
    """

    data: bytes
    content_type: str
    note: str = ""


def stored_clip(shards: Location, shard: str, utterance_id: str) -> bytes:
    """The recording of an utterance as its shard holds it.

    The shard is read from its beginning to the utterance, and not checked against its digest, which
    would take all of it.

    Args:
        shards: place of the corpus.
        shard: name of the shard in it.
        utterance_id: whose recording.

    Raises:
        ShardError: if the shard is missing or unreadable, or holds no such recording.
        StoreError: if the storage refuses.
    """
    where = f"{shards.uri}/{shard}"
    filesystem, base = shards.filesystem()
    try:
        with filesystem.open_input_file(f"{base}/{shard}") as stream:
            file = parquet_file(stream, buffer_size=_READ_AHEAD)
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=["utterance_id", "audio"]):
                ids = batch.column("utterance_id").to_pylist()
                if utterance_id in ids:
                    audio = batch.column("audio")[ids.index(utterance_id)].as_py()
                    if audio:
                        return bytes(audio)
                    raise ShardError(f"{where} holds no bytes of audio of {utterance_id!r}")
    except FileNotFoundError as error:
        raise ShardError(f"the shard {where} is missing") from error
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"the shard {where} cannot be read: {error}") from error
    raise ShardError(f"the shard {where} holds no utterance {utterance_id!r}")


def browser_clip(audio: bytes) -> BrowserClip:
    """A recording as it is stored where browsers play that, else as mono FLAC of the same rate.

    Raises:
        DecodeError: if a container that browsers do not play cannot be decoded.

    Example:
        >>> browser_clip(b"fLaC...").content_type
        'audio/flac'
    """
    content_type = _played_type(audio)
    if content_type is not None:
        return BrowserClip(audio, content_type)
    rate = read_header(audio, _ANY_CLIP).sampling_rate
    samples = decode(audio, sampling_rate=rate, limits=_ANY_CLIP)
    return BrowserClip(_flac(samples, rate), "audio/flac", "as mono FLAC, which browsers play")


def short_clip(audio: bytes, *, most_bytes: int, most_s: float, sampling_rate: int) -> BrowserClip:
    """A recording for a page that holds several: as it is stored if small, else as mono FLAC.

    Args:
        audio: the encoded file.
        most_bytes: up to this size it stays as it is.
        most_s: seconds that are kept of a larger one.
        sampling_rate: of a larger one, in Hz.

    Raises:
        DecodeError: if a recording that cannot stay as it is cannot be decoded.
    """
    if len(audio) <= most_bytes:
        return browser_clip(audio)
    samples = decode(audio, sampling_rate=sampling_rate, limits=_ANY_CLIP)
    kept = samples[: round(most_s * sampling_rate)]
    note = ""
    if kept.size < samples.size:
        note = f"the first {most_s:g} of {samples.size / sampling_rate:.1f} s"
    return BrowserClip(_flac(kept, sampling_rate), "audio/flac", note)


def _flac(samples: FloatArray, sampling_rate: int) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, samples, sampling_rate, format="FLAC", subtype="PCM_16")
    return sink.getvalue()


def _played_type(audio: bytes) -> str | None:
    """Media type of a container that browsers play, by its first bytes; None for any other."""
    head = audio[:64]
    if head.startswith(b"fLaC"):
        return "audio/flac"
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        at = head.find(b"fmt ")
        known = 0 < at <= len(head) - 10
        played = known and struct.unpack_from("<H", head, at + 8)[0] in _WAVE_FORMATS
        return "audio/wav" if played else None
    if head.startswith(b"OggS"):
        return "audio/ogg" if b"OpusHead" in head or b"\x01vorbis" in head else None
    is_layer_3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
    return "audio/mpeg" if head.startswith(b"ID3") or is_layer_3 else None
