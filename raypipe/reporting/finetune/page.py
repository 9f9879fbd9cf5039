"""A fine-tuning as one self-contained HTML page: its curve, its examples, its settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup

from raypipe.finetune.record import ADAPTER, CurvePoint, FinetuneRecord
from raypipe.reporting.canvas import ACCENT, MUTED, canvas, quiet, svg
from raypipe.reporting.charts import Chart
from raypipe.reporting.page import Fact, environment
from raypipe.reporting.run.facts import settings_text
from raypipe.reporting.text import clean, count, duration, score

_MOST_ODD: Final = 50
_SMOOTHED: Final = 25
"""Parts of the curve of single steps that are averaged for its line."""

_FEW_TIMES = 20
"""The highest loss over the lowest, beyond which a linear axis shows the first steps alone."""


def html_finetuning(record: FinetuneRecord, curve: Sequence[CurvePoint]) -> str:
    """The page about a fine-tuning, as HTML.

    Args:
        record: of the job, finished.
        curve: a point for every step.
    """
    measured = [point for point in curve if point.development_loss is not None]
    counts = record.counts
    context = {
        "title": clean(record.name),
        "headline": _headline(record, curve),
        "train": counts.train,
        "development": counts.development,
        "left_out": counts.left_out,
        "facts": _facts(record),
        "chart": Chart(
            curve_panel(curve, alt=_in_words(curve, measured)),
            "Mean loss of the answers' tokens in nats: of single steps, their moving mean, and of "
            "the development set.",
        ),
        "measured": [
            (
                count(point.step),
                score(point.epoch, 2),
                f"{point.learning_rate:.2e}",
                score(point.train_loss),
                score(point.development_loss or 0.0),
                "kept" if point.step == record.best_step else "",
            )
            for point in measured
        ],
        "odd": [
            (clean(row["example_id"], 80), clean(row.get("error_type", "cut")), _reason(row))
            for row in record.odd[:_MOST_ODD]
        ],
        "more_odd": max(0, len(record.odd) - _MOST_ODD),
        "targets": [clean(name) for name in record.targets],
        "versions": [(clean(name), clean(value)) for name, value in record.versions.items()],
        "config": settings_text(record.config),
    }
    return environment().get_template("finetune/page.html.jinja").render(context)


def curve_panel(curve: Sequence[CurvePoint], *, alt: str) -> Markup:
    """Loss by step: dots for steps, a line for their moving mean, another for development."""
    steps = np.array([point.step for point in curve])
    losses = np.array([point.train_loss for point in curve])
    width = max(1, len(losses) // _SMOOTHED)
    with canvas(2.8) as (figure, axes):
        axes.plot(steps, losses, ".", color=MUTED, markersize=2.5, alpha=0.5)
        if len(losses) >= width:
            means = np.convolve(losses, np.ones(width) / width, mode="valid")
            middle = (width - 1) // 2
            axes.plot(
                steps[middle : middle + len(means)],
                means,
                color=MUTED,
                linewidth=1.4,
                label="train",
            )
        measured = [point for point in curve if point.development_loss is not None]
        if measured:
            axes.plot(
                [point.step for point in measured],
                [point.development_loss or 0.0 for point in measured],
                "o-",
                color=ACCENT,
                linewidth=1.6,
                markersize=5,
                label="development",
            )
        if losses.min() > 0 and losses.max() / losses.min() > _FEW_TIMES:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlabel("step")
        axes.set_title("loss per token, nats", loc="left", color=MUTED)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        quiet(axes, "left", "right", "top")
        figure.legend(loc="outside upper right", ncols=2, frameon=False, handlelength=1.2)
        return svg(figure, alt)


def _in_words(curve: Sequence[CurvePoint], measured: Sequence[CurvePoint]) -> str:
    text = f"Training loss from {curve[0].train_loss:.3f} to {curve[-1].train_loss:.3f}"
    if measured:
        losses = [point.development_loss or 0.0 for point in measured]
        text += f"; development loss from {losses[0]:.3f} to {losses[-1]:.3f}"
    return text + f" over {len(curve)} steps"


def _headline(record: FinetuneRecord, curve: Sequence[CurvePoint]) -> str:
    text = f"{count(record.steps)} steps over {score(curve[-1].epoch, 1)} epochs"
    if record.stopped_early:
        text += ", stopped early"
    if record.development_loss is None:
        return f"{text}; the last step's adapter is kept."
    return (
        f"{text}; the adapter of step {count(record.best_step or 0)} is kept, with a development "
        f"loss of {score(record.development_loss)} nats a token."
    )


def _facts(record: FinetuneRecord) -> list[Fact]:
    model = record.config.get("model")
    path = model.get("path") if isinstance(model, dict) else None
    counts = record.counts
    seconds = record.seconds
    return [
        Fact("Base model", clean(path)),
        Fact("Preset", clean(record.config.get("preset"))),
        Fact("Adapter", f"folder {ADAPTER}, {count(record.parameters)} numbers learnt"),
        Fact("Adapted", f"{count(len(record.targets))} modules"),
        Fact("Cut answers", f"{count(counts.cut)}, by {count(counts.cut_tokens)} tokens in all"),
        Fact("Workers", f"{record.config.get('workers')} on {clean(record.device)}"),
        Fact("Took", duration(seconds) if seconds is not None else "not recorded"),
        Fact("Fingerprint", record.fingerprint),
    ]


def _reason(row: object) -> str:
    assert isinstance(row, dict)
    if "message" in row:
        return clean(row["message"], 200)
    return f"{row['cut_tokens']} tokens beyond the cutoff"
