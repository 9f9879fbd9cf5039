"""The MSP lab's format of workers' votes, which MSP-Podcast and MSP-IMPROV share."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from raypipe.corpora.clips import AUDIO_SUFFIXES, label_of
from raypipe.corpora.fields import BadLineError, rating, shown
from raypipe.corpora.lines import checked_text
from raypipe.records import Vote
from raypipe.votes import NO_AGREEMENT, OTHER

PRIMARY: Mapping[str, str] = {
    "angry": "anger",
    "sad": "sadness",
    "happy": "happiness",
    "surprise": "surprise",
    "fear": "fear",
    "disgust": "disgust",
    "contempt": "contempt",
    "neutral": "neutral",
}
# Annoyed and depressed stand beside angry and sad on the workers' form: labels of their own.
SECONDARY: Mapping[str, str] = {
    **PRIMARY,
    "amused": "amused",
    "frustrated": "frustration",
    "depressed": "depressed",
    "concerned": "concerned",
    "disappointed": "disappointed",
    "excited": "excitement",
    "confused": "confused",
    "annoyed": "annoyed",
}
CODES: Mapping[str, str] = {
    "a": "anger",
    "s": "sadness",
    "h": "happiness",
    "u": "surprise",
    "f": "fear",
    "d": "disgust",
    "c": "contempt",
    "n": "neutral",
    "o": OTHER,
    "x": NO_AGREEMENT,
}

_OTHER = re.compile(r"other\s*(?:-(?P<typed>.*))?", re.IGNORECASE | re.DOTALL)
# What a worker typed may hold any character: the ratings are looked for from the end.
_WORKER = re.compile(
    r"(?P<who>[^;]*);(?P<labels>.*?);\s*A:(?P<act>[^;]*);\s*V:(?P<val>[^;]*);\s*D:(?P<dom>[^;]*)"
    r"(?:;\s*N:[^;]*)?;?\s*",
    re.DOTALL,
)
_SUMMARY = re.compile(
    r"(?P<name>[^;]+\.\w+)\s*;\s*(?P<code>[^;]*?)\s*;\s*A:(?P<act>[^;]*);\s*V:(?P<val>[^;]*);"
    r"\s*D:(?P<dom>[^;]*).*"
)


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Consensus, attributes, speaker and split of a clip.

    Attributes:
        file: where it is said.
        line: in that file.
        consensus: a label, ``other`` or ``no_agreement``.
        arousal: the workers' mean, on the corpus's scale, as for valence and dominance.
        gender: of the speaker.
    """

    file: str
    line: int
    consensus: str | None = None
    arousal: float | None = None
    valence: float | None = None
    dominance: float | None = None
    speaker: str | None = None
    split: str | None = None
    gender: str | None = None


@dataclass(slots=True)
class RatedClip:
    """A clip and its votes, as found in one stretch of a label file.

    Attributes:
        name: of the clip, without its ending.
        facts: of a block's first line; None in files without one.
        fault: the first line that cannot be used.
    """

    file: str
    line: int
    name: str
    votes: list[Vote] = field(default_factory=list)
    facts: ClipFacts | None = None
    fault: tuple[int, BadLineError] | None = None


def vote(
    worker: str,
    primary: str,
    secondary: str,
    *,
    arousal: object,
    valence: object,
    dominance: object,
) -> Vote:
    """One worker's judgement from its parts.

    The secondary list is open: a word the lab's form does not have is kept as it is.

    Raises:
        BadLineError: ``missing_annotator``, ``unknown_label``, ``bad_number`` or ``not_unicode``.
    """
    who = checked_text(worker, "worker")
    if not who:
        raise BadLineError("missing_annotator", "a vote without a worker")
    first, typed = _primary(checked_text(primary, "primary label"))
    more, more_typed = _secondary(checked_text(secondary, "secondary labels"))
    return Vote(
        annotator=who,
        labels=(first, *more),
        typed="; ".join(_distinct([typed or "", *more_typed])) or None,
        arousal=rating(arousal, "arousal"),
        valence=rating(valence, "valence"),
        dominance=rating(dominance, "dominance"),
    )


def worker_line(text: str) -> Vote:
    """``WORKER…; Primary; Secondary; A:…; V:…; D:…;``.

    Raises:
        BadLineError: as :func:`vote`, and ``bad_line``.

    Example:
        >>> worker_line("WORKER0000002; Other-concerned; Neutral,Other-Curious; A:3; V:; D:4;")
        Vote(annotator='WORKER0000002', labels=('other', 'neutral', 'other'), \
typed='concerned; Curious', arousal=3.0, valence=None, dominance=4.0)
    """
    match = _WORKER.fullmatch(text.strip())
    if match is None:
        raise BadLineError("bad_line", f"not a worker's line: {shown(text)}")
    # A semicolon can only have been typed; only `Other-` lets a worker type.
    typed_first = _OTHER.fullmatch(match["labels"].strip().partition("-")[0]) is not None
    several = ";" in match["labels"]
    cut = str.rpartition if typed_first and several else str.partition
    primary, _, secondary = cut(match["labels"], ";")
    return vote(
        match["who"],
        primary,
        secondary,
        arousal=match["act"],
        valence=match["val"],
        dominance=match["dom"],
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    """Each text once, as first written: many workers type the same as primary and secondary."""
    first: dict[str, str] = {}
    for text in texts:
        if text:
            first.setdefault(" ".join(text.lower().split()), text)
    return list(first.values())


def _primary(text: str) -> tuple[str, str | None]:
    other = _OTHER.fullmatch(text)
    if other is not None:
        return OTHER, (other["typed"] or "").strip() or None
    return label_of(text, PRIMARY, "primary label"), None


def _secondary(text: str) -> tuple[list[str], list[str]]:
    """Labels and typed texts; text after a comma tells whether the comma is inside a typed text."""
    labels: list[str] = []
    typed: list[str] = []
    in_typed = False
    for piece in text.split(","):
        word = piece.strip()
        other = _OTHER.fullmatch(word)
        if other is not None:
            labels.append(OTHER)
            typed.append((other["typed"] or "").strip())
            in_typed = True
        elif word.lower() in SECONDARY:
            labels.append(SECONDARY[word.lower()])
            in_typed = False
        elif in_typed:
            typed[-1] = f"{typed[-1]},{piece.rstrip()}"
        elif word:
            labels.append(word.lower())
    return labels, typed


def blocks(file: str, lines: Iterable[str]) -> Iterator[RatedClip | tuple[int, BadLineError]]:
    """The clips of a ``labels.txt``: a line for the clip, then one for each worker."""
    rated: RatedClip | None = None
    for number_, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line:
            continue
        if line.upper().startswith("WORKER"):
            if rated is None:
                yield number_, BadLineError("bad_line", f"before any clip: {shown(line)}")
                continue
            _add(rated, number_, line)
            continue
        if rated is not None:
            yield rated
        rated = _begin(file, number_, line)
    if rated is not None:
        yield rated


def _begin(file: str, line: int, text: str) -> RatedClip:
    match = _SUMMARY.fullmatch(text)
    if match is None:
        fault = (line, BadLineError("bad_line", f"not a clip's line: {shown(text)}"))
        return RatedClip(file, line, stem(text.partition(";")[0].strip()), fault=fault)
    rated = RatedClip(file, line, stem(match["name"].strip()))
    try:
        checked_text(match["name"], "file name")
        rated.facts = ClipFacts(
            file,
            line,
            consensus=label_of(match["code"], CODES, "consensus"),
            arousal=rating(match["act"], "A"),
            valence=rating(match["val"], "V"),
            dominance=rating(match["dom"], "D"),
        )
    except BadLineError as error:
        rated.fault = (line, error)
    return rated


def _add(rated: RatedClip, line: int, text: str) -> None:
    try:
        rated.votes.append(worker_line(text))
    except BadLineError as error:
        rated.fault = rated.fault or (line, error)


def stem(file_name: str) -> str:
    """A clip's name without its ending; other dots belong to the name."""
    head, ending = posixpath.splitext(file_name.strip())
    return head if ending.lower() in AUDIO_SUFFIXES else file_name.strip()
