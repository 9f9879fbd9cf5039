import pytest
from made_up_hypotheses import heard

from raypipe.questions import Asked, PromptOutline, RunOutline, plan_passes, question_named
from raypipe.records import Search

ANSWERS = [heard("cot", 0.7)]


def test_it_asks_the_prompt_s_variant_at_its_own_length() -> None:
    outline = RunOutline(
        prompts=(PromptOutline("a"), PromptOutline("b", cot_max_new_tokens=700)), beam_count=0
    )
    _, asking = plan_passes(outline, Asked(frozenset({"greedy", "cot"})))
    assert asking.request == Search(0, True, 700)
    assert (asking.cot, asking.kind) == (True, "cot")


@pytest.mark.parametrize(("has_cot", "words"), [(True, None), (False, "prompt single")])
def test_a_prompt_without_such_a_variant_is_refused_by_name(
    has_cot: bool, words: str | None
) -> None:
    outline = RunOutline(prompts=(PromptOutline("single", has_cot=has_cot),))
    refusal = question_named("cot").refusal(outline)
    assert refusal is None if words is None else words in (refusal or "")
