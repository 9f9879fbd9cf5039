from made_up_hypotheses import anger, heard, predicted


def test_it_is_what_the_step_by_step_answer_says() -> None:
    assert anger("cot", [heard("greedy", 0.9), heard("cot", 0.3)]) == 0.3
    assert predicted("cot", [heard("greedy", 0.9)]).invalid_reason == "no_cot"
