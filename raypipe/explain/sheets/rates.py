"""Accept and preference rates with intervals over raters and items, and agreement of raters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raypipe.explain.sheets.collecting import Judgement
from raypipe.explain.sheets.key import Test
from raypipe.metrics import fleiss_kappa, krippendorff_alpha
from raypipe.metrics.bootstrap import interval
from raypipe.store.strict import table_from_rows

Array = NDArray[np.float64]

REPLICATES = 2000

METHOD = (
    "95 % percentile intervals of a two-way bootstrap: raters and items are both drawn with "
    "replacement (Owen 2007, the pigeonhole bootstrap), items of Test I within match and non-match"
)
"""How the intervals are made, in a sentence's words."""


@dataclass(frozen=True, slots=True)
class SheetRate:
    """A share of judgements.

    Attributes:
        test: which the judgements are of.
        measure: ``accepted``, or ``predicted_preferred`` to the reference's reason.
        group: ``overall``, ``match`` or ``non-match``.
        rate: in [0, 1].
        low: lower end of its 95 % interval; ``high`` the upper one.
        fleiss_kappa: of the raters; None where it is undefined.
        krippendorff_alpha: nominal; None where it is undefined.
    """

    test: Test
    measure: str
    group: str
    rate: float
    low: float
    high: float
    raters: int
    items: int
    judgements: int
    fleiss_kappa: float | None
    krippendorff_alpha: float | None


def sheet_rates(judgements: Iterable[Judgement], *, seed: int = 0) -> list[SheetRate]:
    """Rates of both tests, as far as there are judgements: overall, for Test I also by match.

    Args:
        judgements: of any raters; some may lack items.
        seed: of the bootstrap.
    """
    judgements = list(judgements)
    tests: tuple[Test, ...] = ("I", "II")
    rates: list[SheetRate] = []
    for test in tests:
        of_test = [judgement for judgement in judgements if judgement.item.test == test]
        groups = {"overall": of_test}
        if test == "I":
            for name, is_match in (("match", True), ("non-match", False)):
                groups[name] = [row for row in of_test if row.item.is_match is is_match]
        measure = "accepted" if test == "I" else "predicted_preferred"
        for name, rows in groups.items():
            if rows:
                rates.append(_rate(test, measure, name, rows, seed))
    return rates


def crossed_interval(
    values: Array,
    strata: Sequence[int] | NDArray[np.int64],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of a mean over raters and items, both of which stand for many more.

    Raters and items are drawn with replacement, independently of each other, and a judgement
    weighs the product of how often its rater and its item were drawn: Owen (2007), The pigeonhole
    bootstrap, Annals of Applied Statistics 1(2). That respects effects of raters and of items; with
    neither it is too wide, as it counts the noise of single judgements three times. With fewer
    than five raters it is too narrow. Where all judgements are the same it has no width.

    Args:
        values: shape ``(raters, items)``; NaN where there is no judgement.
        strata: of the items, shape ``(items,)``; items are drawn within them.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Lower and upper end.

    Example:
        >>> crossed_interval(np.array([[1.0, 1.0], [1.0, 1.0]]), [0, 0])
        (1.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    rater_count, item_count = values.shape
    rater_weights = rng.multinomial(
        rater_count, np.full(rater_count, 1 / rater_count), size=replicates
    )
    item_weights = np.zeros((replicates, item_count))
    for stratum in np.unique(strata):
        places = np.flatnonzero(np.asarray(strata) == stratum)
        even = np.full(len(places), 1 / len(places))
        item_weights[:, places] = rng.multinomial(len(places), even, size=replicates)
    judged = (~np.isnan(values)).astype(np.float64)
    sums = np.einsum("br,ri,bi->b", rater_weights, np.nan_to_num(values), item_weights)
    counts = np.einsum("br,ri,bi->b", rater_weights, judged, item_weights)
    means = np.divide(sums, counts, out=np.full(replicates, np.nan), where=counts > 0)
    return interval(means)


def _rate(
    test: Test, measure: str, group: str, judgements: Sequence[Judgement], seed: int
) -> SheetRate:
    raters = sorted({judgement.rater for judgement in judgements})
    items = sorted({judgement.item.item for judgement in judgements})
    matches = {judgement.item.item: int(judgement.item.is_match) for judgement in judgements}
    values = np.full((len(raters), len(items)), np.nan)
    for judgement in judgements:
        row, column = raters.index(judgement.rater), items.index(judgement.item.item)
        values[row, column] = judgement.value
    low, high = crossed_interval(values, [matches[item] for item in items], seed=seed)
    yes, no = np.nansum(values, axis=0), np.nansum(1 - values, axis=0)
    patterns, once = np.stack([yes, no], axis=1), np.ones(len(items))
    return SheetRate(
        test=test,
        measure=measure,
        group=group,
        rate=float(np.nanmean(values)),
        low=low,
        high=high,
        raters=len(raters),
        items=len(items),
        judgements=len(judgements),
        fleiss_kappa=fleiss_kappa(patterns, once),
        krippendorff_alpha=krippendorff_alpha(patterns, once),
    )


RATES_SCHEMA = pa.schema(
    [
        pa.field("study", pa.string(), nullable=False),
        pa.field("test", pa.string(), nullable=False),
        pa.field("measure", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("rate", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("raters", pa.int32(), nullable=False),
        pa.field("items", pa.int32(), nullable=False),
        pa.field("judgements", pa.int32(), nullable=False),
        ("fleiss_kappa", pa.float64()),
        ("krippendorff_alpha", pa.float64()),
    ]
)
"""One row for every rate of a study."""


def rates_table(rates: Iterable[SheetRate], study: str) -> pa.Table:
    """Rates as rows of :data:`RATES_SCHEMA`."""
    return table_from_rows([{"study": study, **asdict(rate)} for rate in rates], RATES_SCHEMA)
