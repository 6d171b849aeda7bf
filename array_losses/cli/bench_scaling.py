"""Scaling: time against the number of pixels."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ScalingRow"]


@dataclass(frozen=True)
class ScalingRow:
    """The least time, forward + gradient, of a loss at a number of pixels of 4 classes."""

    loss: str
    contender: str
    ours: bool
    binned: bool
    pixels: int
    seconds: float
