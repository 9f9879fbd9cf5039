"""The values that manifests are rendered from, checked as a whole before anything is written."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from raypipe.cluster.files import MOUNTED_AT
from raypipe.cluster.names import (
    Address,
    Archive,
    Commit,
    HubId,
    JobName,
    Label,
    MountPath,
    ObjectName,
    QualifiedName,
    SecretKey,
    Variable,
)
from raypipe.cluster.pods import HeadValues, ImageValues, WorkerValues
from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.values import PathText

JobScript = Literal[
    "demo",
    "classify",
    "features",
    "heads",
    "infer",
    "ingest",
    "judge",
    "rationale",
    "relabel",
]
"""Script of ``jobs/`` without its ending, or ``demo``."""
_WITHOUT_A_FOLDER = "finetune"
"""The script that reads and writes folders that every node sees, of which there are none here."""
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*")
_RESERVED_VARIABLES = ("AWS_", "RAY_", "REDIS_", "HF_", "RAYPIPE_", "KUBERAY_", "FQ_RAY_")
"""How names begin of variables that the manifests, KubeRay and raypipe set themselves."""
_ACTING_VARIABLES = re.compile(
    r"(LD_|PYTHON|KUBERNETES_).*|PATH|HOME|USER|SHELL|ENV|BASH_ENV|IFS|HOSTNAME|TMPDIR"
)
"""Variables that say what a pod's processes load and where they look."""
_RESERVED_PLACES = tuple(
    map(
        PurePosixPath,
        (
            *("/proc", "/sys", "/dev", "/boot", "/run", "/var", "/tmp", "/etc", "/root"),
            *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr"),
            *("/home/ray/raypipe", "/home/ray/anaconda3", MOUNTED_AT, "/fluent-bit-config"),
        ),
    )
)
"""Folders of a pod that hold something else: nothing is mounted at them, below or above."""
_MOST_ANNOTATED = 256 * 1024
"""Bytes of all annotations of an object, keys and values, that Kubernetes takes."""
_MOST_SECONDS = 2**31 - 1
"""Kubernetes has seconds in 32 bits."""


class AutoscalingValues(ConfigSection):
    """Ray's autoscaler, in a container beside the head.

    Attributes:
        idle_s: after which a worker without work goes.
        upscaling: how fast it grows; ``Conservative`` adds as many pods as wait for work at most
            doubling the cluster.
    """

    idle_s: int = Field(default=60, ge=1, le=_MOST_SECONDS)
    upscaling: Literal["Default", "Aggressive", "Conservative"] = "Default"


class SecretReference(ConfigSection):
    """One entry of a secret.

    Attributes:
        secret: its name.
        key: of the entry.
    """

    secret: ObjectName
    key: SecretKey


class HubValues(ConfigSection):
    """Weights that every pod downloads before Ray starts in it.

    Attributes:
        id: of the repository.
        revision: its commit.
        token: of an account that may read it; None for a public one.
    """

    id: HubId
    revision: Commit
    token: SecretReference | None = None


class WeightsValues(ConfigSection):
    """A folder with a model's weights in every pod; ``model.path`` of the run's config names it.

    Attributes:
        path: of the folder.
        claim: a volume claim that holds them.
        image: an image that holds nothing else, mounted as a volume: Kubernetes 1.35 or later,
            or 1.33 with the feature gate ``ImageVolume``.
        hub: a repository that they are downloaded from.
    """

    path: MountPath
    claim: ObjectName | None = None
    image: ImageValues | None = None
    hub: HubValues | None = None

    @field_validator("path")
    @classmethod
    def _hides_nothing(cls, path: str) -> str:
        for place in _RESERVED_PLACES:
            if place.is_relative_to(path) or PurePosixPath(path).is_relative_to(place):
                raise ValueError(f"would hide what a pod has in {place}; take a folder of its own")
        return path

    @model_validator(mode="after")
    def _come_from_one_place(self) -> Self:
        if [self.claim, self.image, self.hub].count(None) != 2:
            raise ValueError("give one of claim, image and hub")
        return self


class ServiceAccountValues(ConfigSection):
    """The pods' account, whose cloud role reads and writes the storage.

    Attributes:
        name: of the account.
        create: write its manifest as well.
        annotations: that name the role, such as ``eks.amazonaws.com/role-arn``.
    """

    name: ObjectName
    create: bool = False
    annotations: dict[QualifiedName, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _annotations_are_written(self) -> Self:
        if self.annotations and not self.create:
            raise ValueError("annotations are those of an account that is created: set create")
        return self

    @field_validator("annotations")
    @classmethod
    def _fit_an_object(cls, annotations: dict[str, str]) -> dict[str, str]:
        size = sum(len(f"{name}{text}".encode()) for name, text in annotations.items())
        if size > _MOST_ANNOTATED:
            raise ValueError(f"are {size} bytes, Kubernetes takes {_MOST_ANNOTATED} at most")
        return annotations


class RedisValues(ConfigSection):
    """A Redis outside the cluster, from which a head that starts anew knows its workers.

    Attributes:
        address: host and port.
        password: of it; None for none.
    """

    address: Address
    password: SecretReference | None = None


class LogShipperValues(ConfigSection):
    """Fluent Bit beside Ray in every pod, which reads Ray's logs below ``/tmp/ray``.

    Attributes:
        image: of Fluent Bit.
        config: its configuration, a file below the folder of the values.
    """

    image: ImageValues
    config: PathText


class ClusterValues(ConfigSection):
    """Everything that a run on Kubernetes can be told; the rest is in the run's own config.

    Attributes:
        name: of the RayJob.
        namespace: of every object; None for kubectl's.
        job: script of ``jobs/``, or ``demo``, which needs no config, no storage and one pod.
        config: of the job: a file below the folder of the values, or a path in ``working_dir``.
        files: that the config names, below the folder of the values.
        working_dir: archive that every pod unpacks, in the place of ``files``.
        image: of every pod.
        head: the pod of Ray's own services.
        workers: groups of pods.
        driver_group: group of workers on which the driver runs; None for the head.
        autoscaling: between the groups' least and most pods; None for fixed groups.
        weights: of a model that is not in the image.
        storage_secret: with the keys of the object storage.
        service_account: of the pods.
        secret_variables: environment variables from secrets, such as keys of endpoints.
        gcs_redis: keeps what the head knows; None for nowhere.
        log_shipper: of Ray's own logs; None for none.
        retries: new clusters after a job that failed.
        keep_cluster_s: that the pods stay after the job's end.
        deadline_s: after which the job is ended; None for never.
    """

    name: JobName
    namespace: Label | None = None
    job: JobScript = "infer"
    config: PathText | None = None
    files: tuple[PathText, ...] = ()
    working_dir: Archive | None = None
    image: ImageValues
    head: HeadValues
    workers: tuple[WorkerValues, ...] = ()
    driver_group: Label | None = None
    autoscaling: AutoscalingValues | None = None
    weights: WeightsValues | None = None
    storage_secret: ObjectName | None = None
    service_account: ServiceAccountValues | None = None
    secret_variables: dict[Variable, SecretReference] = Field(default_factory=dict)
    gcs_redis: RedisValues | None = None
    log_shipper: LogShipperValues | None = None
    retries: int = Field(default=2, ge=0, le=100)
    keep_cluster_s: int = Field(default=600, ge=0, le=_MOST_SECONDS)
    deadline_s: int | None = Field(default=None, ge=1, le=_MOST_SECONDS)

    @field_validator("job", mode="before")
    @classmethod
    def _needs_no_folder(cls, job: object) -> object:
        if job == _WITHOUT_A_FOLDER:
            raise ValueError(
                "reads and writes folders that every node sees, and no value mounts one that can "
                "be written: run it on a cluster by hand or on Slurm"
            )
        return job

    @field_validator("config")
    @classmethod
    def _is_one_word_of_a_command(cls, config: str | None) -> str | None:
        if config is not None and not _WORD.fullmatch(config):
            raise ValueError(
                "is no relative path of letters, digits, '-', '_', '.' and '/': it becomes a part "
                "of a command"
            )
        return config

    @field_validator("secret_variables")
    @classmethod
    def _are_not_set_elsewhere(
        cls, variables: dict[str, SecretReference]
    ) -> dict[str, SecretReference]:
        for name in variables:
            if name.startswith(_RESERVED_VARIABLES):
                raise ValueError(f"{name}: the manifests set such variables themselves")
            if _ACTING_VARIABLES.fullmatch(name):
                raise ValueError(f"{name}: is no secret, but says what a pod's processes load")
        return variables

    @model_validator(mode="after")
    def _job_has_what_it_reads(self) -> Self:
        if (self.job == "demo") != (self.config is None):
            raise ValueError("job demo has no config, every other job has one")
        if self.job == "demo" and (self.workers or self.working_dir or self.files):
            raise ValueError(
                "job demo keeps its corpus on the head's disk: it takes no workers and no files"
            )
        if self.working_dir is not None and self.files:
            raise ValueError("give files or working_dir, not both")
        return self

    @model_validator(mode="after")
    def _groups_fit_together(self) -> Self:
        names = [group.name for group in self.workers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"workers: {twice} stand for several groups")
        if not self.head.works and not any(group.most for group in self.workers):
            raise ValueError("head.works is false and there are no workers: nothing would work")
        if self.driver_group is not None and self.driver_group not in names:
            raise ValueError(f"driver_group {self.driver_group!r} is no group of workers: {names}")
        for group in self.workers:
            if self.autoscaling is None and group.least != group.most:
                raise ValueError(
                    f"workers {group.name}: min_replicas {group.least} and max_replicas "
                    f"{group.most} need the section autoscaling"
                )
        return self

    @model_validator(mode="after")
    def _head_may_come_back(self) -> Self:
        if self.gcs_redis is not None and self.driver_group is None:
            raise ValueError(
                "gcs_redis keeps the workers of a head that starts anew, but the driver runs on "
                "that head and ends with it: set driver_group"
            )
        return self

    @property
    def limits(self) -> dict[str, float]:
        """Ray's resources when all groups are as large as they may be."""
        pods = [(self.head, int(self.head.works)), *((each, each.most) for each in self.workers)]
        return {
            "CPU": sum(count * pod.cpu_count for pod, count in pods),
            "GPU": sum(count * pod.gpus for pod, count in pods),
        }


def load_cluster_values(path: str | Path) -> ClusterValues:
    """Read and check a file of values.

    Raises:
        ConfigError: one line per wrong value, each naming the file, the key and the value.
    """
    return checked(ClusterValues, read_yaml(path), str(path))
