"""The house's one rule of direction, read from the source itself."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPINE = {
    *("records", "labels", "votes", "protocols", "errors"),
    *("channel_choice", "discovery", "endpoints", "generated", "installation"),
}
ROOMS_THAT_KNOW_THE_ORDER = {"runtime", "cli", "__init__", "__main__", "face"}
# A room may also use these: pure functions and places that several rooms stand on.
SHARED = {
    "store": {"labels", "metrics", "strategies"},
    "config": {"questions", "strategies"},
    "cluster": {"config"},
    "grammars": {"config"},
    "prompts": {"config"},
    "engines": {"config"},
    "shards": {"store"},
    "corpora": {"store", "shards", "audio", "isolation"},
    "lossless": {"audio"},
    "reporting": {
        *("corpora", "explain", "finetune", "shards", "store", "metrics"),
        *("strategies", "parsing", "questions", "audio"),
    },
    "strategies": {"parsing", "metrics", "questions"},
    "ssl": {"engines", "metrics"},
    "explain": {"audio", "config", "metrics", "parsing", "prompts", "shards", "store"},
    "finetune": {"audio", "config", "engines", "shards", "store"},
    "relabel": {"corpora", "parsing", "prompts", "shards", "ssl", "store"},
    "tiny_alm": {
        *("prompts", "parsing", "metrics", "audio", "engines", "strategies", "descriptors"),
        "explain",
    },
}


def modules() -> list[Path]:
    return sorted((ROOT / "raypipe").rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names |= {f"typing.{node.attr}"} if node.value.id == "typing" else set()
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            names |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return names


def room(path: Path) -> str:
    return path.relative_to(ROOT / "raypipe").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_runtime_knows_ray(path: Path) -> None:
    uses_ray = any(name.split(".")[0] == "ray" for name in imported(path))
    assert not uses_ray or room(path) in ROOMS_THAT_KNOW_THE_ORDER


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_the_spine_and_itself(path: Path) -> None:
    here = room(path)
    if here in ROOMS_THAT_KNOW_THE_ORDER:
        return
    allowed = {here} | SHARED.get(here, set()) | SPINE
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "raypipe" and len(parts) > 1 and parts[1] != "__version__":
            assert parts[1] in allowed, f"{path} imports {name}"


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """What a function or a type checker imports later is no circle."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in modules()}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {
        name: {known for known in imported_at_once(path) if known in names and known != name}
        for name, path in names.items()
    }
    # A package's own __init__ collects what its modules offer; it is no step of a circle.
    order = {
        name: {known for known in needed if not name.startswith(f"{known}.")}
        for name, needed in graph.items()
    }
    list(TopologicalSorter(order).static_order())  # raises CycleError, naming the circle


def imported_at_once(path: Path) -> set[str]:
    """Modules that are imported when the module is: outside functions and type checking."""
    names: set[str] = set()
    later = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

    def visit(node: ast.AST) -> None:
        if isinstance(node, later):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({node.module}, {f"{node.module}.{alias.name}" for alias in node.names})
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return names


LONG: dict[str, str] = {}
"""Modules of more than 400 lines, with the reason why they are one thought."""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_read_in_one_sitting(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    lines = len(path.read_text().splitlines())
    assert lines <= 400 or LONG.get(name), f"{name} has {lines} lines and no reason for it"
    assert name not in LONG or lines > 400, f"{name} needs no reason any more"


def test_a_class_name_means_one_thing_in_the_package() -> None:
    """Private ones included: a reader who looks for a name finds one class."""
    places: dict[str, list[str]] = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


BORDERS = {
    "raypipe/audio/media.py": "PyAV, which may not be installed",
    "raypipe/cli/settings.py": "typer reads a command's options off its signature",
    "raypipe/config/aggregation.py": "pydantic makes a class of fields",
    "raypipe/engines/adapters.py": "transformers' models",
    "raypipe/engines/attention.py": "arguments that transformers hands to an attention",
    "raypipe/engines/contract.py": "plug-ins: what a frontend prepares, its own engine takes",
    "raypipe/engines/decoder_adapter.py": "modules of transformers' models",
    "raypipe/engines/engine.py": "plug-ins: options and inputs of their own",
    "raypipe/engines/families/family.py": "vLLM's models",
    "raypipe/engines/families/qwen2_audio.py": "vLLM's model",
    "raypipe/engines/families/ultravox.py": "vLLM's model",
    "raypipe/engines/fused.py": "layers of transformers' models, torch's compiled functions",
    "raypipe/engines/lazy.py": "importlib: an object by its name",
    "raypipe/engines/model_input.py": "transformers: rope settings of a config",
    "raypipe/engines/model_loading.py": "transformers' models and configs",
    "raypipe/engines/openai/client.py": "the body of a request, as openai's client takes it",
    "raypipe/engines/openai/replies.py": "JSON of an endpoint",
    "raypipe/engines/plain_decoder.py": "transformers' generate",
    "raypipe/engines/processor_loading.py": "transformers: a class by its name",
    "raypipe/engines/step_graphs.py": "torch: the memory pool of CUDA graphs",
    "raypipe/engines/text_plugin.py": "plug-ins: options of their own",
    "raypipe/engines/transformers.py": "transformers' models",
    "raypipe/engines/tree_cache.py": "transformers' cache: arguments that are not read",
    "raypipe/engines/vllm/audio.py": "vLLM's models",
    "raypipe/engines/vllm/core.py": "vLLM's core: a question comes back with whoever asked it",
    "raypipe/engines/weight_files.py": "safetensors' open files",
    "raypipe/isolation/child_process.py": "calls sent to another process and their results",
    "raypipe/protocols.py": "plug-ins: methods that only their own requests know",
    "raypipe/reporting/corpus/inspect.py": "rows of a Parquet table",
    "raypipe/reporting/run/scores.py": "rows of a Parquet table",
    "raypipe/finetune/training.py": "torch: the state of a training",
    "raypipe/runtime/ray/payload.py": "pickled work in Ray Data's tables",
    "raypipe/runtime/finetune/job.py": "Ray: actors and results of a training",
    "raypipe/runtime/finetune/worker.py": "Ray: actors; torch: the state of a training",
    "raypipe/runtime/infer/cluster_watch.py": "rows of Ray Data's tables",
    "raypipe/runtime/infer/hosts.py": "calls sent to another process and their results",
    "raypipe/runtime/infer/stages.py": "pickled work in Ray Data's tables",
    "raypipe/runtime/ingest/job.py": "Ray: streams and results of tasks",
    "raypipe/runtime/ingest/plan.py": "JSON of ingest.json",
    "raypipe/runtime/ray/streams.py": "rows of Ray Data's tables",
    "raypipe/runtime/ray/tasks.py": "Ray: remote functions and their results",
    "raypipe/runtime/reaggregate/job.py": "rows of a Parquet table",
    "raypipe/shards/index.py": "pydantic checks the fields of an index",
    "raypipe/shards/read.py": "rows of a Parquet table",
    "raypipe/runtime/classify/reading.py": "rows of a Parquet table",
    "raypipe/ssl/families/qwen2_audio.py": "transformers' audio tower",
    "raypipe/ssl/families/s3prl.py": "s3prl's experts and their checkpoints",
    "raypipe/ssl/families/w2v_bert.py": "transformers' models",
    "raypipe/ssl/families/whisper.py": "transformers' models",
    "raypipe/ssl/loading.py": "transformers' classes of models",
    "raypipe/ssl/pooling.py": "outputs of transformers' models",
    "raypipe/ssl/waveform_encoder.py": "transformers' models",
    "raypipe/store/generations.py": "rows of a Parquet table",
    "raypipe/store/run_record.py": "JSON of run.json: a config, of older versions too",
    "raypipe/store/s3.py": "boto3's clients and answers",
    "raypipe/store/s3_client.py": "boto3's clients",
    "raypipe/store/sealed_json.py": "JSON objects of any kind",
    "raypipe/store/strict.py": "values of a Parquet table's columns",
    "raypipe/store/tables.py": "rows of a Parquet table",
    "raypipe/strategies/setting.py": "pydantic: a type with its limits",
    "raypipe/tiny_alm/scripted_endpoint.py": "JSON of requests to an endpoint",
    "raypipe/tiny_alm/scripted_raters.py": "JSON in a sheet",
    "raypipe/tiny_alm/training/evaluate_words.py": "JSON of training.json",
    "raypipe/tiny_alm/training/card.py": "JSON of training.json",
    "raypipe/tiny_alm/training/model.py": "JSON of a checkpoint's config",
    "raypipe/tiny_alm/training/train_words.py": "torch: the state of a training",
    "raypipe/tiny_alm/training/trainer.py": "torch: the state of a training",
}
"""Modules that name ``Any``, each with the library or JSON it borders."""


def test_any_stands_at_the_borders_of_libraries_and_json_only() -> None:
    """Inside, a value has a type, or is an ``object`` that is checked or passed on."""
    places = [*modules(), *sorted((ROOT / "jobs").rglob("*.py"))]
    with_any = {str(path.relative_to(ROOT)) for path in places if "typing.Any" in imported(path)}
    assert with_any - BORDERS.keys() == set(), "a new border? say which"
    assert BORDERS.keys() - with_any == set(), "entries that are no longer needed"
