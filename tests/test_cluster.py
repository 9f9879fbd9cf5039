"""The Kubernetes manifest is what KubeRay's own definition takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    [document] = yaml.safe_load_all((ROOT / "cluster" / "rayjob.yaml").read_text())
    return document


@pytest.fixture(scope="module")
def schema(shared_data: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    crd = yaml.safe_load((shared_data / "kuberay" / "ray.io_rayjobs.yaml").read_text())["spec"]
    assert manifest["kind"] == crd["names"]["kind"]
    group, _, version = manifest["apiVersion"].partition("/")
    assert group == crd["group"]
    [served] = [entry for entry in crd["versions"] if entry["name"] == version and entry["served"]]
    return served["schema"]["openAPIV3Schema"]


def unknown(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    """Keys that a cluster would drop without a message."""
    if isinstance(value, list):
        for number, entry in enumerate(value):
            yield from unknown(entry, schema.get("items", {}), f"{where}[{number}]")
    elif isinstance(value, dict) and "properties" in schema:
        for key, entry in value.items():
            if key in schema["properties"]:
                yield from unknown(entry, schema["properties"][key], f"{where}.{key}")
            elif not schema.get("x-kubernetes-preserve-unknown-fields"):
                yield f"{where}.{key}"


def test_it_fits_the_definition(manifest: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.validate(manifest, schema)
    # The API server itself defines what every object has.
    manifest = {**manifest, "metadata": {}}
    assert list(unknown(manifest, schema, "rayjob")) == []


def test_a_misspelt_or_mistyped_key_is_noticed(
    manifest: dict[str, Any], schema: dict[str, Any]
) -> None:
    spec = manifest["spec"]
    with pytest.raises(jsonschema.ValidationError, match="'2' is not of type"):
        jsonschema.validate({**manifest, "spec": {**spec, "backoffLimit": "2"}}, schema)
    misspelt = {"spec": {**spec, "shutdownAfterJobFinish": True}}
    assert list(unknown(misspelt, schema, "rayjob")) == ["rayjob.spec.shutdownAfterJobFinish"]


def test_its_job_s_config_is_mounted_where_it_is_read(manifest: dict[str, Any]) -> None:
    spec = manifest["spec"]
    config = spec["entrypoint"].split("--config ")[1]
    [container] = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert str(Path(config).parent) in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert (ROOT / spec["entrypoint"].split()[1]).is_file()


def test_the_image_installs_the_package_from_the_files_that_it_copies() -> None:
    lines = (ROOT / "cluster" / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[2:-1]]
    assert {"pyproject.toml", "README.md", "LICENSE", "raypipe", "jobs"} == set(copied)
    assert all((ROOT / name).exists() for name in copied)
    assert "RUN pip install --no-cache-dir ." in lines
