"""Templates of a run: texts that can be filled, or the reason why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_process import InProcess, utterance

from raypipe.errors import ConfigError
from raypipe.labels import LABEL_SETS
from raypipe.runtime.infer.prompts import run_prompt, usable_source
from raypipe.shards import ShardIndex, read_index
from raypipe.store.location import Location

LABELS = LABEL_SETS["crema-d-6"]


@pytest.fixture
def made(fake_engine: None, tmp_path: Path) -> tuple[InProcess, ShardIndex]:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(3)))
    return runs, read_index(Location.parse(str(runs.shards)))


def test_a_run_s_prompt_has_the_templates_that_its_questions_need(
    made: tuple[InProcess, ShardIndex],
) -> None:
    runs, index = made
    plain = runs.config(strategies=["greedy"])
    prompt = run_prompt(plain.all_prompts[0], plain, LABELS, index)
    assert prompt.source == usable_source("distribution", LABELS, index)
    assert prompt.cot_source is None
    assert prompt.attributes is None
    thinking = runs.config(strategies=["cot"])
    assert run_prompt(thinking.all_prompts[0], thinking, LABELS, index).cot_source


def test_attributes_bring_their_template_and_scale(made: tuple[InProcess, ShardIndex]) -> None:
    runs, index = made
    config = runs.config(
        strategies=["greedy"],
        questions=["attributes"],
        attributes={"scale": [1, 5], "asked_scale": [1, 7]},
    )
    attributes = run_prompt(config.all_prompts[0], config, LABELS, index).attributes
    assert attributes is not None
    assert attributes.scale == (1.0, 7.0)


def test_an_attributes_template_gets_no_descriptors(
    made: tuple[InProcess, ShardIndex], tmp_path: Path
) -> None:
    runs, index = made
    template = tmp_path / "own.jinja"
    template.write_text("{{ descriptors.duration_s }}")
    config = runs.config(
        strategies=["greedy"],
        questions=["attributes"],
        attributes={"scale": [1, 5], "template": str(template)},
    )
    with pytest.raises(ConfigError, match="descriptors"):
        run_prompt(config.all_prompts[0], config, LABELS, index)


def test_a_template_that_cannot_be_filled_is_refused(
    made: tuple[InProcess, ShardIndex], tmp_path: Path
) -> None:
    template = tmp_path / "own.jinja"
    template.write_text("{{ nothing_like_it }}")
    with pytest.raises(ConfigError, match="nothing_like_it"):
        usable_source(str(template), LABELS, made[1])
