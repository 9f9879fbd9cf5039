"""The README's example followed to the letter: one source file, its test, the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from following_a_readme import Copy

PAGE = "raypipe/questions/README.md"
SOURCE = "raypipe/questions/catalogue/label_words.py"
TEST = "tests/questions/catalogue/test_label_words.py"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    copy = Copy.make(tmp_path, "tests/questions")
    copy.add(PAGE, SOURCE, TEST)
    assert copy.python("-m", "raypipe.strategies.listing").returncode == 0
    return copy


def test_the_new_question_is_asked_and_passes_every_test(copy: Copy) -> None:
    code, output = copy.pytest("tests/questions", "-k", "label_words or documentation")
    assert code == 0, output
    listed = copy.python("-m", "raypipe", "questions", "--json")
    cards = {card["name"]: card for card in json.loads(listed.stdout)}
    assert cards["label_words"]["requires"] == ["text_scores"]


def test_an_engine_without_the_capability_is_refused_at_the_door(copy: Copy) -> None:
    code = """
from raypipe.config import parse_config
from raypipe.records import EmotionTokens
from raypipe.runtime.infer.models import check_engine
asked = {"questions": ["label_words"], "model": {"engine": "vllm", "path": "tiny-alm"}}
config = parse_config({"input": {"shards": "x"}, "output": "y", **asked})
check_engine(config, EmotionTokens((), (), ()))
"""
    done = copy.python("-c", code)
    assert done.returncode == 1
    assert "label_words" in done.stderr
    assert "log-likelihoods of given answers" in done.stderr
    assert "ConfigError" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("QUESTION = Question(", "ASKED = Question(", "label_words brings no QUESTION"),
        ("rank=40", "rank=30", "30 is taken by"),
        ('noun="the label words\' log-likelihoods"', 'noun=""', "noun is empty"),
        ("    passes=_passes,\n", "", "passes"),
    ],
)
def test_what_is_forgotten_fails_at_import_by_its_name(
    copy: Copy, old: str, new: str, words: str
) -> None:
    assert words in copy.refusal_with(SOURCE, old, new)


def test_a_forgotten_test_and_a_forgotten_table_are_red(copy: Copy) -> None:
    (copy.folder / TEST).unlink()
    page = copy.folder / PAGE
    page.write_text(page.read_text().replace("| `label_words` |", "| `words` |"))
    code, output = copy.pytest("tests/questions/test_catalogue.py")
    assert code == 1
    assert "tests/questions/catalogue/test_label_words.py is missing" in output
    assert "python -m raypipe.strategies.listing" in output
