"""What a relabel config refuses, and what makes label tables different ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raypipe.errors import ConfigError
from raypipe.relabel.settings import RelabelSettings
from raypipe.runtime.relabel.config import RelabelConfig, load_relabel_config


def config(**changes: Any) -> RelabelConfig:
    return RelabelConfig.model_validate({"input": {"shards": "s"}, "output": "o", **changes})


def test_what_changes_a_label_changes_the_fingerprint_and_nothing_else_does() -> None:
    def prints(made: RelabelConfig) -> str:
        return made.identity("input", "template", "model")

    same: list[dict[str, Any]] = [
        {"output": "elsewhere", "name": "mine"},
        {"input": {"shards": "moved"}},
        {"resources": {"actors": 3, "batch_size": 2}},
        {"max_error_fraction": 0.5},
    ]
    other: list[dict[str, Any]] = [
        {"input": {"shards": "s", "limit": 5}},
        {"items_per_request": 10},
        {"attempts": 1},
        {"description_weight": 0.5},
        {"reasons": False},
        {"reference": False},
        {"sum_tolerance": 0.1},
        {"flag_shift": 0.5},
        {"self_reports": True},
        {"smoothing": 0.05},
        {"smoothing": 0.05, "smoothing_form": "szegedy"},
        {"max_new_tokens": 10},
        {"penalties": "none"},
        {"model": {"path": "org/model", "revision": "a"}},
    ]
    assert {prints(config(**changes)) for changes in same} == {prints(config())}
    assert len({prints(config(**changes)) for changes in [{}, *other]}) == 1 + len(other)
    assert config().identity("another", "template", "model") != prints(config())
    assert config().identity("input", "another", "model") != prints(config())
    assert config().identity("input", "template", "another") != prints(config())


def test_the_paper_s_settings_are_the_defaults() -> None:
    assert config().settings() == RelabelSettings(
        items_per_request=30, description_weight=0.25, reasons=True, reference=True
    )


def test_the_model_is_asked_without_clips_and_greedily() -> None:
    run = config(items_per_request=3).as_run()
    assert run.prompt.is_text_only
    assert (run.decoding.beam_count, run.decoding.greedy) == (0, True)
    assert run.decoding.max_new_tokens == 480
    assert run.resources.batch_size == 16
    assert config(max_new_tokens=7).as_run().decoding.max_new_tokens == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("output: o", "give input (shards) or table"),
        ("{output: o, input: {shards: s}, table: {path: t, labels: crema-d-6}}", "one of them"),
        ("{output: o, table: {path: t, labels: crema}}", "unknown label set 'crema'"),
        ("{output: o, input: {shards: s}, items_per_request: 0}", "items_per_request"),
        ("{output: o, input: {shards: s}, smoothing: 1}", "smoothing"),
        ("{output: o, input: {shards: s}, weights: 1}", "weights"),
        (
            "{output: o, input: {shards: s}, resources: {actors: 2}, model: {engine: openai, "
            "path: m, api: {preset: vllm, base_url: 'http://x/v1', budget: {requests: 3}}}}",
            "resources.actors: 1",
        ),
    ],
)
def test_a_wrong_config_is_told_with_its_file(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "relabel.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as told:
        load_relabel_config(file)
    assert str(file) in str(told.value)
    assert words in str(told.value)


def test_labels_of_a_table_are_a_set_or_listed() -> None:
    made = RelabelConfig.model_validate(
        {"output": "o", "table": {"path": "t.csv", "labels": ["anger", "neutral"]}}
    )
    assert made.table is not None
    assert made.table.label_set.names == ("anger", "neutral")
