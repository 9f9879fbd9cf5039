"""GPUs that a run may use: this machine's, or all that a cluster has or can grow to."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from raypipe.errors import ConfigError

_logger = logging.getLogger(__name__)

_DRIVER = Path("/proc/driver/nvidia/gpus")
_PROBED_SHARE = 0.01
"""Of a GPU, for asking what it is: an actor beside it does not mind."""

# In a process of its own: importing torch takes seconds, and nothing else here needs it.
_ASK_TORCH = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
why = ""
if not count and torch.version.cuda:
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
properties = [torch.cuda.get_device_properties(index) for index in range(count)]
print(json.dumps({
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
    "why": why,
    "gpus": [[each.name, each.total_memory] for each in properties],
}))
"""


@dataclass(frozen=True, slots=True)
class Devices:
    """GPUs for a run, and the machine's own memory.

    Attributes:
        gpus: how many there are, or can be on a cluster that grows.
        name: of the smallest; None without one.
        memory: of the smallest in bytes; None without one.
        host_memory: of this machine in bytes; None on a cluster.
    """

    gpus: int = 0
    name: str | None = None
    memory: int | None = None
    host_memory: int | None = None


NO_GPUS = Devices()


def devices(address: str | None = None) -> Devices:
    """GPUs of the cluster at ``address`` or ``RAY_ADDRESS``, else of this machine.

    Raises:
        ConfigError: if no cluster answers, or torch cannot use a GPU that is there.
    """
    if address or os.environ.get("RAY_ADDRESS"):
        return _cluster_devices(address)
    return local_devices()


def local_devices() -> Devices:
    """GPUs of this machine, as the installed torch sees them.

    Raises:
        ConfigError: if torch cannot use a GPU that is there: its driver is too old, as a rule.
    """
    host_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if shutil.which("nvidia-smi") is None and not _DRIVER.exists():
        return Devices(host_memory=host_memory)
    asked = subprocess.run([sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True)
    if asked.returncode:
        last = asked.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ConfigError(f"torch cannot be asked about this machine's GPUs: {last[0]}")
    told = json.loads(asked.stdout.splitlines()[-1])
    if told["why"] and os.environ.get("CUDA_VISIBLE_DEVICES") != "":
        raise ConfigError(
            f"torch {told['torch']}, built for CUDA {told['cuda']}, cannot use this machine's GPU: "
            f"{told['why']}; install a torch built for its driver, or set "
            "resources.gpus_per_actor: 0 to run on CPUs"
        )
    if not told["gpus"]:
        if told["cuda"] is None:
            _logger.warning(
                "torch %s is built without CUDA: this machine's GPU is not used", told["torch"]
            )
        return Devices(host_memory=host_memory)
    name, memory = min(told["gpus"], key=lambda gpu: gpu[1])
    return Devices(len(told["gpus"]), name, memory, host_memory)


def _cluster_devices(address: str | None) -> Devices:
    """Of every node that is up or that the autoscaler may start; waits for one with a GPU."""
    import ray

    from raypipe.runtime.ray.session import possible_resources, ray_session

    with ray_session(address):
        count = int(possible_resources().get("GPU", 0))
        if not count:
            return NO_GPUS
        seen: Devices = ray.get(
            ray.remote(num_cpus=0, num_gpus=_PROBED_SHARE)(local_devices).remote()
        )
    if not seen.gpus:
        raise ConfigError(
            "the cluster has GPUs that torch on its nodes cannot use: it is built without CUDA or "
            "the driver is missing; set resources.gpus_per_actor: 0 to run on CPUs"
        )
    return Devices(count, seen.name, seen.memory)
