"""Whether a run holds what a reaggregation wants to read."""

from __future__ import annotations

from typing import Any

import pytest

from raypipe.config import RunConfig, parse_config
from raypipe.errors import ConfigError
from raypipe.runtime.reaggregate.asked import refuse_what_was_not_asked
from raypipe.strategies import Settings, Variant


def config(*strategies: str, **changes: Any) -> RunConfig:
    document = {"input": {"shards": "x"}, "output": "y", "strategies": strategies, **changes}
    return parse_config(document)


def variant(strategy: str, sub_beams: int | None = None, **settings: Any) -> Variant:
    return Variant(strategy, strategy, Settings(**settings), sub_beams)


def refusal(run: RunConfig, *variants: Variant) -> str:
    with pytest.raises(ConfigError) as refused:
        refuse_what_was_not_asked(run, variants)
    return str(refused.value)


@pytest.mark.parametrize(
    ("run", "variants"),
    [
        (config("greedy"), [variant("greedy"), variant("token")]),
        # Beams are asked for unless a run has none.
        (config("greedy"), [variant("bon"), variant("w_bon", sub_beams=2)]),
        (config("cot"), [variant("cot")]),
        # Without a greedy answer the best beam's logits are read.
        (config("w_bon", decoding={"greedy": False}), [variant("token")]),
        (config("alm_v"), [variant("w_alm_v")]),
        (config("greedy", "alm_v"), [variant("adaptive", expensive="alm_v", threshold=0.0)]),
        (config("greedy", questions=["cot"]), [variant("cot")]),
    ],
)
def test_what_every_utterance_was_asked_may_be_read(
    run: RunConfig, variants: list[Variant]
) -> None:
    refuse_what_was_not_asked(run, variants)


@pytest.mark.parametrize(
    ("run", "read", "message"),
    [
        (
            config("greedy"),
            variant("cot"),
            "cot: needs a chain of thought, which the run did not ask for",
        ),
        (
            config("greedy"),
            variant("alm_v"),
            "alm_v: needs a verifier's scores, which the run did not ask for",
        ),
        (
            config("greedy", decoding={"beam_count": 0}),
            variant("alm_v"),
            "alm_v: needs beams and a verifier's scores, which the run did not ask for",
        ),
        (
            config("w_bon", decoding={"greedy": False}),
            variant("greedy"),
            "greedy: needs a greedy answer, which the run did not ask for",
        ),
        (
            config("greedy"),
            variant("adaptive", expensive="cot"),
            "adaptive: needs a chain of thought, which the run did not ask for",
        ),
    ],
)
def test_what_was_not_asked_is_named(run: RunConfig, read: Variant, message: str) -> None:
    assert refusal(run, read) == message


SAVING = {"adaptive": {"expensive": "cot", "threshold": 1.0}}


def test_answers_about_ambiguous_utterances_stand_for_no_others() -> None:
    run = config("adaptive", **SAVING)
    assert refusal(run, variant("cot")) == (
        "cot: needs a chain of thought of every utterance; the run asked for that only where "
        "adaptive escalated"
    )


@pytest.mark.parametrize("threshold", [1.0, 1.5, 2.0])
def test_a_higher_threshold_needs_no_utterance_that_was_not_asked(threshold: float) -> None:
    run = config("adaptive", **SAVING)
    refuse_what_was_not_asked(run, [variant("adaptive", expensive="cot", threshold=threshold)])


@pytest.mark.parametrize(
    "settings",
    [
        {"expensive": "cot", "threshold": 0.9},
        {"expensive": "cot", "threshold": 1.5, "cheap": "token"},
    ],
)
def test_other_utterances_than_those_that_were_asked_are_refused(settings: dict[str, Any]) -> None:
    message = refusal(config("adaptive", **SAVING), variant("adaptive", **settings))
    assert message.startswith(
        "adaptive: the run asked for a chain of thought only where greedy was above 1 bits or "
        "invalid"
    )


def test_what_was_asked_of_everyone_may_be_read_at_any_threshold() -> None:
    run = config("adaptive", "cot", **SAVING)
    refuse_what_was_not_asked(run, [variant("adaptive", expensive="cot", threshold=0.0)])
