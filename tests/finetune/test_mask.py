"""The loss mask, token by token, and what the chat template itself makes of the conversation."""

import dataclasses

import numpy as np
import pytest
import soundfile
from spoken_export import END, QUESTION, answer_text
from transformers import Qwen2AudioProcessor

from raypipe.engines.frontend import TransformersFrontend
from raypipe.errors import UnsupportedError
from raypipe.finetune.encoding import IGNORED, EncodedExample, ExampleEncoder
from raypipe.finetune.examples import AnswerExample, read_examples
from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Request
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.tiny_alm.spoken import spoken_utterances


def encoded(encoder: ExampleEncoder, example: AnswerExample) -> EncodedExample:
    result = encoder.encode(example)
    assert isinstance(result, EncodedExample)
    return result


@pytest.fixture(scope="module")
def example(export) -> AnswerExample:
    return read_examples(export).train[0]


def test_only_the_answer_and_the_end_of_its_turn_are_learnt(frontend, tiny_alm, example) -> None:
    tokenizer = Qwen2AudioProcessor.from_pretrained(tiny_alm).tokenizer
    row = encoded(ExampleEncoder(frontend, [END], 2048), example)
    tokens = tokenizer.convert_ids_to_tokens(row.model_input.token_ids.tolist())
    is_learnt = row.labels != IGNORED
    shown = [
        (token, learnt)
        for token, learnt in zip(tokens, is_learnt, strict=True)
        if token != "<|AUDIO|>"
    ]
    learnt = "".join(token for token, learnt in shown if learnt).replace("Ġ", " ")
    before = "".join(token for token, learnt in shown if not learnt)
    assert learnt == answer_text(0, "train", "surprise") + "<|im_end|>"
    assert before.replace("Ġ", " ").replace("Ċ", "\n") == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nAudio 1: <|audio_bos|><|audio_eos|>\n"
        f"{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    )
    np.testing.assert_array_equal(row.labels[is_learnt], row.model_input.token_ids[is_learnt])
    assert row.target_count == is_learnt.sum()
    assert list(is_learnt) == sorted(is_learnt), "the prompt, then the answer"
    assert row.cut_tokens == 0


def test_the_ids_are_those_of_the_processor_on_the_whole_conversation(
    frontend, tiny_alm, example
) -> None:
    """Tokenised in one piece by transformers, the clip expanded by the processor itself."""
    processor = Qwen2AudioProcessor.from_pretrained(tiny_alm)
    samples, rate = soundfile.read(example.audio, dtype="float32")
    turns = [
        {
            "role": "user",
            "content": [{"type": "audio", "audio_url": "x"}, {"type": "text", "text": QUESTION}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": example.answer}]},
    ]
    text = processor.apply_chat_template(turns, tokenize=False)
    (whole,) = processor(text=[text], audio=[samples], sampling_rate=rate)["input_ids"]
    row = encoded(ExampleEncoder(frontend, [END], 2048), example)
    length = len(row.model_input.token_ids)
    assert row.model_input.token_ids.tolist() == list(whole[:length])
    assert processor.tokenizer.decode(whole[length:]) == "\n", "after the end of the turn"


def test_the_prompt_is_what_the_engine_asks_at_inference(frontend, example) -> None:
    samples, _ = soundfile.read(example.audio, dtype="float32")
    (asked,) = frontend.prepare([Request("x", QUESTION, samples)])
    row = encoded(ExampleEncoder(frontend, [END], 2048), example)
    prompt = row.model_input.token_ids[row.labels == IGNORED]
    np.testing.assert_array_equal(prompt, asked.token_ids)
    np.testing.assert_array_equal(row.model_input.features, asked.features)


def test_what_is_beyond_the_cutoff_is_cut_and_counted(frontend, example) -> None:
    whole = encoded(ExampleEncoder(frontend, [END], 2048), example)
    length = len(whole.model_input.token_ids)
    row = encoded(ExampleEncoder(frontend, [END], length - 5), example)
    assert len(row.model_input.token_ids) == length - 5
    assert (row.cut_tokens, row.target_count) == (5, whole.target_count - 5)
    assert row.model_input.token_ids[-1] != END, "an answer that is cut does not end"
    refused = ExampleEncoder(frontend, [END], length - whole.target_count).encode(example)
    assert isinstance(refused, Failure)
    assert refused.error_type == "no_room"


def test_an_example_that_cannot_be_heard_or_written_is_a_failure(
    frontend, example, tmp_path
) -> None:
    encoder = ExampleEncoder(frontend, [END], 2048)
    (tmp_path / "broken.flac").write_bytes(b"fLaC")
    broken = encoder.encode(AnswerExample("a", str(tmp_path / "broken.flac"), QUESTION, "x"))
    assert isinstance(broken, Failure)
    assert broken.stage == "decode"
    control = encoder.encode(AnswerExample("b", example.audio, QUESTION, "x<|im_end|>y"))
    assert isinstance(control, Failure)
    assert control.error_type == "answer_not_written"


def test_a_template_that_ends_no_turn_is_refused(frontend: TransformersFrontend) -> None:
    other = TransformersFrontend(str(frontend._inputs._processor.tokenizer.name_or_path))
    with pytest.raises(UnsupportedError, match="ended by a token that ends answers"):
        ExampleEncoder(other, [1], 2048)


def test_a_clip_may_lie_in_a_shard(frontend, example, tmp_path) -> None:
    """As exports with references name it."""
    write_shards(
        spoken_utterances(2, split="train"),
        Location.parse(str(tmp_path)),
        LABEL_SETS["msp-podcast-8"],
        rows_per_shard=2,
        source="test",
    )
    (shard,) = tmp_path.glob("*.parquet")
    encoder = ExampleEncoder(frontend, [END], 2048)
    there = dataclasses.replace(example, audio=f"{shard}#{example.example_id}")
    missing = dataclasses.replace(example, audio=f"{shard}#nobody")
    np.testing.assert_array_equal(
        encoded(encoder, there).model_input.token_ids,
        encoded(encoder, example).model_input.token_ids,
    )
    failure = encoder.encode(missing)
    assert isinstance(failure, Failure)
    assert (failure.stage, failure.error_type) == ("read", "no_clip")
