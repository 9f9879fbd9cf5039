"""Fitted parameters keep every bit in their table."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest
from made_up_hypotheses import made_up_rows

from raypipe.store.fits import FITS, fits_from_table, fits_table
from raypipe.store.parquet import to_parquet_bytes
from raypipe.strategies import Settings, Variant
from raypipe.strategies.fitting import fit_corpus


@pytest.mark.parametrize("fit_on", ["speakers", "split:dev"])
def test_what_is_read_is_what_was_fitted(fit_on: str) -> None:
    rows = made_up_rows()
    speakers = [name for name in rows.speakers if name]
    settings = Settings(fit_on=fit_on, bias=True)
    fits = {
        f"{name}[x=1]": fit_corpus(Variant(f"{name}[x=1]", name, settings), rows, speakers)
        for name in ("calibrate", "conformal")
    }
    table = fits_table(fits, run="r", model="m", prompt="p")
    assert table.schema.equals(FITS)
    stored = pq.read_table(io.BytesIO(to_parquet_bytes(table, {})))
    assert fits_from_table(stored) == {("m", "p", name): fit for name, fit in fits.items()}
