"""Joining or starting a Ray cluster, with the settings the stream relies on."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ray
from pydantic import TypeAdapter, ValidationError
from ray.exceptions import RayActorError, RayError, RayTaskError

from raypipe.cluster.manifests import LIMITS_VARIABLE
from raypipe.config.values import shortened
from raypipe.errors import ClusterError, ConfigError, RaypipeError
from raypipe.runtime.ray.again import head_watched, own_ray_watched
from raypipe.runtime.ray.guarded import check_head

# Ray's own variables, read when its processes start. A killed driver's CPU reservation would
# otherwise starve the next run's last stage for three minutes, just when it should resume.
_ENVIRONMENT = {
    "RAY_DATA_AUTOSCALING_REQUEST_EXPIRE_TIME_S": "30",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_LIMITS = TypeAdapter(dict[str, float])

_LONGEST_REASON = 500


@contextmanager
def ray_session(address: str | None = None) -> Iterator[None]:
    """Hold a connection to Ray: the cluster at ``address`` or ``RAY_ADDRESS``, else a local one.

    A process that is already connected keeps its connection. A local cluster gets at least two
    (logical) CPUs, so that reading, the model and writing can always go on side by side.

    Args:
        address: ``auto``, ``host:port``; None for ``RAY_ADDRESS`` or an embedded local Ray.

    Raises:
        ConfigError: if the cluster does not answer, wants a token or asks for none, or has another
            Ray or Python.
        ClusterError: if a local Ray does not start.
    """
    if ray.is_initialized():
        _configure_data()
        yield
        return
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    address = address or os.environ.get("RAY_ADDRESS")
    if address == "local":  # Ray's own word for none
        address = None
    if address:
        _join(address)
    else:
        keep_token_private()
        _with_own_signals(_start_local)
    watched = (
        head_watched(ray.get_runtime_context().gcs_address)
        if address
        else own_ray_watched(_own_ray_is_whole)
    )
    try:
        _configure_data()
        with watched:
            yield
    finally:
        ray.shutdown()


def keep_token_private() -> None:
    """Let nobody else read the token that guards a Ray started here.

    Ray makes one by itself in a file that everybody on the machine may read; so it is made before.
    Where the environment names a token, its owner looks after it.
    """
    named = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if os.environ.get("RAY_AUTH_MODE") == "disabled" or any(map(os.environ.get, named)):
        return
    path = Path.home() / ".ray" / "auth_token"
    if path.exists():
        if path.stat().st_uid == os.getuid():
            path.chmod(0o600)
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:  # a home that cannot be written, or another run was faster: Ray's own says so
        return
    with open(handle, "w") as file:
        file.write(secrets.token_hex(32))


def _join(address: str) -> None:
    """Connect to a cluster whose head answers, and asks for a token.

    Raises:
        ConfigError: if it cannot be joined.
    """
    try:
        head = ray._private.services.canonicalize_bootstrap_address(address)
        if head is None:
            raise ConnectionError("there is none on this machine")
        check_head(address, head)
        _with_own_signals(lambda: ray.init(address=address, logging_level=logging.WARNING))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(_why_not_joined(address, error)) from error


def _start_local() -> None:
    """Start a Ray of this process's own.

    Raises:
        ClusterError: if it does not start, as on a machine that is too busy or too full.
    """
    try:
        with _loopback_only():
            ray.init(
                address="local",  # never somebody's cluster that happens to run on this machine
                num_cpus=max(2, os.cpu_count() or 1),
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,  # a stage's error comes as an exception; its chatter need not
            )
    except Exception as error:  # Ray has no class for it
        told = " ".join(str(error).split())
        raise ClusterError(f"a local Ray did not start: {told[:_LONGEST_REASON]}") from error


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Context in which a Ray that is started listens to this machine alone.

    On macOS and Windows Ray does so by itself. The switch for these is the only one: an address
    that is given is replaced by the machine's. Ray's processes read the variable, here Ray has.
    """
    constants = ray._private.ray_constants
    variable, before = constants.ENABLE_RAY_CLUSTERS_ENV_VAR, constants.ENABLE_RAY_CLUSTER
    set_before = os.environ.get(variable)
    os.environ[variable], constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before
        if set_before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = set_before


def _own_ray_is_whole() -> bool:
    """Whether the head and the node that this process started are still up."""
    node = ray._private.worker._global_node
    return all(
        info.process.poll() is None
        for kind in ("gcs_server", "raylet")
        for info in node.all_processes.get(kind, ())
    )


def _why_not_joined(address: str, error: Exception) -> str:
    """Why a cluster cannot be joined, in one line; Ray tells it in several, and by one class."""
    told = " ".join(str(error).split())
    if told.startswith("Version mismatch"):
        return (
            f"the Ray cluster at {address!r} is of another version, and both must be the same: "
            f"{told.removeprefix('Version mismatch: ')}; ray job submit runs a job with the nodes' "
            "own"
        )
    if "AuthenticationError" in str(error.__cause__):
        return (
            f"the Ray cluster at {address!r} wants its token: set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH as on its nodes"
        )
    return f"no Ray cluster answers at {address!r}: {told}"


def _configure_data() -> None:
    """Quiet Ray Data's own progress output: the run prints its own, with a true total."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.enable_auto_log_stats = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def possible_resources() -> Mapping[str, float]:
    """Resources that the connected cluster has, or can have once it has grown.

    Raises:
        ConfigError: if the cluster's own limits, which its manifest states, cannot be read.
    """
    # Ray tells a cluster's limits nowhere else; Ray Data asks here, too. KubeRay reports none.
    limits = ray._private.state.state.get_max_resources_from_cluster_config() or stated_limits()
    have = ray.cluster_resources()
    return {name: max(have.get(name, 0.0), limits.get(name, 0)) for name in {*have, *limits}}


def stated_limits() -> Mapping[str, float]:
    """Resources that the cluster can have by the manifest of its pods; nothing without one.

    Raises:
        ConfigError: for anything else than numbers by name.
    """
    text = os.environ.get(LIMITS_VARIABLE, "{}")
    try:
        limits: Mapping[str, float] = _LIMITS.validate_json(text)
    except ValidationError as error:
        raise ConfigError(f"{LIMITS_VARIABLE}: {shortened(text)} is no JSON of numbers") from error
    return limits


def nodes_with_cpus() -> int:
    """Number of the connected cluster's nodes that are up and have CPUs."""
    return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())


def check_resources(*, gpus: float, cpus: float) -> None:
    """Refuse to start a stream that could never be scheduled: it would hang without a word.

    Args:
        gpus: that all model replicas hold together.
        cpus: that all actors and one writer hold together.

    Raises:
        ConfigError: stating what is asked for and what the cluster has.
    """
    have = possible_resources()
    if gpus > have.get("GPU", 0):
        raise ConfigError(f"the run asks for {gpus:g} GPUs, the cluster has {have.get('GPU', 0):g}")
    if cpus > have.get("CPU", 0):
        raise ConfigError(f"the run asks for {cpus:g} CPUs, the cluster has {have.get('CPU', 0):g}")


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it wraps or came of, the innermost last."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = getattr(seen, "cause", None) or seen.__cause__


def own_error(error: BaseException) -> RaypipeError:
    """The raypipe error inside what Ray wraps around a stage's exception.

    Anything else becomes a :class:`ClusterError` of one line: Ray's own text is the stacks of every
    process in between.
    """
    innermost = error
    for innermost in causes(error):
        # What Ray raises is also of the class of what it wraps, with the worker's stack as message.
        if isinstance(innermost, RaypipeError) and not isinstance(innermost, RayError):
            return innermost
    lines = str(innermost).strip().splitlines() or [""]
    # Of an actor that could not be made, the text is the stack; its last line says why.
    is_stack = isinstance(innermost, RayTaskError | RayActorError)
    told = lines[-1] if is_stack and len(lines) > 1 else " ".join(lines)
    return ClusterError(f"a worker failed: {type(innermost).__name__}: {told[:_LONGEST_REASON]}")


def _with_own_signals(init: Callable[[], object]) -> None:
    """Start Ray, which takes SIGTERM for itself and says nothing, and leave it to who had it."""
    utils = ray._private.utils
    before, set_handler = signal.getsignal(signal.SIGTERM), utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda _: None
    try:
        init()
    finally:
        utils.set_sigterm_handler = set_handler
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
