"""Base class of the corpus adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from raypipe.corpora.clips import FileTree, ListedClip, pending
from raypipe.corpora.pending import PendingClip, read_ahead
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.store.location import Location
from raypipe.votes import VotePolicy


@dataclass(frozen=True, slots=True)
class Selection:
    """A usual way to read a corpus: its labels, what counts as a vote, which clips stay.

    Attributes:
        labels: the label set.
        policy: how votes become soft labels.
        note: where the selection comes from and how many clips it gives on the real corpus.
    """

    labels: LabelSet
    policy: VotePolicy
    note: str


class Corpus(BaseModel):
    """A corpus's layout on disk; the fields of a subclass are its options.

    An option is a :func:`pydantic.Field` with a description, which the catalogue shows.

    Attributes:
        name: key in :data:`raypipe.corpora.CORPORA`, and name of the data set in the tables.
        title: full name of the corpus, in a line.
        about: layout and quirks, in paragraphs; text of the catalogue.
        licence: licence in a line.
        fixed_sentences: the speakers were given their sentences, so words carry no emotion.
        selections: usual ways to read it by name, the default first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    licence: ClassVar[str]
    fixed_sentences: ClassVar[bool] = False
    selections: ClassVar[Mapping[str, Selection]]

    def read(self, source: Location) -> Iterator[Utterance | Failure]:
        """The corpus, clip by clip, in a fixed order, with every vote and without soft labels.

        Args:
            source: the corpus's folder, as it is when unpacked.

        Yields:
            Utterances, and failures that name file and line.

        Raises:
            CorpusError: if it is not this corpus, or not readable as a whole.
            StoreError: if the storage refuses.
        """
        yield from read_ahead(self.pending(source))

    def pending(self, source: Location) -> Iterator[PendingClip | Failure]:
        """The clips of :meth:`read` in the same order, before their audio is read.

        Args:
            source: as of :meth:`read`, whose errors it raises.
        """
        tree = FileTree(source)
        yield from pending(tree, self.listed(tree))

    def listed(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        """Every clip of the label files, lazily, or a failure in its place."""
        raise NotImplementedError

    def bare_utterance(self, utterance_id: str, **fields: object) -> Utterance:
        """An utterance of this corpus without its audio."""
        values: dict[str, object] = {"split": None, "speaker": None, **fields}
        return Utterance(
            utterance_id=utterance_id,
            dataset=self.name,
            audio=b"",
            sampling_rate=0,
            duration_s=0.0,
            **values,  # type: ignore[arg-type]
        )
