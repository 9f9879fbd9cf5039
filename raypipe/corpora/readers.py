"""Readers of users' own data, by name.

To add one: a class here, whose fields are its options, and a line in :data:`READERS`; a module with
the text ``LAYOUT`` and the function that reads; and a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypedDict

from pydantic import BaseModel, ConfigDict, Field, field_validator

from raypipe.channel_choice import ChannelChoice
from raypipe.corpora.containers import Container
from raypipe.corpora.pending import PendingClip
from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.store.location import Location
from raypipe.votes import VotePolicy


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Location of a source, and how its votes are counted.

    Attributes:
        uri: the corpus's folder; the file, files or folder of users' own data.
        endpoint: S3 server of the source.
        labels: the label set.
        policy: how votes become soft labels; words that it merges are allowed in users' own data.
        allow: places beside its own that its paths and links may lead to.
    """

    uri: str
    endpoint: str | None
    labels: LabelSet
    policy: VotePolicy
    allow: tuple[Location, ...] = ()


class _ReadArguments(TypedDict):
    """What all readers hand to their module."""

    endpoint: str | None
    dataset: str | None
    other_labels: list[str]
    channel: int | None
    allow: tuple[Location, ...]


class Reader(BaseModel):
    """A reader of users' own data; the fields are its options.

    It is a :class:`raypipe.corpora.sources.Source`.

    Attributes:
        summary: the format that it reads, in a line.
        layout: the module whose text ``LAYOUT`` describes the files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: ClassVar[str]
    layout: ClassVar[str]

    dataset: str | None = Field(
        default=None,
        description="name of the corpus in the tables; default: after the file or folder",
    )
    other_labels: tuple[str, ...] = Field(
        default=(),
        description="words outside the label set that votes may hold, a list or separated by "
        "commas; they do not count. Any other unknown word makes its line a failure",
    )
    fixed_sentences: bool = Field(
        default=False, description="the speakers were given their sentences"
    )
    channel: ChannelChoice = Field(
        default="mix",
        description="channel of a recording that is the clip, counted from 0, or the mix of all; a "
        "row's own field channel goes before it",
    )

    @field_validator("other_labels", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        return [word for word in value.split(",") if word] if isinstance(value, str) else value

    @property
    def title(self) -> str:
        """Empty: users' own data have no title."""
        return ""

    @property
    def licence(self) -> str:
        """Empty: the licence of users' own data is not known."""
        return ""

    @property
    def options(self) -> Mapping[str, object]:
        """The fields with their values; the usual channel went without saying in older ingests."""
        usual = {"channel"} if self.channel == "mix" else None
        return self.model_dump(mode="json", exclude=usual)

    @property
    def default_selection(self) -> None:
        """None: users' own data have no selections."""
        return None

    def selection(self, name: str | None) -> None:
        """None: users' own data have no selections.

        Raises:
            ConfigError: for any name.
        """
        if name is not None:
            raise ConfigError(f"users' own data have no selection {name!r}; give a label set")

    def unused_columns(self, request: ReadRequest) -> tuple[str, ...]:
        """Names of columns or fields that nothing is read from, as far as a look can tell.

        Raises:
            CorpusError: as :meth:`open`.
            StoreError: if the storage refuses.
        """
        return ()

    def _arguments(self, request: ReadRequest) -> _ReadArguments:
        return {
            "endpoint": request.endpoint,
            "dataset": self.dataset,
            "other_labels": [*self.other_labels, *request.policy.merges],
            "channel": self.channel if isinstance(self.channel, int) else None,
            "allow": request.allow,
        }


class ManifestReader(Reader):
    """Reader of manifests, one line a clip."""

    summary: ClassVar[str] = (
        "Manifests in JSONL, CSV or TSV; those of NeMo, Lhotse, EmoBox and SpeechBrain"
    )
    layout: ClassVar[str] = "raypipe.corpora.manifest"

    audio_root: str | None = Field(
        default=None,
        description="folder that paths are relative to and every clip must lie below; default: "
        "the manifest's folder",
    )

    def open(self, request: ReadRequest) -> Iterator[PendingClip | Failure]:
        """The clips of the manifest's lines."""
        from raypipe.corpora.manifest import pending_manifest

        arguments = self._arguments(request)
        return pending_manifest(
            request.uri, request.labels, audio_root=self.audio_root, **arguments
        )

    def unused_columns(self, request: ReadRequest) -> tuple[str, ...]:
        """Fields of the manifest's first lines."""
        from raypipe.corpora.manifest import unused_columns

        return unused_columns(request.uri, request.endpoint)


class EmoSuperbReader(Reader):
    """Reader of EMO-SUPERB's label tables."""

    summary: ClassVar[str] = "Label tables of EMO-SUPERB, with the recordings they name"
    layout: ClassVar[str] = "raypipe.corpora.emo_superb"

    audio_root: str | None = Field(
        default=None,
        description="folder below which the recordings lie; default: two above the table",
    )
    invert_smoothing: bool = Field(
        default=False, description="give the shares as they were before label smoothing"
    )
    smoothing: float = Field(default=0.05, description="the eps that the table was smoothed with")

    def open(self, request: ReadRequest) -> Iterator[PendingClip | Failure]:
        """The clips of the table's rows."""
        from raypipe.corpora.emo_superb import pending_emo_superb

        return pending_emo_superb(
            request.uri,
            request.labels,
            audio_root=self.audio_root,
            invert_smoothing=self.invert_smoothing,
            smoothing=self.smoothing,
            **self._arguments(request),
        )


class AudioFolderReader(Reader):
    """Reader of a folder of recordings."""

    summary: ClassVar[str] = (
        "A folder of recordings with metadata.csv or .jsonl, or a folder for each label"
    )
    layout: ClassVar[str] = "raypipe.corpora.audio_folder"

    def open(self, request: ReadRequest) -> Iterator[PendingClip | Failure]:
        """The clips of the folder."""
        from raypipe.corpora.audio_folder import pending_audio_folder

        return pending_audio_folder(request.uri, request.labels, **self._arguments(request))


class KaldiReader(Reader):
    """Reader of a Kaldi data directory."""

    summary: ClassVar[str] = "A Kaldi data directory"
    layout: ClassVar[str] = "raypipe.corpora.kaldi"

    audio_root: str | None = Field(
        default=None,
        description="folder that paths in wav.scp are relative to and must lie below; default: "
        "the data directory",
    )

    def open(self, request: ReadRequest) -> Iterator[PendingClip | Failure]:
        """The utterances of the directory."""
        from raypipe.corpora.kaldi import pending_kaldi

        arguments = self._arguments(request)
        return pending_kaldi(request.uri, request.labels, audio_root=self.audio_root, **arguments)


class SharReader(Reader):
    """Reader of Lhotse Shar."""

    summary: ClassVar[str] = "Lhotse Shar: cuts beside tar files"
    layout: ClassVar[str] = "raypipe.corpora.shar"

    def open(self, request: ReadRequest) -> Sequence[Container]:
        """The tar files with their cuts."""
        from raypipe.corpora.shar import shar_files

        return shar_files(request.uri, request.labels, **self._arguments(request))


class NemoTarReader(Reader):
    """Reader of NeMo's tarred datasets."""

    summary: ClassVar[str] = "NeMo's tarred datasets"
    layout: ClassVar[str] = "raypipe.corpora.nemo_tar"

    manifest: str = Field(
        default="tarred_audio_manifest.json",
        description="name of the JSONL file beside the tar files",
    )

    def open(self, request: ReadRequest) -> Sequence[Container]:
        """The tar files with the lines about them."""
        from raypipe.corpora.nemo_tar import nemo_tars

        arguments = self._arguments(request)
        return nemo_tars(request.uri, request.labels, manifest=self.manifest, **arguments)


class WebDatasetReader(Reader):
    """Reader of WebDataset."""

    summary: ClassVar[str] = "Tar files of WebDataset"
    layout: ClassVar[str] = "raypipe.corpora.webdataset"

    def open(self, request: ReadRequest) -> Sequence[Container]:
        """The tar files."""
        from raypipe.corpora.webdataset import tar_files

        return tar_files(request.uri, request.labels, **self._arguments(request))

    def unused_columns(self, request: ReadRequest) -> tuple[str, ...]:
        """Fields and members of the first sample."""
        from raypipe.corpora.webdataset import tar_files, unused_columns

        return unused_columns(tar_files(request.uri, request.labels)[0])


class TableReader(Reader):
    """Reader of tables with an audio column."""

    summary: ClassVar[str] = "Parquet and Arrow files with an audio column"
    layout: ClassVar[str] = "raypipe.corpora.hf_table"

    audio_root: str | None = Field(
        default=None,
        description="folder that paths in the tables are relative to; default: the table's folder",
    )

    def open(self, request: ReadRequest) -> Sequence[Container]:
        """The files."""
        from raypipe.corpora.hf_table import tables

        arguments = self._arguments(request)
        return tables(request.uri, request.labels, audio_root=self.audio_root, **arguments)

    def unused_columns(self, request: ReadRequest) -> tuple[str, ...]:
        """Columns of the first table."""
        from raypipe.corpora.hf_table import tables, unused_columns

        return unused_columns(tables(request.uri, request.labels)[0])


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
