"""The worked plug-ins: installed by pip, run with a stand-in for each model's own code.

The stand-ins have the modules, names and signatures of the public loaders; a call with a wrong
argument fails. Every stand-in answers how loud the clip was that reached it.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers
import yaml
from in_process import InProcess, utterance
from safetensors.torch import save_file

from raypipe.audio import decode
from raypipe.config import parse_config
from raypipe.engines.contract import CheckedEngine, CheckedFrontend
from raypipe.engines.engine import EngineSettings, ModelSettings
from raypipe.engines.own_loaders import OWN_LOADERS, OwnLoader
from raypipe.engines.plugins import GROUP, load_plugin
from raypipe.errors import ConfigError
from raypipe.records import EmotionTokens, Failure, Request, Search, Utterance
from raypipe.runtime.infer.plan import make_plan

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STAND_INS = HERE / "stand_ins"
PROMPT = 'Answer with JSON like {"anger": 0.5}. Which emotion?'
NO_TOKENS = EmotionTokens((), (), ())
STAND_IN_MODULES = {
    path.relative_to(STAND_INS).parts[1 if path.parent != STAND_INS else 0].removesuffix(".py")
    for path in STAND_INS.rglob("*.py")
}
"""Names as they are imported from a checkout."""


def audio_flamingo_2(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    shutil.copytree(STAND_INS / "audio_flamingo_2", folder / "code")
    weights = folder / "code" / "safe_ckpt"
    weights.mkdir()
    (weights / "metadata.json").write_text('["chunk_0", "chunk_1"]')
    for number, name in enumerate("ab"):
        save_file({name: torch.zeros(1)}, weights / f"chunk_{number}.safetensors")
    return {"path": str(folder / "code")}


def baichuan_omni(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    stand_in = importlib.import_module("baichuan_omni")
    patch.setattr(transformers, "AutoTokenizer", stand_in.Tokenizer)
    patch.setattr(transformers, "AutoModelForCausalLM", stand_in.OmniForCausalLM)
    return {"path": "baichuan-inc/Baichuan-Omni-1d5", "trust_remote_code": True}


def ltu_as(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.syspath_prepend(str(STAND_INS / "ltu_as"))
    stand_in = importlib.import_module("language_model")
    for name in ("LlamaTokenizer", "LlamaForCausalLM"):
        patch.setattr(transformers, name, getattr(stand_in, name))
    patch.setattr("peft.get_peft_model", stand_in.get_peft_model)
    torch.save({"adapter": torch.zeros(1)}, folder / "ltuas_long_noqa_a6.bin")
    torch.save({"dims": {"n_mels": 80}, "model_state_dict": {}}, folder / "large-v1.pt")
    return {"path": str(folder), "options": {"code": str(STAND_INS / "ltu_as")}}


def salmonn(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    transformers.WhisperFeatureExtractor().save_pretrained(folder / "whisper")
    config = (STAND_INS / "salmonn" / "decode_config.yaml").read_text()
    path = folder / "decode_config.yaml"
    path.write_text(config.replace("whisper_path: whisper", f"whisper_path: {folder}/whisper"))
    return {"path": str(path), "options": {"code": str(STAND_INS / "salmonn")}}


def ultravox_transformers(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    stand_in = importlib.import_module("ultravox_transformers")
    patch.setattr(transformers, "pipeline", stand_in.pipeline)
    return {"path": "fixie-ai/ultravox-v0_4", "trust_remote_code": True}


MODELS: dict[str, Callable[[Path, pytest.MonkeyPatch], dict[str, Any]]] = {
    "audio-flamingo-2": audio_flamingo_2,
    "baichuan-omni": baichuan_omni,
    "ltu-as": ltu_as,
    "salmonn": salmonn,
    "ultravox-transformers": ultravox_transformers,
}
"""By engine: puts the stand-in in its place; the config's ``model`` section."""

each_loader = pytest.mark.parametrize("loader", OWN_LOADERS, ids=lambda loader: loader.engine)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them, as pip installs them from the source checkout."""
    source, target = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(target)]
    for loader in OWN_LOADERS:  # from copies: pip builds in the folder itself
        copy = source / loader.engine
        shutil.copytree(ROOT / loader.package, copy, ignore=shutil.ignore_patterns("__pycache__"))
        command.append(str(copy))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def here(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has the packages; what they import is forgotten afterwards."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(installed), str(STAND_INS), *sys.path])
    importlib.invalidate_caches()
    yield
    for name in set(sys.modules) - known:
        if name.startswith("raypipe_") or name.partition(".")[0] in STAND_IN_MODULES:
            del sys.modules[name]


@pytest.fixture
def section(
    here: None, loader: OwnLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The config's ``model`` section for the loader, with a stand-in in its place."""
    folder = tmp_path / "model"
    folder.mkdir()
    return {
        "engine": loader.engine,
        "name": loader.engine,
        "device": "cpu",
        **MODELS[loader.engine](folder, monkeypatch),
    }


def clips() -> list[Utterance]:
    """Three clips, each louder than the one before."""
    loud = []
    for number in range(3):
        quiet = utterance(f"u{number}")
        samples = decode(quiet.audio, sampling_rate=16_000) * (number + 1)
        loud.append(dataclasses.replace(quiet, audio=as_wav(samples)))
    return loud


def as_wav(samples: np.ndarray) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, samples, 16_000, format="WAV", subtype="FLOAT")
    return sink.getvalue()


@each_loader
def test_an_installed_plug_in_answers_a_run(
    loader: OwnLoader, section: dict[str, Any], tmp_path: Path
) -> None:
    run = InProcess(tmp_path)
    run.write(*clips())
    run.finished(model=section, strategies=["greedy"])
    found = run.rows("SELECT utterance_id, probs, parse_rule FROM predictions ORDER BY 1")
    assert [row["utterance_id"] for row in found] == ["u0", "u1", "u2"]
    for row, clip in zip(found, clips(), strict=True):
        heard = float(np.abs(decode(clip.audio, sampling_rate=16_000)).mean())
        assert row["probs"] == pytest.approx([heard, 0, 0, 0, 1 - heard, 0], abs=2e-4)
    assert run.rows("SELECT DISTINCT model FROM generations") == [{"model": loader.engine}]


def halves(section: dict[str, Any]) -> tuple[CheckedFrontend, CheckedEngine]:
    """Both halves of its engine, checked."""
    plugin = load_plugin(section["engine"])
    settings = ModelSettings(
        section["path"],
        plugin.checked_options(section.get("options", {})),
        None,
        "float32",
        section["device"],
        section.get("trust_remote_code", False),
    )
    engine = plugin.engine(EngineSettings(settings, NO_TOKENS, batch_size=2, threads=1))
    name = section["engine"]
    frontend = CheckedFrontend(name, plugin.frontend(settings))
    return frontend, CheckedEngine(name, engine, 0, several=False)


@each_loader
def test_it_takes_the_clips_that_the_list_says_and_no_marks_in_a_prompt(
    loader: OwnLoader, section: dict[str, Any]
) -> None:
    frontend, _ = halves(section)
    assert (frontend.sampling_rate, frontend.max_duration_s) == (16_000, loader.longest_s)
    too_long = np.zeros(round(16_000 * loader.longest_s) + 1, np.float32)
    replies = frontend.prepare([Request("long", PROMPT, too_long), Request("none", PROMPT, None)])
    assert [reply.error_type for reply in replies] == ["too_long", "no_clip"]
    mark = {
        "audio-flamingo-2": "<audio>",
        "baichuan-omni": "<C_A>",
        "ltu-as": "### Response:",
        "salmonn": "<SpeechHere>",
        "ultravox-transformers": "<|audio|>",
    }[loader.engine]
    clip = np.full(8000, 0.25, np.float32)
    [refused] = frontend.prepare([Request("marked", f"{PROMPT} {mark}", clip)])
    assert refused.error_type == "special_token_in_prompt"


@each_loader
def test_a_batch_is_answered_in_its_order(loader: OwnLoader, section: dict[str, Any]) -> None:
    frontend, engine = halves(section)
    requests = [Request(f"u{n}", PROMPT, np.full(8000, n / 8, np.float32)) for n in (3, 1, 2)]
    search = Search(beam_count=5, greedy=True, max_new_tokens=40)
    replies = engine.generate(frontend.prepare(requests), search)
    assert [reply.utterance_id for reply in replies] == ["u3", "u1", "u2"]
    texts = [reply.hypotheses[0].text for reply in replies]
    for text, share in zip(texts, (0.375, 0.125, 0.25), strict=True):
        assert text == f'{{"anger": {share}, "neutral": {1 - share}}}'


@each_loader
def test_what_it_cannot_give_is_refused_before_any_work(
    loader: OwnLoader, section: dict[str, Any], tmp_path: Path
) -> None:
    run = InProcess(tmp_path)
    run.write(*clips())
    for strategy, words in (("token", "raw logits"), ("w_bon", "several hypotheses")):
        with pytest.raises(ConfigError, match=rf"{words}.*{loader.engine}"):
            make_plan(run.config(model=section, strategies=["greedy", strategy]))
    if section.get("trust_remote_code"):
        untrusted = {**section, "trust_remote_code": False}
        with pytest.raises(ConfigError, match=r"model\.trust_remote_code: .*say true"):
            make_plan(run.config(model=untrusted, strategies=["greedy"]))


@pytest.mark.parametrize(
    "loader", [one for one in OWN_LOADERS if one.engine == "baichuan-omni"], ids=["baichuan-omni"]
)
def test_a_clip_that_its_processor_dropped_is_a_failure(
    loader: OwnLoader, section: dict[str, Any]
) -> None:
    frontend, engine = halves(section)
    dropped = Request("u0", PROMPT, np.ones(8000, np.float32))
    [reply] = engine.generate(frontend.prepare([dropped]), Search(0, True, 40))
    assert isinstance(reply, Failure)
    assert reply.error_type == "clip_not_read"


@pytest.mark.parametrize(
    "loader", [one for one in OWN_LOADERS if one.engine == "salmonn"], ids=["salmonn"]
)
def test_a_folder_without_the_model_s_code_is_named(
    loader: OwnLoader, section: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: there is no such folder"):
        halves({**section, "options": {"code": "nowhere"}})


def test_a_wrong_argument_for_a_stand_in_fails() -> None:
    """What the stand-ins are for: their signatures are those of the public loaders."""
    sys.path.insert(0, str(STAND_INS / "salmonn"))
    try:
        generate = importlib.import_module("models.salmonn").SALMONN.generate
    finally:
        sys.path.remove(str(STAND_INS / "salmonn"))
        for name in ("models.salmonn", "models"):
            sys.modules.pop(name)
    with pytest.raises(TypeError, match="prompt"):
        generate(None, {}, {}, prompt=["the command line's first version said so"])


@each_loader
def test_its_first_lines_show_a_config_that_is_right(loader: OwnLoader, here: None) -> None:
    module = loader.engine.replace("-", "_")
    text = (ROOT / loader.package / f"raypipe_{module}.py").read_text()
    shown = text.partition(".. code-block:: yaml\n\n")[2].partition("\n\n")[0]
    document = yaml.safe_load(textwrap.dedent(shown))
    model = parse_config({"input": {"shards": "x"}, "output": "y", **document}).model
    assert model.engine == loader.engine
    assert load_plugin(model.engine).checked_options(model.engine_options)


def test_every_plug_in_stands_where_the_list_says() -> None:
    folders = {path.parent for path in HERE.glob("*/pyproject.toml")}
    assert folders == {ROOT / loader.package for loader in OWN_LOADERS}
    assert set(MODELS) == {loader.engine for loader in OWN_LOADERS}
    for loader in OWN_LOADERS:
        project = tomllib.loads((ROOT / loader.package / "pyproject.toml").read_text())["project"]
        assert list(project["entry-points"][GROUP]) == [loader.engine]
        assert "dependencies" not in project  # its code is installed as its authors say
