"""Loading: weight by weight, in little memory, whole files of safetensors only."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from measured_loading import SMALL, measured, save_large
from safetensors.torch import load_file

from raypipe.engines.checkpoint_files import INDEX
from raypipe.engines.families import FAMILIES
from raypipe.engines.model_loading import load_model
from raypipe.engines.weight_files import stored_tensors, weight_files
from raypipe.errors import ConfigError, EngineError, UnsupportedError

QWEN2 = next(family for family in FAMILIES if family.architecture == "Qwen2ForCausalLM")
ORIGIN = {"revision": None, "trust_remote_code": False}


def load(folder: Path, dtype: torch.dtype = torch.float32, device: str = "cpu"):
    return load_model(QWEN2, str(folder), ORIGIN, dtype, device)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    save_large(folder, "60KB")
    return folder


@pytest.fixture
def broken(sharded, tmp_path) -> Path:
    shutil.copytree(sharded, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_are_those_of_the_files(sharded, dtype):
    files = weight_files(sharded)
    assert len(files) > 3
    expected = {name: one for file in files for name, one in load_file(file).items()}
    found = load(sharded, dtype).state_dict()
    assert found.keys() == expected.keys()
    for name, weight in found.items():
        torch.testing.assert_close(weight, expected[name].to(dtype), rtol=0, atol=0)


def test_a_process_needs_no_more_memory_than_weights_and_two_files(tmp_path):
    shape = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}
    shape |= {"num_key_value_heads": 8, "num_hidden_layers": 6, "vocab_size": 2000}
    save_large(tmp_path / "large", "12MB", **shape)
    save_large(tmp_path / "small", "1GB")
    told = measured(tmp_path / "large", "float32", tmp_path / "small")
    assert told["weights"] > 1.9 * told["files"] > 100e6
    assert told["files"] > 4 * told["largest_file"]
    assert told["peak"] < told["weights"] + 2 * told["largest_file"]


def test_weights_in_the_arithmetic_of_the_files_stay_there(sharded):
    kept, read = (stored_tensors(sharded, dtype) for dtype in ("bfloat16", None))
    name = "model.embed_tokens.weight"
    first, again = kept[name][...], kept[name][...]
    assert first.untyped_storage().filename is not None or first.data_ptr() == again.data_ptr()
    assert read[name][...].data_ptr() != read[name][...].data_ptr()


def test_the_log_tells_every_file_with_its_size(sharded, caplog):
    with caplog.at_level(logging.INFO, logger="raypipe"):
        load(sharded)
    told = [record.message for record in caplog.records if record.message.startswith("reading")]
    count = len(weight_files(sharded))
    assert len(told) == count
    assert any(f"model-00001-of-0000{count}.safetensors, 0.00 GB, 1 of" in one for one in told)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_weights_as_pickle_are_refused_by_name(broken, name):
    for file in weight_files(broken):
        file.unlink()
    (broken / INDEX).unlink()
    (broken / name).write_bytes(b"\x80\x04}.")
    with pytest.raises(
        UnsupportedError, match=rf"pickle weights \({name}\).*safetensors"
    ) as refused:
        load(broken)
    assert "\n" not in str(refused.value)


def test_a_folder_without_weights_is_refused(broken):
    for file in [*weight_files(broken), broken / INDEX]:
        file.unlink()
    with pytest.raises(UnsupportedError, match=r"no weights \(\*\.safetensors\) in the folder"):
        load(broken)


def test_a_file_that_the_index_names_in_vain_is_named(broken):
    weight_files(broken)[1].unlink()
    with pytest.raises(EngineError, match=r"lacks 1 weight files, first model-00002-of"):
        load(broken)


def test_a_file_that_is_cut_is_named(broken):
    file = weight_files(broken)[1]
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(EngineError, match=r"model-00002-of.* is no whole safetensors file"):
        load(broken)


@pytest.mark.parametrize("elsewhere", ["../other.safetensors", "/etc/passwd"])
def test_an_index_names_files_beside_it_only(broken, elsewhere):
    index = json.loads((broken / INDEX).read_text())
    index["weight_map"]["lm_head.weight"] = elsewhere
    (broken / INDEX).write_text(json.dumps(index))
    with pytest.raises(
        ConfigError, match=r"no file beside it|names no weight files|not JSON|no JSON"
    ):
        load(broken)


def test_a_weight_that_is_missing_is_named(broken):
    model = transformers.Qwen2Config(**{**SMALL, "num_hidden_layers": 3, "eos_token_id": 1})
    model.architectures = ["Qwen2ForCausalLM"]
    model.save_pretrained(broken)
    with pytest.raises(EngineError, match=r"lacks 12 weights, first model\.layers\.2"):
        load(broken)


def test_an_adapter_beside_the_weights_is_loaded_as_transformers_does(broken):
    peft = pytest.importorskip("peft")
    model = transformers.Qwen2ForCausalLM.from_pretrained(broken, dtype=torch.float32)
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=10)
    model.save_pretrained(broken)  # the adapter alone
    expected = transformers.Qwen2ForCausalLM.from_pretrained(broken, dtype=torch.float32).eval()
    token_ids = torch.arange(9)[None]
    with torch.inference_mode():
        found = load(broken)(input_ids=token_ids).logits
        torch.testing.assert_close(found, expected(input_ids=token_ids).logits)
        expected.disable_adapters()
        assert (found - expected(input_ids=token_ids).logits).abs().max() > 1e-5
