"""IEMOCAP: acted dialogues, judged utterance by utterance in their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import Field

from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.clips import FileTree, ListedClip, failure, label_of
from raypipe.corpora.facts import facts_of, gender
from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.iemocap_turns import Transcripts, seconds
from raypipe.corpora.lines import checked_text, open_text
from raypipe.errors import CorpusError
from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Vote
from raypipe.votes import NO_AGREEMENT, OTHER, SELF_REPORT, VotePolicy

LABELS: Mapping[str, str] = {
    "neutral": "neutral",
    "neutral state": "neutral",
    "happiness": "happiness",
    "excited": "excitement",
    "sadness": "sadness",
    "anger": "anger",
    "frustration": "frustration",
    "fear": "fear",
    "surprise": "surprise",
    "disgust": "disgust",
    "other": OTHER,
}
CODES: Mapping[str, str] = {
    "neu": "neutral",
    "hap": "happiness",
    "exc": "excitement",
    "sad": "sadness",
    "ang": "anger",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": OTHER,
    "xxx": NO_AGREEMENT,
}

_EVALUATION = re.compile(r"(?:^|/)EmoEvaluation/(?P<dialogue>Ses0\d[FM]_[^/.]+)\.txt")
_CONCATENATED = "IEMOCAP_EmoEvaluation.txt"
_SUMMARY = re.compile(
    r"\[(?P<start>[\d.]+)\s*-\s*(?P<end>[\d.]+)\]\s+(?P<name>\S+)\s+(?P<code>\S+)\s+\[(?P<mean>.*)\]"
)
_NAME = re.compile(
    r"(?P<dialogue>Ses(?P<session>0[1-5])[FM]_(?P<kind>impro|script)0\d[ab]?(?:_\d[ab]?)?)"
    r"_(?P<speaker>[FM])\d{3}"
)
# The comment is free text and may hold blanks, commas and semicolons: everything from the first
# bracket after the last label.
_CATEGORIES = re.compile(r"C-(?P<who>\w+):\s*(?P<labels>(?:[^;()]+;\s*)*)(?:\((?P<comment>.*))?")
_ATTRIBUTES = re.compile(r"A-(?P<who>\w+):\s*(?P<values>[^(]*)(?:\((?P<comment>.*))?")
_ATTRIBUTE = re.compile(r"(?P<name>val|act|dom)\s+(?P<value>-?[\d.]+)")
_EXCITED_IS_HAPPY = {"excitement": "happiness"}


@dataclass(slots=True)
class _Block:
    """A summary line and the evaluations below it."""

    line: int
    summary: str
    votes: list[Vote] = field(default_factory=list)
    fault: tuple[int, BadLineError] | None = None


class Iemocap(Corpus):
    """Adapter of IEMOCAP; the fields are its options."""

    name: ClassVar[str] = "iemocap"
    title: ClassVar[str] = "IEMOCAP: Interactive Emotional Dyadic Motion Capture"
    about: ClassVar[str] = """
        10,039 utterances of 10 actors in 151 dialogues, judged in order while watching.

        The letter after the session in a dialogue's name is who wears the motion-capture markers;
        the speaker is the letter in the last part of an utterance's name. C-E* lines are external
        evaluators' categories, A-E* external evaluators' attributes, C-F1, C-M1, A-F1 and A-M1 the
        speakers' judgements of themselves.

        Speakers' judgements of themselves are kept as votes whose annotator begins with "self:" and
        count only where the policy says so. The split names the session, for leave-one-session-out.
    """
    licence: ClassVar[str] = "signed academic form of USC SAIL; no redistribution"
    selections: ClassVar[Mapping[str, Selection]] = {
        "4-unanimous-set": Selection(
            LABEL_SETS["iemocap-4"],
            VotePolicy(
                rule="primary+secondary",
                outside="drop_clip",
                merges=_EXCITED_IS_HAPPY,
                aliases=False,
                clips="voted",
            ),
            "4,373 utterances (4,370 in AER-LLM's log) to which the external evaluators gave no "
            "label but anger, happiness, excited, neutral and sadness; excited counts as "
            "happiness, ties stay. The rule is inferred from published counts",
        ),
        "4-consensus": Selection(
            LABEL_SETS["iemocap-4"],
            VotePolicy(
                rule="primary+secondary",
                merges=_EXCITED_IS_HAPPY,
                aliases=False,
                plurality="corpus",
                clips="consensus",
            ),
            "5,531 utterances whose summary code is ang, exc, hap, neu or sad; excited counts as "
            "happiness, other votes are dropped",
        ),
        "4-consensus-no-excited": Selection(
            LABEL_SETS["iemocap-4"],
            VotePolicy(
                rule="primary+secondary", aliases=False, plurality="corpus", clips="consensus"
            ),
            "4,490 utterances whose summary code is ang, hap, neu or sad",
        ),
        "6-consensus": Selection(
            LABEL_SETS["iemocap-6"],
            VotePolicy(
                rule="primary+secondary", aliases=False, plurality="corpus", clips="consensus"
            ),
            "7,380 utterances whose summary code is ang, exc, fru, hap, neu or sad",
        ),
        "4-voted": Selection(
            LABEL_SETS["iemocap-4"],
            VotePolicy(
                rule="primary+secondary", merges=_EXCITED_IS_HAPPY, aliases=False, clips="voted"
            ),
            "every utterance with at least one vote in the four labels; other votes are dropped",
        ),
        "5-all": Selection(
            LABEL_SETS["iemocap-5"],
            VotePolicy(
                rule="primary+secondary",
                outside="other",
                merges=_EXCITED_IS_HAPPY,
                aliases=False,
                clips="voted",
            ),
            "10,039 utterances; excited counts as happiness, everything but the four labels as "
            "other (the bins of Wu et al.)",
        ),
        "9-self-reports": Selection(
            LABEL_SETS["iemocap-9"],
            VotePolicy(rule="primary+secondary", self_reports=True, aliases=False, clips="voted"),
            "votes of the speakers about themselves count too, Other is dropped (the label tables "
            "of EMO-SUPERB before smoothing)",
        ),
    }

    dialogues: Literal["all", "impro", "script"] = Field(
        default="all", description="only improvised or only scripted ones"
    )
    context_turns: int = Field(
        default=5,
        ge=0,
        description="how many previous turns of the dialogue are kept as context",
    )

    def listed(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        """Every evaluated utterance, then recordings of sentences that nobody evaluated."""
        stems: set[str] = set()
        transcripts = Transcripts(tree)
        for file in _evaluation_files(tree):
            for block in _read_blocks(tree, file):
                if isinstance(block, Failure):
                    yield block
                    continue
                clip = self._clip(file, block, transcripts)
                yield from transcripts.take_faults()
                stems.add(_name_of(block) or "")
                if clip is not None:
                    yield clip
        for stem, names in tree.recordings("sentences"):
            if stem not in stems:
                message = "no evaluation of this recording"
                yield failure(names[0], None, stem, "no_votes", message)

    def _clip(
        self, file: str, block: _Block, transcripts: Transcripts
    ) -> ListedClip | Failure | None:
        line, name = block.line, _name_of(block)
        try:
            if block.fault is not None:
                line, error = block.fault
                raise error
            return self._listed(file, block, transcripts)
        except BadLineError as error:
            return failure(file, line, name, error.reason, str(error))

    def _listed(self, file: str, block: _Block, transcripts: Transcripts) -> ListedClip | None:
        summary = _SUMMARY.match(block.summary)
        if summary is None:
            raise BadLineError("bad_line", f"not a summary line: {shown(block.summary)}")
        match = _NAME.fullmatch(summary["name"])
        if match is None:
            raise BadLineError("bad_name", f"{shown(summary['name'])} is no utterance's name")
        if self.dialogues not in ("all", match["kind"]):
            return None
        mean = [_number(text) for text in summary["mean"].split(",")]
        valence, arousal, dominance = mean if len(mean) == 3 else (None, None, None)
        turns = transcripts.of(match["dialogue"])
        utterance = self.bare_utterance(
            match.string,
            split=f"Session{int(match['session'])}",
            speaker=match["session"] + match["speaker"],
            transcript=turns.text(match.string),
            context=turns.before(seconds(summary["start"]), match.string, self.context_turns),
            votes=tuple(block.votes),
            consensus=label_of(summary["code"], CODES, "summary code"),
            valence=valence,
            arousal=arousal,
            dominance=dominance,
            facts=facts_of(
                gender=gender(match["speaker"]),
                session=str(int(match["session"])),
                dialogue="improvised" if match["kind"] == "impro" else "scripted",
            ),
        )
        return ListedClip(utterance, match.string, file, block.line)


def _evaluation_files(tree: FileTree) -> list[str]:
    files = [name for name in tree.names if _EVALUATION.search(name)]
    if files:
        return files
    concatenated = tree.find(_CONCATENATED)
    if concatenated is None:
        raise CorpusError(
            f"there is no Session*/dialog/EmoEvaluation/Ses*.txt and no {_CONCATENATED} in "
            f"{tree.source.uri}"
        )
    return [concatenated]


def _name_of(block: _Block) -> str | None:
    summary = _SUMMARY.match(block.summary)
    return None if summary is None else summary["name"]


def _read_blocks(tree: FileTree, file: str) -> Iterator[_Block | Failure]:
    """Blocks of one of many files: a file that cannot be read costs its dialogue only."""
    try:
        with open_text(tree.source, file, "latin-1") as text:
            yield from _blocks(file, text)
    except CorpusError as error:
        yield Failure(None, "ingest", "bad_file", str(error))


def _blocks(file: str, lines: Iterable[str]) -> Iterator[_Block | Failure]:
    """Blocks of an evaluation file; a new one begins with every summary line."""
    block: _Block | None = None
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line or line.startswith("%"):
            continue
        if line.startswith("["):
            if block is not None:
                yield block
            block = _Block(number, line)
        elif block is None:
            yield failure(file, number, None, "bad_line", f"before any utterance: {shown(line)}")
        else:
            try:
                block.votes.append(_vote(line))
            except BadLineError as error:
                block.fault = block.fault or (number, error)
    if block is not None:
        yield block


def _vote(line: str) -> Vote:
    categories = _CATEGORIES.fullmatch(line)
    if categories is not None:
        words = [word for word in categories["labels"].split(";") if word.strip()]
        return Vote(
            annotator=_annotator("C", categories["who"]),
            labels=tuple(label_of(word, LABELS, "category") for word in words),
            typed=_comment(categories["comment"]),
        )
    attributes = _ATTRIBUTES.fullmatch(line)
    if attributes is None:
        raise BadLineError("bad_line", f"neither categories nor attributes: {shown(line)}")
    values = {
        found["name"]: _number(found["value"])
        for found in _ATTRIBUTE.finditer(attributes["values"])
    }
    return Vote(
        annotator=_annotator("A", attributes["who"]),
        labels=(),
        typed=_comment(attributes["comment"]),
        arousal=values.get("act"),
        valence=values.get("val"),
        dominance=values.get("dom"),
    )


def _annotator(kind: str, who: str) -> str:
    return f"{'' if who.startswith('E') else SELF_REPORT}{kind}-{who}"


def _comment(text: str | None) -> str | None:
    if text is None:
        return None
    return checked_text(text.strip().removesuffix(")"), "comment") or None


def _number(text: str) -> float | None:
    """A rating on the scale of 1 to 5; blank and out-of-range ones do occur and are none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 1 <= value <= 5 else None
