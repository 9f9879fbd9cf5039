import numpy as np
import pytest
from made_up_hypotheses import anger, heard
from scipy.special import softmax


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_it_is_the_softmax_of_the_mean_logits(temperature: float) -> None:
    logits = np.array([[-1.0, 1.0], [-3.0, 2.0], [9.0, 9.0]], dtype=np.float32)
    answer = heard("greedy", 0.5, 3, emotion_logits=logits)
    expected = softmax(np.array([-2.0, 1.5]) / temperature)[0]
    share = anger("token_softmax", [answer], token_temperature=temperature)
    assert share == pytest.approx(expected, abs=1e-6)
