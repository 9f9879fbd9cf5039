"""CREMA-D: clips of actors, judged by voice, by face and by both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.clips import FileTree, ListedClip, failure, label_of, parsed
from raypipe.corpora.facts import facts_of, gender
from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.lines import checked_text, csv_records, open_text
from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Vote
from raypipe.votes import NO_AGREEMENT, VotePolicy, consensus

Fields = Mapping[str, str]

LETTERS: Mapping[str, str] = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "s": "sadness",
}

SENTENCES: Mapping[str, str] = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}

_MODALITIES = {"voice": 1, "face": 2, "audio_visual": 3}
_CLIP = re.compile(
    r"(?P<actor>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<intended>[A-Z]{3})_(?P<level>LO|MD|HI|XX?)"
)
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high"}
_DEMOGRAPHICS = "VideoDemographics.csv"
_PRACTICE_CLIPS = {"7443", "7444"}
_MOST_VOTES = 1000  # no clip has more than 12; a broken number must not fill the memory

_QUESTION = ("sessionNums", "queryType", "questNum")
_Question = tuple[int, int, int]
"""What one response answers, by these columns: session, modality, and which in the session."""


class CremaD(Corpus):
    """Adapter of CREMA-D; the fields are its options."""

    name: ClassVar[str] = "crema-d"
    title: ClassVar[str] = "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset"
    about: ClassVar[str] = """
        7,442 clips of 91 actors who say 12 sentences, judged by voice, by face and by both. Layout
        and quirks: github.com/CheyneyComputerScience/CREMA-D.

        One clip name stands three times in tabulatedVotes.csv, once per modality; the row id tells
        which: 1xxxxx voice only, 2xxxxx face only, 3xxxxx audio-visual. The letters in a clip's
        name are the emotion the actor was asked for, not what anybody heard.
    """
    licence: ClassVar[str] = "Open Database License 1.0, contents under DbCL 1.0"
    fixed_sentences: ClassVar[bool] = True
    selections: ClassVar[Mapping[str, Selection]] = {
        "all": Selection(
            LABEL_SETS["crema-d-6"],
            VotePolicy(aliases=False),
            "7,442 clips, 68,568 voice-only votes; 644 clips without a plurality",
        ),
        "majority": Selection(
            LABEL_SETS["crema-d-6"],
            VotePolicy(aliases=False, clips="majority"),
            "5,012 clips in which more than half of the voice-only votes agree",
        ),
    }

    modality: Literal["voice", "face", "audio_visual"] = Field(
        default="voice", description="what the annotators were given"
    )
    responses: bool = Field(
        default=False,
        description="take finishedResponses.csv, in which every vote has its annotator (about 10 "
        "votes a clip), in place of tabulatedVotes.csv, which has only counts (about 9)",
    )
    within_s: float | None = Field(
        default=None,
        gt=0,
        description="with responses: leave out answers whose first click came later than this, in "
        "seconds, by finishedEmoResponses.csv. With 10 they are the answers that the authors' "
        "processFinishedResponses.R counts into tabulatedVotes.csv",
    )

    @model_validator(mode="after")
    def _only_responses_have_times(self) -> Self:
        if self.within_s is not None and not self.responses:
            raise ValueError("within_s is about single responses: it needs responses=true")
        return self

    def listed(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        """Every clip with votes of the modality, then recordings nobody voted on."""
        stems: set[str] = set()
        actors: dict[str, dict[str, str]] = {}
        yield from _demographics(tree, actors)
        votes = self._from_responses(tree) if self.responses else self._from_counts(tree)
        for clip in votes:
            stem = clip.stem if isinstance(clip, ListedClip) else clip.utterance_id
            if stem is not None:
                stems.add(stem)
            yield _with_actor(clip, actors)
        for stem, names in tree.recordings():
            if stem not in stems:
                message = f"no {self.modality} votes for this recording"
                yield failure(names[0], None, stem, "no_votes", message)

    def _from_counts(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        name = tree.need("tabulatedVotes.csv")
        columns = [("fileName",), ("numResponses",), *((letter,) for letter in "ADFHNS")]
        with open_text(tree.source, name, newline="") as text:
            records = csv_records(text, name, columns)
            yield from parsed(
                name,
                records,
                lambda line, fields: self._counted(name, line, fields),
                lambda fields: fields.get("fileName"),
            )

    def _counted(self, file: str, line: int, fields: Fields) -> ListedClip | None:
        row = _whole(fields, "")
        if row // 100_000 not in _MODALITIES.values():
            raise BadLineError("bad_row_id", f"row id {row} belongs to no modality")
        if row // 100_000 != _MODALITIES[self.modality]:
            return None
        counts = {letter: _whole(fields, letter.upper()) for letter in LETTERS}
        total = _whole(fields, "numResponses")
        if not 0 < total <= _MOST_VOTES:
            raise BadLineError("bad_votes", f"numResponses is {total}")
        if sum(counts.values()) != total:
            message = f"{sum(counts.values())} votes, numResponses says {total}"
            raise BadLineError("bad_votes", message)
        words = [LETTERS[letter] for letter, count in counts.items() for _ in range(count)]
        votes = tuple(Vote(str(number), (word,)) for number, word in enumerate(words, start=1))
        _check_winner(fields.get("emoVote"), votes)
        return self._clip(file, line, fields.get("fileName", ""), votes)

    def _from_responses(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        """Votes in the order of clips; a row that cannot be used is a failure of its own."""
        name = tree.need("finishedResponses.csv")
        late: set[_Question] = set()
        if self.within_s is not None:
            yield from _late(tree, self.within_s, late)
        clips: dict[str, tuple[int, list[Vote]]] = {}
        with open_text(tree.source, name, newline="") as text:
            columns = [(column,) for column in (*_QUESTION, "localid", "clipName", "respEmo")]
            for line, fields in csv_records(text, name, columns):
                try:
                    vote = self._response(fields, late)
                except BadLineError as error:
                    yield failure(name, line, None, error.reason, str(error))
                    continue
                if vote is not None and not isinstance(fields, BadLineError):
                    _, votes = clips.setdefault(fields.get("clipName", ""), (line, []))
                    votes.append(vote)
        records = [(line, (clip, tuple(votes))) for clip, (line, votes) in sorted(clips.items())]
        yield from parsed(
            name,
            records,
            lambda line, record: self._clip(name, line, *record),
            lambda record: record[0],
        )

    def _response(self, fields: Fields | BadLineError, late: set[_Question]) -> Vote | None:
        """The vote of a row, None if it is of another modality, for practice, or too late."""
        if isinstance(fields, BadLineError):
            raise fields
        if _whole(fields, "queryType") != _MODALITIES[self.modality]:
            return None
        if fields.get("clipNum", "").strip() in _PRACTICE_CLIPS:
            return None
        if late and _question(fields) in late:
            return None
        label = label_of(fields.get("respEmo", ""), LETTERS, "respEmo")
        annotator = checked_text(fields.get("localid", ""), "localid")
        if not annotator:
            raise BadLineError("missing_annotator", "no localid")
        return Vote(annotator, (label,))

    def _clip(self, file: str, line: int, clip: str, votes: tuple[Vote, ...]) -> ListedClip:
        match = _CLIP.fullmatch(clip.strip())
        if match is None:
            raise BadLineError("bad_name", f"{shown(clip)} is not the name of a clip")
        sentence = label_of(match["sentence"], _LOWER_SENTENCES, "sentence")
        utterance = self.bare_utterance(
            clip.strip(),
            speaker=match["actor"],
            transcript=sentence,
            votes=votes,
            consensus=consensus(votes),
            facts=facts_of(
                intended=LETTERS.get(match["intended"][0].lower()),
                intensity=_LEVELS.get(match["level"]),
                sentence=match["sentence"],
            ),
        )
        return ListedClip(utterance, clip.strip(), file, line)


def _demographics(tree: FileTree, actors: dict[str, dict[str, str]]) -> Iterator[Failure]:
    """Put what the corpus tells of its actors into ``actors``; what cannot be used of it."""
    name = tree.find(_DEMOGRAPHICS)
    if name is None:
        return
    with open_text(tree.source, name, newline="") as text:
        for line, fields in csv_records(text, name, [("ActorID",)]):
            try:
                if isinstance(fields, BadLineError):
                    raise fields
                told = {
                    column.lower(): checked_text(fields.get(column, ""), column)
                    for column in ("Age", "Sex", "Race", "Ethnicity")
                }
                actor = checked_text(fields["ActorID"], "ActorID")
                actors[actor] = facts_of(gender=gender(told.pop("sex")), **told)
            except BadLineError as error:
                yield failure(name, line, None, error.reason, str(error))


def _with_actor(
    clip: ListedClip | Failure, actors: Mapping[str, Mapping[str, str]]
) -> ListedClip | Failure:
    """A clip with what the corpus tells of its actor."""
    if isinstance(clip, Failure):
        return clip
    facts = {**actors.get(clip.utterance.speaker or "", {}), **clip.utterance.facts}
    return replace(clip, utterance=replace(clip.utterance, facts=facts))


def _question(fields: Fields) -> _Question:
    session, query, number = (_whole(fields, column) for column in _QUESTION)
    return session, query, number


def _late(tree: FileTree, within_s: float, late: set[_Question]) -> Iterator[Failure]:
    """Put into ``late`` the questions whose first click came too late; what cannot be used."""
    name = tree.need("finishedEmoResponses.csv")
    with open_text(tree.source, name, newline="") as text:
        columns = [(column,) for column in (*_QUESTION, "ttr")]
        for line, fields in csv_records(text, name, columns):
            try:
                if isinstance(fields, BadLineError):
                    raise fields
                if _milliseconds(fields) > 1000 * within_s:
                    late.add(_question(fields))
            except BadLineError as error:
                yield failure(name, line, None, error.reason, str(error))


def _milliseconds(fields: Fields) -> float:
    """Time of the first click; 0 for none on record, which the authors' script keeps too."""
    try:
        return float(fields.get("ttr", ""))
    except ValueError:
        return 0.0


_LOWER_SENTENCES = {code.lower(): sentence for code, sentence in SENTENCES.items()}


def _whole(fields: Fields, column: str) -> int:
    text = fields.get(column, "")
    clean = text.strip()
    if not clean.isascii() or not clean.isdigit() or len(clean) > 9:
        what = column or "the row id"
        raise BadLineError("bad_number", f"{what} is not a whole number: {shown(text)}")
    return int(text)


def _check_winner(letters: str | None, votes: tuple[Vote, ...]) -> None:
    """The file's own plurality must be the one of its counts: else columns have been mixed up."""
    if letters is None:
        return
    won = [label_of(letter, LETTERS, "emoVote") for letter in letters.split(":")]
    agreed = won[0] if len(won) == 1 else NO_AGREEMENT
    if agreed != consensus(votes):
        raise BadLineError("bad_votes", f"emoVote is {shown(letters)}, the counts say otherwise")
