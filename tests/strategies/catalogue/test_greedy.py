from made_up_hypotheses import anger, beams, heard, predicted


def test_it_is_what_the_greedy_answer_says_whatever_the_beams_say() -> None:
    assert anger("greedy", [heard("greedy", 0.9), *beams(0.1, 0.2)]) == 0.9
    assert predicted("greedy", beams(0.1)).invalid_reason == "no_greedy"
