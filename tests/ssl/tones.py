"""Clips that encoders are tried on: a tone in noise."""

from __future__ import annotations

import numpy as np

from raypipe.records import FloatArray

RATE = 16_000


def tones(*seconds: float, seed: int) -> list[FloatArray]:
    random = np.random.default_rng(seed)
    made = []
    for length_s in seconds:
        time_s = np.arange(round(length_s * RATE)) / RATE
        tone = np.sin(2 * np.pi * random.uniform(80, 300) * time_s)
        made.append((0.3 * tone + 0.05 * random.normal(size=len(time_s))).astype(np.float32))
    return made
