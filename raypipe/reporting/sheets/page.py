"""A rater's listening sheet as one HTML page that needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Final

from markupsafe import Markup

from raypipe.explain.sheets.sheet import RaterSheet
from raypipe.reporting.page import environment
from raypipe.reporting.text import clean

ANSWERS_FORMAT: Final = "raypipe-sheet-answers"
_LONGEST_REASON: Final = 4000


def html_sheet(sheet: RaterSheet, note: str | None = None) -> str:
    """The page of one rater, as HTML.

    It holds what the rater may know: ids, clips, labels and reasons in their order. Its one script
    is named by its digest in the page's policy, so that nothing a model wrote can run.

    Args:
        sheet: of the rater.
        note: at the head of the page; None for none.
    """
    # Without the newline that an editor leaves: the digest is of what stands between the tags.
    script = environment().get_template("sheets/script.js.jinja").render().strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template("sheets/page.html.jinja")
        .render(
            rater=sheet.rater,
            note=None if note is None else clean(note, _LONGEST_REASON),
            study=sheet.study,
            test_i=len(sheet.test_i),
            test_ii=len(sheet.test_ii),
            also_allowed=f"; media-src data:; script-src 'sha256-{digest}'",
            content=Markup(_content(sheet)),
            script=Markup(script),
        )
    )


def _content(sheet: RaterSheet) -> str:
    """What the script shows, as JSON that may stand in a script element."""
    items: list[dict[str, object]] = [
        {
            "id": shown.item,
            "test": "I",
            "label": clean(shown.label, 60),
            "reasons": [clean(shown.reason, _LONGEST_REASON)],
            "clip": _data_url(shown.clip),
        }
        for shown in sheet.test_i
    ]
    items += [
        {
            "id": shown.item,
            "test": "II",
            "reasons": [clean(text, _LONGEST_REASON) for text in (shown.first, shown.second)],
            "clip": _data_url(shown.clip),
        }
        for shown in sheet.test_ii
    ]
    document = {
        "format": ANSWERS_FORMAT,
        "version": 1,
        "study": sheet.study,
        "rater": sheet.rater,
        "items": items,
    }
    return json.dumps(document).replace("<", "\\u003c")


def _data_url(flac: bytes) -> str:
    return f"data:audio/flac;base64,{base64.b64encode(flac).decode()}"
