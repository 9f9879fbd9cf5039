from __future__ import annotations

from typing import Any

import pytest

from raypipe.errors import ConfigError
from raypipe.runtime.classify.config import ClassifyConfig, load_classify_config


def config(**changes: Any) -> ClassifyConfig:
    document = {"systems": [{"name": "a", "open": {"run": "r"}}], "output": "o", **changes}
    return ClassifyConfig.model_validate(document)


def test_what_changes_a_label_or_a_score_changes_the_fingerprint_and_nothing_else_does() -> None:
    def prints(made: ClassifyConfig, reader: str | None = None) -> str:
        return made.identity({"r": "f"}, "templates", reader)

    same: list[dict[str, Any]] = [
        {"output": "elsewhere"},
        {"name": "x"},
        {"resources": {"cpus_per_actor": 3}},
    ]
    other: list[dict[str, Any]] = [
        {"against": "a"},
        {"by_speaker": False},
        {"replicates": 100},
        {"seed": 1},
        {"sample": 3},
        {"attempts": 1},
        {"reader": {"path": "org/model", "revision": "a"}},
    ]
    assert {prints(config(**changes)) for changes in same} == {prints(config())}
    assert len({prints(config(**changes)) for changes in [{}, *other]}) == 1 + len(other)
    assert config().identity({"r": "another"}, "templates", None) != prints(config())
    assert prints(config(), "model") != prints(config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"systems": []}, "at least 1"),
        ({"systems": [{"name": "a"}]}, "give open, closed, or both"),
        ({"systems": [{"name": "a", "open": {"run": "r"}}] * 2}, "name each system once"),
        ({"against": "b"}, "no system is called 'b'"),
    ],
)
def test_what_makes_no_table_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_a_file_is_named_with_its_fault(tmp_path: Any) -> None:
    path = tmp_path / "classify.yaml"
    path.write_text("systems: []\noutput: o\n")
    with pytest.raises(ConfigError, match=r"classify\.yaml.*systems"):
        load_classify_config(path)


def test_the_reader_is_asked_in_text_alone() -> None:
    run = config(phrases_per_request=2, max_new_tokens=100).as_run()
    assert run.prompt.is_text_only
    assert run.decoding.max_new_tokens == 100
    assert config(phrases_per_request=100).as_run().decoding.max_new_tokens == 2400
