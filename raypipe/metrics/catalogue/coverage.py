"""How many predictions are invalid or tied, and how many utterances have no plurality."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.kinds import SumsMetric
from raypipe.metrics.metric import NEVER, Section
from raypipe.metrics.sums import PLURALITY, ROWS, VALID, Summand, Sums, ratio, too_few

Array = NDArray[np.float64]

ROWS_INVALID = Summand("rows_invalid", lambda scored: scored.present & ~scored.given)
"""Utterances whose prediction is invalid, labelled or not."""


TIED = Summand("tied", lambda scored: scored.tied)
"""Valid predictions in which several labels have the largest share."""


def _invalid_rate(sums: Sums) -> Array:
    return ratio(sums[ROWS_INVALID], sums[ROWS])


def _ties(sums: Sums) -> Array:
    return sums[VALID] - sums.total(PLURALITY)


def _prediction_ties(sums: Sums) -> Array:
    return sums[TIED]


def _few_of_either(sums: Sums) -> list[str | None]:
    invalid, rows = sums[ROWS_INVALID][0], sums[ROWS][0]
    return [too_few({"invalid": invalid, "valid": rows - invalid})]


METRICS = (
    SumsMetric(
        name="invalid_rate",
        title="Invalid",
        narrow="Inv-\nalid",
        description="share of predictions that are invalid, unlabelled utterances included",
        range=(0.0, 1.0),
        better="lower",
        undefined=NEVER,
        source="invalid rows / rows",
        section=Section.COVERAGE,
        rank=10,
        of_humans=False,
        add=(ROWS_INVALID,),
        function=_invalid_rate,
        withheld=_few_of_either,
        count=ROWS,
        invalid=ROWS_INVALID,
    ),
    SumsMetric(
        name="ties",
        title="Ties",
        description="number of valid predictions for utterances with a tied plurality, which have "
        "no true label",
        range=(0.0, math.inf),
        unit="utterances",
        better="neither",
        undefined=NEVER,
        source="a count",
        section=Section.COVERAGE,
        rank=30,
        add=(PLURALITY,),
        function=_ties,
        count=VALID,
        bootstrapped=False,
    ),
    SumsMetric(
        name="prediction_ties",
        title="Tied predictions",
        description="number of valid predictions in which several labels have the largest share, "
        "and so equal parts of the credit",
        range=(0.0, math.inf),
        unit="utterances",
        better="neither",
        undefined=NEVER,
        source="a count",
        section=Section.COVERAGE,
        rank=40,
        add=(TIED,),
        function=_prediction_ties,
        count=VALID,
        bootstrapped=False,
    ),
)
