from pathlib import Path

import pytest

from raypipe.config import RunConfig, load_config, parse_config
from raypipe.errors import ConfigError

MINIMAL = {"input": {"shards": "in"}, "output": "out"}


def identity(**changes: object) -> tuple[str, str]:
    config = parse_config({**MINIMAL, **changes})
    generation = config.generation_identity("input", "model", "template")
    return generation, config.prediction_identity(generation)


def test_a_minimal_config_gets_the_papers_defaults() -> None:
    config = parse_config(MINIMAL)
    assert config.decoding.beam_count == 5
    assert config.aggregation.tau == 1.0
    assert config.model.label == "tiny-alm"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**MINIMAL, "modle": {}}, ["modle", "unknown key"]),
        ({**MINIMAL, "decoding": {"beams": 3}}, ["decoding.beams", "unknown key"]),
        ({"output": "out"}, ["input", "missing"]),
        ({**MINIMAL, "decoding": {"beam_count": -1}}, ["decoding.beam_count", "-1"]),
        ({**MINIMAL, "aggregation": {"tau": 0}}, ["aggregation.tau", "0"]),
        ({**MINIMAL, "strategies": ["majority"]}, ["strategies.0", "'majority'"]),
        ({**MINIMAL, "strategies": []}, ["strategies", "at least one"]),
        ({**MINIMAL, "strategies": ["greedy", "greedy"]}, ["strategies", "once"]),
        ({**MINIMAL, "strategies": ["alm_v"]}, ["alm_v", "verifier"]),
        ({**MINIMAL, "decoding": {"beam_count": 0}}, ["bon", "beam_count"]),
        ({**MINIMAL, "decoding": {"greedy": False}}, ["greedy"]),
        ({**MINIMAL, "audio": {"long_audio": "windows"}}, ["audio.long_audio", "first_window"]),
    ],
)
def test_a_wrong_config_names_field_and_value(
    document: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(document, source="my.yaml")
    for word in [*words, "my.yaml"]:
        assert word in str(error.value)


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"(?s)input.*modle"):
        parse_config({"output": "out", "modle": {}})


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml.*No such file"):
        load_config(tmp_path / "absent.yaml")


def test_places_and_resources_do_not_make_another_run() -> None:
    assert identity() == identity(
        output="elsewhere",
        name="again",
        resources={"actors": 4, "batch_size": 1},
        metrics={"replicates": 200},
    )


def test_decoding_makes_other_generations() -> None:
    assert identity()[0] != identity(decoding={"max_new_tokens": 50})[0]


def test_hearing_only_the_beginning_of_long_clips_makes_other_generations() -> None:
    assert identity()[0] != identity(audio={"long_audio": "first_window"})[0]


def test_aggregation_makes_other_predictions_of_the_same_generations() -> None:
    plain, sharper = identity(), identity(aggregation={"tau": 10.0})
    assert plain[0] == sharper[0]
    assert plain[1] != sharper[1]


def test_the_config_is_frozen() -> None:
    config = RunConfig.model_validate(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.output = "changed"  # type: ignore[misc]
