from dataclasses import replace

from made_up_hypotheses import beams

from raypipe.questions import Asked, PromptOutline, RunOutline, plan_passes, question_named
from raypipe.records import Hypothesis

BEAM = Hypothesis("beam", 0, "x", (1,), None, -1.0, "stop", None)

ANSWERS = beams(0.8, 0.4, 0.2, verifier_score=0.5, verifier_call=0, verifier_tokens=9)


def test_it_is_no_call_of_the_model_that_answers() -> None:
    passes = plan_passes(RunOutline(), Asked(frozenset({"beams", "verifier"})))
    assert all("verifier" not in asking.questions for asking in passes)


def test_equal_candidates_cost_one_call() -> None:
    scored = [
        replace(BEAM, verifier_score=0.5, verifier_call=call, verifier_tokens=40 + call)
        for call in (0, 0, 1)
    ]
    cost = question_named("verifier").cost(scored, scored)
    assert (cost.model_tokens, cost.verifier_calls) == (40 + 41, 2)


def test_a_model_that_hears_nothing_cannot_verify_itself() -> None:
    deaf = RunOutline(prompts=(PromptOutline("describe", text_only=True),))
    refuses = question_named("verifier").refusal
    assert "verifier.model" in (refuses(deaf) or "")
    assert refuses(replace(deaf, own_verifier=False)) is None
    assert refuses(RunOutline()) is None
