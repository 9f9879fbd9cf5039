"""Lines of NeMo, EmoBox and Lhotse manifests, as the fields of ours.

NeMo: ``{"audio_filepath": "wavs/u1.wav", "offset": 0.0, "duration": 3.2, "label": "happy"}``.
Lhotse: a cut with its recording inside and one supervision, whose ``custom`` holds the emotion.
Both can mean a part of a file: see :class:`raypipe.corpora.segment.Segment`.
EmoBox: ``{"key": "cremad-1087-IWL-ANG-XX", "wav": "AudioWAV/1087_IWL_ANG_XX.wav", "emo": "ANG"}``.
"""

from __future__ import annotations

from collections.abc import Mapping

from raypipe.corpora.channels import channel_numbers
from raypipe.corpora.field_names import (
    is_bare_number,
    is_missing,
    label_field,
    path_id,
    with_usual_names,
)
from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.segment import SEGMENT, SLACK_S, Segment

Fields = Mapping[str, object]

EXACT_ID = "exact_id"
"""Name of the field that a line named after its path has: an id for where the usual one is taken.

The usual id tells thousandths of where a part begins; two parts may begin there.
"""

_COMPOSED = ("MixedCut", "PaddingCut")


def as_fields(document: Fields) -> Fields:
    """A line under our names; one that is in none of the dialects stays as it is.

    Raises:
        BadLineError: for a Lhotse cut without exactly one source and at most one supervision, and
            times that are no numbers.
    """
    if "audio" in document:
        return with_labels(document)
    if "audio_filepath" in document:
        return _nemo(document)
    if "key" in document and "wav" in document:
        return {"id": document["key"], **with_usual_names(document), "audio": document["wav"]}
    if document.get("type") in _COMPOSED:
        message = f"a {document['type']} is not a part of one recording; save it as audio first"
        raise BadLineError("unsupported_cut", message)
    if "recording" in document and "supervisions" in document:
        return _lhotse(document)
    return document


def line_id(document: Fields) -> str | None:
    """Id for the failure of a line, as far as it can be told; None if there is none."""
    for name in ("id", "utterance_id", "key"):
        if isinstance(document.get(name), str):
            return str(document[name])
    path = document.get("audio_filepath")
    return path_id(path) if isinstance(path, str) else None


def with_labels(fields: Fields) -> Fields:
    """Fields of a manifest's own line, of which an ``emotion`` or ``label`` is the vote.

    Not where there is a soft label, and not for numbers, whose words nobody tells.
    """
    column = label_field(fields)
    if column is None or not is_missing(fields.get("soft_label")):
        return fields
    value = fields[column]
    return fields if column == "votes" or is_bare_number(value) else {**fields, "votes": value}


def _nemo(document: Mapping[str, object]) -> Mapping[str, object]:
    path = document["audio_filepath"]
    fields = with_usual_names(document)
    if "votes" not in fields and "command" in fields:
        fields["votes"] = fields["command"]
    name = exact = path_id(path) if isinstance(path, str) else None
    if not is_missing(document.get("offset")):
        start_s = _seconds(document["offset"], "offset")
        duration = document.get("duration")
        to_the_end = is_missing(duration) or duration == -1
        duration_s = None if to_the_end else _seconds(duration, "duration")
        fields[SEGMENT] = Segment(start_s, duration_s)
        exact = f"{name}-{start_s!r}" + ("" if duration_s is None else f"-{duration_s!r}")
        name = f"{name}-{start_s:.3f}" if start_s else name
    if "id" not in fields and "utterance_id" not in fields:
        fields |= {"id": name, EXACT_ID: exact}
    return {**fields, "audio": path}


def _lhotse(document: Mapping[str, object]) -> Mapping[str, object]:
    recording = document["recording"]
    if not isinstance(recording, dict):
        raise BadLineError("bad_type", f"recording is not what Lhotse writes: {shown(recording)}")
    refuse_transforms(recording)
    fields = supervised(document)
    source, channels = _source(recording.get("sources"), _cut_channels(document))
    start_s = _seconds(document.get("start", 0.0), "start")
    duration_s = _seconds(document.get("duration", recording.get("duration")), "duration")
    whole_s = _seconds(recording.get("duration"), "the recording's duration")
    part = fields.pop(SEGMENT, None)
    if isinstance(part, Segment):
        start_s, duration_s = start_s + part.start_s, part.duration_s or duration_s
    if start_s > 0 or duration_s < whole_s - SLACK_S:
        fields[SEGMENT] = Segment(start_s, duration_s, channels)
    elif channels is not None:
        fields[SEGMENT] = Segment(0.0, None, channels)
    fields.pop("channel", None)  # of the recording, where the part has that of its file
    return {**fields, "id": document.get("id"), "audio": source}


def stored_channels(document: Mapping[str, object]) -> tuple[int, ...] | None:
    """Channels of a cut's supervision in stored audio; None for all.

    Stored are the channels of a cut that has several, else all of its recording or only the cut's:
    then the audio has one channel, and no other to take.

    Raises:
        BadLineError: ``no_channel`` for one that is not stored, ``unsupported_cut`` for a recording
            that is yet to be changed.
    """
    channels, recording = _cut_channels(document), document.get("recording")
    if isinstance(recording, dict):
        refuse_transforms(recording)
    if channels is None:
        return None
    held: tuple[int, ...] = ()
    if isinstance(document.get("channel"), list):
        held = channel_numbers(document["channel"])
    elif isinstance(recording, dict):
        sources = recording.get("sources")
        first = sources[0] if isinstance(sources, list) and sources else None
        held = _held(first) if isinstance(first, dict) else ()
        ids = recording.get("channel_ids")
        held = held or (channel_numbers(ids) if isinstance(ids, list) and ids else ())
    return None if {*channels} == {*held} else _inside(channels, held)


def refuse_transforms(recording: Mapping[str, object]) -> None:
    """Refuse a Lhotse recording that is yet to be changed.

    Raises:
        BadLineError: ``unsupported_cut``.
    """
    if recording.get("transforms"):
        message = f"recording.transforms are not applied: {shown(recording['transforms'])}"
        raise BadLineError("unsupported_cut", message)


def _inside(channels: tuple[int, ...], held: tuple[int, ...]) -> tuple[int, ...]:
    """Positions of channels among those that a file holds; as they are where it does not tell."""
    unknown = [channel for channel in channels if held and channel not in held]
    if unknown:
        raise BadLineError("no_channel", f"channel {unknown[0]} is none of {shown(held)}")
    return tuple(held.index(channel) for channel in channels) if held else channels


def _cut_channels(document: Mapping[str, object]) -> tuple[int, ...] | None:
    """Channels of a cut, or of its supervision where that has fewer; None for all."""
    supervisions = document.get("supervisions")
    told = [document.get("channel")]
    if isinstance(supervisions, list) and supervisions and isinstance(supervisions[0], dict):
        told.append(supervisions[0].get("channel"))
    known = [channel_numbers(value) for value in told if value is not None]
    return min(known, key=len) if known else None


def _source(
    sources: object, channels: tuple[int, ...] | None
) -> tuple[object, tuple[int, ...] | None]:
    """Path of the file that holds a cut's channels, and their numbers in it, None for all."""
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        raise BadLineError("bad_type", f"sources are not what Lhotse writes: {shown(sources)}")
    if len(sources) > 1 and channels is not None:
        sources = [source for source in sources if {*channels} <= {*_held(source)}]
    if len(sources) != 1:
        raise BadLineError("unsupported_cut", "only a cut out of one source is one utterance")
    source, held = sources[0], _held(sources[0])
    if source.get("type") not in ("file", "url"):
        raise BadLineError("unsupported_cut", f"its audio is no file: {shown(source)}")
    if channels is None or {*channels} == {*held} or len(held) == 1:
        return source.get("source"), None
    return source.get("source"), _inside(channels, held)


def _held(source: Mapping[str, object]) -> tuple[int, ...]:
    channels = source.get("channels")
    return channel_numbers(channels) if isinstance(channels, list) and channels else ()


def supervised(document: Mapping[str, object]) -> dict[str, object]:
    """Fields of the one supervision of a Lhotse cut, of its ``custom`` and of the cut's own.

    A supervision that is shorter than its cut is a :class:`Segment` of the cut.

    Raises:
        BadLineError: ``unsupported_cut`` for several supervisions, ``bad_type`` for what is none.
    """
    supervisions = document.get("supervisions", [])
    if not isinstance(supervisions, list):
        raise BadLineError("bad_type", f"supervisions are no list: {shown(supervisions)}")
    if len(supervisions) > 1:
        raise BadLineError("unsupported_cut", "several supervisions are not one utterance")
    supervision = supervisions[0] if supervisions else {}
    custom = supervision.get("custom") or {} if isinstance(supervision, dict) else None
    own = document.get("custom") or {}
    if not isinstance(custom, dict) or not isinstance(own, dict):
        raise BadLineError("bad_type", f"not a supervision: {shown(supervision)}")
    fields = {**own, **with_usual_names({**custom, **supervision})}
    fields = with_usual_names(fields)
    part = _shorter(supervision, document.get("duration"))
    fields.pop("duration", None)
    return fields if part is None else {**fields, SEGMENT: part}


def _shorter(supervision: Mapping[str, object], whole: object) -> Segment | None:
    """The part of a cut that its supervision is about; None for all of it."""
    start, duration = supervision.get("start"), supervision.get("duration")
    if start is None or duration is None or whole is None:
        return None
    whole_s = _seconds(whole, "duration")
    if isinstance(start, bool) or not isinstance(start, int | float) or not abs(start) < 1e7:
        raise BadLineError("bad_type", f"start is no number of seconds: {shown(start)}")
    end_s = min(start + _seconds(duration, "duration"), whole_s)
    start_s = max(float(start), 0.0)  # it may begin before a cut that was made shorter
    if end_s - start_s >= whole_s - SLACK_S:
        return None
    if end_s <= start_s:
        raise BadLineError("unsupported_cut", "its supervision lies outside of it")
    return Segment(start_s, end_s - start_s)


def _seconds(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e7:
        raise BadLineError("bad_type", f"{field} is no number of seconds: {shown(value)}")
    return float(value)
