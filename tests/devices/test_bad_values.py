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


@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("dtype", [bool, np.float32])
@pytest.mark.parametrize("hot", [False, True])
def test_bad_labels_that_weigh_0_do_not_count(place, make, dtype, hot):
    """As where they can be inspected."""
    rng = np.random.default_rng(0)
    logits = rng.dirichlet(np.ones(4), (2, 3, 4)).transpose(0, 3, 1, 2).astype(np.float32)
    target, weights = rng.integers(0, 4, (2, 3, 4)), np.ones((2, 3, 4), dtype=dtype)
    weights[BAD] = 0
    if hot:
        target = np.moveaxis(np.eye(4, dtype=int)[target], -1, 1)
        target[1, 1, 1, 1] = 7
    else:
        target[BAD] = 255
    loss = make()
    expected, slope = loss.value_and_grad(logits, target, pixel_weights=weights)
    evaluation = on_a_device(loss.terms(), *place.on((logits, target, weights)))
    found = [place.to_numpy(one) for one in evaluation.value_and_gradient()]
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    np.testing.assert_allclose(found[1], slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ignore_index", [0, 1])
@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
def test_a_bool_target_is_ignored_by_its_value(place, make, ignore_index):
    rng = np.random.default_rng(0)
    logits = rng.dirichlet(np.ones(4), (2, 3, 4)).transpose(0, 3, 1, 2).astype(np.float32)
    target = rng.random((2, 4, 3, 4)) < 0.4
    loss = make(ignore_index=ignore_index)
    expected, slope = loss.value_and_grad(logits, target)
    evaluation = on_a_device(loss.terms(), *place.on((logits, target, None)))
    found = [place.to_numpy(one) for one in evaluation.value_and_gradient()]
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    np.testing.assert_allclose(found[1], slope, rtol=1e-4, atol=1e-6)
