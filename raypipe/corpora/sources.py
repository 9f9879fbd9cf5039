"""What ``raypipe ingest`` can read, by name: adapters of corpora and readers of users' own data.

To add a reader: its options as a class here, a line in :data:`READERS`, and a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from raypipe.corpora import CORPORA, load_corpus, selection
from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.containers import Container
from raypipe.corpora.pending import Pending
from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.store.location import Location
from raypipe.votes import VotePolicy


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read, and how its votes are counted.

    Attributes:
        uri: the corpus's folder; the file, files or folder of users' own data.
        endpoint: S3 server of the source.
        labels: the label set.
        policy: how votes become soft labels; words that it merges are allowed in users' own data.
    """

    uri: str
    endpoint: str | None
    labels: LabelSet
    policy: VotePolicy


class Source(Protocol):
    """A corpus or a reader with its options."""

    @property
    def title(self) -> str:
        """What it is, in a line."""
        ...

    @property
    def licence(self) -> str:
        """What may be done with it, in a line; empty where nobody says."""
        ...

    @property
    def fixed_sentences(self) -> bool:
        """The speakers were given their sentences."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
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

    def open(self, reading: Reading) -> Iterator[Pending | Failure] | Sequence[Container]:
        """The clips one by one, or the files that hold them with their audio.

        Raises:
            CorpusError: if the source cannot be read as a whole.
            StoreError: if the storage refuses.
        """
        ...


@dataclass(frozen=True, slots=True)
class Adapter:
    """A corpus of :data:`raypipe.corpora.CORPORA`; see :class:`Source`."""

    corpus: Corpus

    @property
    def title(self) -> str:
        """As the corpus says."""
        return self.corpus.title

    @property
    def licence(self) -> str:
        """As the corpus says."""
        return self.corpus.licence

    @property
    def fixed_sentences(self) -> bool:
        """As the corpus says."""
        return self.corpus.fixed_sentences

    @property
    def options(self) -> Mapping[str, Any]:
        """The fields of the adapter."""
        return self.corpus.model_dump(mode="json")

    @property
    def default_selection(self) -> str:
        """The corpus's first."""
        return next(iter(self.corpus.selections))

    def selection(self, name: str | None) -> Selection:
        """One of the corpus's own."""
        return selection(self.corpus, name)

    def open(self, reading: Reading) -> Iterator[Pending | Failure]:
        """The clips of the corpus's folder."""
        return self.corpus.pending(Location.parse(reading.uri, reading.endpoint))


class Reader(BaseModel):
    """A reader of users' own data; the fields are its options. See :class:`Source`.

    Attributes:
        dataset: name of the corpus in the tables; default: after the file or folder.
        other_labels: words outside the label set that votes may hold, a list or separated by
            commas; they do not count. Any other unknown word makes its line a failure.
        fixed_sentences: the speakers were given their sentences.
        layout: the module whose docstring says what the files look like.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: ClassVar[str]

    dataset: str | None = None
    other_labels: tuple[str, ...] = ()
    fixed_sentences: bool = False

    @field_validator("other_labels", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        return [word for word in value.split(",") if word] if isinstance(value, str) else value

    @property
    def title(self) -> str:
        """Nothing is known about it."""
        return ""

    @property
    def licence(self) -> str:
        """Nobody says."""
        return ""

    @property
    def options(self) -> Mapping[str, Any]:
        """The fields."""
        return self.model_dump(mode="json")

    @property
    def default_selection(self) -> None:
        """There is none."""
        return None

    def selection(self, name: str | None) -> None:
        """There are none."""
        if name is not None:
            raise ConfigError(f"users' own data have no selection {name!r}; give a label set")

    def _arguments(self, reading: Reading) -> dict[str, Any]:
        return {
            "endpoint": reading.endpoint,
            "dataset": self.dataset,
            "other_labels": [*self.other_labels, *reading.policy.merges],
        }


class ManifestReader(Reader):
    """JSONL, CSV and TSV manifests; NeMo's; Lhotse's cuts.

    Attributes:
        audio_root: what paths are relative to and every clip must lie below.
    """

    layout: ClassVar[str] = "raypipe.corpora.manifest"

    audio_root: str | None = None

    def open(self, reading: Reading) -> Iterator[Pending | Failure]:
        """The clips of the manifest's lines."""
        from raypipe.corpora.manifest import pending_manifest

        arguments = self._arguments(reading)
        return pending_manifest(
            reading.uri, reading.labels, audio_root=self.audio_root, **arguments
        )


class EmoSuperbReader(Reader):
    """Label tables of EMO-SUPERB, with the recordings they name.

    Attributes:
        audio_root: folder below which the recordings lie; default: two above the table.
        invert_smoothing: give the shares as they were before label smoothing.
        smoothing: the eps that the table was smoothed with.
    """

    layout: ClassVar[str] = "raypipe.corpora.emo_superb"

    audio_root: str | None = None
    invert_smoothing: bool = False
    smoothing: float = 0.05

    def open(self, reading: Reading) -> Iterator[Pending | Failure]:
        """The clips of the table's rows."""
        from raypipe.corpora.emo_superb import pending_emo_superb

        return pending_emo_superb(
            reading.uri,
            reading.labels,
            audio_root=self.audio_root,
            invert_smoothing=self.invert_smoothing,
            smoothing=self.smoothing,
            **self._arguments(reading),
        )


class AudioFolderReader(Reader):
    """A folder of recordings with ``metadata.csv`` or ``.jsonl``, or a folder for each label."""

    layout: ClassVar[str] = "raypipe.corpora.audio_folder"

    def open(self, reading: Reading) -> Iterator[Pending | Failure]:
        """The clips of the folder."""
        from raypipe.corpora.audio_folder import pending_audio_folder

        return pending_audio_folder(reading.uri, reading.labels, **self._arguments(reading))


class KaldiReader(Reader):
    """A Kaldi data directory.

    Attributes:
        audio_root: what paths in ``wav.scp`` are relative to and must lie below.
    """

    layout: ClassVar[str] = "raypipe.corpora.kaldi"

    audio_root: str | None = None

    def open(self, reading: Reading) -> Iterator[Pending | Failure]:
        """The utterances of the directory."""
        from raypipe.corpora.kaldi import pending_kaldi

        arguments = self._arguments(reading)
        return pending_kaldi(reading.uri, reading.labels, audio_root=self.audio_root, **arguments)


class SharReader(Reader):
    """Lhotse Shar: cuts beside tar files."""

    layout: ClassVar[str] = "raypipe.corpora.shar"

    def open(self, reading: Reading) -> Sequence[Container]:
        """The shards."""
        from raypipe.corpora.shar import shar_files

        return shar_files(reading.uri, reading.labels, **self._arguments(reading))


class NemoTarReader(Reader):
    """NeMo's tarred datasets.

    Attributes:
        manifest: name of the JSONL file beside the tar files.
    """

    layout: ClassVar[str] = "raypipe.corpora.nemo_tar"

    manifest: str = "tarred_audio_manifest.json"

    def open(self, reading: Reading) -> Sequence[Container]:
        """The tar files."""
        from raypipe.corpora.nemo_tar import nemo_tars

        arguments = self._arguments(reading)
        return nemo_tars(reading.uri, reading.labels, manifest=self.manifest, **arguments)


class WebDatasetReader(Reader):
    """Tar files."""

    layout: ClassVar[str] = "raypipe.corpora.webdataset"

    def open(self, reading: Reading) -> Sequence[Container]:
        """The tar files."""
        from raypipe.corpora.webdataset import tar_files

        return tar_files(reading.uri, reading.labels, **self._arguments(reading))


class TableReader(Reader):
    """Parquet and Arrow files with an audio column.

    Attributes:
        audio_root: what paths in the tables are relative to.
    """

    layout: ClassVar[str] = "raypipe.corpora.hf_table"

    audio_root: str | None = None

    def open(self, reading: Reading) -> Sequence[Container]:
        """The files."""
        from raypipe.corpora.hf_table import tables

        arguments = self._arguments(reading)
        return tables(reading.uri, reading.labels, audio_root=self.audio_root, **arguments)


_Readers = (
    ManifestReader
    | AudioFolderReader
    | KaldiReader
    | SharReader
    | NemoTarReader
    | EmoSuperbReader
    | WebDatasetReader
    | TableReader
)

READERS: Mapping[str, type[_Readers]] = {
    "manifest": ManifestReader,
    "nemo": ManifestReader,
    "nemo-tarred": NemoTarReader,
    "lhotse": ManifestReader,
    "lhotse-shar": SharReader,
    "speechbrain": ManifestReader,
    "emobox": ManifestReader,
    "kaldi": KaldiReader,
    "audio-folder": AudioFolderReader,
    "emo-superb": EmoSuperbReader,
    "webdataset": WebDatasetReader,
    "parquet": TableReader,
}
"""Readers of users' own data by name."""


def open_source(name: str, options: Mapping[str, object] | None = None) -> Source:
    """A corpus or a reader with its options.

    Args:
        name: a key of :data:`raypipe.corpora.CORPORA` or of :data:`READERS`.
        options: values of its fields; texts, as from a command line, are converted.

    Raises:
        ConfigError: for an unknown name or option, or a value that an option does not take.
    """
    if name in CORPORA:
        return Adapter(load_corpus(name, options))
    if name not in READERS:
        known = f"{', '.join(CORPORA)}; your own data: {', '.join(READERS)}"
        raise ConfigError(f"unknown corpus {name!r}; known: {known}")
    reader = READERS[name]
    try:
        return reader.model_validate(dict(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"]))
        known = ", ".join(reader.model_fields)
        raise ConfigError(
            f"reader {name}: option {option}: {first['msg']}; its options: {known}"
        ) from error


def resolved(
    source: Source,
    *,
    selected: str | None,
    labels: LabelSet | None,
    changes: Mapping[str, Any],
) -> tuple[LabelSet, VotePolicy]:
    """The label set and the policy of a run.

    Args:
        source: what is read.
        selected: name of a selection; None for the default one.
        labels: a label set in place of the selection's.
        changes: fields of :class:`VotePolicy` in place of the selection's; merges are added.

    Raises:
        ConfigError: for an unknown selection, users' own data without a label set, or a policy
            that the labels do not fit.
    """
    chosen = source.selection(selected)
    if labels is None and chosen is None:
        raise ConfigError("your own data need a label set: its name, or labels by commas")
    found = labels or (chosen.labels if chosen else None)
    assert found is not None
    policy = VotePolicy() if chosen is None else chosen.policy
    merges = changes.get("merges", {})
    unknown = [word for word in merges.values() if word not in found.names]
    if unknown:
        raise ConfigError(f"merged into {unknown[0]!r}, which is none of {', '.join(found.names)}")
    policy = policy.model_copy(update={**changes, "merges": {**policy.merges, **merges}})
    if policy.outside == "other" and "other" not in found.names:
        raise ConfigError(
            "votes outside the set are to count as 'other', which is none of its labels: "
            f"{', '.join(found.names)}"
        )
    return found, policy
