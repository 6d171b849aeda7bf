"""The forward and backward pass of a loss, counted on the fake device."""

from typing import NamedTuple

import torch

from tests.devices.counting import Counted
from tests.devices.fake_device import NAME, fake_device


class Step(NamedTuple):
    """What a step takes; bytes are multiples of those of the logits."""

    counted: Counted
    copies: dict[tuple[str, ...], int]
    logits_bytes: int

    @property
    def launches(self):
        """How many kernels are launched."""
        return self.counted.kernels

    @property
    def moved(self):
        """How much memory they read and write."""
        return self.counted.moved / self.logits_bytes

    @property
    def peak(self):
        """The most memory that is held at one time, the gradient included."""
        return self.counted.peak / self.logits_bytes


def count(workload, *, backward=True):
    """Count a training step, or without `backward` the value alone.

    It is the second one: what is sent to the device once is there.
    """
    with fake_device() as copies:
        _run(workload, *_arrays(workload), backward)
        copies.places.clear()
        logits, *others = _arrays(workload)
        with Counted() as counted:
            _run(workload, logits, *others, backward)
    return Step(counted, dict(copies.places), logits.numel() * logits.element_size())


def _arrays(workload):
    """Return logits, labels, and pixel weights or None."""
    shape = workload.shape
    pixels = (shape[0], *shape[2:])
    weights = torch.empty(pixels, device=NAME) if workload.weights else None
    return (
        torch.empty(shape, dtype=getattr(torch, workload.dtype), device=NAME),
        torch.empty(pixels, dtype=torch.int64, device=NAME),
        weights,
    )


def _run(workload, logits, labels, weights, backward):
    logits.requires_grad_(backward)
    options = {} if weights is None else {"pixel_weights": weights}
    value = workload.loss(logits, labels, **options)
    if backward:
        value.backward()
