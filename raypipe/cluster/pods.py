"""Values of the pods: their image, what they ask for, where they may be placed."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from raypipe.cluster.names import (
    ByteAmount,
    CpuAmount,
    Digest,
    ExtendedResource,
    Label,
    LabelValue,
    ObjectName,
    QualifiedName,
    Repository,
    Tag,
    amount,
)
from raypipe.config.base import ConfigSection

MOST_PODS = 10_000
"""Of one group: twice as many as Kubernetes is made for nodes."""


class ImageValues(ConfigSection):
    """The image of every pod.

    Attributes:
        name: registry and repository.
        tag: may be moved to another image later; with a digest it is only for readers.
        digest: of the image, which is then the same on every node and in every retry.
        pull_policy: when a node asks the registry.
        pull_secrets: secrets with the registry's credentials.
    """

    name: Repository
    tag: Tag | None = None
    digest: Digest | None = None
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    pull_secrets: tuple[ObjectName, ...] = ()

    @model_validator(mode="after")
    def _is_pinned(self) -> Self:
        if self.digest is None and self.tag in (None, "latest"):
            raise ValueError("give the image a digest, or a tag other than latest")
        return self

    @property
    def reference(self) -> str:
        """The image as a container names it."""
        tag = "" if self.tag is None else f":{self.tag}"
        return f"{self.name}{tag}" + ("" if self.digest is None else f"@{self.digest}")


class TolerationValues(ConfigSection):
    """A taint that pods may be placed in spite of.

    Attributes:
        key: of the taint.
        operator: ``Exists`` for any value.
        value: of the taint, for ``Equal``.
        effect: of the taint; None for every effect.
    """

    key: QualifiedName
    operator: Literal["Exists", "Equal"] = "Exists"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @model_validator(mode="after")
    def _value_is_compared(self) -> Self:
        if (self.operator == "Equal") != (self.value is not None):
            raise ValueError("operator Equal has a value, Exists has none")
        return self


class PodValues(ConfigSection):
    """What a pod asks for, and where it may be placed. Requests are limits as well.

    Attributes:
        cpus: of the pod; Ray schedules by as many.
        memory: of the pod, of which Ray's object store takes 30 %.
        ephemeral_storage: on the node's disk, for logs, spilled objects and downloaded weights.
        gpus: of the pod.
        gpu_resource: under which the cluster offers them.
        node_selector: labels of the nodes.
        tolerations: of the nodes' taints.
        priority_class: against other pods.
        grace_s: between the signal to end and the end.
    """

    cpus: CpuAmount
    memory: ByteAmount
    ephemeral_storage: ByteAmount | None = None
    gpus: int = Field(default=0, ge=0, le=64)
    gpu_resource: ExtendedResource = "nvidia.com/gpu"
    node_selector: dict[QualifiedName, LabelValue] = Field(default_factory=dict)
    tolerations: tuple[TolerationValues, ...] = ()
    priority_class: ObjectName | None = None
    grace_s: int = Field(default=30, ge=0, le=3600)

    @property
    def resources(self) -> dict[str, str]:
        """Amounts by the names that Kubernetes has for them."""
        disk = (
            {} if self.ephemeral_storage is None else {"ephemeral-storage": self.ephemeral_storage}
        )
        gpus = {self.gpu_resource: str(self.gpus)} if self.gpus else {}
        return {"cpu": self.cpus, "memory": self.memory, **disk, **gpus}

    @property
    def cpu_count(self) -> int:
        """CPUs as the operator tells them to Ray: whole ones, rounded up."""
        return math.ceil(amount(self.cpus))

    @property
    def tolerated(self) -> list[dict[str, str]]:
        """The tolerations as a pod has them."""
        return [each.model_dump(exclude_none=True) for each in self.tolerations]


class HeadValues(PodValues):
    """The pod of Ray's own services and, unless ``driver_group`` says otherwise, of the driver.

    Attributes:
        works: whether tasks and actors run on it as well.
    """

    works: bool = True


class WorkerValues(PodValues):
    """A group of equal pods.

    Attributes:
        name: of the group.
        replicas: pods at the start.
        min_replicas: pods that stay, with autoscaling; default ``replicas``.
        max_replicas: pods at most, with autoscaling; default ``replicas``.
    """

    name: Label
    replicas: int = Field(default=1, ge=0, le=MOST_PODS)
    min_replicas: int | None = Field(default=None, ge=0, le=MOST_PODS)
    max_replicas: int | None = Field(default=None, ge=1, le=MOST_PODS)

    @model_validator(mode="after")
    def _replicas_are_in_order(self) -> Self:
        if not self.least <= self.replicas <= self.most:
            raise ValueError(
                f"min_replicas {self.least} <= replicas {self.replicas} <= max_replicas "
                f"{self.most} does not hold"
            )
        return self

    @property
    def least(self) -> int:
        """Pods that stay."""
        return self.replicas if self.min_replicas is None else self.min_replicas

    @property
    def most(self) -> int:
        """Pods at most."""
        return self.replicas if self.max_replicas is None else self.max_replicas
