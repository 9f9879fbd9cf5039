"""Users' own data as Lhotse Shar."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

from raypipe.corpora.containers import found_files
from raypipe.corpora.dialects import stored_channels, supervised
from raypipe.corpora.fields import BadLineError, FieldRules, utterance_id
from raypipe.corpora.segment import SEGMENT, Segment
from raypipe.corpora.tar_beside import Described, TarBeside
from raypipe.errors import CorpusError
from raypipe.labels import LabelSet
from raypipe.store.location import Location

LAYOUT = """
cuts.000000.jsonl.gz with recording.000000.tar beside it.

A member of the tar file is the audio of the cut it is named after, all of it, in the cuts' order;
the .json after it repeats the recording's manifest. A .nodata member stands for a cut without
audio.
"""
"""Text of the catalogue about the files, in paragraphs."""

_CUTS = re.compile(r"cuts\.(?P<number>\d+)\.jsonl(?:\.gz)?")


def shar_files(
    uri: str,
    labels: LabelSet,
    *,
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
    channel: int | None = None,
    allow: Sequence[Location] = (),
) -> list[TarBeside]:
    """The shards a user means.

    Args:
        uri: a folder, or ``cuts.000000.jsonl.gz`` in it, or several as
            ``cuts.{000000..000007}.jsonl.gz``.
        labels: the label set; votes are matched through its aliases.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the folder's.
        other_labels: words outside the label set that votes may hold; they do not count.
        channel: channel of a recording that is the clip, counted from 0; None for the mix.
        allow: places beside its own that its paths and links may lead to.

    Raises:
        CorpusError: if there are no cuts.
    """
    cuts = [
        (place, match)
        for place, name in found_files(uri, (".jsonl", ".jsonl.gz"), endpoint, allow)
        if (match := _CUTS.fullmatch(name))
    ]
    if not cuts:
        raise CorpusError(f"there is no cuts.000000.jsonl.gz in {uri}")
    rules = FieldRules.of(
        labels, other_labels, dataset or posixpath.basename(cuts[0][0].uri), channel
    )
    return [
        TarBeside(place, f"recording.{match['number']}.tar", match.string, _cut, rules)
        for place, match in cuts
    ]


def _cut(document: Mapping[str, object]) -> Described:
    name = utterance_id({"id": document.get("id")})
    try:
        fields = supervised(document)
        channels = stored_channels(document)
    except BadLineError as error:
        raise BadLineError(error.reason, str(error), name) from error
    fields.pop("channel", None)
    if channels is not None:
        part = fields.get(SEGMENT)
        start_s, duration_s = (
            (part.start_s, part.duration_s) if isinstance(part, Segment) else (0.0, None)
        )
        fields[SEGMENT] = Segment(start_s, duration_s, channels)
    return name, {**fields, "id": name}
