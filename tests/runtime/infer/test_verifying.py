"""Which candidates are put to a verifier, and what its answers are worth."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from in_process import LABELS

from raypipe.records import Failure, Generation, Hypothesis, Search
from raypipe.runtime.infer.answering import WindowInputs
from raypipe.runtime.infer.questions import Verification
from raypipe.runtime.infer.verifying import Row, verify

VERIFICATION = Verification(
    source="",
    search=Search(0, True, 8),
    candidates=None,
    expected=False,
    own_model=True,
    only_ambiguous=False,
)

Clip = tuple[str, str]
"""Who and what a stand-in frontend is asked about."""


class Verifier:
    """Both halves of a verifier that says what it is told to, by the candidate it is shown."""

    def __init__(self, *answers: Sequence[Hypothesis] | Failure) -> None:
        self.answers = [*answers]
        self.asked: list[Clip] = []
        self.calls = 0

    def with_prompt(self, clip: Clip, prompt: str) -> Clip:
        return (clip[0], prompt)

    def generate(self, inputs: Sequence[Clip], search: Search) -> list[Generation | Failure]:
        self.calls += 1
        self.asked += inputs
        replies: list[Generation | Failure] = []
        for number, _ in enumerate(inputs):
            answer = self.answers[number % len(self.answers)]
            replies.append(
                answer if isinstance(answer, Failure) else Generation("u", tuple(answer), 30, 10)
            )
        return replies


def says(text: str, alpha: float | None = -1.0, **changes: Any) -> Hypothesis:
    return replace(Hypothesis("greedy", 0, text, (1, 2), None, alpha, "stop", None), **changes)


def beam(rank: int, shares: dict[str, float] | str, **changes: Any) -> Hypothesis:
    text = shares if isinstance(shares, str) else json.dumps(shares)
    return replace(Hypothesis("beam", rank, text, (1,), None, -1.0, "stop", None), **changes)


def answer(*hypotheses: Hypothesis) -> Generation:
    return Generation("u", hypotheses, 20, 8)


def clips(*names: str) -> list[tuple[WindowInputs, ...]]:
    """One window for each name."""
    return [
        (WindowInputs(0, None, ((name, ""),), for_verifier=(f"{name}*", "")),) for name in names
    ]


def verified(
    rows: Sequence[Row],
    verifier: Verifier,
    windows: Sequence[Any] | None = None,
    ambiguous: bool = True,
    **changes: Any,
) -> tuple[list[list[list[Hypothesis]]], Any]:
    """Hypotheses by row and prompt, and the time that was kept."""
    result, timing = verify(
        rows,
        clips(*(f"u{number}" for number in range(len(rows)))) if windows is None else windows,
        replace(VERIFICATION, **changes),
        (verifier, verifier),  # type: ignore[arg-type]
        LABELS,
        prompt_of=lambda row, candidate: f"{row}:{candidate}",
        is_ambiguous=lambda _: ambiguous,
    )
    return [
        [[] if isinstance(a, Failure) else list(a.hypotheses) for a in row] for row in result
    ], timing


SAD, MAD = {"sadness": 1.0}, {"anger": 0.5, "fear": 0.5}


def test_a_candidate_is_a_distribution_over_all_labels_to_two_decimals() -> None:
    verifier = Verifier([says("0.5")])
    verified([(answer(beam(0, {"anger": 0.333, "sadness": 0.667})),)], verifier)
    ((_, prompt),) = verifier.asked
    shown = json.loads(prompt.removeprefix("0:"))
    assert shown == {
        "anger": 0.33,
        "disgust": 0.0,
        "fear": 0.0,
        "happiness": 0.0,
        "neutral": 0.0,
        "sadness": 0.67,
    }


def test_equal_candidates_share_a_call_whatever_their_words() -> None:
    beams = [
        beam(0, SAD),
        beam(1, MAD),
        beam(2, "sadness: 100%"),
        beam(3, {"sadness": 0.999, "anger": 0.001}),
    ]
    verifier = Verifier([says("0.25")], [says("0.75")])
    (((first, second, third, fourth),),), timing = verified([(answer(*beams),)], verifier)
    assert len(verifier.asked) == timing.asked == 2
    assert [h.verifier_score for h in (first, second, third, fourth)] == [0.25, 0.75, 0.25, 0.25]
    assert [h.verifier_call for h in (first, second, third, fourth)] == [0, 1, 0, 0]


def test_prompts_about_a_clip_share_a_call_and_clips_do_not() -> None:
    rows = [(answer(beam(0, SAD)), answer(beam(0, MAD), beam(1, SAD))), (answer(beam(0, SAD)),) * 2]
    verifier = Verifier([says("0.5")])
    result, timing = verified(rows, verifier)
    assert timing.asked == 3
    assert [clip for clip, _ in verifier.asked] == ["u0", "u0", "u1"]
    # Of every prompt's own answer the calls are counted from 0.
    assert [[h.verifier_call for h in one] for one in result[0]] == [[0], [0, 1]]


def test_all_of_a_shard_is_one_call_of_the_engine() -> None:
    verifier = Verifier([says("0.5")])
    verified([(answer(beam(0, SAD), beam(1, MAD)),)] * 3, verifier)
    assert verifier.calls == 1


def test_nothing_to_verify_is_no_call_at_all() -> None:
    verifier = Verifier([says("0.5")])
    result, timing = verified([(Failure("u", "engine", "odd", "odd"),), (answer(),)], verifier)
    assert verifier.calls == timing.asked == 0
    assert result == [[[]], [[]]]


def test_only_beams_that_say_something_are_candidates() -> None:
    hypotheses = [
        replace(beam(0, SAD), kind="greedy"),
        beam(0, "I cannot tell."),
        beam(1, SAD, finish_reason="refusal"),
        beam(2, SAD, finish_reason="length"),
    ]
    verifier = Verifier([says("0.5")])
    ((after,),), _ = verified([(answer(*hypotheses),)], verifier)
    assert [h.verifier_score for h in after] == [None, None, None, 0.5]
    assert [h.verifier_call for h in after] == [None, None, None, 0]
    assert after[:3] == hypotheses[:3]


def test_only_the_first_candidates_of_every_search_are_verified() -> None:
    beams = [beam(rank, SAD if rank % 2 else MAD, beam_count=4) for rank in range(4)]
    beams += [beam(rank, MAD, beam_count=2) for rank in range(2)]
    verifier = Verifier([says("0.5")])
    ((after,),), _ = verified([(answer(*beams),)], verifier, candidates=1)
    assert [h.verifier_score for h in after] == [0.5, None, None, None, 0.5, None]
    assert len(verifier.asked) == 1


def test_windows_of_a_clip_are_candidates_of_their_own() -> None:
    windows = [
        (
            WindowInputs(0, 4.0, (("first", ""),)),
            WindowInputs(1, 4.0, (("second", ""),)),
        )
    ]
    beams = [beam(0, SAD, window=0), beam(0, SAD, window=1)]
    verifier = Verifier([says("0.25")], [says("0.5")])
    ((after,),), _ = verified([(answer(*beams),)], verifier, windows)
    assert [clip for clip, _ in verifier.asked] == ["first", "second"]
    assert [h.verifier_score for h in after] == [0.25, 0.5]


def test_another_model_gets_the_clip_as_it_takes_it() -> None:
    verifier = Verifier([says("0.5")])
    verified([(answer(beam(0, SAD)),)], verifier, own_model=False)
    assert [clip for clip, _ in verifier.asked] == ["u0*"]


def test_clear_answers_are_not_verified_where_only_ambiguous_ones_are_to_be() -> None:
    rows = [(answer(beam(0, SAD)),)]
    for ambiguous, asked in ((True, 1), (False, 0)):
        verifier = Verifier([says("0.5")])
        verified(rows, verifier, ambiguous=ambiguous, only_ambiguous=True)
        assert len(verifier.asked) == asked
    verifier = Verifier([says("0.5")])
    verified(rows, verifier, ambiguous=False)
    assert len(verifier.asked) == 1


def test_a_score_that_is_no_number_in_range_is_an_error_with_the_text() -> None:
    for text in ("quite good", "7"):
        ((after,),), _ = verified([(answer(beam(0, SAD)),)], Verifier([says(text)]))
        assert after[0].verifier_score is None
        assert after[0].verifier_text == text
        assert after[0].verifier_error == f"no number in [0, 1]: {text!r}"


def test_an_error_shows_no_more_than_the_beginning_of_a_long_text() -> None:
    ((after,),), _ = verified([(answer(beam(0, SAD)),)], Verifier([says("no " * 200)]))
    assert after[0].verifier_error is not None
    assert len(after[0].verifier_error) < 120
    assert after[0].verifier_text == "no " * 200


def test_a_verifier_that_fails_costs_the_score_and_not_the_beam() -> None:
    verifier = Verifier([says("0.5")], Failure("u", "engine", "out_of_memory", "no room"))
    before = [beam(0, SAD), beam(1, MAD)]
    ((after,),), _ = verified([(answer(*before),)], verifier)
    assert [h.verifier_score for h in after] == [0.5, None]
    assert [h.verifier_error for h in after] == [None, "out_of_memory: no room"]
    assert after[1].text == before[1].text
    assert after[1].verifier_call == 1


def test_a_clip_that_the_verifier_cannot_take_is_not_asked_about() -> None:
    refused = Failure("u", "prompt", "too_long", "9 s")
    windows = [(WindowInputs(0, None, (("u0", ""),), for_verifier=refused),), *clips("u1")]
    verifier = Verifier([says("0.5")])
    rows = [(answer(beam(0, SAD)),), (answer(beam(0, SAD)),)]
    result, timing = verified(rows, verifier, windows, own_model=False)
    assert timing.asked == 1
    assert result[0][0][0].verifier_error == "too_long: 9 s"
    assert result[1][0][0].verifier_score == 0.5


def test_an_expected_score_is_the_mean_over_beams_by_their_likelihood() -> None:
    """Of two numbers one of which is three times as likely: (3 x 0.8 + 1 x 0.4) / 4."""
    beams = [
        says("0.8", math.log(0.6), kind="beam"),
        says("none", math.log(0.9), kind="beam"),
        says("0.4", math.log(0.2), kind="beam"),
    ]
    ((after,),), _ = verified([(answer(beam(0, SAD)),)], Verifier(beams), expected=True)
    assert after[0].verifier_score == pytest.approx(0.7)
    assert after[0].verifier_text == "0.8"


def test_samples_weigh_the_same_in_an_expected_score() -> None:
    samples = [
        says("0.8", math.log(0.9), kind="beam", sampled=True),
        says("0.4", math.log(0.1), kind="beam", sampled=True),
        says("0.6", None, kind="beam", sampled=True, alpha_kind="none"),
    ]
    ((after,),), _ = verified([(answer(beam(0, SAD)),)], Verifier(samples), expected=True)
    assert after[0].verifier_score == pytest.approx(0.6)


def test_an_expected_score_without_any_number_is_an_error() -> None:
    verifier = Verifier([says("well", kind="beam")])
    ((after,),), _ = verified([(answer(beam(0, SAD)),)], verifier, expected=True)
    assert after[0].verifier_score is None
    assert after[0].verifier_error == "no number in [0, 1]: 'well'"


def test_the_tokens_of_a_call_are_its_prompt_and_all_its_answers() -> None:
    two = [says("0.8", kind="beam"), says("0.4", kind="beam", token_ids=(1, 2, 3))]
    ((after,),), _ = verified([(answer(beam(0, SAD)),)], Verifier(two), expected=True)
    assert after[0].verifier_tokens == 30 + 2 + 3
    untold = [says("0.8", token_ids=())]
    ((after,),), _ = verified([(answer(beam(0, SAD)),)], Verifier(untold))
    assert after[0].verifier_tokens is None
