"""The template engine and the terms that every page shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import jinja2

from raypipe.reporting.text import count


@dataclass(frozen=True, slots=True)
class Fact:
    """A term and its text in the list below a page's title.

    Attributes:
        missing: whether the text only says that nothing is known.
    """

    term: str
    text: str
    missing: bool = False


@cache
def environment() -> jinja2.Environment:
    """The engine of this package's templates, which escapes all values."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("raypipe", "reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = count
    return environment
