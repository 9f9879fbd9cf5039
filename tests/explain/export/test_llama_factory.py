"""An export as LLaMA-Factory documents its data sets, and as it reads it where it is installed."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from export_corpora import ExportWorld, spoken

from raypipe.engines.transformers import TransformersFrontend
from raypipe.explain.export.lines import AUDIO_PREFIX
from raypipe.explain.export.write import LLAMA_FACTORY, export
from raypipe.finetune.encoding import ExampleEncoder
from raypipe.finetune.examples import read_examples
from raypipe.records import Failure
from raypipe.shards.references import clip_bytes
from raypipe.tiny_alm.spoken import spoken_utterances

PYTHON = "RAYPIPE_LLAMA_FACTORY"
"""Variable with the path of a Python that has LLaMA-Factory, in an environment of its own."""

CHECKPOINT = Path(__file__).parents[3] / "raypipe" / "tiny_alm" / "checkpoint"


def test_the_data_set_is_described_as_llama_factory_documents_it(tmp_path: Path) -> None:
    world = ExportWorld(tmp_path)
    rows = [spoken(at, "anger" if at % 2 else "fear") for at in range(10)]
    config = world.config(
        world.explained("one", rows), development={"speakers": 0.2}, name="emotions"
    )
    export(config)
    folder = Path(config.output) / LLAMA_FACTORY
    info = json.loads((folder / "dataset_info.json").read_text())
    assert list(info) == ["emotions_train", "emotions_development"]
    for part in ("train", "development"):
        described = info[f"emotions_{part}"]
        assert described == {
            "file_name": f"{part}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "audios": "audios"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
        }
        own = (Path(config.output) / f"{part}.jsonl").read_text().splitlines()
        lines = (folder / described["file_name"]).read_text().splitlines()
        assert len(lines) == len(own) > 0
        for text, other in zip(lines, own, strict=True):
            line, same = json.loads(text), json.loads(other)
            user, assistant = line["messages"]
            assert (user["role"], assistant["role"]) == ("user", "assistant")
            # As many placeholders as audios, nowhere else one, and both speak the same words.
            assert text.count("<audio>") == len(line["audios"]) == 1
            question = same["messages"][0]["content"][1]["text"]
            assert user["content"] == f"{AUDIO_PREFIX}{question}"
            assert assistant["content"] == same["messages"][1]["content"][0]["text"]
            assert (folder / line["audios"][0]).is_file()


@pytest.mark.slow  # where it is installed, it takes half a minute to import
@pytest.mark.skipif(PYTHON not in os.environ, reason=f"{PYTHON} names no Python with LLaMA-Factory")
def test_llama_factory_makes_the_same_tokens_and_labels(tmp_path: Path) -> None:
    """Its template ``qwen2_audio`` and the model's own chat template, token by token."""
    world = ExportWorld(tmp_path)
    rows = [row for row in spoken_utterances(16, split="train") if row.plurality is not None]
    config = world.config(world.explained("one", rows), instruction="mixed", name="emotions")
    export(config)
    output, answer = Path(config.output), tmp_path / "answer.json"
    script = Path(__file__).parents[2] / "llama_factory_ids.py"
    place = [str(output / LLAMA_FACTORY), "emotions_train", str(CHECKPOINT), str(answer)]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [os.environ[PYTHON], str(script), *place],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    read = json.loads(answer.read_text())
    assert read == list(_by_the_chat_template(output))
    # What is learnt from here: the same, without the line end, which no answer gets to.
    frontend = TransformersFrontend(str(CHECKPOINT))
    end_of_turn = frontend.tokenizer.convert_tokens_to_ids("<|im_end|>")
    [end] = frontend.tokenizer.encode("\n", add_special_tokens=False)
    encoder = ExampleEncoder(frontend, [end_of_turn], 2048)
    for example, other in zip(read_examples(output).train, read, strict=True):
        encoded = encoder.encode(example)
        assert not isinstance(encoded, Failure)
        ids = encoded.model_input.token_ids.tolist()
        assert [*ids, end] == other["input_ids"]
        assert [*encoded.labels.tolist(), end] == other["labels"]


def _by_the_chat_template(output: Path) -> Iterator[dict[str, list[int]]]:
    """Token ids of every line, and the same with all before the assistant's turn hidden."""
    from transformers import AutoProcessor

    processor: Any = AutoProcessor.from_pretrained(CHECKPOINT)
    for text in (output / "train.jsonl").read_text().splitlines():
        messages = json.loads(text)["messages"]
        audio = clip_bytes(messages[0]["content"][0]["audio"], output)
        samples, rate = soundfile.read(io.BytesIO(audio), dtype="float32")
        asked, whole = (
            processor(
                text=processor.apply_chat_template(
                    turns, tokenize=False, add_generation_prompt=len(turns) == 1
                ),
                audio=[samples],
                sampling_rate=rate,
                return_tensors="np",
            )["input_ids"][0].tolist()
            for turns in (messages[:1], messages)
        )
        assert whole[: len(asked)] == asked
        yield {"input_ids": whole, "labels": [-100] * len(asked) + whole[len(asked) :]}
