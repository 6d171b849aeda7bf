"""Pixel weights far from 1: a loss divided by its weights is what it is with moderate ones."""

from functools import partial

import numpy as np
import pytest

import array_losses as al
from tests.backends import BACKENDS
from tests.cases import CLASSES, COMPOSED, Data

MAKERS = {name: getattr(al, class_name) for name, class_name in (CLASSES | COMPOSED).items()} | {
    "lovasz_softmax-bins": partial(al.LovaszSoftmaxLoss, bins=16),
    "lovasz_hinge-bins": partial(al.LovaszHingeLoss, bins=16),
    "generalized_dice-keep": partial(al.GeneralizedDiceLoss, absent="keep"),
    "generalized_dice-simple": partial(al.GeneralizedDiceLoss, weighting="simple"),
    "generalized_dice-image": partial(al.GeneralizedDiceLoss, pool="image"),
    "dice-batch+class": partial(al.DiceLoss, pool="batch+class"),
    "dice-log": partial(al.DiceLoss, form="log"),
    "mcc-image-sigmoid": partial(al.MCCLoss, pool="image", activation="sigmoid"),
    "focal-normalized": partial(al.FocalLoss, normalize="focal"),
    "focal-tversky": partial(al.TverskyLoss, gamma=0.75),
}
SCALES = {"float64": (1e160, 1e-160, 1e299, 1e-300), "float32": (1e20, 1e-20, 1e29, 1e-30)}
ROUNDING = {"float64": 1e-11, "float32": 512 * 2.0**-23}
DATA = {
    "labels": Data(weights="float", absent=(2,), seed=121),
    "soft": Data(target="soft", weights="float", seed=122),
}

each_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
each_dtype = pytest.mark.parametrize("dtype", SCALES)
each_data = pytest.mark.parametrize("data", DATA.values(), ids=DATA)


def check(evaluate, arrays, dtype):
    """Compare value and gradient with those of weights of about 1."""
    logits, target, weights = arrays
    expected = evaluate(*arrays)
    assert np.isfinite(expected[0])
    for scale in SCALES[dtype]:
        found = evaluate(logits, target, (weights * scale).astype(dtype))
        for one, other in zip(found, expected, strict=True):
            close = ROUNDING[dtype] * np.max(np.abs(other))
            np.testing.assert_allclose(one, other, rtol=0, atol=close, err_msg=f"{scale}")


@each_data
@each_maker
def test_eager_calls(make, dtype, data, eager):
    def evaluate(logits, target, weights):
        z, t, w = eager.on((logits, target, weights))
        return [eager.to_numpy(x) for x in make().value_and_grad(z, t, pixel_weights=w)]

    check(evaluate, data.build(dtype), dtype)


@each_data
@each_dtype
@each_maker
def test_torch_func(make, dtype, data, torch):
    def evaluate(logits, target, weights):
        z, t, w = (torch.tensor(x) for x in (logits, target, weights))
        call = torch.func.grad_and_value(lambda z: make()(z, t, pixel_weights=w))
        return [x.numpy() for x in reversed(call(z))]

    check(evaluate, data.build(dtype), dtype)


@each_data
@pytest.mark.parametrize(
    "name", ["dice", "generalized_dice", "mcc", "lovasz_softmax-bins", "focal-normalized"]
)
def test_jax(name, data, jax):
    both = jax.jit(jax.value_and_grad(lambda z, t, w: MAKERS[name]()(z, t, pixel_weights=w)))

    def evaluate(*arrays):
        return [np.asarray(x) for x in both(*map(jax.numpy.asarray, arrays))]

    with BACKENDS["jax"].mode():  # where all is float32
        check(evaluate, data.build("float32"), "float32")


def test_weights_whose_sums_would_overflow(library):
    dtype = library.dtypes[0]
    arrays = Data(weights="float", seed=123).build(dtype)
    arrays[2][0, 0, 0] = 1e-7 * np.finfo(dtype).max
    logits, target, weights = library.on(arrays, dtype)
    match = r"`pixel_weights` must not be above \de\+"
    library.check_bad_values(match, al.DiceLoss(), logits, target, pixel_weights=weights)


def test_weights_whose_sums_would_overflow_are_nan_in_traced_code(torch, jax):
    logits, target, weights = Data(weights="float", seed=123).build()
    weights[0, 0, 0] = 1e302
    call = lambda z, t, w: al.DiceLoss()(z, t, pixel_weights=w)  # noqa: E731
    inputs = [torch.tensor(x) for x in (logits, target, weights)]
    assert torch.isnan(torch.func.grad_and_value(call)(*inputs)[1])
    assert np.isnan(jax.jit(call)(*(jax.numpy.asarray(x) for x in (logits, target, weights))))
