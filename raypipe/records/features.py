"""Records of what a frozen encoder makes of a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """Statistics over time of every layer of one clip.

    Attributes:
        mean: shape ``(layers, width)``, float32.
        std: standard deviation over time (divided by the number of frames), same shape; None
            where it was not asked for.
        frames: number of frames that they are over.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32] | None
    frames: int
