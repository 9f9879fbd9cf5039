"""Emo-DB: German sentences in seven acted emotions."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.clips import FileTree, ListedClip, copies, failure
from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.lines import checked_text, csv_records, open_text
from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Vote
from raypipe.votes import VotePolicy

EMOTIONS: Mapping[str, str] = {
    "W": "anger",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}
SENTENCES: Mapping[str, str] = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
# As the database's own page has them.
SPEAKERS: Mapping[str, dict[str, str]] = {
    "03": {"gender": "male", "age": "31"},
    "08": {"gender": "female", "age": "34"},
    "09": {"gender": "female", "age": "21"},
    "10": {"gender": "male", "age": "32"},
    "11": {"gender": "male", "age": "26"},
    "12": {"gender": "male", "age": "30"},
    "13": {"gender": "female", "age": "32"},
    "14": {"gender": "female", "age": "35"},
    "15": {"gender": "male", "age": "25"},
    "16": {"gender": "female", "age": "31"},
}
_NAME = re.compile(
    r"(?P<speaker>03|08|09|1[0-6])(?P<sentence>[ab]\d\d)(?P<emotion>[WLEAFTN])(?P<take>[a-z])"
)
_PERCEPTION = "erkennung.txt"
_RECOGNISED, _NATURAL = "erkannt", "natuerlich"
_COLUMNS = [("Satz",), (_RECOGNISED,), (_NATURAL,)]


class EmoDb(Corpus):
    """Adapter of Emo-DB; the fields are its options."""

    name: ClassVar[str] = "emodb"
    title: ClassVar[str] = "Emo-DB: Berlin Database of Emotional Speech"
    about: ClassVar[str] = """
        535 clips of 10 Berlin actors who say ten German sentences in seven emotions.

        The letter in a file's name is the German word for the emotion the actor was asked for: that
        is the clip's one vote, by "intended". Of the perception test (erkennung.txt) only the share
        of the 20 listeners who named that very emotion is published, at least 80 % for each of the
        535, and the share who thought it natural: not what the others heard, so it can select clips
        and no more.
    """
    licence: ClassVar[str] = "free for research; later mirrors say CC0"
    fixed_sentences: ClassVar[bool] = True
    selections: ClassVar[Mapping[str, Selection]] = {
        "all": Selection(
            LABEL_SETS["emodb-7"],
            VotePolicy(aliases=False),
            "535 clips, one-hot: the emotion the actor was asked for",
        )
    }

    recognised: float = Field(
        default=0,
        ge=0,
        le=100,
        description="take only clips in which at least this percentage of the listeners named the "
        "intended emotion, by erkennung.txt",
    )
    natural: float = Field(
        default=0,
        ge=0,
        le=100,
        description="take only clips that at least this percentage of them thought natural; 60 "
        "gives the often used part of 493 or 494 clips",
    )

    def listed(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        """Every recording with a name of this corpus; the others are failures."""
        judged: dict[str, _Perception] = {}
        asked = self.recognised > 0 or self.natural > 0
        if asked:
            yield from _perception(tree, judged)
        for stem, names in tree.recordings():
            if asked and stem in judged and not self._wants(judged[stem]):
                continue
            match = _NAME.fullmatch(stem)
            sentence = None if match is None else SENTENCES.get(match["sentence"])
            if match is None or sentence is None:
                yield failure(names[0], None, stem, "bad_name", "not the name of a clip")
                continue
            if asked and stem not in judged:
                message = f"{_PERCEPTION} says nothing about this clip"
                yield failure(names[0], None, stem, "no_votes", message)
                continue
            utterance = self.bare_utterance(
                stem,
                speaker=match["speaker"],
                transcript=sentence,
                facts=SPEAKERS[match["speaker"]] | {"intended": EMOTIONS[match["emotion"]]},
                votes=(Vote("intended", (EMOTIONS[match["emotion"]],)),),
            )
            yield ListedClip(utterance, stem, names[0])
            yield from copies(stem, names)

    def _wants(self, judged: _Perception) -> bool:
        return judged.recognised >= self.recognised and judged.natural >= self.natural


@dataclass(frozen=True, slots=True)
class _Perception:
    """Result of the perception test for a clip, in percent of 20 listeners."""

    recognised: float
    natural: float


def _perception(tree: FileTree, judged: dict[str, _Perception]) -> Iterator[Failure]:
    """Read the perception test into ``judged``, by the clip's stem; what cannot be used of it."""
    file = tree.need(_PERCEPTION)
    with open_text(tree.source, file, "latin-1") as text:
        for line, fields in csv_records(text, file, _COLUMNS, delimiter="\t"):
            name = None
            try:
                if isinstance(fields, BadLineError):
                    raise fields
                clip = checked_text(fields.get("Satz", ""), "Satz")
                name = posixpath.splitext(clip)[0] or None
                if name is None:
                    raise BadLineError("missing_id", "no Satz")
                if name in judged:
                    raise BadLineError("duplicate_id", f"{shown(name)} came before")
                recognised, natural = (
                    _percent(fields, column) for column in (_RECOGNISED, _NATURAL)
                )
                judged[name] = _Perception(recognised, natural)
            except BadLineError as error:
                yield failure(file, line, name, error.reason, str(error))


def _percent(fields: Mapping[str, str], column: str) -> float:
    """A number with a decimal comma, padded with blanks that do not break."""
    text = fields.get(column, "").strip().replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise BadLineError("bad_number", f"{column} is no percentage: {shown(fields.get(column))}")
    return value
