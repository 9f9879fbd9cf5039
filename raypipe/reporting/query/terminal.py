"""An answer to SQL for a terminal: a grid where it fits, else one column per line."""

from __future__ import annotations

import pyarrow as pa
from rich.cells import cell_len

from raypipe.reporting.query.cells import cell, plain_columns
from raypipe.reporting.text import visible

_GAP = "  "


def answer_text(answer: pa.Table, width: int) -> str:
    """The whole answer, every cell in full.

    Args:
        answer: of any columns.
        width: of the terminal, in columns. Rows of a wider grid stand upright.
    """
    names = [visible(name) for name in answer.column_names]
    columns = [[cell(value) for value in values] for values in plain_columns(answer)]
    widths = [
        max(map(cell_len, (name, *texts))) for name, texts in zip(names, columns, strict=True)
    ]
    if sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        return _upright(names, columns)
    is_number = [_is_number(field.type) for field in answer.schema]
    lines = [names, ["─" * wide for wide in widths], *zip(*columns, strict=True)]
    text = "".join(
        _GAP.join(
            _padded(shown, wide, right)
            for shown, wide, right in zip(line, widths, is_number, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )
    return text if answer.num_rows else f"{text}no rows\n"


def _upright(names: list[str], columns: list[list[str]]) -> str:
    wide = max(map(cell_len, names))
    heads = [_padded(name, wide, False) for name in names]
    rows = [
        f"row {number}\n"
        + "".join(
            f"{head}{_GAP}{shown}".rstrip() + "\n" for head, shown in zip(heads, row, strict=True)
        )
        for number, row in enumerate(zip(*columns, strict=True), 1)
    ]
    return "\n".join(rows) if rows else "\n".join(names) + "\nno rows\n"


def _padded(text: str, width: int, right: bool) -> str:
    room = " " * (width - cell_len(text))
    return room + text if right else text + room


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
