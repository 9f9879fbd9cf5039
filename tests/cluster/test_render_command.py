"""``raypipe cluster render``: what it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_schemas import faults, groups
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.cli.cluster import _CONFIGS
from raypipe.errors import ConfigError

EXAMPLES = Path(__file__).parents[2] / "cluster" / "examples"


def render(*words: str) -> str:
    shown = CliRunner().invoke(app, ["cluster", "render", *words])
    if shown.exception is not None:
        raise shown.exception
    return shown.output


def test_one_file_each_says_what_is_printed(tmp_path: Path) -> None:
    values = str(EXAMPLES / "spot.yaml")
    said = render(values, "--output", str(tmp_path / "out"))
    assert said == f"files.yaml, service-account.yaml, rayjob.yaml in {tmp_path / 'out'}\n"
    written = [
        yaml.safe_load((tmp_path / "out" / name).read_text(encoding="utf-8"))
        for name in ("files.yaml", "service-account.yaml", "rayjob.yaml")
    ]
    assert written == list(yaml.safe_load_all(render(values)))


def values_with(tmp_path: Path, corpus: dict[str, Any], **changes: Any) -> str:
    document = yaml.safe_load((EXAMPLES / "ingest.yaml").read_text(encoding="utf-8"))
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(document | changes), encoding="utf-8")
    (tmp_path / "corpus.yaml").write_text(yaml.safe_dump(corpus), encoding="utf-8")
    return str(tmp_path / "values.yaml")


@pytest.mark.parametrize("job", sorted(_CONFIGS))
def test_every_jobs_config_is_checked_as_the_job_does(job: str, tmp_path: Path) -> None:
    """Before a cluster is paid for."""
    values = values_with(tmp_path, {"modle": 1}, job=job)
    with pytest.raises(ConfigError, match=r"corpus\.yaml: modle: unknown key"):
        render(values)


@pytest.mark.parametrize(
    ("values", "config", "message"),
    [
        ({"files": []}, {}, "prompt.template: 'prompts/mine.jinja' is no built-in prompt"),
        ({}, {"output": "runs/x"}, "output: 'runs/x' would go with the pods"),
        (
            {"weights": {"path": "/models/other", "claim": "mine"}},
            {},
            "weights.path: nothing reads from /models/other; models are /models/qwen2-audio",
        ),
    ],
)
def test_a_config_that_no_pod_could_carry_out_is_refused(
    values: dict[str, Any], config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    for name, changes in (("gpu.yaml", values), ("run.yaml", config)):
        document = yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))
        (tmp_path / name).write_text(yaml.safe_dump(document | changes), encoding="utf-8")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "mine.jinja").write_bytes(
        (EXAMPLES / "prompts" / "mine.jinja").read_bytes()
    )
    with pytest.raises(ConfigError, match=rf"run\.yaml: {message}"):
        render(str(tmp_path / "gpu.yaml"), "--output", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_ray_is_told_of_gpus_under_whatever_name_they_are_offered(tmp_path: Path) -> None:
    """Its autoscaler takes only names that end with ``gpu`` for GPUs."""
    group = {"name": "slice", "cpus": 4, "memory": "16Gi", "gpus": 2}
    config = yaml.safe_load((EXAMPLES / "corpus.yaml").read_text(encoding="utf-8"))
    values = values_with(
        tmp_path, config, workers=[group | {"gpu_resource": "nvidia.com/mig-1g.5gb"}]
    )
    _, job = yaml.safe_load_all(render(values))
    assert faults(job) == []
    head, worker = groups(job)
    assert "num-gpus" not in head["rayStartParams"]
    assert worker["rayStartParams"] == {"num-gpus": "2"}
    limits = worker["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "4", "memory": "16Gi", "nvidia.com/mig-1g.5gb": "2"}


def test_a_working_directory_is_unpacked_by_ray(tmp_path: Path) -> None:
    values = values_with(
        tmp_path, {}, working_dir="s3://bucket/mine.zip", config="deep/corpus.yaml"
    )
    [job] = yaml.safe_load_all(render(values))
    assert faults(job) == []
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"]) == {"working_dir": "s3://bucket/mine.zip"}
    assert job["spec"]["entrypoint"].endswith("--config deep/corpus.yaml")
    assert all("workingDir" not in g["template"]["spec"]["containers"][0] for g in groups(job))


def test_hostile_files_and_annotations_stay_what_they_are(tmp_path: Path) -> None:
    hostile = "a: 1\n---\nkind: Secret\n...\n{{ 7 * 7 }}\n"
    (tmp_path / "bad.txt").write_text(hostile, encoding="utf-8")
    (tmp_path / "worse.txt").write_text(f"\ufeff{hostile}\t\x1b[0m", encoding="utf-8")
    config = yaml.safe_load((EXAMPLES / "corpus.yaml").read_text(encoding="utf-8"))
    role = '"}\n---\nkind: Secret'
    values = values_with(
        tmp_path,
        config,
        files=["bad.txt", "worse.txt"],
        service_account={"name": "a", "create": True, "annotations": {"x.io/role": role}},
    )
    files, account, job = yaml.safe_load_all(render(values))
    assert files["data"]["bad.txt"] == hostile
    assert files["data"]["worse.txt"] == f"\ufeff{hostile}\t\x1b[0m"
    assert account["metadata"]["annotations"] == {"x.io/role": role}
    assert [faults(each) for each in (files, account, job)] == [[], [], []]
