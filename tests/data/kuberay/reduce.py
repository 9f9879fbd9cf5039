"""The schema of KubeRay's RayJob, without its descriptions and its status, as one line of JSON.

python tests/data/kuberay/reduce.py ray.io_rayjobs.yaml > tests/data/kuberay/rayjob.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml


def reduced(definition: str) -> str:
    """The schema of version v1 in a CustomResourceDefinition."""
    spec = yaml.load(definition, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"]
    [version] = [entry for entry in spec["versions"] if entry["name"] == "v1" and entry["served"]]
    schema = without_descriptions(version["schema"]["openAPIV3Schema"])
    del schema["properties"]["status"]
    return json.dumps(schema, separators=(",", ":")) + "\n"


def without_descriptions(node: Any) -> Any:
    if isinstance(node, dict):
        # A property may be called description: that is a schema, not a text.
        return {
            key: without_descriptions(value)
            for key, value in node.items()
            if not (key == "description" and isinstance(value, str))
        }
    if isinstance(node, list):
        return [without_descriptions(item) for item in node]
    return node


if __name__ == "__main__":
    sys.stdout.write(reduced(Path(sys.argv[1]).read_text(encoding="utf-8")))
