"""The template engine of every page."""

from __future__ import annotations

from functools import cache

import jinja2

from raypipe.report.text import count


@cache
def environment() -> jinja2.Environment:
    """Templates of this package; whatever they are given is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("raypipe", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = count
    return environment
