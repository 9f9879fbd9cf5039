"""When a stream should start again, on clusters that are made up."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from raypipe.runtime.infer import cluster_watch
from raypipe.runtime.infer.cluster_watch import (
    ClusterChangedError,
    ClusterWatch,
    watched,
    watched_summaries,
)
from raypipe.runtime.infer.pools import PoolSize


class MadeUp:
    """A cluster of nodes with two CPUs each, for a stream of one actor on each of two nodes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.nodes = 100.0, {"a", "b"}
        ray = SimpleNamespace(
            nodes=lambda: [{"NodeID": name, "Alive": True} for name in sorted(self.nodes)],
            cluster_resources=lambda: {"CPU": 2.0 * len(self.nodes)},
        )
        monkeypatch.setattr(cluster_watch, "ray", ray)
        self.most = 0
        needs = {"cpus": 2.75, "gpus": 0.0}
        self.watching = lambda: ClusterWatch(lambda: [self._pool()], needs, lambda: self.now)
        self.watch = self.watching()

    def _pool(self) -> PoolSize:
        return PoolSize(1, len(self.nodes), max(self.most, len(self.nodes)))

    def look(self, seconds: float, quiet_s: float, left: int = 100) -> None:
        self.now += seconds
        self.watch.look(quiet_s, left)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    return MadeUp(monkeypatch)


def test_a_quiet_stream_on_a_whole_cluster_is_left_alone(made_up: MadeUp) -> None:
    for _ in range(10):
        made_up.look(600, quiet_s=6000)


def test_a_loss_counts_once_nothing_is_done_any_more(made_up: MadeUp) -> None:
    made_up.look(5, quiet_s=1)
    made_up.nodes = {"a"}
    made_up.look(5, quiet_s=5)
    made_up.look(10, quiet_s=15)
    made_up.look(5, quiet_s=1)  # something is still being done
    with pytest.raises(ClusterChangedError, match="1 node left"):
        made_up.look(46, quiet_s=47)


def test_slow_shards_are_given_three_times_as_long(made_up: MadeUp) -> None:
    made_up.look(900, quiet_s=900)  # the model was loaded
    made_up.look(5, quiet_s=1)
    made_up.look(60, quiet_s=60)
    made_up.look(5, quiet_s=1)
    made_up.nodes = {"a"}
    made_up.look(5, quiet_s=6)
    made_up.look(170, quiet_s=176)
    with pytest.raises(ClusterChangedError):
        made_up.look(20, quiet_s=196)


def test_a_node_that_was_replaced_is_no_loss(made_up: MadeUp) -> None:
    made_up.nodes = {"a"}
    made_up.look(5, quiet_s=5)
    made_up.nodes = {"a", "c"}
    made_up.look(5, quiet_s=10)
    made_up.look(590, quiet_s=600)  # models are loaded there
    with pytest.raises(ClusterChangedError, match="2 nodes left"):
        made_up.look(20, quiet_s=620)


def test_after_the_first_shard_a_stall_is_found_sooner(made_up: MadeUp) -> None:
    made_up.look(300, quiet_s=300)
    made_up.look(5, quiet_s=1)
    made_up.nodes = {"a", "c"}
    made_up.look(5, quiet_s=6)
    made_up.look(50, quiet_s=56)
    with pytest.raises(ClusterChangedError):
        made_up.look(20, quiet_s=76)


def test_a_node_that_joined_is_used_where_enough_is_left(made_up: MadeUp) -> None:
    made_up.nodes = {"a", "b", "c", "d"}
    made_up.look(5, quiet_s=1)
    made_up.look(6, quiet_s=1, left=7)
    with pytest.raises(ClusterChangedError, match="room for 2 more model actors"):
        made_up.look(6, quiet_s=1, left=8)


def test_a_pool_that_grows_by_itself_is_left_alone(made_up: MadeUp) -> None:
    made_up.most = 4
    made_up.watch = made_up.watching()
    made_up.nodes = {"a", "b", "c", "d"}
    made_up.look(5, quiet_s=1)
    made_up.look(6, quiet_s=1)
    made_up.nodes = {"a", "b", "c", "d", "e"}
    made_up.look(6, quiet_s=1)
    with pytest.raises(ClusterChangedError, match="room for 1 more"):
        made_up.look(6, quiet_s=1)


def test_nobody_looks_outside_of_the_context() -> None:
    stream: Any = SimpleNamespace(context=SimpleNamespace())
    looks: list[int] = []
    with watched(stream, lambda: looks.append(1)):
        (callback,) = stream.context.custom_execution_callback_classes
        callback().on_execution_step(None)
    callback().on_execution_step(None)
    assert looks == [1]


def test_what_ends_a_stream_is_not_told_with_a_stack(caplog: pytest.LogCaptureFixture) -> None:
    stream: Any = SimpleNamespace(context=SimpleNamespace())
    with watched(stream, lambda: None):
        logging.getLogger("ray.data.exceptions").error("Full stack trace:")
    assert caplog.records == []


def test_every_shard_that_comes_advances_and_is_one_less_to_wait_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream: Any = SimpleNamespace(context=SimpleNamespace())
    looked: list[int] = []
    advanced: list[tuple[int, int]] = []
    watch: Any = SimpleNamespace(look=lambda quiet_s, left: looked.append(left))
    progress: Any = SimpleNamespace(
        quiet_s=0.0, advance=lambda utterances, errors: advanced.append((utterances, errors))
    )
    ended: list[str] = []

    def rows(of: Any) -> Iterator[dict[str, Any]]:
        assert of is stream
        try:
            for utterances in (5, 7, 9):
                (callback,) = stream.context.custom_execution_callback_classes
                callback().on_execution_step(None)
                yield {"utterances": utterances, "errors": 1}
        finally:
            ended.append("the stream")

    monkeypatch.setattr(cluster_watch, "rows_of", rows)

    def read(row: dict[str, Any]) -> Any:
        return SimpleNamespace(**row)

    summaries: Any = watched_summaries(stream, read, 3, watch, progress)
    assert [next(summaries).utterances, next(summaries).utterances] == [5, 7]
    assert (looked, advanced, ended) == ([3, 2], [(5, 1), (7, 1)], [])
    summaries.close()
    assert ended == ["the stream"]
