"""Ray, torch and transformers are imported with the first job or model, not before.

Each case is a program of its own: what is imported once stays imported.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from in_process import InProcess, utterance

HERE = Path(__file__).parent
HEAVY = ("ray", "torch", "transformers", "vllm", "openai")

# A stand-in engine is found as in the tests; the programs run in a folder with shards and a run.
FAKE = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from raypipe.engines import plugins
plugins.BUILT_IN = {{**plugins.BUILT_IN, "fake": "fake_engine:PLUGIN"}}
from raypipe.config import parse_config
config = parse_config({{
    "input": {{"shards": "shards"}}, "output": "new", "decoding": {{"beam_count": 3}},
    "model": {{"engine": "fake", "path": "none"}},
    "strategies": ["greedy", "cot", "token", "bon", "w_bon", "alm_v", "adaptive"],
}})
"""

COMMAND_LINE = """
import sys
from raypipe.cli import app
from raypipe.errors import RaypipeError
try:
    app({arguments!r}, standalone_mode=False)
except (SystemExit, RaypipeError):
    pass
"""

PROGRAMS = {
    "import raypipe": "import raypipe\nraypipe.run, raypipe.predict, raypipe.metrics",
    "the config": "import raypipe.config",
    "the plan of a run": FAKE
    + "from raypipe.runtime.infer.plan import make_plan\nassert make_plan(config).model_runs",
    "the same with a verifier, prompts and models of all kinds": FAKE
    + """
from raypipe.runtime.infer.plan import make_plan
document = config.model_dump(mode="json") | {
    "prompts": [{"template": "describe"}, {"template": "distribution"}],
    "prompt": {}, "models": [config.model.model_dump()], "model": {},
    "strategies": ["greedy", "alm_v"], "verifier": {"model": config.model.model_dump()},
}
assert make_plan(parse_config(document)).model_runs
""",
    "the plan of a reaggregation": FAKE
    + """
from raypipe.runtime.reaggregate.plan import Changes, plan_reaggregation
assert plan_reaggregation("out", Changes.of(tau=[1, 2]), output="new", endpoint=None).parts
""",
    "the checks of an ingest": """
from raypipe.corpora.sources import open_source, resolved
from raypipe.runtime.ingest.config import IngestConfig
from raypipe.runtime.ingest.plan import refuse_another
from raypipe.store.location import Location
IngestConfig(corpus="emodb", source="x", output="y")
resolved(open_source("emodb", {}), selected=None, labels=None, changes={})
refuse_another(Location.parse("nowhere"), {})
""",
    "a whole shard with the stand-in engine": FAKE
    + """
import in_process
from pathlib import Path
in_process.InProcess(Path("elsewhere"), shards=Path("shards")).answered()
""",
    "a run, an ingest and a reaggregation that are refused": """
import raypipe
for refused in (
    lambda: raypipe.run({"input": {"shards": "nowhere"}, "output": "new"}),
    lambda: raypipe.ingest({"corpus": "emodb", "source": "x", "output": "y", "selection": "none"}),
    lambda: raypipe.reaggregate("nowhere"),
):
    try:
        refused()
    except raypipe.errors.RaypipeError:
        continue
    raise SystemExit("it was not refused")
""",
    "a run whose model is not whole": """
import raypipe
from pathlib import Path
Path("half").mkdir(exist_ok=True)
Path("half/config.json").write_text('{"architectures": ["Qwen2AudioForConditionalGeneration"]}')
for path in ("half", "/nowhere", "./half/way"):
    try:
        raypipe.run({"input": {"shards": "shards"}, "output": "new", "model": {"path": path}})
    except raypipe.errors.ConfigError as error:
        assert str(error).startswith(f"model {path}: no "), error
        continue
    raise SystemExit("it was not refused")
""",
    "a finished run as tables": "import raypipe\nassert raypipe.load('out').tables",
    "what is in a corpus": "import raypipe\nassert raypipe.inspect('shards').utterances",
    **{
        f"raypipe {' '.join(arguments)}": COMMAND_LINE.format(arguments=arguments)
        for arguments in (
            ["run", "nowhere.yaml"],
            ["doctor", "nowhere.yaml"],
            ["reaggregate", "nowhere"],
            ["ingest", "emodb", "x", "y", "--selection", "none"],
            ["--help"],
            ["run", "--help"],
            ["reaggregate", "--help"],
            ["strategies"],
            ["questions", "--json"],
            ["metrics", "--json"],
            ["corpora"],
            ["inspect", "shards", "--json"],
            ["report", "out"],
            ["query", "SELECT count(*) FROM predictions", "--run", "out"],
        )
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards and a finished run over them."""
    from raypipe.engines import plugins

    place = tmp_path_factory.mktemp("lazy")
    runs = InProcess(place)
    runs.write(utterance("u0"), utterance("u1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "BUILT_IN", {**plugins.BUILT_IN, "fake": "fake_engine:PLUGIN"})
        runs.reduced(runs.finished())
    return place


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_heavy_is_imported_by(program: str, folder: Path) -> None:
    tail = f"\nimport sys\nprint('HEAVY', [name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS[program] + tail],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_the_list_would_name_what_was_imported(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, ray; print('ray' in sys.modules)"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == "True\n"
