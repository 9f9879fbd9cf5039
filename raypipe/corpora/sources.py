"""Sources that ``raypipe ingest`` can read: adapters of corpora, readers of users' own data.

To add a corpus, see :mod:`raypipe.corpora`; to add a reader, :mod:`raypipe.corpora.readers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from raypipe.corpora import CORPORA, load_corpus, selection
from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.containers import Container
from raypipe.corpora.pending import PendingClip
from raypipe.corpora.readers import READERS, ReadRequest
from raypipe.errors import ConfigError, did_you_mean
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.store.location import Location
from raypipe.votes import VotePolicy


class Source(Protocol):
    """A corpus or a reader with its options."""

    @property
    def title(self) -> str:
        """Name of the corpus in a line; empty for users' own data."""
        ...

    @property
    def licence(self) -> str:
        """Licence of the corpus in a line; empty if unknown."""
        ...

    @property
    def fixed_sentences(self) -> bool:
        """Whether the speakers were given their sentences."""
        ...

    @property
    def options(self) -> Mapping[str, object]:
        """All its options with their values."""
        ...

    @property
    def default_selection(self) -> str | None:
        """Name of the usual way to read it; None where there is none."""
        ...

    def selection(self, name: str | None) -> Selection | None:
        """A usual way to read it, the default without a name; None if there is no default.

        Raises:
            ConfigError: for an unknown name.
        """
        ...

    def unused_columns(self, request: ReadRequest) -> tuple[str, ...]:
        """Names of columns that nothing is read from, as far as a look can tell."""
        ...

    def open(self, request: ReadRequest) -> Iterator[PendingClip | Failure] | Sequence[Container]:
        """The clips, or the files that hold them with their audio.

        Raises:
            CorpusError: if the source cannot be read as a whole.
            StoreError: if the storage refuses.
        """
        ...


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """A corpus of :data:`raypipe.corpora.CORPORA`; see :class:`Source`."""

    corpus: Corpus

    @property
    def title(self) -> str:
        """Title of the corpus."""
        return self.corpus.title

    @property
    def licence(self) -> str:
        """Licence of the corpus."""
        return self.corpus.licence

    @property
    def fixed_sentences(self) -> bool:
        """Whether the speakers were given their sentences."""
        return self.corpus.fixed_sentences

    @property
    def options(self) -> Mapping[str, object]:
        """The fields of the adapter."""
        return self.corpus.model_dump(mode="json")

    @property
    def default_selection(self) -> str:
        """Name of the corpus's first selection."""
        return next(iter(self.corpus.selections))

    def selection(self, name: str | None) -> Selection:
        """One of the corpus's selections."""
        return selection(self.corpus, name)

    def unused_columns(self, request: ReadRequest) -> tuple[str, ...]:
        """None: an adapter knows its corpus."""
        return ()

    def open(self, request: ReadRequest) -> Iterator[PendingClip | Failure]:
        """The clips of the corpus's folder."""
        place = Location.parse(request.uri, request.endpoint)
        return self.corpus.pending(place.confined(request.allow))


def open_source(name: str, options: Mapping[str, object] | None = None) -> Source:
    """A corpus or a reader with its options.

    Args:
        name: a key of :data:`raypipe.corpora.CORPORA` or of :data:`READERS`.
        options: values of its fields; texts, as from a command line, are converted.

    Raises:
        ConfigError: for an unknown name or option, or a value that an option does not take.
    """
    if name in CORPORA:
        return CorpusSource(load_corpus(name, options))
    if name not in READERS:
        known = f"{', '.join(CORPORA)}; your own data: {', '.join(READERS)}"
        hint = did_you_mean(name, [*CORPORA, *READERS])
        raise ConfigError(f"unknown corpus {name!r}{hint}; known: {known}")
    reader = READERS[name]
    try:
        return reader.model_validate(dict(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"]))
        known = ", ".join(reader.model_fields)
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            what = f"unknown option{did_you_mean(option, reader.model_fields)}"
        raise ConfigError(
            f"reader {name}: option {option}: {what}; its options: {known}"
        ) from error


def resolved(
    source: Source,
    *,
    selected: str | None,
    labels: LabelSet | None,
    changes: Mapping[str, object],
    merges: Mapping[str, str] | None = None,
) -> tuple[LabelSet, VotePolicy]:
    """The label set and the policy of a run.

    Args:
        source: the corpus or reader.
        selected: name of a selection; None for the default one.
        labels: a label set in place of the selection's.
        changes: fields of :class:`VotePolicy` in place of the selection's.
        merges: added to the selection's.

    Raises:
        ConfigError: for an unknown selection, users' own data without a label set, or a policy
            that the labels do not fit.
    """
    chosen = source.selection(selected)
    if labels is None and chosen is None:
        raise ConfigError("your own data need a label set: its name, or labels by commas")
    label_set = labels or (chosen.labels if chosen else None)
    assert label_set is not None
    policy = VotePolicy() if chosen is None else chosen.policy
    merges = merges or {}
    unknown = [word for word in merges.values() if word not in label_set.names]
    if unknown:
        known = ", ".join(label_set.names)
        raise ConfigError(f"merged into {unknown[0]!r}, which is none of {known}")
    policy = policy.model_copy(update={**changes, "merges": {**policy.merges, **merges}})
    if policy.outside == "other" and "other" not in label_set.names:
        raise ConfigError(
            "votes outside the set are to count as 'other', which is none of its labels: "
            f"{', '.join(label_set.names)}"
        )
    return label_set, policy
