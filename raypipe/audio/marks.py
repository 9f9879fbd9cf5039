"""What is measured of a recording's signal: marks of what is no speech, and refusals.

A recording can be whole and still hold nothing that a model could judge: whole numbers written as
floats (10,000 times full scale), two channels that cancel each other out when they are mixed, or
silence. Its marks tell; a run refuses it unless its config says otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import DecodeError
from raypipe.records import AudioMarks, FloatArray

OutOfRange = Literal["error", "scale", "keep"]
"""What becomes of samples far beyond full scale."""

SilentClips = Literal["error", "keep"]
"""What becomes of clips in which nothing is to be heard."""

FAR_BEYOND = 10.0
"""Times full scale: no gain explains more, whole numbers written as floats do."""

QUIETEST = 2.0**-14
"""Peak of full scale up to which nothing is to be heard: two steps of 16 bits."""

_FULL_SCALE = (2**15 - 1) / 2**15 - 1e-7  # the largest sample of 16 bits, and all above
_CANCELLED = 1e-3  # of the channels' level: what is left of them in their mix
_WHOLE_NUMBERS = (2.0**15, 2.0**23, 2.0**31)


@dataclass(slots=True)
class SignalSums:
    """Sums over the blocks of a recording, from which its marks are computed.

    Attributes:
        frames: number of samples per channel so far.
    """

    frames: int = 0
    _samples: int = 0
    _peak: float = 0.0
    _squares: float = 0.0
    _clipped: int = 0
    _mix_peak: float = 0.0
    _mix_squares: float = 0.0
    _pairs: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 3)))
    _channels: int = 1

    def add(self, block: FloatArray) -> None:
        """Count a block, shape ``(frames, channels)``."""
        if not block.size:
            return
        wide = block.astype(np.float64)
        magnitudes = np.abs(wide)
        mix = wide[:, 0] if wide.shape[1] == 1 else wide.mean(axis=1)
        self.frames += len(wide)
        self._samples += wide.size
        self._channels = wide.shape[1]
        self._peak = max(self._peak, float(magnitudes.max()))
        self._squares += float(np.sum(wide * wide))
        self._clipped += int(np.count_nonzero(magnitudes >= _FULL_SCALE))
        self._mix_peak = max(self._mix_peak, float(np.abs(mix).max()))
        self._mix_squares += float(mix @ mix)
        if self._channels > 1:
            columns = np.stack([np.ones(len(wide)), wide[:, 0], wide[:, 1]])
            self._pairs += columns @ columns.T

    @property
    def rms(self) -> float:
        """Root mean square over all channels, of full scale."""
        return math.sqrt(self._squares / self._samples) if self._samples else 0.0

    @property
    def cancels_out(self) -> bool:
        """Whether channels with a sound have none in their mix."""
        mix_rms = math.sqrt(self._mix_squares / self.frames) if self.frames else 0.0
        return self._peak > QUIETEST and mix_rms < _CANCELLED * self.rms

    @property
    def is_silent(self) -> bool:
        """Whether nothing is to be heard in the mix."""
        return self._mix_peak <= QUIETEST or self.cancels_out

    def marks(self, note: str | None = None) -> AudioMarks | None:
        """Marks of the recording; None for one with samples that are no numbers.

        Args:
            note: what was wrong with its container, in words.
        """
        if not math.isfinite(self._squares):
            return None
        return AudioMarks(
            peak=self._peak,
            rms=self.rms,
            clipped_share=self._clipped / self._samples if self._samples else 0.0,
            silent=self.is_silent,
            channel_correlation=self._correlation(),
            note=note,
        )

    def _correlation(self) -> float | None:
        if self._channels < 2 or not self.frames:
            return None
        (_, sum_x, sum_y), (_, xx, xy), (_, _, yy) = self._pairs / self.frames
        variances = (xx - sum_x**2) * (yy - sum_y**2)
        if variances <= 0.0:
            return None
        return float(np.clip((xy - sum_x * sum_y) / math.sqrt(variances), -1.0, 1.0))

    def scale(self, out_of_range: OutOfRange) -> float:
        """Factor for samples that may be whole numbers written as floats; 1 for any other.

        Raises:
            DecodeError: ``out_of_range``.
        """
        if self._peak <= FAR_BEYOND or out_of_range == "keep":
            return 1.0
        found = f"samples reach {self._peak:.6g} times full scale, as whole numbers do"
        fitting = [scale for scale in _WHOLE_NUMBERS if self._peak <= scale]
        if out_of_range == "error" or not fitting:
            raise DecodeError("out_of_range", f"{found}; audio.out_of_range: scale divides them")
        return 1.0 / fitting[0]

    def check_heard(self, silent: SilentClips) -> None:
        """Refuse a clip in which nothing is to be heard.

        Raises:
            DecodeError: ``silent`` or ``antiphase``.
        """
        if silent == "keep" or not self.is_silent:
            return
        if self.cancels_out:
            raise DecodeError(
                "antiphase",
                f"the channels cancel each other out: their level is {self.rms:.3g} of full scale, "
                f"their mix's peak {self._mix_peak:.3g}; audio.channel: 0 takes one of them",
            )
        raise DecodeError("silent", f"nothing is to be heard: the peak is {self._mix_peak:.3g}")
