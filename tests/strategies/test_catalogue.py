"""Every strategy of the registry, without naming one: what it declares is what it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_hypotheses import LABELS, TOKENS, beams, example_answers, heard, predicted

from raypipe.config import parse_config
from raypipe.errors import ConfigError, RegistryError
from raypipe.questions import question_named
from raypipe.reporting.names import strategy_rank
from raypipe.strategies import SETTINGS, STRATEGIES, Setting, Settings, Strategy, Variant
from raypipe.strategies.answers import prepare
from raypipe.strategies.listing import settings_markdown, strategies_markdown
from raypipe.strategies.needs import needs
from raypipe.strategies.shared import MERGE_TOKENISATIONS, TAU

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLES = {"samples": {"count": 2}}
MINIMAL = {"input": {"shards": "in"}, "output": "out", "decoding": SAMPLES}
ANSWERS = example_answers()
PLAIN = [name for name, strategy in STRATEGIES.items() if isinstance(strategy, Strategy)]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_has_a_test_of_its_own(name: str) -> None:
    path = HERE / "catalogue" / f"test_{name}.py"
    assert path.exists(), f"strategy {name}: tests/strategies/catalogue/{path.name} is missing"
    assert "\ndef test_" in path.read_text(), f"strategy {name}: {path.name} tests nothing"


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_gives_a_distribution_with_its_cost_or_a_reason(name: str) -> None:
    prediction = predicted(name, ANSWERS)
    assert prediction.probs is not None
    assert prediction.probs.sum() == pytest.approx(1.0, abs=1e-12)
    shares = prediction.probs[prediction.probs > 0]
    assert prediction.entropy == pytest.approx(-(shares * np.log2(shares)).sum(), abs=1e-9)
    assert prediction.model_tokens is not None
    nothing = predicted(name, [])
    assert (nothing.probs, nothing.entropy) == (None, None)
    assert nothing.invalid_reason


@pytest.mark.parametrize("name", PLAIN)
def test_it_reads_no_answer_but_those_to_its_questions(name: str) -> None:
    """Without the answers to all other questions it predicts the very same."""
    strategy = STRATEGIES[name]
    assert isinstance(strategy, Strategy)
    kinds = {question_named(question).kind for question in strategy.questions}
    kept = [answer for answer in ANSWERS if answer.kind in kinds]
    assert repr(predicted(name, kept)) == repr(predicted(name, ANSWERS))


@pytest.mark.parametrize("name", PLAIN)
def test_it_reads_the_answers_to_every_question_that_it_has_asked(name: str) -> None:
    """Every utterance pays for all of them."""
    strategy = STRATEGIES[name]
    assert isinstance(strategy, Strategy)
    for question in strategy.questions:
        kept = [answer for answer in ANSWERS if answer.kind != question_named(question).kind]
        unread = repr(predicted(name, kept)) == repr(predicted(name, ANSWERS))
        assert not unread, f"strategy {name} asks {question} and does not read it"


@pytest.mark.parametrize("name", PLAIN)
def test_it_reads_the_recorded_logits_only_if_it_says_so(name: str) -> None:
    strategy = STRATEGIES[name]
    assert isinstance(strategy, Strategy)
    without = [replace(answer, emotion_logits=None) for answer in ANSWERS]
    unread = repr(predicted(name, without)) == repr(predicted(name, ANSWERS))
    assert unread or strategy.reads_logits, f"strategy {name} does not say reads_logits"


def test_a_setting_that_is_not_declared_cannot_be_read() -> None:
    """What it does not declare is no part of what is remembered in a sweep."""
    (answers,) = prepare(ANSWERS, LABELS, TOKENS).answers
    declares_tau = answers.view(Settings().declared(TAU), None, None)
    assert declares_tau.settings[TAU] == 1.0
    with pytest.raises(RegistryError, match="merge_tokenisations is read but not declared"):
        declares_tau.settings[MERGE_TOKENISATIONS]


def test_beams_of_one_text_are_taken_together_only_where_that_is_declared() -> None:
    twice = [*beams(0.9, 0.1), replace(beams(0.1)[0], rank=2, token_ids=(8,))]
    (answers,) = prepare(twice, LABELS, TOKENS).answers
    settings = Settings(merge_tokenisations=True)
    assert len(answers.view(settings.declared(MERGE_TOKENISATIONS), None, None).beams) == 2
    assert len(answers.view(settings.declared(TAU), None, None).beams) == 3


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_is_known_to_configs_questions_reports_and_documentation(name: str) -> None:
    config = parse_config({**MINIMAL, "strategies": [name]})
    assert config.asked.every
    assert strategy_rank(name) < strategy_rank("nobody's")
    assert f"| `{name}` |" in strategies_markdown()


@pytest.mark.parametrize("name", PLAIN)
def test_without_beams_a_strategy_that_reads_them_is_refused_at_the_door(name: str) -> None:
    strategy = STRATEGIES[name]
    assert isinstance(strategy, Strategy)
    document = {**MINIMAL, "strategies": [name], "decoding": {**SAMPLES, "beam_count": 0}}
    if "beams" in strategy.questions:
        with pytest.raises(ConfigError, match=rf"strategies {name} need decoding.beam_count >= 1"):
            parse_config(document)
    else:
        parse_config(document)


def test_the_documentation_s_tables_are_those_of_the_registry() -> None:
    readme = (ROOT / "raypipe/strategies/README.md").read_text()
    for table in (strategies_markdown(), settings_markdown()):
        assert table in readme, "python -m raypipe.strategies.listing writes them"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_stands_in_its_section_with_its_default_and_its_limits(name: str) -> None:
    setting = SETTINGS[name]
    config = parse_config(MINIMAL)
    assert getattr(getattr(config, setting.section), name) == setting.default
    for value in setting.examples:
        assert setting.checked(value) == value
    wrong: object = {"not": "a value"}
    with pytest.raises(ConfigError, match=rf"{setting.section}\.{name}"):
        parse_config({**MINIMAL, setting.section: {name: wrong}})


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"name": "two words"}, "two words"),
        ({"summary": " "}, "summary"),
        ({"examples": (1.0, 1.0)}, "examples"),
        ({"section": "elsewhere"}, "elsewhere"),
    ],
)
def test_a_setting_that_contradicts_itself_is_refused(
    declared: dict[str, object], words: str
) -> None:
    parts = {
        "name": "x",
        "annotation": float,
        "default": 1.0,
        "summary": "a number",
        "examples": (1.0, 2.0),
        **declared,
    }
    with pytest.raises(RegistryError, match=words):
        Setting(**parts)  # type: ignore[arg-type]


def test_a_strategy_that_reads_nothing_is_refused() -> None:
    with pytest.raises(RegistryError, match="reads no question"):
        Strategy("x", "what it says", "", 1, (), lambda answers: predicted("greedy", []))


PACKAGE = """
from raypipe.records import Prediction
from raypipe.strategies import Strategy

def same(answers):
    size = len(answers.labels)
    import numpy as np
    return Prediction("", np.full(size, 1 / size), None, entropy=float(np.log2(size)))

STRATEGY = Strategy(
    name="same", summary="the same for every label", source="", rank=500,
    questions=("greedy",), predict=same, reads_logits=False,
)
"""


def installed(folder: Path, target: str) -> dict[str, str]:
    """A package with one entry point, as pip leaves it; the environment that has it."""
    (folder / "raypipe_same.py").write_text(PACKAGE)
    metadata = folder / "raypipe_same-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: raypipe-same\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[raypipe.strategies]\nsame = {target}\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}


def python(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_another_package_brings_a_strategy(tmp_path: Path) -> None:
    code = """
import json
from raypipe.config import parse_config
from raypipe.reporting.names import strategy_rank
from raypipe.strategies.answers import prepare
from raypipe.strategies.listing import strategy_cards
config = parse_config({"input": {"shards": "x"}, "output": "y", "strategies": ["same"]})
print(json.dumps([config.strategies, [card.name for card in strategy_cards()]]))
"""
    done = python(code, installed(tmp_path, "raypipe_same:STRATEGY"))
    assert done.returncode == 0, done.stderr
    strategies, listed = json.loads(done.stdout)
    assert strategies == ["same"]
    assert listed == [*STRATEGIES, "same"]


@pytest.mark.parametrize(
    ("target", "words"),
    [("raypipe_same:NOTHING", "AttributeError"), ("raypipe_same:same", "is a function")],
)
def test_a_package_that_brings_none_is_told_when_it_is_asked_for(
    tmp_path: Path, target: str, words: str
) -> None:
    code = """
from raypipe.config import parse_config
parse_config({"input": {"shards": "x"}, "output": "y"})
parse_config({"input": {"shards": "x"}, "output": "y", "strategies": ["same"]})
"""
    done = python(code, installed(tmp_path, target))
    assert done.returncode == 1
    assert "strategy 'same' cannot be used" in done.stderr
    assert words in done.stderr


def test_the_names_of_settings_used_come_from_the_parts() -> None:
    variant = Variant("x", "adaptive", Settings(cheap="token", expensive="bon"))
    own = {setting.name for setting in STRATEGIES["adaptive"].settings}
    parts = {
        name for part in ("token", "bon") for name in Variant("x", part, Settings()).settings_used
    }
    assert set(variant.settings_used) == own | parts


def test_what_is_asked_follows_from_what_strategies_read() -> None:
    for name in PLAIN:
        strategy = STRATEGIES[name]
        assert isinstance(strategy, Strategy)
        asked = needs([name], Settings(), ["greedy", "beams", "cot", "verifier"])
        assert asked.every == set(strategy.questions)
        assert not asked.ambiguous
    assert LABELS.names
    assert TOKENS.token_ids


def test_how_much_of_an_answer_may_be_dropped_is_a_setting() -> None:
    text = '{"anger": 0.3, "sadness": 0.1, "awe": 0.6}'
    answer = replace(heard("greedy", 0.5), text=text)
    refused = predicted("greedy", [answer])
    assert (refused.invalid_reason, refused.dropped_share) == ("unknown_labels", 0.6)
    read = predicted("greedy", [answer], max_dropped_share=0.7)
    assert read.probs is not None
    assert read.probs.tolist() == pytest.approx([0.75, 0.25])
    assert read.dropped_share == pytest.approx(0.6)


def test_the_dropped_share_of_several_beams_is_their_mean_by_weight() -> None:
    texts = ('{"anger": 1.0, "sadness": 0.0}', '{"anger": 0.5, "sadness": 0.1, "awe": 0.4}')
    two = [replace(beam, text=text) for beam, text in zip(beams(0.5, 0.5), texts, strict=True)]
    assert predicted("w_bon", two).dropped_share == pytest.approx(0.2)
