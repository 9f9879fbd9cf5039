"""What a features config refuses, and what makes features different ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raypipe.errors import ConfigError
from raypipe.runtime.features.config import EncoderConfig, FeaturesConfig, load_features_config
from raypipe.ssl import Normalisation


def config(**changes: Any) -> FeaturesConfig:
    return FeaturesConfig.model_validate({"input": {"shards": "s"}, "output": "o", **changes})


def test_what_changes_a_feature_changes_the_fingerprint_and_nothing_else_does() -> None:
    plain = config()

    def prints(other: FeaturesConfig) -> str:
        return other.encoder_identity(other.encoders[0], "input")

    same: list[dict[str, Any]] = [
        {"output": "elsewhere", "name": "mine"},
        {"resources": {"batch_clips": 1, "actors": 3}},
        {"encoders": [{"name": "mine"}]},
    ]
    other: list[dict[str, Any]] = [
        {"cut_s": None},
        {"std": True},
        {"encoders": [{"dtype": "float16"}]},
        {"encoders": [{"normalisation": "none"}]},
        {"encoders": [{"path": "fbank-raw"}]},
        {"encoders": [{"path": "org/model", "revision": "a"}]},
        {"encoders": [{"path": "org/model", "revision": "b"}]},
    ]
    assert {prints(config(**changes)) for changes in same} == {prints(plain)}
    assert len({prints(config(**changes)) for changes in [{}, *other]}) == 1 + len(other)
    assert plain.encoder_identity(plain.encoders[0], "another") != prints(plain)


def test_an_encoder_is_called_after_its_path() -> None:
    assert EncoderConfig(path="microsoft/wavlm-base-plus").label == "wavlm-base-plus"
    assert EncoderConfig(path="a/b", name="mine").label == "mine"
    assert config().heard == "10s"
    assert config(cut_s=None).heard == "whole"


def test_a_source_has_the_normalisation_and_the_bundled_path() -> None:
    fixed = EncoderConfig(normalisation="fixed", mean=0.1, std=0.5).source("cpu", with_std=True)
    assert fixed.normalisation == Normalisation("fixed", 0.1, 0.5)
    assert fixed.with_std
    assert (Path(fixed.path) / "config.json").is_file()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("encoders: [{path: a/x}, {path: b/x}]", "a name of its own"),
        ("encoders: []", "at least one"),
        ("encoders: [{normalisation: fixed}]", "needs a mean and a std"),
        ("cut_s: 0", "greater than 0"),
        ("cut: 3", "unknown key"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "features.yaml"
    file.write_text(f"input: {{shards: s}}\noutput: o\n{text}\n")
    with pytest.raises(ConfigError, match=words):
        load_features_config(file)
