"""Strategy ``greedy`` with a pause before every utterance, so that a fault falls into the work."""

from __future__ import annotations

import time
from dataclasses import replace

from raypipe.records import Prediction
from raypipe.strategies.answers import WindowAnswers
from raypipe.strategies.catalogue import greedy


def _predict_slowly(answers: WindowAnswers) -> Prediction:
    time.sleep(0.2)
    return greedy.STRATEGY.predict(answers)


STRATEGY = replace(greedy.STRATEGY, name="slow", rank=990, predict=_predict_slowly)
