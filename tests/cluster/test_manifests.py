"""The rendered manifests are what Kubernetes and KubeRay take, and say what was meant."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hub_server import COMMIT, hub_server
from kubernetes_schemas import (
    IMAGES_MOUNTED_SINCE,
    KUBERAY_SINCE,
    KUBERNETES,
    faults,
    groups,
    pod_templates,
)
from markdown_blocks import blocks
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.cluster.manifests import JOBS_AT, LIMITS_VARIABLE, RAY_VERSION, STORAGE_KEYS
from raypipe.runtime.ray.again import RAYS_LIMIT, head_silent_s

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "cluster" / "examples"
SCENARIOS = ("autoscaling", "demo", "gpu", "ingest", "spot")
KUBERAY = ROOT / "tests" / "data" / "kuberay"


def rendered(scenario: str) -> str:
    shown = CliRunner().invoke(app, ["cluster", "render", str(EXAMPLES / f"{scenario}.yaml")])
    assert shown.exit_code == 0, f"{shown.output}\n{shown.exception!r}"
    return shown.output


def manifests(scenario: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(rendered(scenario)))


def rayjob(scenario: str) -> dict[str, Any]:
    [job] = [each for each in manifests(scenario) if each["kind"] == "RayJob"]
    return job


def ray_pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Specs of the pods of Ray."""
    return [group["template"]["spec"] for group in groups(job)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_is_taken_by_kubernetes_and_kuberay(scenario: str) -> None:
    for manifest in manifests(scenario):
        assert faults(manifest) == [], manifest["kind"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_repository_shows_what_is_rendered(scenario: str) -> None:
    shown = (EXAMPLES / "rendered" / f"{scenario}.yaml").read_text(encoding="utf-8")
    assert shown == rendered(scenario)


def test_every_values_file_is_a_scenario() -> None:
    configs = {"corpus", "run"}
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} - configs == set(SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_page_names_the_versions_that_know_every_key(scenario: str) -> None:
    page = " ".join((ROOT / "cluster" / "README.md").read_text(encoding="utf-8").split())
    cluster = rayjob(scenario)["spec"]["rayClusterSpec"]
    assert KUBERAY_SINCE.keys() <= cluster.keys()
    oldest = max(KUBERAY_SINCE.values(), key=lambda text: [int(part) for part in text.split(".")])
    assert f"KubeRay {oldest} or later" in page
    assert f"the schemas of Kubernetes {KUBERNETES[0]} and later" in page
    assert f"`image` needs Kubernetes {IMAGES_MOUNTED_SINCE}" in page


def misspelt_or_mistyped(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Manifests with one mistake each, by the place that a message must name."""

    def changed(path: str, value: object) -> dict[str, Any]:
        copied = copy.deepcopy(job)
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        node: Any = copied
        for part in parents:
            node = node[part]
        node[last] = value
        return copied

    cluster = "spec.rayClusterSpec"
    pod = f"{cluster}.workerGroupSpecs.0.template.spec"
    values = {
        "spec.backoffLimit": "2",
        "spec.shutdownAfterJobFinish": True,
        "metadata.label": {},
        f"{cluster}.authOptions.mode": "password",
        f"{cluster}.workerGroupSpecs.0.minReplica": 1,
        f"{pod}.nodeSelectors": {},
        f"{pod}.containers.0.volumeMount": [],
        f"{pod}.containers.0.resources.limits.cpu": "4 cores",
        f"{pod}.terminationGracePeriodSeconds": "25",
        "spec.submitterPodTemplate.spec.containers.0.images": "x",
    }
    return {path.rpartition(".")[2]: changed(path, value) for path, value in values.items()}


def test_a_misspelt_or_mistyped_key_is_noticed() -> None:
    for key, manifest in misspelt_or_mistyped(rayjob("spot")).items():
        assert any(key in fault for fault in faults(manifest)), key


def test_the_schema_is_kuberays(shared_data: Path) -> None:
    specification = importlib.util.spec_from_file_location("reduce", KUBERAY / "reduce.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    definition = (shared_data / "kuberay" / "ray.io_rayjobs.yaml").read_text(encoding="utf-8")
    assert module.reduced(definition) == (KUBERAY / "rayjob.json").read_text(encoding="utf-8")


# --- what KubeRay's operator refuses, which its schema does not say -------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_operator_has_nothing_against_it(scenario: str) -> None:
    """Rules of ``ValidateRayJobSpec`` and ``ValidateRayClusterSpec`` of KubeRay's operator."""
    job = rayjob(scenario)
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", job["metadata"]["name"])
    assert len(job["metadata"]["name"]) <= 47
    assert spec["shutdownAfterJobFinishes"] or not spec["ttlSecondsAfterFinished"]
    assert spec.get("activeDeadlineSeconds", 1) > 0
    yaml.safe_load(spec.get("runtimeEnvYAML", ""))
    # authOptions.mode: token wants the version of Ray, 2.52 or later.
    assert cluster["authOptions"] == {"mode": "token"}
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52)
    for group in groups(job)[1:]:
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for pod in ray_pods(job):
        assert pod["restartPolicy"] == "Never"  # as the second autoscaler wants it
        variables = [variable["name"] for variable in pod["containers"][0]["env"]]
        assert not {"RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME"} & set(variables)
        assert len(set(variables)) == len(variables)
    scaled = cluster.get("enableInTreeAutoscaling", False)
    assert scaled == ("autoscalerOptions" in cluster)
    submitter = spec["submitterPodTemplate"]["spec"]
    assert submitter["restartPolicy"] in ("Never", "OnFailure")  # Kubernetes wants it of a job


# --- what was meant -------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nobody_is_root_or_gets_more_rights_and_the_image_is_one(scenario: str) -> None:
    for template in pod_templates(rayjob(scenario)):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        own = [*spec["containers"], *spec.get("initContainers", [])]
        for container in own:
            context = container["securityContext"]
            assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
            assert container["resources"]["limits"]["memory"]
        images = {each["image"] for each in own if each["name"] != "log-shipper"}
        [image] = images
        assert re.search(r":[^/]+$", image)


@pytest.mark.parametrize("scenario", sorted(set(SCENARIOS) - {"demo"}))
def test_the_files_are_on_every_pod_under_their_own_paths(scenario: str) -> None:
    documents = manifests(scenario)
    [files] = [each for each in documents if "-files-" in each["metadata"]["name"]]
    assert files["immutable"] is True
    job = rayjob(scenario)
    script, config = shlex.split(job["spec"]["entrypoint"])[1::2]
    assert script.startswith(f"{JOBS_AT}/")
    assert (ROOT / "jobs" / Path(script).name).is_file()
    for pod in ray_pods(job):
        container = pod["containers"][0]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert container["workingDir"] == mounts["files"]
        [volume] = [volume for volume in pod["volumes"] if volume["name"] == "files"]
        assert volume["configMap"]["name"] == files["metadata"]["name"]
        paths = {item["path"]: item["key"] for item in volume["configMap"]["items"]}
        assert config in paths
        for path, key in paths.items():
            assert files["data"][key] == (EXAMPLES / path).read_text(encoding="utf-8")
        assert set(files["data"]) == set(paths.values())


def test_other_files_are_another_config_map(tmp_path: Path) -> None:
    names = set()
    for utterances in (3, 4):
        for path in ("gpu.yaml", "run.yaml", "prompts/mine.jinja"):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes((EXAMPLES / path).read_bytes())
        config = yaml.safe_load((tmp_path / "run.yaml").read_text())
        config["input"]["limit"] = utterances
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
        shown = CliRunner().invoke(app, ["cluster", "render", str(tmp_path / "gpu.yaml")])
        files, job = yaml.safe_load_all(shown.output)
        names.add(files["metadata"]["name"])
        assert files["metadata"]["name"] in json.dumps(job)
    assert len(names) == 2


def test_spot_workers_stand_behind_a_head_that_stays_and_runs_no_work() -> None:
    job = rayjob("spot")
    head, spot = groups(job)
    assert head["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    on_demand = {"karpenter.sh/capacity-type": "on-demand"}
    assert head["template"]["spec"]["nodeSelector"] == on_demand
    # Without its submitter a job goes on, but nobody is told of its end.
    assert job["spec"]["submitterPodTemplate"]["spec"]["nodeSelector"] == on_demand
    worker = spot["template"]["spec"]
    assert worker["nodeSelector"] == {"karpenter.sh/capacity-type": "spot"}
    assert {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"} in worker[
        "tolerations"
    ]
    assert worker["terminationGracePeriodSeconds"] < 30
    assert "entrypointResources" not in job["spec"]  # the driver is on the head
    [account] = [each for each in manifests("spot") if each["kind"] == "ServiceAccount"]
    assert all(pod["serviceAccountName"] == account["metadata"]["name"] for pod in ray_pods(job))
    assert "AWS_" not in rendered("spot")  # the account's role is the only key


def test_autoscaling_names_its_limits_and_keeps_the_driver_off_what_goes() -> None:
    job = rayjob("autoscaling")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["autoscalerOptions"]["idleTimeoutSeconds"] == 120
    _, driver, gpu = groups(job)
    assert (gpu["minReplicas"], gpu["maxReplicas"]) == (1, 8)
    assert (driver["minReplicas"], driver["maxReplicas"]) == (1, 1)
    [needed] = json.loads(job["spec"]["entrypointResources"])
    # The operator pastes the value into a shell's command line, where it is one word of JSON.
    [word] = shlex.split(driver["rayStartParams"]["resources"])
    assert json.loads(word) == {needed: 1}
    assert "resources" not in gpu["rayStartParams"]
    for pod in ray_pods(job):
        variables = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        # The driver's 4 CPUs, and 8 times 8; the head does not work.
        assert json.loads(variables[LIMITS_VARIABLE]) == {"CPU": 68, "GPU": 8}
    assert LIMITS_VARIABLE not in rendered("spot")
    assert {each["metadata"]["namespace"] for each in manifests("autoscaling")} == {"speech"}


def test_a_group_of_gpus_may_start_with_no_pod_as_the_page_says(tmp_path: Path) -> None:
    """A run asks for a share of a GPU that the limits promise; the autoscaler brings it."""
    page = (ROOT / "cluster" / "README.md").read_text(encoding="utf-8")
    assert "is 1 at least" not in page
    [told] = re.findall(r"\(`(replicas: \d+, min_replicas: \d+)`\)", page)
    values = yaml.safe_load((EXAMPLES / "autoscaling.yaml").read_text(encoding="utf-8"))
    values["workers"][1] |= yaml.safe_load(f"{{{told}}}")
    for path in ("run.yaml", "prompts/mine.jinja", "fluent-bit.conf"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes((EXAMPLES / path).read_bytes())
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    shown = CliRunner().invoke(app, ["cluster", "render", str(tmp_path / "values.yaml")])
    assert shown.exit_code == 0, f"{shown.output}\n{shown.exception!r}"
    *_, job = yaml.safe_load_all(shown.output)
    _, _, gpu = groups(job)
    assert (gpu["replicas"], gpu["minReplicas"], gpu["maxReplicas"]) == (0, 0, 8)
    head, *_ = ray_pods(job)
    variables = {each["name"]: each.get("value") for each in head["containers"][0]["env"]}
    assert json.loads(variables[LIMITS_VARIABLE])["GPU"] == 8


def test_workers_and_driver_wait_for_a_head_that_comes_back_from_redis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = rayjob("autoscaling")
    cluster = job["spec"]["rayClusterSpec"]
    password = cluster["gcsFaultToleranceOptions"]["redisPassword"]
    assert password == {"valueFrom": {"secretKeyRef": {"name": "redis", "key": "password"}}}
    head, *workers = [
        {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        for pod in ray_pods(job)
    ]
    # What is left of a head without its GCS is to end, so that the operator starts another.
    assert RAYS_LIMIT not in head
    for variables in workers:
        monkeypatch.setenv(RAYS_LIMIT, variables[RAYS_LIMIT])
        assert head_silent_s() == 450
    assert RAYS_LIMIT not in rendered("spot")


def test_weights_come_from_a_claim_an_image_or_the_hub_and_are_on_every_pod() -> None:
    kinds = {"gpu": "persistentVolumeClaim", "autoscaling": "image", "spot": "emptyDir"}
    for scenario, kind in kinds.items():
        for pod in ray_pods(rayjob(scenario)):
            [volume] = [volume for volume in pod["volumes"] if volume["name"] == "weights"]
            assert kind in volume
            mounts = pod["containers"][0]["volumeMounts"]
            [mount] = [mount for mount in mounts if mount["name"] == "weights"]
            config = yaml.safe_load((EXAMPLES / "run.yaml").read_text())
            assert mount["mountPath"] == config["model"]["path"]
            assert mount["readOnly"]
    [download] = ray_pods(rayjob("spot"))[0]["initContainers"]
    assert download["env"][1]["valueFrom"]["secretKeyRef"] == {"name": "hub", "key": "token"}


def test_the_download_brings_a_private_repository_with_its_token(tmp_path: Path) -> None:
    """The init container's command, carried out here against a hub."""
    source, target = tmp_path / "source", tmp_path / "models"
    source.mkdir()
    (source / "config.json").write_text("{}", encoding="utf-8")
    values = yaml.safe_load((EXAMPLES / "spot.yaml").read_text(encoding="utf-8"))
    values["weights"]["path"] = "/models/mine"
    values["weights"]["hub"] |= {"id": "owner/mine", "revision": COMMIT}
    for path in ("run.yaml", "prompts/mine.jinja"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        text = (EXAMPLES / path).read_text(encoding="utf-8")
        (tmp_path / path).write_text(text.replace("/models/qwen2-audio", "/models/mine"))
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    shown = CliRunner().invoke(app, ["cluster", "render", str(tmp_path / "values.yaml")])
    *_, job = yaml.safe_load_all(shown.output)
    [download] = ray_pods(job)[0]["initContainers"]
    program, *words = download["command"]
    assert download["env"][1]["name"] == "HF_TOKEN"
    with hub_server() as hub:
        hub.folders["owner/mine"] = source
        hub.private.add("owner/mine")
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
        here = [str(target) if word == "/models/mine" else word for word in words]
        command = [str(Path(sys.executable).with_name(program)), *here]
        for token, code in (("hf_wrong", 1), (hub.token, 0)):
            done = subprocess.run(
                command, env=environment | {"HF_TOKEN": token}, capture_output=True, check=False
            )
            assert done.returncode == code, done.stderr.decode()
    assert (target / "config.json").read_text(encoding="utf-8") == "{}"


def test_the_storages_keys_are_those_of_its_secret_and_no_other_variable() -> None:
    for pod in ray_pods(rayjob("gpu")):
        secret = {
            variable["name"]: variable["valueFrom"]["secretKeyRef"]
            for variable in pod["containers"][0]["env"]
            if "valueFrom" in variable
        }
        assert {name: not entry["optional"] for name, entry in secret.items()} == STORAGE_KEYS
        assert {entry["name"] for entry in secret.values()} == {"raypipe-storage"}
        assert all(name == entry["key"] for name, entry in secret.items())
        assert "envFrom" not in pod["containers"][0]


def test_gpus_disk_and_taints_are_asked_for() -> None:
    _, gpu = ray_pods(rayjob("gpu"))
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu["containers"][0]["resources"]["requests"]["ephemeral-storage"] == "100Gi"
    assert gpu["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert gpu["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert gpu["imagePullSecrets"] == [{"name": "registry"}]


def test_the_page_stops_a_job_in_the_pods_that_there_are() -> None:
    from ray.dashboard.modules.job.cli import stop
    from ray.dashboard.modules.job.job_supervisor import JobSupervisor

    [block] = [block for block in blocks("cluster/README.md") if "kubectl exec" in block.text]
    head_line, id_line, stop_line, delete = block.text.strip().splitlines()
    job = rayjob("gpu")
    template = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    [selector] = re.findall(r"--selector (\S+)\)", head_line)
    own = dict(part.split("=") for part in selector.split(",")[1:])
    assert own == {"app.kubernetes.io/instance": "my-run"}
    labels = template["metadata"]["labels"]
    assert own == {key: labels[key].replace(job["metadata"]["name"], "my-run") for key in own}
    words = shlex.split(stop_line)
    assert words[words.index("--container") + 1] == template["spec"]["containers"][0]["name"]
    command = words[words.index("--") + 1 :]
    assert command[:3] == ["ray", "job", "stop"]
    parsed = stop.make_context("stop", command[3:])
    assert (parsed.params["address"], parsed.params["job_id"]) == ("http://127.0.0.1:8265", "$id")
    assert ".status.jobId" in id_line
    assert delete == "kubectl delete rayjob my-run"
    # Ray by itself kills the driver sooner.
    for pod in ray_pods(job):
        variables = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        seconds = int(variables["RAY_JOB_STOP_WAIT_TIME_S"])
        assert seconds > JobSupervisor.DEFAULT_RAY_JOB_STOP_WAIT_TIME_S
        assert f"gives the driver {seconds} s" in (ROOT / "cluster" / "README.md").read_text()


def test_the_version_of_ray_is_the_packages() -> None:
    assert f'"ray[data,default]=={RAY_VERSION.rpartition(".")[0]}.*"' in (
        ROOT / "pyproject.toml"
    ).read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl")
def test_kubectl_makes_the_secrets_of_the_page_with_the_keys_that_are_read() -> None:
    [block] = [block for block in blocks("cluster/README.md") if "create secret" in block.text]
    secrets = {}
    for words in block.commands():
        done = subprocess.run(
            [*words, "--dry-run=client", "--output=yaml"], capture_output=True, check=True
        )
        made = yaml.safe_load(done.stdout)
        made["metadata"].pop("creationTimestamp", None)  # null before it is sent
        assert faults(made) == []
        secrets[made["metadata"]["name"]] = set(made["data"])
    needed = {key for key, required in STORAGE_KEYS.items() if required}
    assert needed <= secrets["raypipe-storage"] <= STORAGE_KEYS.keys()
    assert secrets["hub"] == {"token"}
    assert secrets["redis"] == {"password"}
