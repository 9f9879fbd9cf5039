"""RAVDESS: two sentences, spoken and sung in eight acted emotions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.clips import FileTree, ListedClip, copies, failure
from raypipe.corpora.facts import facts_of
from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Vote
from raypipe.votes import VotePolicy

EMOTIONS: Mapping[str, str] = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
STATEMENTS: Mapping[str, str] = {
    "01": "Kids are talking by the door.",
    "02": "Dogs are sitting by the door.",
}
_CHANNELS = {"speech": "01", "song": "02"}
_VOCAL = {code: word for word, code in _CHANNELS.items()}
_INTENSITIES = {"01": "normal", "02": "strong"}
_NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])"
    r"-(?P<statement>0[12])-(?P<repetition>0[12])-(?P<actor>0[1-9]|1\d|2[0-4])"
)


class Ravdess(Corpus):
    """Adapter of RAVDESS; the field is its option."""

    name: ClassVar[str] = "ravdess"
    title: ClassVar[str] = "RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song"
    about: ClassVar[str] = """
        24 actors who speak (and sing) two sentences in eight emotions.

        A file's name says which emotion the actor was asked for. That is its one vote, by
        "intended": the published ratings give hit rates, not which emotion each listener chose.
    """
    licence: ClassVar[str] = "CC BY-NC-SA 4.0"
    fixed_sentences: ClassVar[bool] = True
    selections: ClassVar[Mapping[str, Selection]] = {
        "all": Selection(
            LABEL_SETS["ravdess-8"],
            VotePolicy(aliases=False),
            "1,440 spoken clips, one-hot: the emotion the actor was asked for",
        )
    }

    channel: Literal["speech", "song", "both"] = Field(
        default="speech", description="spoken clips, sung clips, or both"
    )

    def listed(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        """Every recording with a name of this corpus; the others are failures."""
        for stem, names in tree.recordings():
            match = _NAME.fullmatch(stem)
            if match is None:
                yield failure(names[0], None, stem, "bad_name", "not the name of a clip")
                continue
            if self.channel != "both" and match["channel"] != _CHANNELS[self.channel]:
                continue
            label = EMOTIONS[match["emotion"]]
            utterance = self.bare_utterance(
                stem,
                speaker=match["actor"],
                transcript=STATEMENTS[match["statement"]],
                facts=facts_of(
                    gender="male" if int(match["actor"]) % 2 else "female",
                    intended=label,
                    intensity=_INTENSITIES[match["intensity"]],
                    vocal=_VOCAL[match["channel"]],
                ),
                votes=(Vote("intended", (label,)),),
            )
            yield ListedClip(utterance, stem, names[0])
            yield from copies(stem, names)
