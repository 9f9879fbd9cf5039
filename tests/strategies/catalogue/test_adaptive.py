from made_up_hypotheses import anger, beams, heard, predicted


def test_it_is_the_cheap_answer_where_that_is_clear() -> None:
    answers = [heard("greedy", 1.0), *beams(0.2)]
    assert anger("adaptive", answers, threshold=0.5) == 1.0
    assert predicted("adaptive", answers, threshold=0.5).escalated is False


def test_it_is_the_expensive_answer_where_that_is_ambiguous_or_unreadable() -> None:
    for share in (0.5, None):
        answers = [heard("greedy", share), *beams(0.2)]
        assert anger("adaptive", answers, threshold=0.5) == 0.2
        assert predicted("adaptive", answers, threshold=0.5).escalated is True


def test_both_strategies_are_settings() -> None:
    answers = [heard("cot", 0.5), *beams(0.2, 0.4)]
    assert anger("adaptive", answers, cheap="cot", expensive="bon", threshold=0.5) == 0.2
