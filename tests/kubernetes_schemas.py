"""What a Kubernetes cluster with KubeRay takes, by the schemas of both; no key may be unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

KUBERNETES = ("1.33", kubernetes_validate.latest_version())
"""The first version that mounts images, if its gate is opened, and the newest one that is known."""
IMAGES_MOUNTED_SINCE = "1.35"
"""The first version of Kubernetes that mounts images by default."""
KUBERAY_SINCE = {"authOptions": "1.5.1"}
"""The first version of KubeRay that knows a key; an earlier one drops it without a word."""
_RAYJOB = Path(__file__).parent / "data" / "kuberay" / "rayjob.json"


def faults(manifest: dict[str, Any]) -> list[str]:
    """Why a cluster would not take an object, or would take it without some of its keys."""
    if manifest["kind"] != "RayJob":
        return list(_core_faults(manifest))
    found = [_told(error) for error in _rayjob_validator().iter_errors(manifest)]
    for template in pod_templates(manifest):
        found += _core_faults(as_pod(template))
    return found


def pod_templates(rayjob: dict[str, Any]) -> list[dict[str, Any]]:
    """Templates of the pods of Ray, then the submitter's."""
    spec = rayjob["spec"]
    return [*(group["template"] for group in groups(rayjob)), spec["submitterPodTemplate"]]


def groups(rayjob: dict[str, Any]) -> list[dict[str, Any]]:
    """The head and the groups of workers."""
    cluster = rayjob["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", [])]


def as_pod(template: dict[str, Any]) -> dict[str, Any]:
    """A pod of a template, as the operator makes it."""
    metadata = {"name": "pod", **template.get("metadata", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _core_faults(manifest: dict[str, Any]) -> Iterator[str]:
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}: {_told(error)}"


def _told(error: jsonschema.ValidationError) -> str:
    return f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


@cache
def _rayjob_validator() -> jsonschema.Draft202012Validator:
    schema = _strict(json.loads(_RAYJOB.read_text(encoding="utf-8")))
    # What every object has is defined by Kubernetes, not by KubeRay.
    metadata = {"name": {"type": "string"}, "namespace": {"type": "string"}}
    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    schema["properties"]["metadata"] = {
        "type": "object",
        "properties": {**metadata, "labels": texts, "annotations": texts},
        "required": ["name"],
        "additionalProperties": False,
    }
    return jsonschema.Draft202012Validator(schema)


def _strict(node: Any) -> Any:
    """A schema that refuses the keys that a cluster would drop without a message."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _strict(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        inner.setdefault(
            "additionalProperties", bool(node.get("x-kubernetes-preserve-unknown-fields"))
        )
    return inner
