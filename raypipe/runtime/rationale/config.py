"""The config of a rationale job."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from raypipe.config import ModelConfig, ResourcesConfig, RunConfig
from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.decoding import DecodingConfig, PenaltiesConfig
from raypipe.config.sections import AudioConfig, InputConfig, StorageConfig
from raypipe.config.values import PathText
from raypipe.errors import ConfigError
from raypipe.explain.gold import GoldRule
from raypipe.explain.rationale.draft import QuotedLabel, RuleSettings
from raypipe.explain.splits import check_training_splits
from raypipe.labels import LabelSet, label_set
from raypipe.prompts import RATIONALE
from raypipe.store.rationale_schema import Purpose

ROWS = 16
"""Requests answered together where ``resources.batch_size`` is ``auto``: they are long."""

GUESS_TOKENS = 16

_RULES = RuleSettings()


class RulesConfig(ConfigSection):
    """How strict the rules of rationales are.

    Attributes:
        fewest_words: of a rationale.
        most_words: of a rationale.
        synonyms: refuse synonyms of the label, not only its word forms.
        quoted_label: whether the label's word may stand in words quoted from the transcript.
    """

    fewest_words: int = Field(default=_RULES.fewest_words, ge=1)
    most_words: int = Field(default=_RULES.most_words, ge=1)
    synonyms: bool = _RULES.synonyms
    quoted_label: QuotedLabel = _RULES.quoted_label

    @model_validator(mode="after")
    def _lengths_are_in_order(self) -> Self:
        if self.fewest_words > self.most_words:
            raise ValueError("fewest_words is more than most_words")
        return self

    @property
    def settings(self) -> RuleSettings:
        """The same for :mod:`raypipe.explain.rationale`."""
        return RuleSettings(**self.model_dump())


class RationaleConfig(ConfigSection):
    """Shards and a teacher in, a table of rationales out.

    Attributes:
        name: what the job is called.
        input: shards.
        output: directory or ``s3://bucket/prefix`` of the tables.
        model: the teacher, which hears the clip and is told transcript and gold label.
        template: ``rationale`` or the path of a Jinja template with the same names.
        purpose: ``train``, or ``test_ii`` for rationales of evaluation items that only raters of
            Test II see: their table is refused where something is trained.
        splits: whose utterances are asked about; ``unsplit`` for those of a corpus without splits.
            Of ``train``, evaluation splits are refused.
        gold: ``consensus`` that the corpus publishes, else the ``plurality``; or the plurality.
        labels: a label set or labels: utterances of others are left out; None for any label.
        transcript: without one an utterance is an error row, or ``optional``.
        tries: most requests about one utterance.
        rules: how strict they are.
        guesser: a text model that is shown the rationale alone; one whose label it guesses is
            refused. None to do without.
        audio: what counts as usable; a long clip is an error row or heard up to the window.
        max_new_tokens: longest answer, in tokens.
        penalties: as in a run's ``decoding``.
        max_error_fraction: largest share of the utterances that raypipe or the model may fail.
    """

    name: str = "rationales"
    input: InputConfig
    output: PathText
    storage: StorageConfig = StorageConfig()
    model: ModelConfig = ModelConfig()
    template: PathText = RATIONALE
    purpose: Purpose = "train"
    splits: tuple[str, ...]
    gold: GoldRule = "consensus"
    labels: str | tuple[str, ...] | None = None
    transcript: Literal["required", "optional"] = "required"
    tries: int = Field(default=3, ge=1)
    rules: RulesConfig = RulesConfig()
    guesser: ModelConfig | None = None
    audio: AudioConfig = AudioConfig()
    max_new_tokens: int = Field(default=320, ge=1)
    penalties: Literal["checkpoint", "none"] | PenaltiesConfig = "checkpoint"
    resources: ResourcesConfig = ResourcesConfig()
    max_error_fraction: float = Field(default=0.05, ge=0, le=1)

    @field_validator("labels")
    @classmethod
    def _known(cls, labels: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        try:
            return labels if labels is None or label_set(labels) else None
        except ConfigError as error:
            raise ValueError(str(error)) from error

    @field_validator("audio")
    @classmethod
    def _heard_at_once(cls, audio: AudioConfig) -> AudioConfig:
        if audio.long_audio == "windows":
            raise ValueError("long_audio windows: a rationale is about a clip, not about its parts")
        return audio

    @model_validator(mode="after")
    def _splits_fit_the_purpose(self) -> Self:
        try:
            if self.purpose == "train":
                check_training_splits(self.splits, "rationales")
            elif not self.splits:
                raise ConfigError("splits: name those that the rationales of Test II are about")
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _models_can_be_asked(self) -> Self:
        self.as_run()
        self.as_guesser()
        return self

    @property
    def prompt(self) -> str:
        """The prompt's name in the tables."""
        return self.template if self.template == RATIONALE else Path(self.template).stem

    @property
    def label_set(self) -> LabelSet | None:
        """Labels whose utterances are asked about; None for any."""
        return None if self.labels is None else label_set(self.labels)

    def as_run(self) -> RunConfig:
        """The run of one question about a clip under which the teacher is loaded and asked."""
        return self._run(self.model, self.max_new_tokens, text_only=False)

    def as_guesser(self) -> RunConfig | None:
        """The run under which the guesser is loaded and asked; None without one."""
        return (
            None if self.guesser is None else self._run(self.guesser, GUESS_TOKENS, text_only=True)
        )

    def _run(self, model: ModelConfig, tokens: int, *, text_only: bool) -> RunConfig:
        rows = ROWS if self.resources.batch_size == "auto" else self.resources.batch_size
        return RunConfig.model_validate(
            {
                "name": self.name,
                "input": self.input,
                "output": self.output,
                "storage": self.storage,
                "model": model,
                "audio": self.audio,
                "prompt": {"template": self.template, "text_only": text_only},
                "decoding": DecodingConfig(
                    beam_count=0, greedy=True, max_new_tokens=tokens, penalties=self.penalties
                ),
                "strategies": ("greedy",),
                "resources": self.resources.model_copy(update={"batch_size": rows}),
            }
        )

    def identity(self, input_fingerprint: str, source: str, models: dict[str, str]) -> str:
        """SHA-256 over everything that can change the table.

        Args:
            input_fingerprint: of the shards.
            source: text of the template.
            models: fingerprints of the teacher and the guesser.
        """
        settings = self.model_dump(
            mode="json",
            exclude={
                **dict.fromkeys(("name", "output", "storage", "model", "guesser"), True),
                **dict.fromkeys(("template", "resources", "max_error_fraction"), True),
                "input": {"shards"},
            },
        )
        document = {
            "input": input_fingerprint,
            "prompt": [self.prompt, source],
            "models": models,
            "teacher": self.model.identity(),
            "guesser": None if self.guesser is None else self.guesser.identity(),
            "settings": settings,
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def load_rationale_config(path: str | Path) -> RationaleConfig:
    """Read and check the YAML file of a rationale job.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return checked(RationaleConfig, read_yaml(path), str(path))
