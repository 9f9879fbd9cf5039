"""Rates of listening sheets in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from raypipe.explain.sheets.rates import SheetRate
from raypipe.reporting.text import NONE, interval, score

_MEASURES = {
    "accepted": "label and reason accepted",
    "predicted_preferred": "predicted preferred to gold-referenced",
}


def rates_in_terminal(rates: Iterable[SheetRate]) -> Table:
    """Rates in percent with their intervals, and how far raters agree."""
    table = Table("test", "", "items", "%", "95 % interval", "raters", "answers", "kappa", "alpha")
    for column in table.columns[3:]:
        column.justify = "right"
    for rate in rates:
        table.add_row(
            rate.test,
            _MEASURES[rate.measure],
            f"{rate.group} ({rate.items})",
            f"{100 * rate.rate:.1f}",
            interval(f"{100 * rate.low:.1f}", f"{100 * rate.high:.1f}"),
            str(rate.raters),
            str(rate.judgements),
            *(
                NONE if value is None else score(value, 2)
                for value in (rate.fleiss_kappa, rate.krippendorff_alpha)
            ),
        )
    return table
