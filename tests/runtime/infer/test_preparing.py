"""From a shard's rows to what a model takes: decoded, cut, asked by every prompt."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from in_process import InProcess, utterance

from raypipe.errors import EngineError
from raypipe.records import Failure, Request, Utterance
from raypipe.runtime.infer import preparing
from raypipe.runtime.infer.preparing import PreparedRows, filled, prepare_rows, prepare_shard

RATE = 16_000


class Keeper:
    """A frontend that keeps what it is given."""

    sampling_rate = RATE
    max_duration_s = 8.0

    def __init__(self, sampling_rate: int = RATE) -> None:
        self.sampling_rate = sampling_rate
        self.calls: list[list[Request]] = []

    def prepare(self, requests: Sequence[Request]) -> list[Any]:
        self.calls.append(list(requests))
        return list(requests)

    def with_prompt(self, prepared: Request, prompt: str) -> Request:
        return replace(prepared, prompt=prompt)

    def emotion_tokens(self, labels: Any) -> Any:
        raise AssertionError("nobody asks for it here")


def prepared(
    runs: InProcess, *rows: Utterance | Failure, **changes: Any
) -> tuple[PreparedRows, Keeper]:
    frontend = Keeper()
    made = prepare_rows(list(rows), runs.context(**changes), frontend)
    return made, frontend


def seconds(request: Request) -> float:
    assert request.samples is not None
    return len(request.samples) / RATE


def test_a_clip_is_asked_by_every_prompt_in_one_call(in_process: Any) -> None:
    prompts = [{"name": "a"}, {"template": "ambiguous"}]
    made, frontend = prepared(in_process, utterance("u0"), utterance("u1"), prompts=prompts)
    (call,) = frontend.calls
    assert [request.utterance_id for request in call] == ["u0", "u0", "u1", "u1"]
    texts = [request.prompt for request in call]
    assert texts[0] == texts[2] != texts[1] == texts[3]
    for windows, name in zip(made.windows, ("u0", "u1"), strict=True):
        assert isinstance(windows, tuple)
        (window,) = windows
        assert [request.utterance_id for request in window.asked] == [name, name]
        assert (window.window, window.window_s, window.cot) == (0, None, ())
        assert window.clip is window.asked[0]


def test_every_prompt_is_put_in_its_own_kind_of_turn(in_process: Any) -> None:
    context = in_process.context(prompts=[{"name": "a"}, {"template": "ambiguous"}])
    first, second = context.prompts
    frontend = Keeper()
    context = replace(
        context, prompts=(replace(first, turn="plain"), replace(second, clip="after"))
    )
    prepare_rows([utterance("u0")], context, frontend)
    (requests,) = frontend.calls
    assert [request.turn for request in requests] == ["plain", "chat"]
    assert [request.clip for request in requests] == [None, "after"]


def test_audio_goes_to_the_model_and_no_further(in_process: Any) -> None:
    made, frontend = prepared(in_process, utterance("u0", 0.75))
    assert seconds(frontend.calls[0][0]) == 0.75
    assert made.heard_s == (0.75,)
    (kept,) = made.utterances
    assert kept == replace(utterance("u0", 0.75), audio=b"")


def test_the_transcript_is_in_the_prompt_unless_sentences_are_fixed(
    fake_engine: None, tmp_path: Path
) -> None:
    row = replace(utterance("u0"), transcript="Leave me alone.", context=("Are you coming?",))
    for fixed in (False, True):
        runs = InProcess(tmp_path / str(fixed))
        runs.write(row, fixed_sentences=fixed)
        _, frontend = prepared(runs, row)
        assert ("Leave me alone." in frontend.calls[0][0].prompt) is not fixed


def test_reasoning_variants_follow_the_prompts_of_their_window(in_process: Any) -> None:
    made, frontend = prepared(
        in_process,
        utterance("u0", 3.0),
        strategies=["cot"],
        prompts=[{"name": "a"}, {"name": "b"}],
        audio={"long_audio": "windows"},
    )
    (call,) = frontend.calls
    assert len(call) == 4
    assert isinstance(made.windows[0], tuple)
    (window,) = made.windows[0]
    assert list(window.asked) == call[:2]
    assert list(window.cot) == call[2:]
    assert window.asked[0].prompt != window.cot[0].prompt


@pytest.mark.parametrize(
    ("length_s", "windows"),
    [(8.0, [8.0]), (8.5, [4.25, 4.25]), (16.0, [8.0, 8.0]), (20.0, [6.6667, 6.6667, 6.6667])],
)
def test_a_long_clip_is_heard_in_equal_windows_that_fit(
    in_process: Any, length_s: float, windows: list[float]
) -> None:
    made, frontend = prepared(
        in_process, utterance("u0", length_s), audio={"long_audio": "windows"}
    )
    heard = [seconds(request) for request in frontend.calls[0]]
    assert heard == pytest.approx(windows, abs=1e-3)
    assert made.heard_s == (pytest.approx(length_s),)
    assert isinstance(made.windows[0], tuple)
    assert [window.window for window in made.windows[0]] == [*range(len(windows))]
    told = [window.window_s for window in made.windows[0]]
    assert told == ([None] if len(windows) == 1 else pytest.approx(windows, abs=1e-3))


def test_windows_together_are_the_clip(in_process: Any) -> None:
    row = utterance("u0", 9.0)
    _, cut = prepared(in_process, row, audio={"long_audio": "windows"})
    parts = [request.samples for request in cut.calls[0] if request.samples is not None]
    frontend = Keeper()
    context = in_process.context(audio={"long_audio": "windows"})
    prepare_rows([row], replace(context, window_s=100.0), frontend)
    np.testing.assert_array_equal(np.concatenate(parts), frontend.calls[0][0].samples)


def test_only_the_first_window_is_heard_where_that_is_asked(in_process: Any) -> None:
    made, frontend = prepared(
        in_process, utterance("u0", 9.0), utterance("u1"), audio={"long_audio": "first_window"}
    )
    assert [seconds(request) for request in frontend.calls[0]] == [8.0, 0.5]
    assert made.heard_s == (8.0, 0.5)


def test_otherwise_a_clip_that_is_too_long_is_a_failure(in_process: Any) -> None:
    made, frontend = prepared(in_process, utterance("u0", 8.5), utterance("u1", 8.0))
    failure = made.windows[0]
    assert isinstance(failure, Failure)
    assert (failure.utterance_id, failure.stage, failure.error_type) == ("u0", "decode", "too_long")
    assert [request.utterance_id for request in frontend.calls[0]] == ["u1"]
    assert made.heard_s == (None, 8.0)


def test_the_config_may_set_a_shorter_limit(in_process: Any) -> None:
    audio = {"max_duration_s": 0.6, "long_audio": "windows"}
    made, _ = prepared(in_process, utterance("u0", 0.7), utterance("u1", 0.5), audio=audio)
    assert [isinstance(row, Failure) for row in made.windows] == [True, False]


def test_silence_keeps_the_length_and_takes_every_sound(in_process: Any) -> None:
    _, frontend = prepared(in_process, utterance("u0", 0.75), audio={"replace_with": "silence"})
    samples = frontend.calls[0][0].samples
    assert samples is not None
    assert len(samples) == 12_000
    assert not samples.any()


def test_rows_that_are_failures_pass_through_in_place(in_process: Any) -> None:
    failure = Failure("u9", "read", "empty", "audio holds no bytes")
    broken = replace(utterance("u1"), audio=b"not audio")
    made, _ = prepared(in_process, failure, broken, utterance("u2"))
    assert made.windows[0] is failure
    assert isinstance(made.windows[1], Failure)
    assert made.windows[1].stage == "decode"
    assert isinstance(made.windows[2], tuple)
    assert made.utterances[0] is None
    assert [row.utterance_id for row in made.utterances[1:] if row is not None] == ["u1", "u2"]


def test_a_repeated_id_fails_before_its_audio_is_looked_at(in_process: Any) -> None:
    broken = replace(utterance("u0"), audio=b"not audio")
    context, frontend = in_process.context(), Keeper()
    made = prepare_rows([broken], context, frontend, repeated={0: "a.parquet row 7"})
    (failure,) = made.windows
    assert isinstance(failure, Failure)
    assert (failure.stage, failure.error_type) == ("read", "duplicate_id")
    assert failure.message == "utterance_id 'u0' already stands in a.parquet row 7"


def test_a_prompt_that_only_reads_gets_no_clip(in_process: Any) -> None:
    prompts = [{"template": "describe"}, {"template": "distribution"}]
    made, frontend = prepared(in_process, utterance("u0"), prompts=prompts)
    reads, hears = frontend.calls[0]
    assert reads.samples is None
    assert hears.samples is not None
    assert isinstance(made.windows[0], tuple)
    assert made.windows[0][0].clip is hears  # a verifier must get to hear it


def test_measurements_are_those_of_the_clip(in_process: Any) -> None:
    """A tone of 200 Hz has that pitch; at half scale its mean power is 1/8."""
    tone = (0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)).astype(np.float32)
    sink = io.BytesIO()
    soundfile.write(sink, tone, RATE, format="FLAC")
    row = replace(utterance("u0"), audio=sink.getvalue(), transcript=None)
    _, frontend = prepared(in_process, row, prompt={"template": "describe"})
    text = frontend.calls[0][0].prompt
    assert "- Pitch: 200 Hz on average" in text
    level = re.search(r"- Energy: (\S+) dB", text)
    assert level is not None
    assert float(level[1]) == pytest.approx(10 * np.log10(0.125), abs=0.2)
    assert "- Length: 1.0 s" in text


def test_measurements_of_silence_say_that_there_is_nothing(in_process: Any) -> None:
    _, frontend = prepared(
        in_process,
        utterance("u0"),
        prompt={"template": "describe"},
        audio={"replace_with": "silence"},
    )
    assert "- Energy: silence" in frontend.calls[0][0].prompt


def test_another_verifier_gets_the_clip_at_its_own_rate(in_process: Any) -> None:
    verifier = Keeper(8_000)
    context = in_process.context(audio={"long_audio": "windows"})
    made = prepare_rows([utterance("u0", 9.0), utterance("u1")], context, Keeper(), verifier)
    (call,) = verifier.calls
    assert [(request.utterance_id, request.prompt) for request in call] == [
        ("u0", ""),
        ("u0", ""),
        ("u1", ""),
    ]
    lengths = [len(request.samples) for request in call if request.samples is not None]
    assert lengths == [36_000, 36_000, 4_000]
    windows = [window for row in made.windows if isinstance(row, tuple) for window in row]
    assert [window.for_verifier for window in windows] == call


def test_without_another_verifier_windows_have_nothing_for_it(in_process: Any) -> None:
    made, _ = prepared(in_process, utterance("u0"))
    assert isinstance(made.windows[0], tuple)
    assert made.windows[0][0].for_verifier is None


def test_a_shard_is_cut_at_the_run_s_limit(in_process: Any) -> None:
    document = {"shards": str(in_process.shards), "limit": 2}
    (model_run,) = in_process.plan(input=document).model_runs
    shard = prepare_shard(model_run.tasks[0], model_run.context, Keeper())
    assert [row.utterance_id for row in shard.rows.utterances if row] == ["u0", "u1"]
    assert shard.shard_failure is None


def test_a_shard_that_has_changed_is_one_failure(in_process: Any) -> None:
    (model_run,) = in_process.plan().model_runs
    name = model_run.tasks[0].entry.name
    path = in_process.shards / name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"damaged")
    shard = prepare_shard(model_run.tasks[0], model_run.context, Keeper())
    assert shard.rows == PreparedRows()
    failure = shard.shard_failure
    assert failure is not None
    assert (failure.utterance_id, failure.stage, failure.error_type) == (None, "read", "ShardError")
    assert digest[:12] in failure.message


def test_a_template_sees_the_labels_and_what_else_is_given(in_process: Any) -> None:
    context = in_process.context()
    source = "{{ labels | length }} {{ transcript }} {{ candidate }}"
    assert filled(source, utterance("u0"), context, candidate="{}") == "6 Well. {}"


def failing_for(name: str, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A codec or a template that breaks on one clip in a way that nobody foresaw."""
    real = getattr(preparing, what)

    def breaks(first: Any, *args: Any, **kwargs: Any) -> Any:
        told = args[0] if what == "filled" else first
        if told == name or getattr(told, "utterance_id", None) == name:
            raise ValueError("array is\ntoo big")
        return real(first, *args, **kwargs)

    monkeypatch.setattr(preparing, what, breaks)


@pytest.mark.parametrize(("what", "stage"), [("_clips", "decode"), ("filled", "prompt")])
def test_an_unexpected_error_about_a_row_is_that_rows_failure(
    in_process: Any, monkeypatch: pytest.MonkeyPatch, what: str, stage: str
) -> None:
    failing_for("u1", monkeypatch, what)
    made, _ = prepared(in_process, utterance("u0"), utterance("u1"), utterance("u2"))
    good, bad, other = made.windows
    assert isinstance(good, tuple)
    assert isinstance(other, tuple)
    assert bad == Failure("u1", stage, "ValueError", "unexpected ValueError: array is too big")
    assert not bad.is_refusal


def test_a_clip_that_a_frontend_breaks_on_costs_only_itself(in_process: Any) -> None:
    class Fragile(Keeper):
        def prepare(self, requests: Sequence[Request]) -> list[Any]:
            if any(request.utterance_id == "u1" for request in requests):
                raise RuntimeError("kernel size")
            return super().prepare(requests)

    rows = [utterance("u0"), utterance("u1"), utterance("u2")]
    made = prepare_rows(rows, in_process.context(), Fragile())
    asked = [windows[0].asked[0] for windows in made.windows if isinstance(windows, tuple)]
    assert [type(each) for each in asked] == [Request, Failure, Request]
    assert asked[1] == Failure(
        "u1", "prompt", "RuntimeError", "unexpected RuntimeError: kernel size"
    )


def test_a_frontend_s_reply_about_another_clip_costs_only_the_clip_it_was_asked_about(
    in_process: Any,
) -> None:
    class Confused(Keeper):
        def prepare(self, requests: Sequence[Request]) -> list[Any]:
            if any(request.utterance_id == "u1" for request in requests):
                raise EngineError("engine odd answered about 'u9' where 'u1' was asked")
            return super().prepare(requests)

    rows = [utterance("u0"), utterance("u1"), utterance("u2")]
    made = prepare_rows(rows, in_process.context(), Confused())
    asked = [windows[0].asked[0] for windows in made.windows if isinstance(windows, tuple)]
    assert [type(each) for each in asked] == [Request, Failure, Request]
    assert "about 'u9'" in asked[1].message


def test_a_transcript_that_no_prompt_can_hold_costs_only_its_own_row(in_process: Any) -> None:
    long = replace(utterance("u1"), transcript="t" * 5_000_000)
    made, _ = prepared(in_process, utterance("u0"), long, utterance("u2"))
    good, bad, other = made.windows
    assert isinstance(good, tuple)
    assert isinstance(other, tuple)
    assert isinstance(bad, Failure)
    assert (bad.utterance_id, bad.stage, bad.error_type) == ("u1", "prompt", "template")
    assert "more than 4000000 characters" in bad.message
