"""Emo-DB: 535 clips of 10 Berlin actors who say ten German sentences in seven emotions.

The letter in a file's name is the German word for the emotion the actor was asked for: that is the
clip's one vote, by ``intended``. Of the perception test only the share of listeners who named that
very emotion is published, at least 80 % for each of the 535.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.clips import Listed, Tree, copies, failure
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
_NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[WLEAFTN])(?P<take>[a-z])")


class EmoDb(Corpus):
    """The adapter of Emo-DB."""

    name: ClassVar[str] = "emodb"
    title: ClassVar[str] = "Emo-DB: Berlin Database of Emotional Speech"
    licence: ClassVar[str] = "free for research; later mirrors say CC0"
    fixed_sentences: ClassVar[bool] = True
    selections: ClassVar[Mapping[str, Selection]] = {
        "all": Selection(
            LABEL_SETS["emodb-7"],
            VotePolicy(aliases=False),
            "535 clips, one-hot: the emotion the actor was asked for",
        )
    }

    def listed(self, tree: Tree) -> Iterator[Listed | Failure]:
        """Every recording whose name says what it is; the others are failures."""
        for stem, names in tree.recordings():
            match = _NAME.fullmatch(stem)
            sentence = None if match is None else SENTENCES.get(match["sentence"])
            if match is None or sentence is None:
                yield failure(names[0], None, stem, "bad_name", "not the name of a clip")
                continue
            utterance = self.bare_utterance(
                stem,
                speaker=match["speaker"],
                transcript=sentence,
                votes=(Vote("intended", (EMOTIONS[match["emotion"]],)),),
            )
            yield Listed(utterance, stem, names[0])
            yield from copies(stem, names)
