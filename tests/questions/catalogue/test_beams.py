from made_up_hypotheses import beams

from raypipe.questions import Asked, RunOutline, plan_passes
from raypipe.records import Search

BOTH = Asked(frozenset({"greedy", "beams"}))

ANSWERS = beams(0.8, 0.4, 0.2)


def test_the_main_search_and_the_greedy_answer_are_one_call() -> None:
    (asking,) = plan_passes(RunOutline(), BOTH)
    assert asking.request == Search(5, True, 96)
    assert (asking.name, asking.questions) == ("greedy and beams", ("greedy", "beams"))


def test_other_numbers_of_beams_are_searches_of_their_own() -> None:
    passes = plan_passes(RunOutline(beam_count=3, other_beam_counts=(2, 5)), BOTH)
    assert [asking.beam_count for asking in passes] == [3, 2, 5]
    assert [asking.name for asking in passes] == ["greedy and beams", "2 beams", "5 beams"]


def test_beams_that_only_ambiguous_utterances_need_are_asked_last_and_alone() -> None:
    outline = RunOutline(beam_count=3, other_beam_counts=(2,))
    passes = plan_passes(outline, Asked(frozenset({"greedy"}), frozenset({"beams"})))
    assert [(asking.name, asking.only_ambiguous) for asking in passes] == [
        ("greedy", False),
        ("beams", True),
        ("2 beams", True),
    ]


def test_without_a_greedy_answer_to_judge_by_everyone_is_asked() -> None:
    outline = RunOutline(greedy=False)
    (asking,) = plan_passes(outline, Asked(frozenset(), frozenset({"beams"})))
    assert not asking.only_ambiguous
