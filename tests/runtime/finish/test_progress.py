import io

import pytest
from rich.console import Console

from raypipe.runtime.finish.progress import RunProgress
from raypipe.store import patience


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


def test_a_wait_for_storage_stands_in_the_line_until_something_is_done() -> None:
    log = io.StringIO()
    with RunProgress(9, 0, Console(file=log, width=200), interval_s=0.0) as progress:
        progress.wait_for_storage(40.4)
        progress.wait_for_storage(None)
        progress.wait_for_storage(7.0)
        progress.advance(3, 0)
    _, waiting, answered, again, done, _ = log.getvalue().splitlines()
    assert waiting == "0/9 utterances, waiting for storage (40 s)"
    assert again == "0/9 utterances, waiting for storage (7 s)"
    assert "waiting" not in answered + done


def test_a_terminal_s_bar_says_so_too() -> None:
    log = io.StringIO()
    with RunProgress(40, 0, Console(file=log, force_terminal=True, width=120)) as progress:
        progress.wait_for_storage(40.0)
    assert "waiting for storage (40 s)" in log.getvalue()


def test_waits_of_this_process_are_told_to_its_progress() -> None:
    log = io.StringIO()
    with RunProgress(9, 0, Console(file=log, width=200), interval_s=0.0):
        for listener in patience._listeners:
            listener(12.0)
    assert "waiting for storage (12 s)" in log.getvalue()
    assert patience._listeners == []


def test_it_counts_on_from_what_is_done() -> None:
    log = io.StringIO()
    with RunProgress(9, 0, Console(file=log, width=200), interval_s=0.0) as progress:
        progress.advance(3, 0)
        progress.start_again(5)
        progress.advance(4, 0)
    assert log.getvalue().splitlines()[-1].startswith("9/9 utterances")


def test_an_interrupt_is_told_how_far_it_is() -> None:
    def interrupted() -> None:
        with RunProgress(9, 2, Console(file=io.StringIO())) as progress:
            progress.advance(3, 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        interrupted()
    assert str(stopped.value) == "stopped at 5 of 9 utterances; the same command continues"
