from made_up_hypotheses import LOGITS, heard

from raypipe.questions import Asked, RunOutline, plan_passes
from raypipe.records import Search

ANSWERS = [heard("greedy", 0.6, emotion_logits=LOGITS)]


def test_the_greedy_answer_alone_is_a_search_without_beams() -> None:
    (asking,) = plan_passes(RunOutline(beam_count=0), Asked(frozenset({"greedy"})))
    assert asking.request == Search(0, True, 96)
    assert asking.questions == ("greedy",)
