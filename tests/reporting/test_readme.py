"""The README of the reporting room names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import raypipe.reporting

README = Path(raypipe.reporting.__file__).parent / "README.md"


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README.read_text("utf-8")))
def test_links_lead_somewhere(link: str) -> None:
    assert (README.parent / link).exists()
