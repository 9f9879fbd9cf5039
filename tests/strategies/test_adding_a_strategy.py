"""The README's example followed to the letter: one source file, its test, the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from following_a_readme import Copy

PAGE = "raypipe/strategies/README.md"
SOURCE = "raypipe/strategies/catalogue/median_bon.py"
TEST = "tests/strategies/catalogue/test_median_bon.py"
EVERYWHERE = """
import json
from raypipe.cli import app
from raypipe.config import parse_config
from raypipe.reporting.names import strategy_rank
from raypipe.store.schemas import SETTINGS
from raypipe.strategies.sweep import Sweep

config = parse_config({
    "input": {"shards": "x"}, "output": "y", "strategies": ["w_bon", "median_bon"],
    "aggregation": {"quantile": 0.25},
})
command = next(c for c in app.registered_commands if c.callback.__name__ == "reaggregate")
import inspect
print(json.dumps({
    "setting": config.aggregation.quantile,
    "column": "quantile" in SETTINGS.names,
    "option": "quantile" in inspect.signature(command.callback).parameters,
    "order": [strategy_rank(name) for name in ("w_bon", "median_bon", "alm_v")],
    "sweep": [v.name for v in Sweep(["median_bon"], 5, quantile=(0.25, 0.5)).variants()],
}))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    copy = Copy.make(tmp_path, "tests/strategies", "tests/questions")
    copy.add(PAGE, SOURCE, TEST)
    assert copy.python("-m", "raypipe.strategies.listing").returncode == 0
    return copy


def test_the_new_strategy_is_known_everywhere_and_passes_every_test(copy: Copy) -> None:
    done = copy.python("-c", EVERYWHERE)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["order"] == sorted(shown["order"])
    assert (shown["setting"], shown["column"], shown["option"]) == (0.25, True, True)
    assert shown["sweep"] == ["median_bon[quantile=0.25]", "median_bon[quantile=0.5]"]
    tests = ("tests/strategies/test_catalogue.py", "tests/strategies/test_sweep.py", TEST)
    code, output = copy.pytest(*tests, "-k", "median_bon or quantile or documentation")
    assert code == 0, output
    refused = copy.python(
        "-c",
        "from raypipe.config import parse_config\n"
        "parse_config({'input': {'shards': 'x'}, 'output': 'y', 'strategies': ['median_bon'],"
        " 'decoding': {'beam_count': 0}})",
    )
    assert "strategies median_bon need decoding.beam_count >= 1" in refused.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("STRATEGY = Strategy(", "MEDIAN = Strategy(", "median_bon brings no STRATEGY"),
        ("rank=65", "rank=60", "60 is taken by"),
        ('name="median_bon"', 'name="w_bon"', "'w_bon' is taken by"),
        ('questions=("beams",)', 'questions=("beems",)', "unknown question 'beems'"),
        ('questions=("beams",)', "questions=()", "reads no question"),
        ('name="quantile"', 'name="tau"', "another setting is called tau"),
        ('    summary="the median of the valid beams\' shares, label by label",\n', "", "summary"),
        ("examples=(0.25, 0.5)", "examples=(0.5, 0.5)", "examples are one"),
    ],
)
def test_what_is_forgotten_fails_at_import_by_its_name(
    copy: Copy, old: str, new: str, words: str
) -> None:
    assert words in copy.refusal_with(SOURCE, old, new)


def test_a_forgotten_test_a_forgotten_setting_and_a_forgotten_table_are_red(copy: Copy) -> None:
    (copy.folder / TEST).unlink()
    catalogue = "tests/strategies/test_catalogue.py"
    code, output = copy.pytest(catalogue, "-k", "test_of_its_own and median_bon")
    assert code == 1
    assert "tests/strategies/catalogue/test_median_bon.py is missing" in output
    source = copy.folder / SOURCE
    source.write_text(source.read_text().replace(", QUANTILE),", ",),"))
    code, output = copy.pytest(catalogue, "-k", "documentation or median_bon")
    assert code == 1
    assert "quantile" in output
    page = copy.folder / PAGE
    page.write_text(page.read_text().replace("| `median_bon` |", "| `median` |"))
    code, output = copy.pytest(catalogue, "-k", "documentation_s")
    assert code == 1
    assert "python -m raypipe.strategies.listing" in output
