"""Means and standard deviations over time of every layer, taken while the model runs.

No layer's frames are kept: memory is that of one layer, whatever the number of layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from raypipe.records import LayerStatistics

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle


def kept_frames(frames: int, samples: int, stride: int) -> int:
    """Frames of a clip that count: the first round(samples / stride), as s3prl's featurizer keeps.

    Halves are rounded to even, as Python does. A clip that is encoded by itself may have fewer.

    Args:
        frames: that the encoder makes of the clip.
        samples: of the clip.
        stride: samples from one frame to the next.

    Example:
        >>> kept_frames(49, 16_000, 320), kept_frames(1500, 16_000, 320)
        (49, 50)
    """
    return min(frames, round(samples / stride))


class LayerPooling:
    """Statistics of a batch, layer by layer.

    Args:
        kept: frames of every clip that count, each at least 1.
        with_std: the standard deviation, too.
    """

    def __init__(self, kept: Sequence[int], *, with_std: bool) -> None:
        self._kept = list(kept)
        self._with_std = with_std
        self._means: list[Tensor] = []
        self._stds: list[Tensor] = []
        self._known: tuple[Tensor, Tensor] | None = None

    def add(self, hidden: Tensor) -> None:
        """Take the next layer.

        Args:
            hidden: shape ``(clips, frames, width)``, any arithmetic.
        """
        inside, counts = self._mask(hidden)
        frames = torch.where(inside, hidden.to(torch.float32), 0.0)
        mean = frames.sum(1) / counts
        self._means.append(mean)
        if self._with_std:
            deviation = torch.where(inside, frames - mean[:, None], 0.0)
            self._stds.append((deviation.square().sum(1) / counts).sqrt())

    def _mask(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Which frames count, shape ``(clips, frames, 1)``, and how many, ``(clips, 1)``.

        Made once for all layers: on a GPU each would wait for a copy from the host.
        """
        known = self._known
        if known is None or known[0].shape[1] != hidden.shape[1]:
            kept = torch.tensor(self._kept, device=hidden.device)[:, None]
            inside = torch.arange(hidden.shape[1], device=hidden.device) < kept
            known = self._known = inside[:, :, None], kept.to(torch.float32)
        return known

    def statistics(self) -> list[LayerStatistics]:
        """What was taken, clip by clip."""
        means = torch.stack(self._means, 1).cpu().numpy()
        stds = torch.stack(self._stds, 1).cpu().numpy() if self._with_std else None
        return [
            LayerStatistics(means[row], None if stds is None else stds[row], frames)
            for row, frames in enumerate(self._kept)
        ]


@contextmanager
def pooled_layers(
    layers: nn.ModuleList, encoder: nn.Module, pooling: LayerPooling
) -> Iterator[None]:
    """Pool the input of every layer and the output of the encoder while a model runs.

    These are SUPERB's layers (s3prl hooks the same places): one more than there are transformer
    layers, the last one after the encoder's own final normalisation, where it has one.

    Args:
        layers: the transformer layers.
        encoder: that holds them; its output is the last layer.
        pooling: where the statistics go.
    """

    def take_input(
        module: nn.Module, arguments: tuple[object, ...], named: dict[str, object]
    ) -> None:
        hidden = arguments[0] if arguments else named["hidden_states"]
        assert isinstance(hidden, Tensor)
        pooling.add(hidden)

    def take_output(module: nn.Module, arguments: object, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output.last_hidden_state
        assert isinstance(hidden, Tensor)
        pooling.add(hidden)

    handles: list[RemovableHandle] = [
        layer.register_forward_pre_hook(take_input, with_kwargs=True) for layer in layers
    ]
    handles.append(encoder.register_forward_hook(take_output))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
