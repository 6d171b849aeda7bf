"""The losses, options and data that the tests of this folder compute."""

import numpy as np

import array_losses as al
from tests.cases import COVER, Data

EPS32 = 2.0**-23

# Every option of every loss, in a few cases each.
CASES = [case for case in COVER if 0 not in (case.data.batch, *case.data.spatial)]

SUM = al.CrossEntropyLoss() + al.DiceLoss()
# One of each strategy, and what most people train with.
LOSSES = {
    "ce": al.CrossEntropyLoss(),
    "ce+dice": SUM,
    "focal": al.FocalLoss(),
    "dice, sigmoid": al.DiceLoss(activation="sigmoid"),
    "lovasz": al.LovaszSoftmaxLoss(),
    "lovasz, bins": al.LovaszSoftmaxLoss(bins=256),
    "hardest": al.CrossEntropyLoss(top_k=0.4),
    "class weights": al.CrossEntropyLoss(class_weights=(1, 2, 3)) + al.DiceLoss(ignore_index=255),
}
DATA = Data(batch=2, spatial=(8, 9), weights="float", seed=401)
OTHER = Data(batch=2, spatial=(8, 9), weights="float", seed=402)


def assert_close(found, expected, eps=64):
    """Value and gradient, each to so many eps of its largest entry."""
    for one, other in zip(found, expected, strict=True):
        largest = np.max(np.abs(other), initial=1e-30)
        np.testing.assert_allclose(one, other, rtol=0, atol=eps * EPS32 * largest)
