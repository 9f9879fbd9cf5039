"""Manifests of a run: a RayJob and what it reads, as texts that kubectl takes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from raypipe.cluster.emit import templates
from raypipe.cluster.files import MOUNTED_AT, FileSet
from raypipe.cluster.pods import PodValues
from raypipe.cluster.values import ClusterValues

RAY_VERSION = "2.60.0"
"""Of the image's Ray; the operator checks it for what it may use."""
JOBS_AT = "/home/ray/raypipe/jobs"
"""Folder of the image with the scripts that jobs are submitted as."""
STORAGE_KEYS = {
    "AWS_ACCESS_KEY_ID": True,
    "AWS_SECRET_ACCESS_KEY": True,
    "AWS_SESSION_TOKEN": False,
    "AWS_ENDPOINT_URL": False,
    "AWS_REGION": False,
}
"""Keys of the storage's secret, and whether it must have them."""
LIMITS_VARIABLE = "RAYPIPE_CLUSTER_LIMITS"
"""Variable of the pods: what the cluster has when all groups are as large as they may be."""
_DRIVER_RESOURCE = "raypipe-driver"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One Kubernetes object.

    Attributes:
        file_name: under which it is written.
        text: YAML, with a line end.
    """

    file_name: str
    text: str


def render_manifests(values: ClusterValues, files: FileSet, shipper: FileSet) -> list[Manifest]:
    """The objects of a run, in the order in which they are applied.

    Args:
        values: that were checked.
        files: that are mounted in every pod; none for a job without or with a working directory.
        shipper: the log shipper's configuration; empty without one.
    """
    maps = {"files": files, "log-shipper": shipper}
    names = {
        what: f"{values.name}-{what}-{held.digest}" for what, held in maps.items() if held.contents
    }
    manifests = [
        _manifest("configmap.yaml.jinja", f"{what}.yaml", values, name=name, files=maps[what])
        for what, name in names.items()
    ]
    if values.service_account is not None and values.service_account.create:
        manifests.append(_manifest("serviceaccount.yaml.jinja", "service-account.yaml", values))
    job = _manifest(
        "rayjob.yaml.jinja",
        "rayjob.yaml",
        values,
        files=files,
        files_name=names.get("files"),
        shipper_name=names.get("log-shipper"),
        shipper_files=shipper,
        entrypoint=_entrypoint(values),
        driver_resources=json.dumps({_DRIVER_RESOURCE: 1}) if values.driver_group else None,
        head_params=_head_params(values),
        worker_params=_worker_params(values),
        limits_variable=LIMITS_VARIABLE,
        limits=json.dumps(values.limits) if values.autoscaling else None,
        ray_version=RAY_VERSION,
        mounted_at=MOUNTED_AT,
        storage_keys=STORAGE_KEYS,
    )
    return [*manifests, job]


def _manifest(template: str, file_name: str, values: ClusterValues, **context: object) -> Manifest:
    text = templates().get_template(template).render(values=values, **context)
    return Manifest(file_name, text.rstrip("\n") + "\n")


def _entrypoint(values: ClusterValues) -> str:
    """The command of the job; its parts were checked to mean nothing else to a shell."""
    if values.job == "demo":
        return "raypipe demo /tmp/demo"
    return f"python {JOBS_AT}/{values.job}.py --config {values.config}"


def _head_params(values: ClusterValues) -> dict[str, str]:
    """Options of ``ray start`` on the head; the rest is the operator's."""
    return _gpu_params(values.head) if values.head.works else {"num-cpus": "0", "num-gpus": "0"}


def _gpu_params(pod: PodValues) -> dict[str, str]:
    """GPUs of a pod for Ray, whose autoscaler knows only resources that end with ``gpu``."""
    return {"num-gpus": str(pod.gpus)} if pod.gpus else {}


def _worker_params(values: ClusterValues) -> dict[str, dict[str, str]]:
    """Options of ``ray start`` by group."""
    # As the operator pastes it into a shell's command line.
    resource = '"{\\"' + _DRIVER_RESOURCE + '\\": 1}"'
    return {
        group.name: _gpu_params(group)
        | ({"resources": resource} if group.name == values.driver_group else {})
        for group in values.workers
    }
