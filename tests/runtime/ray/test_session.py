"""What of a Ray session is seen without a cluster: refusals, and errors inside Ray's own."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest
import ray
from ray.exceptions import RayTaskError, WorkerCrashedError

from raypipe.cluster.manifests import LIMITS_VARIABLE
from raypipe.errors import ClusterError, ConfigError, DecodeError, ShardError, TerminatedError
from raypipe.runtime.ray import session
from raypipe.runtime.ray.again import as_command
from raypipe.runtime.ray.session import (
    check_resources,
    keep_token_private,
    nodes_with_cpus,
    own_error,
    possible_resources,
    ray_session,
)

Have = dict[str, float]


def cluster(monkeypatch: pytest.MonkeyPatch, have: Have, limits: Have | None = None) -> None:
    state = ray._private.state.state
    monkeypatch.setattr(ray, "cluster_resources", lambda: have)
    monkeypatch.setattr(state, "get_max_resources_from_cluster_config", lambda: limits)


@pytest.mark.parametrize(
    ("have", "gpus", "cpus"),
    [
        ({"CPU": 4.0}, 0.0, 4.0),
        ({"CPU": 4.0, "GPU": 1.0}, 1.0, 0.5),
        ({"CPU": 4.0, "GPU": 2.0}, 0.5, 1.75),
        ({}, 0.0, 0.0),
    ],
)
def test_what_a_cluster_has_is_not_refused(
    monkeypatch: pytest.MonkeyPatch, have: Have, gpus: float, cpus: float
) -> None:
    cluster(monkeypatch, have)
    check_resources(gpus=gpus, cpus=cpus)


def test_what_a_cluster_can_grow_to_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(monkeypatch, {"CPU": 2.0}, {"CPU": 64, "GPU": 8})
    check_resources(gpus=8, cpus=60)
    assert possible_resources() == {"CPU": 64, "GPU": 8}
    with pytest.raises(ConfigError, match="asks for 9 GPUs, the cluster has 8"):
        check_resources(gpus=9, cpus=1)


def test_what_a_cluster_s_manifest_states_counts_where_ray_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(LIMITS_VARIABLE, '{"CPU": 68, "GPU": 8}')
    cluster(monkeypatch, {"CPU": 72.0, "GPU": 1.0})
    assert possible_resources() == {"CPU": 72, "GPU": 8}
    cluster(monkeypatch, {"CPU": 2.0}, {"CPU": 4})
    assert possible_resources() == {"CPU": 4}
    for text in ("", "[1]", '{"GPU": "eight"}', '{"GPU": null}'):
        monkeypatch.setenv(LIMITS_VARIABLE, text)
        cluster(monkeypatch, {"CPU": 2.0})
        with pytest.raises(ConfigError, match=f"{LIMITS_VARIABLE}: .*no JSON of numbers"):
            possible_resources()


def test_only_nodes_that_are_up_and_have_cpus_count(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": False, "Resources": {"CPU": 4.0}},
        {"Alive": True, "Resources": {"CPU": 0.0}},
        {"Alive": True, "Resources": {"GPU": 1.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    assert nodes_with_cpus() == 1


@pytest.mark.parametrize(
    ("have", "gpus", "cpus", "message"),
    [
        ({"CPU": 2.0}, 0.0, 2.75, "the run asks for 2.75 CPUs, the cluster has 2"),
        ({"CPU": 8.0}, 1.0, 1.0, "the run asks for 1 GPUs, the cluster has 0"),
        ({"CPU": 8.0, "GPU": 1.0}, 1.5, 1.0, "the run asks for 1.5 GPUs, the cluster has 1"),
        ({}, 0.0, 1.0, "the run asks for 1 CPUs, the cluster has 0"),
    ],
)
def test_a_stream_that_would_wait_for_ever_is_refused(
    monkeypatch: pytest.MonkeyPatch, have: Have, gpus: float, cpus: float, message: str
) -> None:
    cluster(monkeypatch, have)
    with pytest.raises(ConfigError) as refused:
        check_resources(gpus=gpus, cpus=cpus)
    assert str(refused.value) == message


def wrapped(error: Exception) -> Exception:
    """As Ray hands an error of a task to the driver: of both classes, with the worker's stack."""
    task_error: Exception = RayTaskError("task", "a long stack", error).as_instanceof_cause()
    return task_error


def test_an_error_in_a_task_is_the_one_that_was_raised() -> None:
    error = ShardError("shard-3 is damaged")
    outer = wrapped(error)
    assert isinstance(outer, ShardError)
    assert str(outer) != str(error)
    assert own_error(outer) is error


def test_an_error_below_several_others_is_found() -> None:
    error = DecodeError("truncated", "the bytes end")
    outer = RuntimeError("the stream fell")
    outer.__cause__ = wrapped(error)
    assert own_error(outer) is error


def test_what_is_not_raypipe_s_own_is_one_line_that_names_the_cause() -> None:
    for error, told in (
        (wrapped(ValueError("bad\n\nvalue")), "ValueError: bad  value"),
        (WorkerCrashedError(), f"WorkerCrashedError: {WorkerCrashedError()}"),
        (wrapped(KeyError("x" * 100_000)), f"KeyError: '{'x' * 499}"),
    ):
        own = own_error(error)
        assert isinstance(own, ClusterError)
        assert str(own) == f"a worker failed: {told}"


def test_an_error_that_never_met_ray_is_itself() -> None:
    error = ConfigError("wrong")
    assert own_error(error) is error


# As Ray 2.60 says it of a cluster started with Ray 2.59.
MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.59.0
    Python: 3.11.7
This process on node 10.0.0.2 was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


def refusal(monkeypatch: pytest.MonkeyPatch, error: Exception) -> str:
    def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(session, "check_head", lambda address, head: None)
    with pytest.raises(ConfigError) as refused, ray_session("head:6379"):
        pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_cluster_of_another_version_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, RuntimeError(MISMATCH))
    assert line.startswith("the Ray cluster at 'head:6379' is of another version")
    assert "started with: Ray: 2.59.0 Python: 3.11.7 This process" in line


def test_a_cluster_that_wants_a_token_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ConnectionError("Failed to connect to Ray cluster at head:6379")
    error.__cause__ = RuntimeError(
        "ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken"
    )
    assert "wants its token: set RAY_AUTH_MODE=token" in refusal(monkeypatch, error)


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ConnectionError("Failed to connect to Ray cluster at head:6379")
    assert refusal(monkeypatch, error).startswith("no Ray cluster answers at 'head:6379': Failed")


def test_the_address_local_is_a_ray_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(session, "keep_token_private", lambda: None)
    monkeypatch.setattr(session, "_start_local", lambda: started.append("a Ray"))
    with ray_session():
        assert started == ["a Ray"]


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Ray keeps its token in an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".ray" / "auth_token"


def test_a_command_is_told_to_stop_while_ray_starts_as_at_any_other_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told_to_stop(**_: object) -> None:
        ray._private.utils.set_sigterm_handler(lambda *_: os._exit(15))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", told_to_stop)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(session, "keep_token_private", lambda: None)
    with pytest.raises(TerminatedError), as_command(starts_again=False), ray_session():
        pass


def test_a_ray_that_does_not_start_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_busy(**_: object) -> None:
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", too_busy)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(session, "keep_token_private", lambda: None)
    told = r"^a local Ray did not start: The current node timed out during startup\.$"
    with pytest.raises(ClusterError, match=told), ray_session():
        pass


def test_a_token_is_made_that_only_its_user_reads(token: Path) -> None:
    keep_token_private()
    made = token.read_text()
    assert len(made) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    keep_token_private()
    assert token.read_text() == made


def test_a_token_that_ray_made_is_closed_to_others(token: Path) -> None:
    token.parent.mkdir()
    token.write_text("made by Ray")
    token.chmod(0o644)
    keep_token_private()
    assert token.read_text() == "made by Ray"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "value"),
    [("RAY_AUTH_TOKEN", "t"), ("RAY_AUTH_TOKEN_PATH", "/x"), ("RAY_AUTH_MODE", "disabled")],
)
def test_a_token_that_is_named_is_left_alone(
    token: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    keep_token_private()
    assert not token.exists()
