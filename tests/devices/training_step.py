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

    It is the second step of a process, so that what is kept from the first is there.
    """
    _run(workload, backward)
    return _run(workload, backward)


def _run(workload, backward):
    shape, dtype = workload.shape, getattr(torch, workload.dtype)
    pixels = (shape[0], *shape[2:])
    with fake_device() as copies:
        logits = torch.empty(shape, dtype=dtype, device=NAME, requires_grad=backward)
        labels = torch.empty(pixels, dtype=torch.int64, device=NAME)
        options = {}
        if workload.weights:
            options["pixel_weights"] = torch.empty(pixels, dtype=torch.float32, device=NAME)
        with Counted() as counted:
            value = workload.loss(logits, labels, **options)
            if backward:
                value.backward()
    return Step(counted, dict(copies.places), logits.numel() * logits.element_size())
