"""A floating mask that holds 0 and 1 gives what the same mask gives as bools, in every digit."""

from functools import partial

import numpy as np
import pytest

import array_losses as al
from tests.backends import on_a_device
from tests.cases import CASES, CLASSES, COMPOSED, OF_LOGITS

EPS = 2.0**-23
MAKERS = {
    f"{name}-{activation}": partial(getattr(al, class_name), activation=activation)
    for name, class_name in (CLASSES | COMPOSED).items()
    for activation in ("sigmoid", "softmax")
    if name not in OF_LOGITS
} | {
    "hinge": al.LovaszHingeLoss,
    "dice-product": partial(al.DiceLoss, activation="sigmoid", intersection="product"),
    "mcc-product": partial(al.MCCLoss, activation="sigmoid", intersection="product"),
    "lovasz-bins": partial(al.LovaszSoftmaxLoss, activation="sigmoid", bins=16),
}
each_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def sure(lowest=7.0, highest=18.5):
    """Logits of a network that is right and sure, no two alike; the one-hot mask; weights."""
    rng = np.random.default_rng(111)
    mask = rng.integers(0, 3, (2, 1, 7)) == np.arange(3)[:, None]
    size = rng.permutation(np.linspace(lowest, highest, mask.size)).reshape(mask.shape)
    weights = np.ones((2, 7), dtype=np.float32)
    weights[1, 3] = 0.0
    return np.where(mask, size, -size).astype(np.float32), mask, weights


def assert_same(found, expected, eps=64):
    """Value and gradient, the gradient relative to its largest entry."""
    for one, other in zip(found, expected, strict=True):
        close = eps * EPS * np.max(np.abs(other))
        np.testing.assert_allclose(np.asarray(one), other, rtol=0, atol=close)


@each_maker
def test_eager_calls(make, eager):
    """To the bit where values can be inspected; also at a pixel of weight 0."""
    logits, mask, weights = sure()
    for some in (None, weights):
        found, expected = (
            make().value_and_grad(*eager.on((logits, target)), pixel_weights=eager.on((some,))[0])
            for target in (mask.astype(np.float32), mask)
        )
        found, expected = (list(map(eager.to_numpy, pair)) for pair in (found, expected))
        if eager.can_inspect:
            assert [x.tobytes() for x in found] == [x.tobytes() for x in expected]
        assert_same(found, expected)


def is_mask(case):
    """Whether the target of a case can be a mask for each class, of which nothing is ignored."""
    ignores = any("ignore_index" in options for _, _, options in case.terms)
    return case.data.target not in ("soft", "distances") and not ignores


def as_mask(target, data):
    """Labels one-hot, with the class axis of the logits."""
    if target.ndim == 2 + len(data.spatial):
        return target.astype(bool)
    if data.classes == 1:
        return np.expand_dims(target.astype(bool), data.class_axis)
    return np.moveaxis(target[..., None] == np.arange(data.classes), -1, data.class_axis)


@pytest.mark.parametrize("case", list(filter(is_mask, CASES)), ids=lambda case: case.name)
def test_every_option(case):
    """To the bit where values are inspected, to rounding where not."""
    logits, target, weights = case.data.build()
    mask = as_mask(target, case.data)
    found = case.loss()(logits, mask.astype(np.float64), pixel_weights=weights)
    expected = case.loss()(logits, mask, pixel_weights=weights)
    assert found.tobytes() == expected.tobytes()
    floating = mask.astype(np.float64)
    unseen = on_a_device(case.loss().terms(), logits, floating, weights).value()[0]
    np.testing.assert_allclose(unseen, expected, rtol=1e-12, atol=1e-14)


@each_maker
def test_a_mask_among_what_is_soft(make):
    """Each element for itself: here another one is soft, of weight 0."""
    logits, mask, weights = sure()
    target = mask.astype(np.float32)
    target[1, :, 3] = 0.4
    found = make().value_and_grad(logits, target, pixel_weights=weights)
    assert_same(found, make().value_and_grad(logits, mask, pixel_weights=weights))


@each_maker
def test_where_a_device_would_be_waited_for(make):
    """The engine where nothing is inspected, as on a GPU."""
    logits, mask, weights = sure()
    new = partial(on_a_device, make().terms(), logits, pixel_weights=weights)
    found, expected = (
        new(target=target).value_and_gradient() for target in (mask.astype(np.float32), mask)
    )
    assert_same(found, expected)


@each_maker
def test_torch_func(make, torch):
    logits, mask, weights = (torch.tensor(x) for x in sure())
    call = torch.func.grad_and_value(lambda z, t: make()(z, t, pixel_weights=weights))
    gradient, value = call(logits, mask.float())
    slope, expected = call(logits, mask)
    assert_same((value, gradient), (expected.numpy(), slope.numpy()))


@pytest.mark.parametrize("name", ["dice", "mcc", "lovasz_softmax", "unified_focal"])
def test_jax(name, jax):
    logits, mask, _ = sure()
    loss = MAKERS[f"{name}-sigmoid"]()
    target = jax.numpy.asarray(mask.astype(np.float32))
    found = jax.jit(jax.value_and_grad(loss))(jax.numpy.asarray(logits), target)
    assert_same(found, loss.value_and_grad(logits, mask))


@pytest.mark.parametrize("soft", ["float", "mixed"])
@pytest.mark.parametrize("absent", ["skip", "keep"])
def test_a_class_that_every_pixel_has(absent, soft, torch, jax):
    """Matthews correlation: there is nothing to correlate with, however sure the pixels are."""
    logits, mask = np.full((1, 1, 6), 20.0, np.float32), np.ones((1, 1, 6), bool)
    target, weights = mask.astype(np.float32), np.ones((1, 6), np.float32)
    if soft == "mixed":
        target[..., -1], weights[..., -1] = 0.5, 0.0
    loss = al.MCCLoss(activation="sigmoid", absent=absent)
    expected = 1.0 if absent == "keep" else 0.0
    call = lambda z, t, w: loss(z, t, pixel_weights=w)  # noqa: E731
    assert call(logits, target, weights) == expected
    arrays = logits, target, weights
    assert torch.func.grad_and_value(call)(*map(torch.tensor, arrays))[1] == expected
    assert jax.jit(call)(*map(jax.numpy.asarray, arrays)) == expected


def test_given_probabilities_of_exactly_0_and_1(torch):
    """At the kink p = g of a soft target there is but one side where g is 0 or 1."""
    mask = np.array([[[0, 1, 1, 0, 1]]])
    p = np.array([[[0.0, 1.0, 0.75, 0.25, 0.0]]])
    for loss in (al.DiceLoss(activation=None), al.MCCLoss(activation=None)):
        value, gradient = loss.value_and_grad(p, mask)
        inputs = torch.tensor(p), torch.tensor(mask, dtype=torch.float64)
        slope, found = torch.func.grad_and_value(loss)(*inputs)
        assert float(found) == pytest.approx(float(value), rel=1e-14)
        np.testing.assert_allclose(slope.numpy(), gradient, rtol=1e-14)
        evaluation = on_a_device(loss.terms(), p, mask.astype(np.float64))
        np.testing.assert_allclose(evaluation.value_and_gradient()[1], gradient, rtol=1e-14)
