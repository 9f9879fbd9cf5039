"""Stand-ins for raters: ``python -m raypipe.tiny_alm.scripted_raters study/ --output answers/``.

Each fills in one sheet from what the page shows and nothing else: it measures the recording and
counts what a reason says rightly, as the scripted judge does, and errs as often as people might.
They are no people, and there to walk through the explainable framework where there are none.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from raypipe.tiny_alm.scripted_judge import reason_points
from raypipe.tiny_alm.scripted_teacher import measured_words

SLIPS = 0.1
"""Share of the answers in which a rater says the opposite."""

_SHARE_TO_ACCEPT = 4
"""Points of six, one for each thing that is measured, from which a reason is accepted."""

_CONTENT = re.compile(r'<script type="application/json" id="content">(.*?)</script>', re.DOTALL)


def answered(page: str, seed: int) -> dict[str, Any]:
    """The file that a sheet would hand out.

    Args:
        page: the sheet, as HTML.
        seed: of the rater's slips, beside the rater's number.

    Raises:
        ValueError: if the page is no sheet.
    """
    content = _CONTENT.search(page)
    if content is None:
        raise ValueError("the page is no sheet for a rater")
    sheet = json.loads(content[1])
    rng = np.random.default_rng((seed, sheet["rater"]))
    return {
        **{name: sheet[name] for name in ("format", "version", "study", "rater")},
        "answers": {item["id"]: _choice(item, rng) for item in sheet["items"]},
    }


def _choice(item: Mapping[str, Any], rng: np.random.Generator) -> str:
    right = _heard(item["clip"])
    points = [reason_points(reason, right, "") for reason in item["reasons"]]
    slips = rng.random() < SLIPS
    if item["test"] == "I":
        return "accept" if (points[0] >= _SHARE_TO_ACCEPT) != slips else "reject"
    first = points[0] > points[1] or (points[0] == points[1] and rng.random() < 0.5)
    return "A" if first != slips else "B"


@cache
def _heard(clip: str) -> tuple[str, ...]:
    """Words for what is measured in a recording; every rater hears the same ones."""
    audio = base64.b64decode(clip.partition(",")[2])
    return measured_words(*soundfile.read(io.BytesIO(audio), dtype="float32"))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", type=Path, help="folder that raypipe sheets make wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder for the answers")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sheets = sorted((asked.study / "sheets").glob("*.html"))
    if not sheets:
        parser.error(f"{asked.study}: there are no sheets")
    asked.output.mkdir(parents=True, exist_ok=True)
    for sheet in sheets:
        answers = answered(sheet.read_text(encoding="utf-8"), asked.seed)
        name = f"answers-{answers['study']}-{sheet.stem}.json"
        (asked.output / name).write_text(json.dumps(answers, indent=1), encoding="utf-8")
    print(f"{len(sheets)} stand-ins for raters answered: {asked.output}")


if __name__ == "__main__":
    main()
