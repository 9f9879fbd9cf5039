import pytest
from made_up_hypotheses import anger, beams, heard, predicted

from raypipe.errors import ConfigError
from raypipe.questions import QUESTIONS
from raypipe.strategies import Settings
from raypipe.strategies.needs import is_ambiguous, needs


def test_it_is_the_mean_of_its_strategies() -> None:
    answers = [heard("greedy", 1.0), *beams(0.2, 0.2)]
    assert anger("pool", answers, of="greedy+bon") == pytest.approx(0.6)
    assert anger("pool", [heard("cot", 0.5), *answers], of="greedy+cot+w_bon") == pytest.approx(
        (1.0 + 0.5 + 0.2) / 3
    )


def test_it_is_invalid_where_one_of_them_is_and_says_why() -> None:
    answers = [heard("greedy", None), *beams(0.2)]
    prediction = predicted("pool", answers, of="bon+greedy")
    assert prediction.probs is None
    assert prediction.invalid_reason == predicted("greedy", answers).invalid_reason


def test_all_of_it_is_asked_of_every_utterance() -> None:
    settings = Settings(of="greedy+w_bon")
    asked = needs(["pool"], settings, QUESTIONS)
    assert (asked.every, asked.ambiguous) == ({"greedy", "beams"}, set())
    assert not is_ambiguous([], ["pool"], None, None, settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("greedy", "two strategies or more"),
        ("greedy+greedy", "each once"),
        ("greedy+best", "unknown strategy 'best'"),
        ("greedy+adaptive", "pool is of greedy"),
        ("greedy+", "unknown strategy ''"),
    ],
)
def test_what_is_no_pool_is_refused(value: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Settings(of=value)
