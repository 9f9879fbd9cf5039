import json
from contextlib import nullcontext

import pytest
from transformers import GenerationConfig

from raypipe.engines.engine import ModelSettings, PluginOptions
from raypipe.engines.generation_config import (
    check_at_the_door,
    check_generation_config,
    end_token_ids,
    generation_config_of,
    penalties_of,
)
from raypipe.errors import ConfigError, UnsupportedError
from raypipe.protocols import Demand
from raypipe.records import NO_PENALTIES, Penalties


def test_an_empty_config_and_sampling_settings_are_accepted():
    check_generation_config(GenerationConfig(), ignore=False)
    sampling = GenerationConfig(do_sample=True, temperature=0.7, top_k=20, top_p=0.5, min_p=0.1)
    check_generation_config(sampling, ignore=False)


def test_neutral_values_are_accepted():
    neutral = GenerationConfig(repetition_penalty=1.0, min_length=0, no_repeat_ngram_size=0)
    check_generation_config(neutral, ignore=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("encoder_repetition_penalty", 1.2),
        ("no_repeat_ngram_size", 3),
        ("min_length", 5),
        ("min_new_tokens", 5),
        ("suppress_tokens", [1, 2]),
        ("begin_suppress_tokens", [1]),
        ("forced_bos_token_id", 3),
        ("forced_eos_token_id", 3),
        ("bad_words_ids", [[1, 2]]),
        ("sequence_bias", [[[5], -10.0]]),
        ("exponential_decay_length_penalty", (5, 1.1)),
        ("guidance_scale", 1.5),
        ("stop_strings", ["."]),
    ],
)
def test_what_would_change_the_scores_is_refused_by_name(field, value):
    config = GenerationConfig()
    setattr(config, field, value)
    with pytest.raises(UnsupportedError, match=field):
        check_generation_config(config, ignore=False)


def test_ignoring_it_is_logged(caplog):
    check_generation_config(GenerationConfig(no_repeat_ngram_size=3), ignore=True)
    assert "no_repeat_ngram_size=3" in caplog.text


@pytest.mark.parametrize(
    ("checkpoint", "asked", "ignore", "applied"),
    [
        (1.1, "checkpoint", False, 1.1),
        (None, "checkpoint", False, 1.0),
        (1.1, "checkpoint", True, 1.0),
        (1.1, NO_PENALTIES, False, 1.0),
        (1.1, Penalties(1.05), False, 1.05),
        (1.1, Penalties(1.05), True, 1.05),
    ],
)
def test_a_run_has_the_checkpoint_s_penalties_or_its_own(checkpoint, asked, ignore, applied):
    config = GenerationConfig(repetition_penalty=checkpoint)
    assert penalties_of(config, asked, ignore=ignore) == Penalties(applied)


def test_a_penalty_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"repetition_penalty 0\.0 must be a finite number"):
        penalties_of(GenerationConfig(repetition_penalty=0.0), "checkpoint", ignore=False)


def test_an_older_checkpoint_says_it_in_its_config(tmp_path):
    config = {"model_type": "qwen2", "repetition_penalty": 1.2, "no_repeat_ngram_size": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    read = generation_config_of(str(tmp_path), None)
    assert penalties_of(read, "checkpoint", ignore=False) == Penalties(1.2)
    with pytest.raises(UnsupportedError, match="no_repeat_ngram_size=2"):
        check_generation_config(read, ignore=False)


def test_every_processor_of_transformers_is_on_the_list():
    """The oracle: configs that generate() turns into logits processors without sampling."""
    from random_checkpoint import Shape, _random_model, train_tokenizer

    from raypipe.engines import generation_config

    model = _random_model(train_tokenizer(600), Shape(vocabulary=600, layers=1, audio_layers=1))
    source = model._get_logits_processor.__func__.__code__.co_names
    fields = set(GenerationConfig().to_dict()) | {"watermarking_config", "guidance_scale"}
    sampling = {"do_sample", "temperature", "top_k", "top_p", "top_h", "min_p", "typical_p"}
    sampling |= {"epsilon_cutoff", "eta_cutoff", "num_beams", "use_cache", "max_length"}
    # Log-probabilities are normalised already; doing it again changes nothing.
    harmless = {"renormalize_logits"}
    read = set(source) & fields
    applied = {"repetition_penalty"}
    refused = set(generation_config._NEUTRAL_VALUES)
    assert read - sampling - harmless - applied <= refused


@pytest.mark.parametrize(("eos", "expected"), [(7, (7,)), ([7, 9], (7, 9)), ([9, 7, 9], (9, 7))])
def test_all_end_tokens_are_found(eos, expected):
    assert end_token_ids(GenerationConfig(eos_token_id=eos)) == expected


def test_a_checkpoint_that_cannot_end_is_refused():
    with pytest.raises(UnsupportedError, match="eos_token_id"):
        end_token_ids(GenerationConfig())


@pytest.mark.parametrize(
    ("penalty", "asked", "refused"),
    [(1.1, "checkpoint", True), (1.1, NO_PENALTIES, False), (1.0, "checkpoint", False)],
)
def test_samples_under_a_checkpoints_penalty_are_refused_at_the_door(
    tmp_path, penalty, asked, refused
):
    (tmp_path / "generation_config.json").write_text(json.dumps({"repetition_penalty": penalty}))
    place = str(tmp_path)
    settings = ModelSettings(place, PluginOptions(), None, "auto", "cpu", False, penalties=asked)
    check_at_the_door(settings, Demand({"beams": ("bon",)}))
    expected = (
        pytest.raises(ConfigError, match="drawn without penalties: set")
        if refused
        else nullcontext()
    )
    with expected:
        check_at_the_door(settings, Demand({"seeded_samples": ("sample_mean",)}))
