"""All metrics as a list for people and programs.

``python -m raypipe.metrics.listing`` writes the table in this folder's README again.
"""

from __future__ import annotations

import math
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from raypipe.generated import write_table
from raypipe.metrics.kinds import UtteranceMetric
from raypipe.metrics.metric import (
    HUMAN_SKILL_SUFFIX,
    MEDIAN_SUFFIX,
    SKILL_SUFFIX,
    UNIFORM_SUFFIX,
    Metric,
    ScoredMetric,
    Section,
)
from raypipe.metrics.registry import METRICS

README = Path(__file__).with_name("README.md")

_DERIVED = {
    UNIFORM_SUFFIX: "invalid as uniform",
    SKILL_SUFFIX: "skill",
    HUMAN_SKILL_SUFFIX: "human skill",
    MEDIAN_SUFFIX: "median",
}


def documents() -> list[dict[str, object]]:
    """All metrics as JSON objects, in the order of the tables; an open end of a range is None."""
    return [
        {
            "name": metric.name,
            "title": metric.title,
            "description": metric.description,
            "kind": metric.kind,
            "section": metric.section.title,
            "range": [end if math.isfinite(end) else None for end in metric.range],
            "unit": metric.unit,
            "better": metric.better,
            "undefined": metric.undefined,
            "source": metric.source,
            "headline": metric.headline,
            "column": isinstance(metric, UtteranceMetric) and metric.column,
            "rows": list(metric.row_names),
            "difference": isinstance(metric, ScoredMetric) and metric.difference,
        }
        for metric in METRICS.values()
    ]


def terminal_table() -> Table:
    """All metrics for a terminal."""
    table = Table("metric", "what it is", "range", "better", "undefined when", "source")
    table.columns[0].no_wrap = True
    table.show_lines = True
    for metric in METRICS.values():
        name = f"{metric.name}\n[dim]{escape(metric.title)}[/dim]"
        texts = (metric.description, _range(metric), metric.better, metric.undefined, metric.source)
        table.add_row(name, *(escape(text) for text in texts))
    return table


def markdown() -> str:
    """All metrics as Markdown: a table for each section."""
    return "\n\n".join(_section(section) for section in Section)


def _section(section: Section) -> str:
    lines = [
        f"**{section.title[0].upper()}{section.title[1:]}**",
        "",
        "| `metric` | title | what it is | range | better | undefined when | also | source |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for metric in METRICS.values():
        if metric.section == section:
            cells = (
                metric.title,
                metric.description,
                _range(metric),
                metric.better,
                metric.undefined,
                ", ".join(_also(metric)),
                metric.source,
            )
            name = f"`{metric.row_names[0]}`"
            lines.append(" | ".join(("| " + name, *(cell.replace("|", "\\|") for cell in cells))))
            lines[-1] += " |"
    return "\n".join(lines)


def _also(metric: Metric) -> list[str]:
    """The other rows of ``metrics/`` that there are of a metric."""
    suffixes = [row.removeprefix(metric.name) for row in metric.row_names[1:]]
    rows = [_DERIVED[suffix] for suffix in suffixes]
    if isinstance(metric, ScoredMetric) and metric.difference:
        rows.append("paired difference")
    return rows


def _range(metric: Metric) -> str:
    low, high = metric.range
    left = f"[{low:g}" if math.isfinite(low) else "(-\N{INFINITY}"
    right = f"{high:.4g}]" if math.isfinite(high) else "\N{INFINITY})"
    return f"{left}, {right} {metric.unit}".rstrip()


if __name__ == "__main__":
    write_table(README, "metrics", markdown())
