"""The pages of the view as HTML. Templates escape every value; no page runs a script."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from raypipe.reporting.clips import BrowserClip
from raypipe.reporting.names import PRIMARY, better, title
from raypipe.reporting.page import environment
from raypipe.reporting.text import NONE, clean, count, difference, score
from raypipe.reporting.view.columns import ViewColumn
from raypipe.reporting.view.errors import ErrorsPage
from raypipe.reporting.view.listing import (
    ROWS_PER_PAGE,
    ListedUtterance,
    OpenRuns,
    PlacedApproach,
)
from raypipe.reporting.view.selection import OPERATOR_TITLES, ViewSelection
from raypipe.reporting.view.utterance import shown_text, utterance_facts, utterance_part

_MOST_TRANSCRIPT: Final = 140


@dataclass(frozen=True, slots=True)
class FormChoice:
    """An option of a form's list."""

    value: str
    name: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class FormChoices:
    """Options under a heading; without one they stand alone."""

    name: str
    choices: tuple[FormChoice, ...]


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """A row of the overview as texts.

    Attributes:
        cells: text and whether it is a number, aligned with the columns.
    """

    utterance_id: str
    address: str
    transcript: str
    cells: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class AudioState:
    """Whether an utterance can be played, and from where.

    Attributes:
        address: of the recording; empty where it is not at hand.
        content_type: of the recording.
        note: what was done to it, or why it is not at hand.
    """

    address: str
    content_type: str
    note: str


def style() -> str:
    """The style sheet of all pages."""
    return environment().get_template("view/view.css.jinja").render()


def overview_page(runs: OpenRuns, selection: ViewSelection) -> str:
    """The list of utterances that a selection names.

    Raises:
        ConfigError: if it names a column or an approach that there is not.
    """
    listed = runs.page(selection)
    of, beside = runs.chosen(selection)
    columns = runs.columns(of.run)
    sort = runs.sort_column(selection)
    last = max(math.ceil(listed.total / ROWS_PER_PAGE), 1)
    context = {
        "title": ", ".join(clean(run.record.name or run.name) for run in runs.runs),
        "selection": selection,
        "sources": _sources(runs, of.key),
        "beside": _sources(runs, "" if beside is None else beside.key),
        "has_beside": beside is not None,
        "columns": _column_choices(columns),
        "operators": OPERATOR_TITLES,
        "filters": [
            (
                shown_text(f"{row.column} {OPERATOR_TITLES[row.operator]} {row.value}", 300),
                selection.without(place),
            )
            for place, row in enumerate(selection.filters)
        ],
        "sorts": _sorts(runs, of, sort),
        "heads": _heads(of, beside, sort),
        "names": (_name(runs, of), "" if beside is None else _name(runs, beside)),
        "rows": [
            _row(row, selection, listed.first + place, sort, beside is not None)
            for place, row in enumerate(listed.rows)
        ],
        "first": count(listed.first + 1 if listed.rows else 0),
        "last": count(listed.first + len(listed.rows)),
        "total": count(listed.total),
        "page": selection.page,
        "pages": last,
        "direction": better(sort) or "",
        "sort_title": title(sort) if sort else "utterance id",
        "errors": [
            (clean(run.name), number)
            for number, run in enumerate(runs.runs)
            if "errors" in run.datasets
        ],
    }
    return environment().get_template("view/overview.html.jinja").render(context)


def utterance_page(
    runs: OpenRuns, selection: ViewSelection, utterance_id: str, place: int | None, clip: AudioState
) -> str | None:
    """All about one utterance; None if no run knows it.

    Args:
        runs: that are looked into.
        selection: of the list that one came from.
        utterance_id: of the utterance.
        place: of it in that list, from 0; None where one came from elsewhere.
        clip: whether and how it can be played.
    """
    known = [(number, run, run.look_up(utterance_id)) for number, run in enumerate(runs.runs)]
    known = [each for each in known if each[2].is_known]
    if not known:
        return None
    described = next((found.utterance for _, _, found in known if found.utterance), None)
    around = [] if place is None else runs.neighbours(selection, place)
    is_there = len(around) > 1 and around[1] == utterance_id
    parts = [
        utterance_part(
            run.name,
            number,
            found,
            run.labels,
            len({(a.model, a.prompt) for a in run.approaches()}) > 1,
        )
        for number, run, found in known
    ]
    context = {
        "title": shown_text(utterance_id, 300),
        "back": selection.address("/"),
        "previous": _step(selection, around[0], (place or 0) - 1) if is_there else "",
        "next": _step(selection, around[2], (place or 0) + 1)
        if is_there and len(around) > 2
        else "",
        "place": None if not is_there else count((place or 0) + 1),
        "clip": clip,
        "facts": None if described is None else utterance_facts(described),
        "parts": parts,
        "missing": [clean(run.name) for run in runs.runs if run not in [each[1] for each in known]],
    }
    return environment().get_template("view/utterance.html.jinja").render(context)


def errors_page(page: ErrorsPage, run: str, number: int) -> str:
    """The errors of a run, an input each."""
    context = {
        "title": clean(run),
        "number": number,
        "page": page,
        "pages": max(math.ceil(page.total / ROWS_PER_PAGE), 1),
        "total": count(page.total),
    }
    return environment().get_template("view/errors.html.jinja").render(context)


def problem_page(status: str, message: str) -> str:
    """A page that says what is wrong."""
    context = {"title": status, "message": shown_text(message, 4000)}
    return environment().get_template("view/problem.html.jinja").render(context)


def audio_address(utterance_id: str) -> str:
    """The address of an utterance's recording."""
    return f"/audio?{urlencode({'id': utterance_id})}"


def audio_state(address: str, clip: BrowserClip) -> AudioState:
    """The state of a recording that is at hand."""
    return AudioState(address, clip.content_type, clip.note)


def _name(runs: OpenRuns, placed: PlacedApproach) -> str:
    """Strategy of an approach, with prompt, model and run where there are several."""
    parts = [placed.approach.strategy]
    others = [each for each in runs.approaches.values() if each.run == placed.run]
    if len({each.approach.prompt for each in others}) > 1:
        parts.append(placed.approach.prompt)
    if len({each.approach.model for each in others}) > 1:
        parts.append(placed.approach.model)
    if len(runs.runs) > 1:
        parts.append(runs.runs[placed.run].name)
    return clean(" · ".join(parts), 300)


def _sources(runs: OpenRuns, chosen: str) -> list[FormChoices]:
    groups = []
    for number, run in enumerate(runs.runs):
        choices = tuple(
            FormChoice(key, _name(runs, placed), key == chosen)
            for key, placed in runs.approaches.items()
            if placed.run == number
        )
        groups.append(FormChoices(clean(run.name) if len(runs.runs) > 1 else "", choices))
    return groups


def _column_choices(columns: Mapping[str, ViewColumn]) -> list[FormChoice]:
    return [FormChoice(name, shown_text(name, 200), is_chosen=False) for name in columns]


def _sorts(runs: OpenRuns, of: PlacedApproach, sort: str) -> list[FormChoice]:
    names = runs.sortable(of.run)
    return [
        *(FormChoice(name, _metric_name(name), name == sort) for name in names),
        FormChoice("utterance_id", "utterance id", not sort),
    ]


def _metric_name(name: str) -> str:
    known = title(name)
    return known if known == name else f"{known} ({name})"


def _heads(of: PlacedApproach, beside: PlacedApproach | None, sort: str) -> list[tuple[str, bool]]:
    """Heads of the columns after the utterance's, and whether they hold numbers."""
    value = title(sort) if sort else title(PRIMARY)
    if beside is None:
        heads = [("Annotators", False), ("Predicted", False), (title(PRIMARY), True)]
        return [*heads, (value, True)] if sort not in ("", PRIMARY) else heads
    return [
        ("Annotators", False),
        ("First", False),
        ("Second", False),
        (f"{value}, first", True),
        (f"{value}, second", True),
        ("Second \N{MINUS SIGN} first", True),
    ]


def _row(
    row: ListedUtterance, selection: ViewSelection, place: int, sort: str, is_compared: bool
) -> OverviewRow:
    column = sort or PRIMARY
    cells = [(_text(row.values.get("plurality")), False), (_outcome(row.values), False)]
    own = row.values.get(column)
    if not is_compared:
        cells.append((_number(row.values.get(PRIMARY)), True))
        cells += [(_number(own), True)] if column != PRIMARY else []
    else:
        other = None if row.beside is None else row.beside.get(column)
        gap = NONE
        if isinstance(own, int | float) and isinstance(other, int | float):
            gap = difference(other - own)
        second = "not in this run" if row.beside is None else _outcome(row.beside)
        cells += [(second, False), (_number(own), True), (_number(other), True), (gap, True)]
    transcript = shown_text(row.transcript or "", _MOST_TRANSCRIPT)
    address = selection.address("/utterance", id=row.utterance_id, at=place)
    return OverviewRow(shown_text(row.utterance_id, 300), address, transcript, tuple(cells))


def _outcome(values: Mapping[str, object]) -> str:
    if not values.get("valid"):
        return f"invalid: {clean(values.get('invalid_reason'), 80)}"
    return "tie" if values.get("predicted") is None else clean(values["predicted"])


def _text(value: object) -> str:
    return NONE if value is None else clean(value)


def _number(value: object) -> str:
    if isinstance(value, int):
        return count(value)
    return score(value) if isinstance(value, float) and math.isfinite(value) else NONE


def _step(selection: ViewSelection, utterance_id: str, place: int) -> str:
    """The address of a neighbour; empty where there is none."""
    return selection.address("/utterance", id=utterance_id, at=place) if utterance_id else ""
