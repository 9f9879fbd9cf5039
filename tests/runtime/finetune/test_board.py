"""What is known of a training while it runs."""

from raypipe.finetune.record import CurvePoint
from raypipe.runtime.finetune.board import Board


def test_points_are_told_once_and_the_steps_always() -> None:
    board = Board()
    assert board.take() == (None, [])
    board.begin(3, 9)
    points = [CurvePoint(step, 0.1, 1e-3, 2.0, 10, 0.5) for step in (4, 5)]
    for point in points:
        board.note(point)
    assert board.take() == ((3, 9), points)
    assert board.take() == ((3, 9), [])
