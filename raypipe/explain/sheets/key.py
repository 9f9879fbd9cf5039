"""The key of a study: what its items are, which stays with the researcher."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from raypipe.errors import ConfigError

Test = Literal["I", "II"]
"""``I``: accept or reject a label and its reason; ``II``: prefer one of two reasons."""

Side = Literal["A", "B"]
"""Place of a reason among two."""


class _KeySection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeyItem(_KeySection):
    """What an item of the sheets is.

    Attributes:
        item: its id in the sheets, which says nothing but which test it is of.
        label: that the model predicted.
        reference: the annotators' consensus.
    """

    item: str
    test: Test
    utterance_id: str
    speaker: str | None
    label: str
    reference: str

    @property
    def is_match(self) -> bool:
        """Whether the prediction is the reference."""
        return self.label == self.reference


class StudyKey(_KeySection):
    """The key of a study.

    Attributes:
        study: id, which stands in every sheet and every file of answers.
        system: name of the model that was asked about.
        seed: of the choice of items, their order and their sides.
        raters: number of sheets; raters are counted from 1.
        items: of both tests.
        predicted_sides: by rater, where each item of Test II has the model's own reason.
    """

    format: Literal["raypipe-sheets-key"] = "raypipe-sheets-key"
    version: Literal[1] = 1
    study: str
    system: str
    seed: int
    raters: int
    items: tuple[KeyItem, ...]
    predicted_sides: dict[int, dict[str, Side]]


def key_from_json(text: str, where: str) -> StudyKey:
    """A key from the text of its file.

    Raises:
        ConfigError: naming the file, if it is none.
    """
    try:
        return StudyKey.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where} is not a key of sheets: {field} {first['msg']}") from error
