"""What is counted: losses, and the logits and labels they get."""

from typing import NamedTuple

import torch

import array_losses as al
from tests.devices.counting import Counted
from tests.devices.fake_device import NAME, fake_device

SHAPE = (2, 19, 64, 64)

LOSSES = {
    "ce": al.CrossEntropyLoss(),
    "focal": al.FocalLoss(),
    "dice": al.DiceLoss(),
    "jaccard": al.JaccardLoss(),
    "ce+dice": al.CrossEntropyLoss() + al.DiceLoss(),
    "lovasz": al.LovaszSoftmaxLoss(),
    "lovasz-bins": al.LovaszSoftmaxLoss(bins=4096),
}


class Count(NamedTuple):
    """What a training step's forward and backward pass take."""

    counted: Counted
    copies: dict[str, int]
    logits_bytes: int

    @property
    def kernels(self):
        """How many kernels are launched."""
        return self.counted.kernels

    @property
    def moved(self):
        """The bytes moved, as a multiple of the logits'."""
        return self.counted.moved / self.logits_bytes

    @property
    def peak(self):
        """The most memory held at one time, gradient included, as a multiple of the logits'."""
        return self.counted.peak / self.logits_bytes


def count(loss, shape=SHAPE, dtype=torch.float32, *, weights=False, backward=True):
    """Count a call of a function of logits and labels on the fake device.

    With `weights` it gets pixel weights too. Without `backward` only the value is counted.
    """
    pixels = (shape[0], *shape[2:])
    with fake_device() as copies:
        logits = torch.empty(shape, dtype=dtype, device=NAME, requires_grad=backward)
        labels = torch.empty(pixels, dtype=torch.int64, device=NAME)
        options = {}
        if weights:
            options["pixel_weights"] = torch.empty(pixels, dtype=dtype, device=NAME)
        with Counted() as counted:
            value = loss(logits, labels, **options)
            if backward:
                value.backward()
    return Count(counted, dict(copies.places), logits.numel() * logits.element_size())
