"""Tables of a registry in a README, between ``<!-- NAME: generated -->`` and ``<!-- end -->``."""

from __future__ import annotations

from pathlib import Path

from raypipe.errors import RegistryError


def with_table(text: str, name: str, table: str) -> str:
    r"""A README's text with a table between its two marks.

    Args:
        text: of the README.
        name: of the table, in its first mark.
        table: Markdown, without line breaks at its ends.

    Raises:
        RegistryError: if the text lacks a mark.

    Example:
        >>> with_table("<!-- x: generated -->\nold\n<!-- end -->", "x", "new").splitlines()
        ['<!-- x: generated -->', 'new', '<!-- end -->']
    """
    begin, end = f"<!-- {name}: generated -->", "<!-- end -->"
    before, has_begin, rest = text.partition(begin)
    _, has_end, after = rest.partition(end)
    if not has_begin or not has_end:
        raise RegistryError(f"there is no {begin} ... {end}")
    return f"{before}{begin}\n{table}\n{end}{after}"


def write_table(page: Path, name: str, table: str) -> None:
    """Put a table between its two marks in a README."""
    text = with_table(page.read_text(encoding="utf-8"), name, table)
    page.write_text(text, encoding="utf-8")
