"""SUPERB's utterance-level head, on the time-means of an encoder's layers.

SUPERB weighs the layers of every frame by a softmax, projects each frame to 256 numbers, takes the
mean over time, and maps that to the labels. Nothing of it is nonlinear before the mean (its own
layer norm of every frame is off), so

    mean_t(W sum_l a_l h_lt + b) = W sum_l a_l mean_t(h_lt) + b:

on the means it is the same function with the same gradients, without the frames.
"""

from __future__ import annotations

from torch import Tensor, nn, zeros


class SuperbHead(nn.Module):
    """The head on layer means.

    Args:
        layers: of the encoder.
        width: numbers in a layer.
        labels: number of labels.
        hidden: width of the projection (SUPERB: 256); None leaves it out.
    """

    def __init__(self, layers: int, width: int, labels: int, hidden: int | None = 256) -> None:
        super().__init__()
        self.layer_logits = nn.Parameter(zeros(layers))
        self.projection = nn.Identity() if hidden is None else nn.Linear(width, hidden)
        self.output = nn.Linear(width if hidden is None else hidden, labels)

    def forward(self, means: Tensor) -> Tensor:
        """Logits, shape ``(clips, labels)``, of means of shape ``(clips, layers, width)``."""
        mixed = (self.layer_weights()[:, None] * means).sum(1)
        logits: Tensor = self.output(self.projection(mixed))
        return logits

    def layer_weights(self) -> Tensor:
        """Share of every layer, shape ``(layers,)``."""
        return self.layer_logits.softmax(0)
