"""The README of the corpora lists what the catalogue holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import raypipe.corpora
from raypipe.corpora.catalogue import markdown
from raypipe.errors import ConfigError
from raypipe.labels import label_set

README = Path(raypipe.corpora.__file__).parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_the_table_is_the_catalogue_s() -> None:
    match = re.search(r"<!-- corpora: generated -->\n(.*?)\n<!-- end -->", TEXT, re.S)
    assert match is not None
    assert match[1] == markdown(), "python -m raypipe.corpora.catalogue writes it"


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", TEXT))
def test_links_lead_somewhere(link: str) -> None:
    assert (README.parent / link).exists()


@pytest.mark.parametrize("name", re.findall(r"--label-set (\S+)", TEXT))
def test_label_sets_in_commands_exist(name: str) -> None:
    try:
        label_set(name.split(",") if "," in name else name)
    except ConfigError as error:
        pytest.fail(str(error))
