"""SUPERB's head frame by frame, as s3prl computes it; the oracle of the head on means.

Layers of every frame are weighed by a softmax, each frame is projected, the frames of a clip are
averaged with the padding of the batch left out, and the mean is mapped to the labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn


class FrameLevelHead(nn.Module):
    def __init__(self, layers: int, width: int, labels: int, hidden: int = 256) -> None:
        super().__init__()
        self.layer_logits = nn.Parameter(torch.zeros(layers))
        self.projection = nn.Linear(width, hidden)
        self.output = nn.Linear(hidden, labels)

    def forward(self, clips: Sequence[Tensor]) -> Tensor:
        """Logits of clips of shape ``(layers, frames, width)``."""
        shares = self.layer_logits.softmax(0)
        mixed = [(shares[:, None, None] * clip).sum(0) for clip in clips]
        lengths = torch.tensor([len(frames) for frames in mixed])
        padded = nn.utils.rnn.pad_sequence(mixed, batch_first=True)
        projected = self.projection(padded)
        inside = torch.arange(padded.shape[1]) < lengths[:, None]
        pooled = (projected * inside[:, :, None]).sum(1) / lengths[:, None]
        logits: Tensor = self.output(pooled)
        return logits


def made_up_frames(
    clips: int, layers: int, width: int, frames: tuple[int, int], seed: int = 0
) -> list[Tensor]:
    """Frames of clips of different lengths, float32, with layers of different size."""
    random = np.random.default_rng(seed)
    scale = random.uniform(0.5, 3.0, (layers, 1, 1))
    shift = random.normal(size=(clips, layers, 1, width))
    made = []
    for row in range(clips):
        count = int(random.integers(*frames, endpoint=True))
        values = scale * random.normal(size=(layers, count, width)) + shift[row]
        made.append(torch.from_numpy(values.astype(np.float32)))
    return made
