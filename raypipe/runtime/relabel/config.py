"""The config of a relabel job."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from raypipe.config import ModelConfig, ResourcesConfig, RunConfig
from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.decoding import DecodingConfig, PenaltiesConfig
from raypipe.config.sections import InputConfig, StorageConfig
from raypipe.config.values import PathText
from raypipe.errors import ConfigError
from raypipe.labels import LabelSet, label_set
from raypipe.prompts import RELABEL
from raypipe.relabel.settings import RelabelSettings
from raypipe.ssl.smoothing import SmoothingForm

TOKENS_PER_ITEM = 160
"""Longest answer about an item that is reckoned with: eight labels, its words and a reason."""

ROWS = 16
"""Requests answered together where ``resources.batch_size`` is ``auto``: they are long."""

_DEFAULTS = RelabelSettings()


class LabelTableInput(ConfigSection):
    """A label table of EMO-SUPERB with a column ``words``, in the place of shards.

    Attributes:
        path: of the CSV file, or its ``s3://`` URI.
        labels: name of a label set, or labels, in the order of the output.
        other_labels: columns outside the label set; their shares are dropped.
    """

    path: PathText
    labels: str | tuple[str, ...]
    other_labels: tuple[str, ...] = ()

    @field_validator("labels")
    @classmethod
    def _known(cls, labels: str | tuple[str, ...]) -> str | tuple[str, ...]:
        try:
            label_set(labels)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return labels

    @property
    def label_set(self) -> LabelSet:
        """The labels, in order."""
        return label_set(self.labels)


class RelabelConfig(ConfigSection):
    """Labels and typed descriptions in, a label table out.

    Attributes:
        name: what the job, and its label table, is called.
        input: shards; or give ``table``.
        table: a label table with typed descriptions; or give ``input``.
        output: directory or ``s3://bucket/prefix`` of the tables.
        model: any that reads text.
        template: ``relabel`` or the path of a Jinja template with the same names.
        items_per_request: most items in one request.
        attempts: most requests that an item stands in; then its reference stands.
        description_weight: share that descriptions weigh, the reference the rest.
        reasons: ask for a reason of 15 to 20 words.
        reference: show the reference distribution; without it the answer is the description alone.
        sum_tolerance: most that an answer's sum may differ from 1.
        flag_shift: total variation from the reference above which a row is flagged.
        self_reports: whether what speakers typed of themselves counts.
        smoothing: epsilon of the label smoothing of ``adjusted``; 0 for none.
        smoothing_form: ``emo_superb``: y(1-e) + (1-y)e/(C-1); ``szegedy``: y(1-e) + e/C.
        max_new_tokens: longest answer to a request, in tokens; None for 160 an item.
        penalties: as in a run's ``decoding``.
        max_error_fraction: largest share of the items whose last request may fail as a whole.
    """

    name: str = "relabelled"
    input: InputConfig | None = None
    table: LabelTableInput | None = None
    output: PathText
    storage: StorageConfig = StorageConfig()
    model: ModelConfig = ModelConfig()
    template: str = RELABEL
    items_per_request: int = Field(default=_DEFAULTS.items_per_request, ge=1)
    attempts: int = Field(default=_DEFAULTS.attempts, ge=1)
    description_weight: float = Field(default=_DEFAULTS.description_weight, gt=0, le=1)
    reasons: bool = _DEFAULTS.reasons
    reference: bool = _DEFAULTS.reference
    sum_tolerance: float = Field(default=_DEFAULTS.sum_tolerance, ge=0, lt=0.5)
    flag_shift: float = Field(default=_DEFAULTS.flag_shift, ge=0, le=1)
    self_reports: bool = False
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    smoothing_form: SmoothingForm = "emo_superb"
    max_new_tokens: int | None = Field(default=None, ge=1)
    penalties: Literal["checkpoint", "none"] | PenaltiesConfig = "checkpoint"
    resources: ResourcesConfig = ResourcesConfig()
    max_error_fraction: float = Field(default=0.05, ge=0, le=1)

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if (self.input is None) == (self.table is None):
            raise ValueError("give input (shards) or table (a label table), one of them")
        return self

    @model_validator(mode="after")
    def _model_can_be_asked(self) -> Self:
        self.as_run()
        return self

    def settings(self) -> RelabelSettings:
        """How items are asked and when answers count."""
        return RelabelSettings(
            **{field.name: getattr(self, field.name) for field in fields(RelabelSettings)}
        )

    @property
    def prompt(self) -> str:
        """The prompt's name in the tables."""
        return self.template if self.template == RELABEL else Path(self.template).stem

    def as_run(self) -> RunConfig:
        """The run of one text-only question under which the model is loaded and asked."""
        tokens = self.max_new_tokens or TOKENS_PER_ITEM * self.items_per_request
        rows = ROWS if self.resources.batch_size == "auto" else self.resources.batch_size
        return RunConfig.model_validate(
            {
                "name": self.name,
                "input": {"shards": "."},  # a run's; nothing is read from there
                "output": self.output,
                "storage": self.storage,
                "model": self.model,
                "prompt": {"template": self.template, "text_only": True},
                "decoding": DecodingConfig(
                    beam_count=0, greedy=True, max_new_tokens=tokens, penalties=self.penalties
                ),
                "strategies": ("greedy",),
                "resources": self.resources.model_copy(update={"batch_size": rows}),
            }
        )

    def identity(self, input_fingerprint: str, source: str, model: str) -> str:
        """SHA-256 over everything that can change the label table.

        Args:
            input_fingerprint: of the shards or of the table.
            source: text of the template.
            model: fingerprint of the model.
        """
        run = self.as_run()
        settings = self.model_dump(
            mode="json",
            exclude={
                **dict.fromkeys(("name", "output", "storage", "model", "template"), True),
                **dict.fromkeys(("resources", "max_error_fraction"), True),
                "input": {"shards"},
                "table": {"path"},
            },
        )
        document = {
            "input": input_fingerprint,
            "prompt": [self.prompt, source],
            "model": [model, self.model.identity()],
            "decoding": run.decoding.model_dump(mode="json"),
            "settings": settings,
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def load_relabel_config(path: str | Path) -> RelabelConfig:
    """Read and check the YAML file of a relabel job.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return checked(RelabelConfig, read_yaml(path), str(path))
