import io

import pytest
from rich.console import Console

from raypipe.runtime.finish.progress import RunProgress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(steps: list[tuple[float, int, int]], done: int = 0) -> list[str]:
    """What a job's log shows when shards finish at the given times."""
    log, clock = io.StringIO(), Clock()
    console = Console(file=log, width=200)
    with RunProgress(100, done, console, interval_s=10, clock=clock) as progress:
        for at, utterances, errors in steps:
            clock.now = at
            progress.advance(utterances, errors)
    return log.getvalue().splitlines()


def test_a_log_gets_a_line_every_interval_and_one_at_the_end() -> None:
    shown = lines([(4, 10, 0), (12, 10, 1), (15, 10, 0), (25, 20, 0)])
    assert [line.split(",")[0] for line in shown] == [
        "0/100 utterances done",
        "20/100 utterances",
        "50/100 utterances",
        "50/100 utterances",
    ]
    assert "1 errors" in shown[1]


def test_the_rate_counts_only_this_attempt() -> None:
    shown = lines([(20, 10, 0)], done=50)
    assert shown[0].startswith("50/100")
    assert "60/100" in shown[1]
    assert "0.5 utterances/s" in shown[1]
    assert "80 s left" in shown[1]


def test_an_error_prints_no_closing_line() -> None:
    log = io.StringIO()
    with pytest.raises(RuntimeError), RunProgress(9, 0, Console(file=log)):
        raise RuntimeError
    assert len(log.getvalue().splitlines()) == 1


def test_a_terminal_gets_a_bar_with_a_true_total() -> None:
    log = io.StringIO()
    console = Console(file=log, force_terminal=True, width=120)
    with RunProgress(40, 0, console) as progress:
        progress.advance(40, 2)
    assert "40/40" in log.getvalue()
    assert "2 errors" in log.getvalue()


def test_what_is_counted_has_a_name() -> None:
    log = io.StringIO()
    console = Console(file=log, width=200)
    with RunProgress(4, 0, console, what="clips", waiting="reading audio") as progress:
        progress.advance(4, 0)
    first, last = log.getvalue().splitlines()
    assert first == "0/4 clips done, reading audio"
    assert last.startswith("4/4 clips, 0 errors, ")
