"""Clips for a browser: mono FLAC without the names and tags that a recording may carry."""

from __future__ import annotations

import io
from collections.abc import Collection

import soundfile

from raypipe.audio import decode, read_header
from raypipe.errors import ConfigError, DecodeError
from raypipe.records import Utterance
from raypipe.shards import read_index, read_shard, read_unheard
from raypipe.store.location import Location


def clips_of(shards: Location, utterance_ids: Collection[str]) -> dict[str, bytes]:
    """FLAC files of utterances, by id, 16 bits at the recording's own rate.

    Everything else in a recording's file is left behind: a title could name the emotion.

    Args:
        shards: corpus of the utterances.
        utterance_ids: which ones.

    Raises:
        ConfigError: if an utterance is not in the corpus or cannot be decoded.
        ShardError: if a shard cannot be read.
        StoreError: if the storage refuses.
    """
    wanted = set(utterance_ids)
    clips: dict[str, bytes] = {}
    for entry in read_index(shards).shards:
        ids = {row.utterance_id for row in read_unheard(shards, entry)}
        if not ids & wanted:
            continue
        for row in read_shard(shards, entry):
            if isinstance(row, Utterance) and row.utterance_id in wanted:
                clips.setdefault(row.utterance_id, _plain_flac(row))
    missing = sorted(wanted - clips.keys())
    if missing:
        raise ConfigError(
            f"{shards.uri} lacks {len(missing)} of {len(wanted)} utterances: "
            f"{', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}"
        )
    return clips


def _plain_flac(utterance: Utterance) -> bytes:
    try:
        rate = read_header(utterance.audio).sampling_rate
        samples = decode(utterance.audio, sampling_rate=rate)
    except DecodeError as error:
        raise ConfigError(f"utterance {utterance.utterance_id}: {error}") from error
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate, format="FLAC", subtype="PCM_16")
    return sink.getvalue()
