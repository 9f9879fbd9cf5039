"""Users' own data as NeMo's tarred datasets."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from raypipe.corpora.containers import found_files
from raypipe.corpora.dialects import as_fields
from raypipe.corpora.field_names import whole_number
from raypipe.corpora.fields import BadLineError, FieldRules, shown
from raypipe.corpora.tar_beside import Described, TarBeside
from raypipe.errors import CorpusError
from raypipe.labels import LabelSet
from raypipe.store.location import Location

LAYOUT = """
audio_0.tar, audio_1.tar and so on, with one manifest for all of them.

audio_filepath is the name of a member, shard_id the number in its tar file's name. NeMo writes
_OP_0..15_CL_ for {0..15}; both are understood.
"""
"""Text of the catalogue about the files, in paragraphs."""

_NUMBER = re.compile(r"(?P<number>\d+)\.tar", re.IGNORECASE)


def nemo_tars(
    uri: str,
    labels: LabelSet,
    *,
    manifest: str = "tarred_audio_manifest.json",
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
    channel: int | None = None,
    allow: Sequence[Location] = (),
) -> list[TarBeside]:
    """The tar files a user means.

    Args:
        uri: a folder, a tar file, or several as ``audio_{0..15}.tar``.
        labels: the label set; votes are matched through its aliases.
        manifest: name of the JSONL file beside the tar files.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the folder's.
        other_labels: words outside the label set that votes may hold; they do not count.
        channel: channel of a recording that is the clip, counted from 0; None for the mix.
        allow: places beside its own that its paths and links may lead to.

    Raises:
        CorpusError: if there is no tar file, or one without a number among several.
    """
    files = found_files(uri.replace("_OP_", "{").replace("_CL_", "}"), (".tar",), endpoint, allow)
    rules = FieldRules.of(
        labels, other_labels, dataset or posixpath.basename(files[0][0].uri), channel
    )
    tars: list[TarBeside] = []
    for place, name in files:
        match = _NUMBER.search(name)
        if match is None and len(files) > 1:
            raise CorpusError(f"{place.uri}/{name} has no number for shard_id to name")
        shard = int(match["number"]) if match and len(files) > 1 else None
        describe = partial(_line, shard=shard)
        tars.append(TarBeside(place, name, manifest, describe, rules, tells_faults=not tars))
    return tars


def _line(document: Mapping[str, object], shard: int | None) -> Described | None:
    """Member and fields of a line; ``shard`` is None where only one tar file is read."""
    if shard is not None:
        number = whole_number(document.get("shard_id"))
        if number is None:
            told = shown(document.get("shard_id"))
            raise BadLineError("bad_type", f"shard_id is no number: {told}")
        if number != shard:
            return None
    path = document.get("audio_filepath")
    if not isinstance(path, str):
        raise BadLineError("missing_audio", f"audio_filepath is no name: {shown(path)}")
    return posixpath.splitext(posixpath.normpath(path))[0], as_fields(document)
