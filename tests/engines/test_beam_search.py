import itertools

import numpy as np
import pytest
import torch

from raypipe.engines.beam_search import BeamLanes, GreedyLane

VOCABULARY = 24
NO_END = torch.tensor([VOCABULARY - 1])


def run_beams(logits_after, beam_count, max_new_tokens, end_ids, rows=1):
    """Beams of a bigram law: ``logits_after`` of shape (vocabulary, vocabulary), from token 0."""
    lanes, every = BeamLanes(rows, beam_count, max_new_tokens, end_ids), torch.arange(rows)
    first = logits_after[torch.zeros(rows, dtype=torch.int64)]
    tokens, _ = lanes.start(every, first, first.logsumexp(-1))
    for _ in range(max_new_tokens - 1):
        logits = logits_after[tokens]
        tokens, _ = lanes.advance(logits, logits.logsumexp(-1))
    assert bool(lanes.done.all())
    return lanes.paths(every)


def logprob(logits_after, sequence):
    law = logits_after.double().log_softmax(-1)
    return sum(float(law[a, b]) for a, b in itertools.pairwise((0, *sequence)))


@pytest.mark.parametrize("beam_count", [1, 2, 5, 11])
def test_beams_of_a_law_without_memory_are_the_best_of_all_sequences(beam_count):
    # If nothing ends early and steps do not depend on each other, beam search loses nothing.
    row = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(beam_count))
    row[-1] = -50.0
    logits_after = row.expand(VOCABULARY, -1)
    (paths,) = run_beams(logits_after, beam_count, 3, NO_END)
    sequences = itertools.product(range(VOCABULARY), repeat=3)
    scores = sorted((logprob(logits_after, s) for s in sequences), reverse=True)[:beam_count]
    assert [path.score for path in paths] == pytest.approx(scores, abs=1e-5)
    for path in paths:
        assert path.score == pytest.approx(logprob(logits_after, path.token_ids), abs=1e-5)
    assert len({path.token_ids for path in paths}) == beam_count


def test_a_case_worked_by_hand():
    # Probabilities: from 0 to 1: .6, to 2: .4. From 1 the end (3) has .5, 4 has .5. From 2 the end
    # has .9. So with two beams: [2, end] = .36 first, then [1, end] = [1, 4] = .30; the end wins
    # a hypothesis at step 2 already, and [1, 4, ...] can only fall.
    law = torch.full((VOCABULARY, VOCABULARY), 1e-9)
    law[0, 1], law[0, 2] = 0.6, 0.4
    law[1, 3], law[1, 4] = 0.5, 0.5
    law[2, 3], law[2, 4] = 0.9, 0.1
    law[4, 4], law[4, 3] = 0.8, 0.2
    (paths,) = run_beams(law.log(), 2, 5, torch.tensor([3]))
    assert [path.token_ids for path in paths] == [(2, 3), (1, 3)]
    assert np.exp([path.score for path in paths]) == pytest.approx([0.36, 0.30], rel=1e-5)
    assert [path.lanes.tolist() for path in paths] == [[0, 1], [0, 0]]


def test_two_end_tokens_leave_enough_beams_to_go_on():
    # After [1] (.6) and [2] (.4) the best continuations are [1, 5] .30, then four that end:
    # [2, 3] .16, [2, 4] .152, [1, 3] and [1, 4] .12; [2, 7] .088 is sixth and must survive,
    # because [1, 5] leads nowhere and [2, 7, 3] = .087 is the second-best hypothesis.
    law = torch.full((VOCABULARY, VOCABULARY), 1e-9)
    law[0, 1], law[0, 2] = 0.6, 0.4
    law[1, 5], law[1, 3], law[1, 4], law[1, 6] = 0.5, 0.2, 0.2, 0.1
    law[2, 3], law[2, 4], law[2, 7] = 0.4, 0.38, 0.22
    law[5, 8:] = 0.8 / (VOCABULARY - 8)
    law[5, 3] = 0.2
    law[7, 3], law[7, 9] = 0.99, 0.01
    (paths,) = run_beams(law.log(), 2, 6, torch.tensor([3, 4]))
    assert [path.token_ids for path in paths] == [(2, 3), (2, 7, 3)]


def test_what_runs_into_the_limit_is_returned_cut():
    law = torch.full((VOCABULARY, VOCABULARY), -20.0)
    law[:, 5] = 0.0
    (paths,) = run_beams(law, 2, 4, NO_END)
    assert paths[0].token_ids == (5, 5, 5, 5)
    assert {len(path.token_ids) for path in paths} == {4}


def assert_like_alone(found, laws):
    for law, paths in zip(laws, found, strict=True):
        (alone,) = run_beams(law, 3, 6, torch.tensor([7]))
        assert [path.token_ids for path in paths] == [path.token_ids for path in alone]
        assert [path.score for path in paths] == [path.score for path in alone]


def test_rows_do_not_see_each_other():
    generator = torch.Generator().manual_seed(3)
    laws = torch.randn(4, VOCABULARY, VOCABULARY, generator=generator) * 3
    lanes, rows = BeamLanes(4, 3, 6, torch.tensor([7])), torch.arange(4)
    tokens, _ = lanes.start(rows, laws[:, 0], laws[:, 0].logsumexp(-1))
    for _ in range(5):
        logits = laws[rows[:, None], tokens]
        tokens, _ = lanes.advance(logits, logits.logsumexp(-1))
    assert_like_alone(lanes.paths(rows), laws)


def test_a_row_can_start_anew_while_others_are_half_way():
    generator = torch.Generator().manual_seed(6)
    laws = torch.randn(5, VOCABULARY, VOCABULARY, generator=generator) * 3
    lanes = BeamLanes(2, 3, 6, torch.tensor([7]))
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    waiting, free, law_of, found = [0, 1, 2, 3, 4], [0, 1], {}, {}
    while waiting or law_of:
        if waiting and free:  # one at a time: two rows are never at the same step
            row, law = free.pop(), waiting.pop(0)
            law_of[row], first = law, laws[law, :1]
            tokens[row], _ = lanes.start(torch.tensor([row]), first, first.logsumexp(-1))
        logits = torch.stack([laws[law_of.get(row, 0), tokens[row]] for row in (0, 1)])
        tokens, _ = lanes.advance(logits, logits.logsumexp(-1))
        for row in [row for row in law_of if lanes.done[row]]:
            (found[law_of.pop(row)],) = lanes.paths(torch.tensor([row]))
            free.append(row)
    assert_like_alone([found[law] for law in range(5)], laws)


def test_a_score_is_the_plain_sum_in_order():
    generator = torch.Generator().manual_seed(4)
    (paths,) = run_beams(torch.randn(24, 24, generator=generator), 4, 8, torch.tensor([7]))
    for path in paths:
        assert path.score == sum(float(value) for value in path.logprobs)


def test_nothing_hangs_on_numbers_that_are_not_numbers():
    lanes = BeamLanes(1, 2, 4, NO_END)
    broken = torch.full((1, VOCABULARY), float("nan"))
    lanes.start(torch.tensor([0]), broken, broken.logsumexp(-1))
    assert bool(lanes.done.all())


def test_the_greedy_lane_takes_the_most_probable_token_and_stops_at_the_end():
    law = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(5))
    expected, token = [], 0
    for _ in range(5):
        token = int(law[token].argmax())
        expected.append(token)
    end = expected[3]
    lane = GreedyLane(1, 10, torch.tensor([end]), lane=2)
    row = torch.tensor([0])
    tokens = lane.start(row, law[:1], law[:1].logsumexp(-1))
    for _ in range(6):
        logits = law[tokens]
        tokens = lane.advance(logits, logits.logsumexp(-1))
    (path,) = lane.paths(row)
    wanted = tuple(expected[: expected.index(end) + 1])
    assert path.token_ids == wanted
    assert path.score == pytest.approx(logprob(law, wanted), abs=1e-5)
    assert path.lanes.tolist() == [2] * len(wanted)
