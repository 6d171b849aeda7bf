"""Where values are not inspected, as on a GPU, bad ones show as NaN: in every number they touch."""

import numpy as np
import pytest

import array_losses as al
from tests.backends import BACKENDS, on_a_device

LOSSES = {
    "ce": al.CrossEntropyLoss,
    "ce smoothing": lambda **o: al.CrossEntropyLoss(label_smoothing=0.1, **o),
    "ce given": lambda **o: al.CrossEntropyLoss(activation=None, **o),
    "ce top_k": lambda **o: al.CrossEntropyLoss(top_k=0.9, **o),
    "focal": al.FocalLoss,
    "focal normalised": lambda **o: al.FocalLoss(normalize="focal", **o),
    "poly": al.PolyLoss,
    "dice": al.DiceLoss,
    "dice squares": lambda **o: al.DiceLoss(power=2, **o),
    "dice given": lambda **o: al.DiceLoss(activation=None, **o),
    "dice by image": lambda **o: al.DiceLoss(pool="image", **o),
    "jaccard": al.JaccardLoss,
    "mcc": al.MCCLoss,
    "lovasz": al.LovaszSoftmaxLoss,
    "lovasz bins": lambda **o: al.LovaszSoftmaxLoss(bins=64, **o),
    "hinge": al.LovaszHingeLoss,
}
# Some leave out the class that a bad label is nearest to.
OPTIONS = {
    "plain": {},
    "without background": {"include_background": False},
    "weights of 0": {"class_weights": (0.0, 1.0, 1.0, 0.0)},
    "none": {"reduction": "none"},
}
SHAPE = (2, 4, 3, 4)
BAD = (1, 1, 1)


@pytest.fixture(params=["numpy", "torch"])
def place(request):
    """A backend whose arrays can take the way of a GPU's."""
    if request.param == "torch":
        request.getfixturevalue("torch")
    return BACKENDS[request.param]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("bad", [-1, 4, 255, "weight", "logits"])
def test_bad_values_are_not_hidden(place, make, options, bad):
    rng = np.random.default_rng(0)
    logits = rng.dirichlet(np.ones(4), (2, 3, 4)).transpose(0, 3, 1, 2).astype(np.float32)
    target, weights = rng.integers(0, 4, (2, 3, 4)), None
    if bad == "weight":
        weights = np.ones((2, 3, 4), dtype=np.float32)
        weights[BAD] = -1.0
    elif bad == "logits":
        logits[1, :, 1, 1] = np.nan
    else:
        target[BAD] = bad
    arrays = place.on((logits, target, weights))
    found = on_a_device(make(**options).terms(), *arrays).value()[0]
    found = np.asarray(place.to_numpy(found))
    if found.shape == target.shape:
        assert np.isnan(found[BAD])
    else:  # per class, or per image and class
        assert np.isnan(found[1] if found.shape == SHAPE[:2] else found).all()
