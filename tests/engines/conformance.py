"""What every engine and every search must hold to, whatever it is made of.

A property is a function of a :class:`Subject`; ``PROPERTIES`` lists them all with what a subject
has to give for it to apply. ``test_conformance.py`` has the table of subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raypipe.engines.agreement import compare
from raypipe.records import Failure, Generation, Grammar, Hypothesis, Search

LIMIT = 12
SEARCH = Search(beam_count=3, greedy=True, max_new_tokens=LIMIT)
GREEDY = Search(beam_count=0, greedy=True, max_new_tokens=LIMIT)

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An engine, or a search dressed as one, with inputs to ask it about.

    Attributes:
        generate: answers inputs, as an engine does.
        inputs: at least four, each with another answer; their ids are ``utterance_id``.
        gives: names of its capabilities, and of what the other fields offer: ``broken``,
            ``grammar``, ``oracle``, ``token_ids``.
        broken: an input that has to fail.
        grammar: one that it holds answers to, and whether a hypothesis matches.
        logits_after: from an input and the ids generated so far, the raw logits of the next token,
            shape ``(vocabulary,)``, worked out without any search.
        end_ids: ids that end a hypothesis.
        recorded_ids: ids whose logits are recorded at every step.
    """

    generate: Callable[[Sequence[Any], Search], list[Generation | Failure]]
    inputs: Sequence[Any]
    gives: frozenset[str]
    broken: Any = None
    grammar: tuple[Grammar, Callable[[Hypothesis], bool]] | None = None
    logits_after: Callable[[Any, tuple[int, ...]], np.ndarray] | None = None
    end_ids: tuple[int, ...] = ()
    recorded_ids: tuple[int, ...] = ()

    def answers(self, search: Search, inputs: Sequence[Any] | None = None) -> list[Generation]:
        """Answers to inputs that all have one."""
        replies = self.generate(self.inputs if inputs is None else inputs, search)
        assert all(isinstance(reply, Generation) for reply in replies), replies
        return [reply for reply in replies if isinstance(reply, Generation)]

    def search(self) -> Search:
        """The most that it can be asked for."""
        return SEARCH if "hypotheses" in self.gives else GREEDY

    def hypotheses(self) -> list[tuple[Any, Hypothesis]]:
        """Every hypothesis of every answer, with its input."""
        answers = zip(self.inputs, self.answers(self.search()), strict=True)
        return [(asked, each) for asked, answer in answers for each in answer.hypotheses]


def every_input_is_answered_in_its_place(subject: Subject) -> None:
    for inputs in (subject.inputs, subject.inputs[::-1], subject.inputs[2:3], ()):
        replies = subject.generate(inputs, subject.search())
        assert [r.utterance_id for r in replies] == [one.utterance_id for one in inputs]


def a_broken_input_fails_alone_in_its_place(subject: Subject) -> None:
    first, *rest = subject.inputs
    replies = subject.generate([first, subject.broken, *rest], subject.search())
    failure = replies.pop(1)
    assert isinstance(failure, Failure)
    assert failure.utterance_id == subject.broken.utterance_id
    assert (failure.stage, bool(failure.error_type), bool(failure.message)) == (
        "engine",
        True,
        True,
    )
    assert_same(replies, subject.answers(subject.search()))


def hypotheses_are_those_asked_for(subject: Subject) -> None:
    for search in (subject.search(), replace(subject.search(), greedy=True, beam_count=0)):
        for answer in subject.answers(search):
            kinds = [each.kind for each in answer.hypotheses]
            assert kinds == ["greedy"] * search.greedy + ["beam"] * search.beam_count
            assert [each.rank for each in answer.hypotheses] == [0, *range(search.beam_count)]


def beams_come_without_the_greedy_answer(subject: Subject) -> None:
    both = subject.answers(SEARCH)
    for alone, answer in zip(subject.answers(replace(SEARCH, greedy=False)), both, strict=True):
        assert texts(alone.hypotheses) == texts(answer.hypotheses[1:])


def the_greedy_answer_does_not_depend_on_the_beams(subject: Subject) -> None:
    for alone, answer in zip(subject.answers(GREEDY), subject.answers(SEARCH), strict=True):
        assert texts(alone.hypotheses) == texts(answer.hypotheses[:1])


def beams_are_sorted_by_alpha(subject: Subject) -> None:
    for answer in subject.answers(SEARCH):
        alphas = [each.alpha for each in answer.hypotheses if each.kind == "beam"]
        assert alphas == sorted(alphas, reverse=True)


def beams_of_a_search_are_different(subject: Subject) -> None:
    for answer in subject.answers(SEARCH):
        beams = [each.token_ids for each in answer.hypotheses if each.kind == "beam"]
        assert len(set(beams)) == len(beams)


def one_beam_is_the_greedy_answer(subject: Subject) -> None:
    for answer in subject.answers(replace(SEARCH, beam_count=1)):
        greedy, beam = answer.hypotheses
        assert (greedy.text, greedy.token_ids) == (beam.text, beam.token_ids)
        np.testing.assert_allclose(greedy.alpha, beam.alpha, **TOLERANCE)


def alpha_is_the_plain_sum_of_the_token_logprobs(subject: Subject) -> None:
    for _, each in subject.hypotheses():
        assert each.token_logprobs is not None
        assert each.token_logprobs.dtype == np.float32
        assert (each.token_logprobs <= 0).all()
        total = 0.0
        for logprob in each.token_logprobs:
            total += float(logprob)
        assert each.alpha == total


def numbers_are_as_long_as_the_answer(subject: Subject) -> None:
    for _, each in subject.hypotheses():
        assert each.token_logprobs is None or each.token_logprobs.shape == (each.steps,)
        assert each.emotion_logits is None or each.emotion_logits.shape == (
            each.steps,
            len(subject.recorded_ids),
        )
        assert (each.alpha is None) == (each.alpha_kind == "none")


def answers_end_for_the_reason_they_give(subject: Subject) -> None:
    for limit in (LIMIT, 1, 3):
        for answer in subject.answers(replace(subject.search(), max_new_tokens=limit)):
            for each in answer.hypotheses:
                assert 1 <= len(each.token_ids) <= limit
                *before, last = each.token_ids
                assert not set(before) & set(subject.end_ids)
                assert each.finish_reason == ("stop" if last in subject.end_ids else "length")
                assert each.finish_reason == "stop" or len(each.token_ids) == limit


def answers_do_not_depend_on_their_neighbours(subject: Subject) -> None:
    search = subject.search()
    together = subject.answers(search)
    alone = [answer for one in subject.inputs for answer in subject.answers(search, [one])]
    assert_same(alone, together)
    assert_same(subject.answers(search, subject.inputs[::-1])[::-1], together)


def the_greedy_answer_is_the_argmax_of_every_step(subject: Subject) -> None:
    assert subject.logits_after is not None
    for asked, answer in zip(subject.inputs, subject.answers(GREEDY), strict=True):
        token_ids = answer.hypotheses[0].token_ids
        for step, token_id in enumerate(token_ids):
            assert token_id == subject.logits_after(asked, token_ids[:step]).argmax()


def numbers_are_those_of_every_step(subject: Subject) -> None:
    assert subject.logits_after is not None
    for asked, each in subject.hypotheses():
        assert each.token_logprobs is not None
        for step, token_id in enumerate(each.token_ids):
            logits = subject.logits_after(asked, each.token_ids[:step]).astype(np.float64)
            normaliser = logits.max() + np.log(np.exp(logits - logits.max()).sum())
            expected = logits[token_id] - normaliser
            np.testing.assert_allclose(each.token_logprobs[step], expected, **TOLERANCE)
            assert each.emotion_logits is not None
            recorded = logits[list(subject.recorded_ids)]
            np.testing.assert_allclose(each.emotion_logits[step], recorded, **TOLERANCE)


def answers_are_held_to_a_grammar(subject: Subject) -> None:
    assert subject.grammar is not None
    grammar, matches = subject.grammar
    for answer in subject.answers(replace(subject.search(), grammar=grammar)):
        finished = [each for each in answer.hypotheses if each.finish_reason == "stop"]
        assert finished
        assert all(matches(each) for each in finished)


def assert_same(mine: Sequence[Any], theirs: Sequence[Any]) -> None:
    """Texts, scores and logits equal up to the rounding of float32."""
    agreement = compare(mine, theirs)
    assert agreement.agrees, agreement


def texts(hypotheses: Sequence[Hypothesis]) -> list[tuple[str, tuple[int, ...]]]:
    return [(each.text, each.token_ids) for each in hypotheses]


PROPERTIES: dict[Callable[[Subject], None], frozenset[str]] = {
    every_input_is_answered_in_its_place: frozenset(),
    a_broken_input_fails_alone_in_its_place: frozenset({"broken"}),
    hypotheses_are_those_asked_for: frozenset(),
    answers_do_not_depend_on_their_neighbours: frozenset(),
    numbers_are_as_long_as_the_answer: frozenset(),
    beams_come_without_the_greedy_answer: frozenset({"hypotheses"}),
    the_greedy_answer_does_not_depend_on_the_beams: frozenset({"hypotheses"}),
    beams_are_sorted_by_alpha: frozenset({"hypotheses", "token_logprobs"}),
    beams_of_a_search_are_different: frozenset({"beams", "token_ids"}),
    one_beam_is_the_greedy_answer: frozenset({"beams"}),
    alpha_is_the_plain_sum_of_the_token_logprobs: frozenset({"token_logprobs"}),
    answers_end_for_the_reason_they_give: frozenset({"token_ids"}),
    the_greedy_answer_is_the_argmax_of_every_step: frozenset({"oracle"}),
    numbers_are_those_of_every_step: frozenset({"oracle", "emotion_logits"}),
    answers_are_held_to_a_grammar: frozenset({"grammar"}),
}
"""Every property, with what a subject has to give for it."""
