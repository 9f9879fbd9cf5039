"""Label tables in a config: whose labels predictions are measured against."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from raypipe.config.base import ConfigSection


class LabelsConfig(ConfigSection):
    """A label table, such as a relabelled corpus, for a job over the corpus that it is about.

    Attributes:
        table: directory or ``s3://`` URI of a finished relabel job; or of a file, ``.parquet`` or
            ``.csv`` in EMO-SUPERB's layout.
        name: in the tables; None for that of the job, or of the file without its ending.
        place: ``beside`` leaves the predictions as they are and adds rows to ``metrics/`` that
            measure them against this table; ``instead`` puts its distributions in the place of
            the corpus's soft labels, in ``predictions/`` and everything after.
    """

    table: str = Field(min_length=1)
    name: str | None = Field(default=None, min_length=1)
    place: Literal["beside", "instead"] = "beside"


def _at_most_one_instead(labels: tuple[LabelsConfig, ...]) -> tuple[LabelsConfig, ...]:
    if sum(table.place == "instead" for table in labels) > 1:
        raise ValueError("only one table can stand instead of the corpus's labels")
    return labels


LabelTables = Annotated[tuple[LabelsConfig, ...], AfterValidator(_at_most_one_instead)]
"""Several tables, of which one at most takes the place of the corpus's labels."""
