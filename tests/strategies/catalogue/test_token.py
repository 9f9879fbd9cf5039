import numpy as np
from made_up_hypotheses import anger, heard, predicted


def test_it_is_the_mean_logits_divided_by_their_sum() -> None:
    """Equation 2 by hand: means over two text steps 6 and 2, the closing step left out."""
    logits = np.array([[5.0, 1.0], [7.0, 3.0], [-9.0, 50.0]], dtype=np.float32)
    answer = heard("greedy", 0.5, 3, emotion_logits=logits)
    assert anger("token", [answer]) == 6 / 8
    negative = heard("greedy", 0.5, 3, emotion_logits=-logits)
    assert predicted("token", [negative]).invalid_reason == "non_positive_logit"


def test_only_steps_that_wrote_an_emotion_word_count_on_request() -> None:
    logits = np.array([[1.0, 9.0], [3.0, 1.0], [0.0, 0.0]], dtype=np.float32)
    answer = heard("greedy", 0.5, 3, emotion_logits=logits, token_ids=(7, 10, 2))
    assert anger("token", [answer], token_steps="words") == 0.75
