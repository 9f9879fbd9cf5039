"""MSP-IMPROV: acted dialogues, judged by crowd workers from video."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.clips import FileTree, ListedClip, failure
from raypipe.corpora.facts import facts_of, gender
from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.lines import open_text
from raypipe.corpora.msp_votes import RatedClip, blocks
from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Vote
from raypipe.votes import VotePolicy

_NAME = re.compile(
    r"MSP-IMPROV-S(?P<sentence>\d\d)(?P<intended>[AHSN])-(?P<speaker>[FM](?P<session>\d\d))"
    r"-(?P<scenario>[RTSP])-[FM]{2}\d+"
)
_SCALE_ENDS = 1 + 5
_INTENDED = {"A": "anger", "H": "happiness", "S": "sadness", "N": "neutral"}


class MspImprov(Corpus):
    """Adapter of MSP-IMPROV, which has no options."""

    name: ClassVar[str] = "msp-improv"
    title: ClassVar[str] = "MSP-IMPROV"
    about: ClassVar[str] = """
        Acted dialogues of 12 actors, judged by five or more workers from video.

        Evaluation.txt (or Evalution.txt) has the block layout of MSP-Podcast, with the names of the
        videos, UTD-IMPROV-*.avi. Ratings go from 1 to 5, and 1 is the most active: arousal is
        turned round here, so that higher means more active as everywhere. The split names the
        session, for leave-one-session-out.
    """
    licence: ClassVar[str] = "academic agreement signed by the institution; no redistribution"
    selections: ClassVar[Mapping[str, Selection]] = {
        "4-primary": Selection(
            LABEL_SETS["msp-improv-4"],
            VotePolicy(aliases=False, plurality="corpus"),
            "every clip; shares of the primary labels without Other",
        ),
        "4-consensus": Selection(
            LABEL_SETS["msp-improv-4"],
            VotePolicy(aliases=False, plurality="corpus", clips="consensus"),
            "clips whose consensus is one of the 4 labels",
        ),
    }

    def listed(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        """Every clip with votes, then recordings without."""
        file = tree.need("Evaluation.txt", "Evalution.txt")
        transcripts = tree.texts()
        stems: set[str] = set()
        with open_text(tree.source, file) as text:
            for rated in blocks(file, text):
                if isinstance(rated, RatedClip):
                    name = rated.name.replace("UTD-IMPROV-", "MSP-IMPROV-", 1)
                    stems.add(name)
                    yield self._clip(rated, name, transcripts.get(name))
                else:
                    line, error = rated
                    yield failure(file, line, None, error.reason, str(error))
        for stem, names in tree.recordings():
            if stem not in stems:
                yield failure(names[0], None, stem, "no_votes", "no votes for this recording")

    def _clip(
        self, rated: RatedClip, name: str, transcript_file: str | None
    ) -> ListedClip | Failure:
        try:
            line = rated.line
            match = _NAME.fullmatch(name)
            if match is None:
                raise BadLineError("bad_name", f"{shown(rated.name)} is not the name of a clip")
            if rated.fault is not None or rated.facts is None:
                line, error = rated.fault or (line, BadLineError("bad_line", "no ratings"))
                raise error
        except BadLineError as error:
            return failure(rated.file, line, name, error.reason, str(error))
        utterance = self.bare_utterance(
            name,
            split=f"session{int(match['session'])}",
            speaker=match["speaker"],
            # Lines of some workers were copied; a vote that is the same in all is the same vote.
            votes=tuple(_turned(vote) for vote in dict.fromkeys(rated.votes)),
            consensus=rated.facts.consensus,
            arousal=_flip(rated.facts.arousal),
            valence=rated.facts.valence,
            dominance=rated.facts.dominance,
            facts=facts_of(
                gender=gender(match["speaker"][0]),
                session=str(int(match["session"])),
                scenario=match["scenario"],
                intended=_INTENDED[match["intended"]],
            ),
        )
        return ListedClip(utterance, name, rated.file, rated.line, transcript_file=transcript_file)


def _turned(vote: Vote) -> Vote:
    return replace(vote, arousal=_flip(vote.arousal))


def _flip(rating: float | None) -> float | None:
    return None if rating is None else round(_SCALE_ENDS - rating, 6)
