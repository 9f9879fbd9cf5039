"""Values are refused by key and value before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from raypipe.cluster import ClusterValues, load_cluster_values, names
from raypipe.cluster.values import JobScript
from raypipe.errors import ConfigError

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {
    "name": "mine",
    "config": "run.yaml",
    "image": {"name": "registry.example/raypipe", "tag": "1"},
    "head": {"cpus": 4, "memory": "16Gi"},
}
WORKER = {"name": "gpu", "cpus": 8, "memory": "64Gi"}


def load(tmp_path: Path, **changes: Any) -> ClusterValues:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(SMALL | changes), encoding="utf-8")
    return load_cluster_values(path)


def test_the_scripts_are_those_of_the_folder_but_for_one_that_writes_a_folder() -> None:
    assert set(get_args(JobScript)) - {"demo"} | {"finetune"} == {
        path.stem for path in (ROOT / "jobs").glob("*.py")
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nme": "x"}, "nme: unknown key, did you mean 'name'"),
        ({"name": "Mine"}, "name: a RayJob's name .*, got 'Mine'"),
        ({"name": "1st"}, "name: a RayJob's name .*, got '1st'"),
        ({"name": "x" * 48}, "name: a RayJob's name has .* 47 characters"),
        ({"namespace": "a.b"}, "namespace: .*got 'a.b'"),
        ({"job": "rm"}, "job: .*got 'rm'"),
        ({"job": "finetune"}, "job: reads and writes folders .*, got 'finetune'"),
        ({"config": "run.yaml; rm -rf /"}, "config: .*part of a command, got 'run.yaml; rm"),
        ({"config": "$(id)"}, "config: .*part of a command"),
        ({"config": "-c"}, "config: .*part of a command"),
        ({"config": "/etc/x"}, "config: .*part of a command"),
        ({"config": None}, "job demo has no config, every other job has one"),
        ({"job": "demo"}, "job demo has no config"),
        ({"image": {"name": "r/x", "tag": "latest"}}, "image: give the image a digest"),
        ({"image": {"name": "r/x"}}, "image: give the image a digest"),
        ({"image": {"name": "Registry/x", "tag": "1"}}, "image.name: is no name of an image"),
        ({"image": {"name": "r/x", "digest": "sha256:1"}}, "image.digest: is no digest"),
        ({"head": {"cpus": "four", "memory": "1Gi"}}, "head.cpus: is no amount .*, got 'four'"),
        ({"head": {"cpus": 0, "memory": "1Gi"}}, "head.cpus: is no amount"),
        ({"head": {"cpus": 1, "memory": "16 GB"}}, "head.memory: is no amount .*, got '16 GB'"),
        ({"head": {"cpus": True, "memory": "1Gi"}}, "head.cpus: .*string"),
        ({"head": {"cpus": 1}}, "head.memory: missing"),
        ({"head": SMALL["head"] | {"works": False}}, "there are no workers"),
        (
            {"head": SMALL["head"] | {"node_selector": {"a b": "c"}}},
            "head.node_selector.*: is no key of a Kubernetes label",
        ),
        (
            {"head": SMALL["head"] | {"tolerations": [{"key": "a", "value": "b"}]}},
            "operator Equal has a value",
        ),
        ({"workers": [WORKER, WORKER]}, r"workers: \['gpu'\] stand for several groups"),
        ({"workers": [WORKER | {"name": "G"}]}, "workers.0.name: .*got 'G'"),
        ({"workers": [WORKER | {"gpu_resource": "/gpu"}]}, "workers.0.gpu_resource"),
        (
            {"head": SMALL["head"] | {"gpus": 1, "gpu_resource": "cpu"}},
            "head.gpu_resource: is no name of an extended resource, .*, got 'cpu'",
        ),
        (
            {"workers": [WORKER | {"min_replicas": 2}]},
            "min_replicas 2 <= replicas 1 <= max_replicas 1 does not hold",
        ),
        ({"workers": [WORKER | {"max_replicas": 8}]}, "need the section autoscaling"),
        ({"driver_group": "cpu"}, "driver_group 'cpu' is no group of workers"),
        ({"gcs_redis": {"address": "redis:6379"}}, "the driver runs on that head"),
        ({"gcs_redis": {"address": "redis"}}, "gcs_redis.address: is no address"),
        ({"weights": {"path": "models"}}, "weights.path: is no absolute path"),
        ({"weights": {"path": "/models"}}, "weights: give one of claim, image and hub"),
        (
            {"weights": {"path": "/m", "hub": {"id": "a/b", "revision": "main"}}},
            "weights.hub.revision: is no commit of 40 hex digits",
        ),
        (
            {"secret_variables": {"RAY_AUTH_TOKEN": {"secret": "a", "key": "b"}}},
            "RAY_AUTH_TOKEN: the manifests set",
        ),
        ({"working_dir": "s3://b/x.tar"}, "working_dir: is no s3://"),
        ({"working_dir": "s3://b/x.zip", "files": ["a"]}, "files or working_dir, not both"),
        (
            {"service_account": {"name": "a", "annotations": {"b": "c"}}},
            "service_account: annotations are those of an account that is created",
        ),
        (
            {
                "service_account": {
                    "name": "a",
                    "create": True,
                    "annotations": {"x.io/a": "ü" * 131072},
                }
            },
            "service_account.annotations: are 262150 bytes, Kubernetes takes 262144 at most",
        ),
        ({"retries": -1}, "retries: .*got -1"),
        ({"keep_cluster_s": 2**31}, "keep_cluster_s: .*got 2147483648"),
        ({"deadline_s": 10**30}, "deadline_s: .*got 1000"),
        ({"autoscaling": {"idle_s": 2**31}}, "autoscaling.idle_s: .*got 2147483648"),
        ({"workers": [WORKER | {"replicas": 2**31}]}, "workers.0.replicas: .*got 2147483648"),
        ({"workers": [WORKER | {"max_replicas": 10_001}]}, "workers.0.max_replicas: .*got 10001"),
        ({"workers": [WORKER | {"min_replicas": 10_001}]}, "workers.0.min_replicas: .*got 10001"),
        ({"head": {"cpus": 4, "memory": "1m"}}, "head.memory: is no number of bytes .*got '1m'"),
        ({"head": {"cpus": 4, "memory": 16}}, "head.memory: is no number of bytes .*got 16"),
        ({"head": {"cpus": 10**6, "memory": "1Gi"}}, "head.cpus: is no number of CPUs"),
        (
            {"head": SMALL["head"] | {"ephemeral_storage": "9Ei"}},
            "head.ephemeral_storage: is no number of bytes",
        ),
    ],
)
def test_a_wrong_value_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load(tmp_path, **changes)
    assert str(raised.value).startswith(f"{tmp_path}/values.yaml: ")


@pytest.mark.parametrize(
    "path",
    [
        "/proc",
        "/sys/fs",
        "/dev/shm",
        "/bin",
        "/usr",
        "/usr/share/m",
        "/etc",
        "/tmp",
        "/tmp/ray",
        "/home",
        "/home/ray",
        "/home/ray/raypipe/jobs",
        "/config",
        "/config/m",
        "/var/run/secrets",
        "/fluent-bit-config",
    ],
)
def test_weights_hide_nothing_of_a_pod(path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"weights\.path: would hide what a pod has in /"):
        load(tmp_path, weights={"path": path, "claim": "mine"})


@pytest.mark.parametrize("path", ["/models/mine", "/home/ray/models", "/configs", "/mnt/a"])
def test_weights_have_a_folder_of_their_own(path: str, tmp_path: Path) -> None:
    values = load(tmp_path, weights={"path": path, "claim": "mine"})
    assert values.weights is not None
    assert values.weights.path == path


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "PATH",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "HOME",
        "BASH_ENV",
        "KUBERNETES_PORT",
        "RAYPIPE_INSECURE",
        "RAYPIPE_CLUSTER_LIMITS",
        "FQ_RAY_IP",
        "KUBERAY_GEN_RAY_START_CMD",
    ],
)
def test_secrets_do_not_replace_what_starts_a_pod(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"secret_variables: {name}: "):
        load(tmp_path, secret_variables={name: {"secret": "a", "key": "b"}})


def test_other_secrets_are_variables(tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "HTTPS_PROXY", "PATH_KEY", "MY_LD_KEY"):
        values = load(tmp_path, secret_variables={name: {"secret": "a", "key": "b"}})
        assert list(values.secret_variables) == [name]


def test_a_secret_in_the_place_of_its_name_is_not_repeated(tmp_path: Path) -> None:
    for changes in (
        {"gcs_redis": {"address": "redis:6379", "password": "PASS"}},
        {"weights": {"path": "/m", "hub": {"id": "a/b", "revision": "0" * 40, "token": "PASS"}}},
        {"secret_variables": {"OPENAI_API_KEY": "PASS", "MINE": "PASS"}},
        {"storage_secret": "PASS word"},
    ):
        with pytest.raises(ConfigError) as refused:
            load(tmp_path, **changes)
        assert "PASS" not in str(refused.value)


def test_numbers_are_amounts_as_they_stand(tmp_path: Path) -> None:
    head = load(tmp_path, head={"cpus": 1.5, "memory": "16Gi"}).head
    assert head.resources == {"cpu": "1.5", "memory": "16Gi"}


def test_the_limits_are_those_of_the_groups_as_the_operator_counts(tmp_path: Path) -> None:
    workers = [
        WORKER | {"cpus": "1500m", "gpus": 2, "replicas": 1, "max_replicas": 3},
        WORKER | {"name": "cpu", "cpus": 2.5, "replicas": 0, "max_replicas": 2},
    ]
    values = load(tmp_path, workers=workers, autoscaling={})
    assert values.limits == {"CPU": 4 + 3 * 2 + 2 * 3, "GPU": 6}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (names.Label, ["a", "a-1", "1a"], ["", "-a", "a-", "a.b", "A", "a" * 64, "a\n"]),
        (names.ObjectName, ["a.b", "x" * 60 + ".y"], ["a..b", ".a", "a_b", "a" * 254]),
        (names.QualifiedName, ["a", "A_b.c", "x.io/A"], ["", "a/", "/a", "X.io/a", "a/b/c"]),
        (
            names.ExtendedResource,
            ["nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb", "nvidia.com/gpu.shared"],
            [
                *("cpu", "memory", "gpu", "ephemeral-storage", "kubernetes.io/gpu", "/gpu", ""),
                *("x.kubernetes.io/gpu", "requests.nvidia.com/gpu", "nvidia.com/", "a/b/c"),
            ],
        ),
        (names.LabelValue, ["", "A.b_c-1"], ["-a", "a b", "a" * 64, "a\n"]),
        (
            names.ByteAmount,
            ["1Mi", "16Gi", "1.5G", "2000k", "1048576", "1Ei"],
            [
                "",
                "0",
                "0Gi",
                "1 Gi",
                "-1",
                "1gb",
                "1e3",
                "16",
                "1m",
                "500m",
                "1023Ki",
                "2Ei",
                "9" * 5000,
                "1." + "0" * 5000 + "Gi",
            ],
        ),
        (
            names.CpuAmount,
            ["4", "500m", "1.5", "1m", "0.001", "10000"],
            ["4k", "1Gi", "0", "0m", "0.0001", "1.5m", "10001", "10000001m", "9" * 5000],
        ),
        (names.Address, ["redis:6379", "a.b:1", "a:65535"], ["redis:0", "redis:65536", "redis:"]),
        (names.Variable, ["A_1"], ["1A", "A-B", "A=B", ""]),
        (
            names.Repository,
            ["a", "r.io:5000/a/b-c"],
            ["a:b", "A/b", "a//b", "a b", "r.io:0/a", "r.io:65536/a"],
        ),
        (names.MountPath, ["/a/b.c"], ["/", "a", "/a/", "/a/../b", "/a b"]),
        (
            names.Archive,
            ["s3://b/k.zip", "https://b/k.zip"],
            ["file:///x.zip", "s3://b/k.zip?x=1", "http://b/k.zip", "gs://b/k.zip"],
        ),
    ],
    ids=[
        "label",
        "object",
        "qualified",
        "extended",
        "value",
        "bytes",
        "cpus",
        "address",
        "variable",
        "image",
        "path",
        "zip",
    ],
)
def test_names_are_those_of_kubernetes(kind: Any, good: list[str], bad: list[str]) -> None:
    check = TypeAdapter(kind)
    for text in good:
        assert check.validate_python(text) == text
    for text in bad:
        with pytest.raises(ValidationError):
            check.validate_python(text)
