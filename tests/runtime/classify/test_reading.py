from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from answered_runs import LABELS, answered_run, unheard

from raypipe.errors import ConfigError
from raypipe.records import OptionOrder
from raypipe.runtime.classify.config import ClassifyConfig
from raypipe.runtime.classify.reading import read_systems

UTTERANCES = unheard(6)
TEXTS = ["Angry."] * 5 + [None]


def read(*systems: dict[str, Any]) -> Any:
    return read_systems(ClassifyConfig.model_validate({"systems": systems, "output": "o"}))


def test_the_answers_of_a_run_by_utterance(tmp_path: Path) -> None:
    run = answered_run(tmp_path / "run", TEXTS, UTTERANCES)
    given = read({"name": "a", "open": {"run": str(run)}})
    assert given.labels == LABELS
    (system,) = given.systems
    assert (system.system, system.form, system.model, system.prompt) == (
        *("a", "open", "m"),
        "open_form",
    )
    assert [answer.utterance_id for answer in system.answers] == sorted(
        utterance.utterance_id for utterance in UTTERANCES
    )
    assert sum(answer.emotion.label == "anger" for answer in system.answers) == 5


def test_steps_are_known_by_the_templates_name_or_said(tmp_path: Path) -> None:
    run = answered_run(tmp_path / "run", TEXTS, UTTERANCES, prompt="open_form+cot")
    (system,) = read({"name": "a", "open": {"run": str(run)}}).systems
    assert system.answers[0].reason == "Angry."
    (system,) = read({"name": "a", "open": {"run": str(run), "steps": False}}).systems
    assert system.answers[0].reason is None


def test_what_a_run_does_not_have_is_refused_in_one_line(tmp_path: Path) -> None:
    run = answered_run(tmp_path / "run", TEXTS, UTTERANCES)
    closed = answered_run(tmp_path / "c", TEXTS, UTTERANCES, options=OptionOrder())
    unfinished = answered_run(tmp_path / "u", TEXTS, UTTERANCES, status="stopped")
    for wanted, message in [
        ({"open": {"run": str(run), "prompt": "x"}}, "prompt x.* it has m with open_form"),
        ({"closed": {"run": str(run)}}, "no options: it is an open form"),
        ({"open": {"run": str(closed)}}, "options: it is a closed form"),
        ({"open": {"run": str(unfinished)}}, "the run is stopped"),
        ({"closed": {"run": str(run), "strategy": "x"}}, "no predictions of strategy x"),
    ]:
        with pytest.raises(ConfigError, match=message):
            read({"name": "a", **wanted})
