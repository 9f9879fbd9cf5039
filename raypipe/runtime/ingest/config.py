"""The config of an ingest: the same for ``raypipe ingest`` and ``jobs/ingest.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raypipe.config import StorageConfig, checked, read_yaml
from raypipe.config.values import PathText
from raypipe.corpora.limits import DEFAULT_LIMITS, RecordingLimits
from raypipe.labels import LabelSet, label_set
from raypipe.shards import BYTES_PER_SHARD, ROWS_PER_SHARD
from raypipe.votes import ClipRule, OutsideRule, PluralityRule, SoftLabelRule


class _IngestSection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class VotesConfig(_IngestSection):
    """Changes to how the selection counts votes; see :class:`raypipe.votes.VotePolicy`.

    Attributes:
        soft_label_rule: what an annotator with several labels counts for.
        outside: what becomes of votes outside the label set.
        merge: words that count as another label; added to those of the selection.
        clips: which clips stay.
        plurality: where the reference label comes from.
        self_reports: whether speakers' judgements of themselves count.
    """

    soft_label_rule: SoftLabelRule | None = None
    outside: OutsideRule | None = None
    merge: dict[str, str] = Field(default_factory=dict)
    clips: ClipRule | None = None
    plurality: PluralityRule | None = None
    self_reports: bool | None = None

    def changes(self) -> dict[str, object]:
        """The fields of a policy that are given, but for its merges, under the policy's names."""
        given = self.model_dump(exclude_none=True, exclude={"merge", "soft_label_rule"})
        if self.soft_label_rule is not None:
            given["rule"] = self.soft_label_rule
        return given

    def merges(self) -> dict[str, str]:
        """The merges of a policy that are given, with the words as policies have them."""
        return {word.strip().lower(): label for word, label in self.merge.items()}


class LimitsConfig(_IngestSection):
    """Limits of every clip; one beyond them is a failure. See :mod:`raypipe.corpora.limits`.

    Attributes:
        max_duration_s: seconds of a clip.
        max_bytes: bytes of a recording as it is stored. A task may hold four times as many.
    """

    max_duration_s: float = Field(default=DEFAULT_LIMITS.max_duration_s, gt=0, le=86_400)
    max_bytes: int = Field(default=DEFAULT_LIMITS.max_bytes, ge=1)

    def clip_limits(self) -> RecordingLimits:
        """The limits for those who read."""
        return RecordingLimits(self.max_duration_s, self.max_bytes)


class IngestConfig(_IngestSection):
    """Settings of an ingest, from a corpus to shards.

    Attributes:
        corpus: name of an adapter or of a reader (:mod:`raypipe.corpora.sources`).
        source: the corpus's folder; the file, files or folder of users' own data.
        output: directory or ``s3://bucket/prefix`` of the shards.
        options: of the adapter or reader.
        selection: one of the corpus's usual selections; default: its first.
        label_set: a name, or a list of labels, in place of the selection's; users' own data need
            one.
        votes: how votes are counted, where other than in the selection.
        limits: of every clip.
        allow: folders and ``s3://bucket/prefix`` beside the source's own that its paths and links
            may lead to.
        audio: ``flac``: integer PCM becomes FLAC of the same depth, all else stays as it is;
            ``original``: every recording stays as it is.
        rows_per_shard: most utterances in a shard.
        bytes_per_shard: audio bytes, as they were found, after which a shard is closed.
        storage: how the shards are reached, and the source unless it has an endpoint of its own.
        source_endpoint: S3 server of the source, where it is another.
        workers: most tasks at a time; default: one for each CPU of the cluster.
    """

    corpus: str
    source: PathText
    output: PathText
    options: dict[str, object] = Field(default_factory=dict)
    selection: str | None = None
    label_set: str | tuple[str, ...] | None = None
    votes: VotesConfig = VotesConfig()
    limits: LimitsConfig = LimitsConfig()
    allow: tuple[PathText, ...] = ()
    audio: Literal["flac", "original"] = "flac"
    rows_per_shard: int = Field(default=ROWS_PER_SHARD, ge=1)
    bytes_per_shard: int = Field(default=BYTES_PER_SHARD, ge=1)
    storage: StorageConfig = StorageConfig()
    source_endpoint: str | None = None
    workers: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _labels_are_good(self) -> Self:
        self.labels()
        return self

    def labels(self) -> LabelSet | None:
        """The label set that is asked for; None for the selection's.

        Raises:
            ConfigError: for an unknown name or an invalid list.
        """
        return None if self.label_set is None else label_set(self.label_set)


def load_ingest_config(path: str | Path) -> IngestConfig:
    """Read and check an ingest's YAML file.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return checked(IngestConfig, read_yaml(path), source=str(path))
