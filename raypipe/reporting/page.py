"""The template engine and the terms that every page shares."""

from __future__ import annotations

from functools import cache

import jinja2

from raypipe.reporting.text import count


@cache
def environment() -> jinja2.Environment:
    """Templates of this package; whatever they are given is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("raypipe", "reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = count
    return environment
