"""Every question of the registry, without naming one."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_hypotheses import answers_to

from raypipe.config import parse_config
from raypipe.discovery import objects_in
from raypipe.errors import ConfigError, RegistryError
from raypipe.labels import LABEL_SETS
from raypipe.protocols import CAPABILITY_WORDS
from raypipe.questions import QUESTIONS, Asked, Question, RunOutline, plan_passes, question_named
from raypipe.strategies.listing import questions_markdown

HERE = Path(__file__).parent
MINIMAL = {"input": {"shards": "in"}, "output": "out"}


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_has_a_test_of_its_own(name: str) -> None:
    path = HERE / "catalogue" / f"test_{name}.py"
    assert path.exists(), f"question {name}: tests/questions/catalogue/{path.name} is missing"
    assert "\ndef test_" in path.read_text(), f"question {name}: {path.name} tests nothing"
    assert {answer.kind for answer in answers_to(name)} == {question_named(name).kind}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_asked_when_a_config_names_it(name: str) -> None:
    offers = {"attributes": {"scale": [1, 5]}, "decoding": {"samples": {"count": 2}}}
    config = parse_config({**MINIMAL, **offers, "questions": [name]})
    outline = config.outline(LABEL_SETS["crema-d-6"])
    asked = config.asked.resolved(outline)
    assert name in asked.every
    if question_named(name).about == "utterance":
        passes = plan_passes(outline, config.asked)
        assert any(name in asking.questions for asking in passes)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_says_what_its_engine_must_be_able_to_do_in_words(name: str) -> None:
    for capability in question_named(name).requires:
        assert capability in CAPABILITY_WORDS or "_" in capability


def test_the_documentation_s_table_has_every_question() -> None:
    table = questions_markdown()
    readme = (HERE.parents[1] / "raypipe/questions/README.md").read_text()
    assert table in readme, "python -m raypipe.strategies.listing writes it"
    assert all(f"| `{name}` |" in table for name in QUESTIONS)


def test_an_unknown_question_is_refused_at_the_door() -> None:
    with pytest.raises(ConfigError, match=r"questions\.0.*unknown question 'feelings'.*greedy"):
        parse_config({**MINIMAL, "questions": ["feelings"]})


def test_a_declaration_without_its_texts_is_refused() -> None:
    with pytest.raises(RegistryError, match="noun is empty"):
        Question("x", "asked", " ", "x", "kept", 1, lambda outline: ())


def test_a_file_that_brings_nothing_or_something_twice_stops_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "made_up_questions"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "first.py").write_text(
        "from raypipe.questions.catalogue.greedy import QUESTION as QUESTION\n"
    )
    assert list(objects_in("made_up_questions", "QUESTION", Question)) == ["greedy"]
    (folder / "second.py").write_text("\n")
    with pytest.raises(RegistryError, match=r"made_up_questions\.second brings no QUESTION"):
        objects_in("made_up_questions", "QUESTION", Question)
    (folder / "second.py").write_text((folder / "first.py").read_text() + "\nX = 1\n")
    import sys

    del sys.modules["made_up_questions.second"]
    with pytest.raises(RegistryError, match=r"'greedy' is taken by made_up_questions\.first"):
        objects_in("made_up_questions", "QUESTION", Question)


def test_what_is_waited_with_is_never_asked_of_everyone_too() -> None:
    asked = Asked(frozenset({"greedy"}), frozenset({"beams", "cot"})).resolved(RunOutline())
    assert not asked.every & asked.ambiguous
    assert asked.every | asked.ambiguous == {"greedy", "beams", "cot"}
