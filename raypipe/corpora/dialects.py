"""Lines of NeMo, EmoBox and Lhotse manifests, as the fields of ours.

NeMo: ``{"audio_filepath": "wavs/u1.wav", "offset": 0.0, "duration": 3.2, "label": "happy"}``.
Lhotse: a cut with its recording inside and one supervision, whose ``custom`` holds the emotion.
Both can mean a part of a file: see :class:`Segment`.
EmoBox: ``{"key": "cremad-1087-IWL-ANG-XX", "wav": "AudioWAV/1087_IWL_ANG_XX.wav", "emo": "ANG"}``.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

import soundfile

from raypipe.corpora.fields import BadLineError, shown, with_usual_names
from raypipe.errors import DecodeError

SEGMENT = "segment"
"""Name of the field that holds a line's :class:`Segment`."""

_SLACK_S = 0.05  # durations in manifests are rounded


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a recording.

    Attributes:
        start_s: where it begins, in seconds.
        duration_s: how long it is; None to the end of the recording.
    """

    start_s: float
    duration_s: float | None

    def cut(self, audio: bytes) -> bytes:
        """The part as a file of its own, sample for sample, in all channels.

        A part that is the whole recording is left as it was found.

        Args:
            audio: the encoded recording.

        Raises:
            DecodeError: ``not_audio``, or ``truncated`` if the recording ends before the part.
        """
        try:
            with soundfile.SoundFile(io.BytesIO(audio)) as reader:
                rate = reader.samplerate
                start = round(self.start_s * rate)
                frames = -1 if self.duration_s is None else round(self.duration_s * rate)
                if start == 0 and abs(frames - reader.frames) <= round(_SLACK_S * rate):
                    return audio
                if start + max(frames, 1) > reader.frames + round(_SLACK_S * rate):
                    raise DecodeError(
                        "truncated",
                        f"the part from {self.start_s:g} s, {self.duration_s} s long, ends after "
                        f"the recording of {reader.frames / rate:g} s",
                    )
                reader.seek(min(start, reader.frames))
                exact = reader.subtype in ("PCM_16", "PCM_S8", "PCM_U8")
                samples = reader.read(frames, dtype="int16" if exact else "float32")
        except soundfile.LibsndfileError as error:
            raise DecodeError("not_audio", f"cannot be cut: {error}") from error
        buffer = io.BytesIO()
        kind, subtype = ("FLAC", "PCM_16") if exact else ("WAV", "FLOAT")
        soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
        return buffer.getvalue()


def as_fields(document: Mapping[str, object]) -> Mapping[str, object]:
    """A line under our names; one that is in none of the dialects stays as it is.

    Raises:
        BadLineError: for a Lhotse cut without exactly one source and at most one supervision, and
            times that are no numbers.
    """
    if "audio" in document:
        return document
    if "audio_filepath" in document:
        return _nemo(document)
    if "key" in document and "wav" in document:
        return {"id": document["key"], **with_usual_names(document), "audio": document["wav"]}
    if "recording" in document and "supervisions" in document:
        return _lhotse(document)
    return document


def _nemo(document: Mapping[str, object]) -> Mapping[str, object]:
    path = document["audio_filepath"]
    fields = with_usual_names(document)
    if "votes" not in fields and "command" in fields:
        fields["votes"] = fields["command"]
    name = posixpath.splitext(posixpath.basename(path))[0] if isinstance(path, str) else None
    if document.get("offset") is not None:
        start_s = _seconds(document["offset"], "offset")
        duration = document.get("duration")
        duration_s = None if duration is None else _seconds(duration, "duration")
        fields[SEGMENT] = Segment(start_s, duration_s)
        name = f"{name}-{start_s:.3f}" if start_s else name
    fields.setdefault("id", name)
    return {**fields, "audio": path}


def _lhotse(document: Mapping[str, object]) -> Mapping[str, object]:
    recording, supervisions = document["recording"], document["supervisions"]
    if not isinstance(recording, dict) or not isinstance(supervisions, list):
        raise BadLineError("bad_type", "recording or supervisions are not what Lhotse writes")
    sources = recording.get("sources")
    if not isinstance(sources, list) or len(sources) != 1 or len(supervisions) > 1:
        raise BadLineError(
            "unsupported_cut", "only cuts with one source and one supervision are one utterance"
        )
    source = sources[0]
    if not isinstance(source, dict) or source.get("type") not in ("file", "url"):
        raise BadLineError("unsupported_cut", f"its audio is no file: {shown(source)}")
    fields = supervised(supervisions)
    start_s = _seconds(document.get("start", 0.0), "start")
    duration_s = _seconds(document.get("duration", recording.get("duration")), "duration")
    whole_s = _seconds(recording.get("duration"), "the recording's duration")
    if start_s > 0 or duration_s < whole_s - _SLACK_S:
        fields[SEGMENT] = Segment(start_s, duration_s)
    return {**fields, "id": document.get("id"), "audio": source.get("source")}


def supervised(supervisions: object) -> dict[str, object]:
    """Fields of the one supervision of a Lhotse cut, its ``custom`` fields included.

    Raises:
        BadLineError: ``unsupported_cut`` for several supervisions, ``bad_type`` for what is none.
    """
    if not isinstance(supervisions, list):
        raise BadLineError("bad_type", f"supervisions are no list: {shown(supervisions)}")
    if len(supervisions) > 1:
        raise BadLineError("unsupported_cut", "several supervisions are not one utterance")
    supervision = supervisions[0] if supervisions else {}
    custom = supervision.get("custom") or {} if isinstance(supervision, dict) else None
    if not isinstance(custom, dict):
        raise BadLineError("bad_type", f"not a supervision: {shown(supervision)}")
    return with_usual_names({**custom, **supervision})


def _seconds(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e7:
        raise BadLineError("bad_type", f"{field} is no number of seconds: {shown(value)}")
    return float(value)
