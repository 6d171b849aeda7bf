"""Scaling: time against the number of pixels, from a thumbnail to a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.contenders import contenders
from tests.benchmarks.timing import gradient_times
from tests.benchmarks.workloads import make_inputs, of_pixels

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.benchmarks.contenders import Contender

__all__ = ["CLASSES", "ScalingRow", "measure_scaling", "sizes", "still_in_time"]

CLASSES = 4
_PEERS = {
    "ce": "torch",
    "focal": "kornia",
    "dice": "monai",
    "jaccard": "monai",
    "lovasz": "original style",
    "ce+dice": "monai DiceCELoss",
}
_LONGEST = 6.0  # seconds of a call: what would take longer is left out


@dataclass(frozen=True)
class ScalingRow:
    """The least time, forward + gradient, of a loss at a number of pixels of 4 classes."""

    loss: str
    contender: str
    ours: bool
    binned: bool
    pixels: int
    seconds: float


def sizes(largest: int) -> list[int]:
    """Return the numbers of pixels: 2^10, 2^12, ... up to 2^26 or `largest`."""
    return [1 << power for power in range(10, 27, 2) if 1 << power <= largest]


def still_in_time(rows: Collection[ScalingRow], loss: str) -> set[str]:
    """Return who, with four times the pixels of the last rows, would still be fast enough.

    Who could not be measured at a size is not measured at a larger one.
    """
    of_loss = [row for row in rows if row.loss == loss]
    if not of_loss:
        return {one.name for one in _those_shown(loss)}
    last = max(row.pixels for row in of_loss)
    return {row.contender for row in of_loss if row.pixels == last and 4 * row.seconds < _LONGEST}


def _those_shown(loss: str) -> list[Contender]:
    """Return ours and one peer."""
    found = contenders("eager", loss, of_pixels(1 << 10, CLASSES))
    peers = [one.name for one in found if not one.ours]
    shown = _PEERS[loss] if _PEERS[loss] in peers else next(iter(peers), None)
    return [one for one in found if one.ours or one.name == shown]


def measure_scaling(loss: str, pixels: int, names: Collection[str]) -> list[ScalingRow]:
    """Measure those named at one size, in turn."""
    workload = of_pixels(pixels, CLASSES)
    inputs = make_inputs(workload)
    shown = [one for one in _those_shown(loss) if one.name in names]
    return [
        ScalingRow(loss, one.name, one.ours, one.binned, pixels, min(times))
        for one, times in gradient_times(shown, inputs)
    ]
