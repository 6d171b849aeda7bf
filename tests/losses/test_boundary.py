"""Boundary loss: what is special to it."""

import numpy as np
import pytest

import array_losses as al
from tests.backends import BACKENDS
from tests.cases import Data

MAP = Data(target="distances", weights="float", seed=1)


def test_it_is_the_mean_of_distance_times_probability(library, dtype):
    logits, target, _ = MAP.build(dtype)
    exp = np.exp(logits.astype(np.float64))
    expected = np.mean(target * exp / np.sum(exp, axis=1, keepdims=True))
    z, t = library.on((logits, target), dtype)
    value = float(al.BoundaryLoss()(z, t))
    assert value == pytest.approx(expected, rel=1e-5 if dtype == "float32" else 1e-12)


def test_probability_inside_is_best(library, dtype):
    labels = np.array([[0, 0, 1, 1, 1, 0]])
    distances = np.array([[[-2, -1, 1, 2, 1, -1], [2, 1, -1, -2, -1, 1]]], dtype=np.float64)
    right = np.moveaxis(np.eye(2)[labels], -1, 1)
    p, wrong, phi = library.on((right, 1 - right, distances), dtype)
    loss = al.BoundaryLoss(activation=None)
    assert float(loss(p, phi)) == pytest.approx(-8 / 12, rel=1e-6)
    assert float(loss(wrong, phi)) == pytest.approx(8 / 12, rel=1e-6)


@pytest.mark.parametrize("kind", ["labels", "one-hot"])
def test_labels_are_no_map(kind, library):
    logits, target, _ = library.inputs(Data(target=kind, seed=2), library.dtypes[0])
    with pytest.raises(TypeError, match=r"`target`.*floating.*signed_distance_map"):
        al.BoundaryLoss()(logits, target)


def test_a_weight_of_0_hides_anything(library):
    dtype = library.dtypes[0]
    logits, target, weights = MAP.build(dtype)
    weights[..., -1] = 0
    logits[..., -1], target[..., -1] = np.inf, np.nan
    z, t, w = library.on((logits, target, weights), dtype)
    value, gradient = al.BoundaryLoss().value_and_grad(z, t, pixel_weights=w)
    np.testing.assert_array_equal(library.to_numpy(gradient)[..., -1], 0)
    z, t, w = library.on((logits[..., :-1], target[..., :-1], weights[..., :-1]), dtype)
    assert float(value) == pytest.approx(float(al.BoundaryLoss()(z, t, pixel_weights=w)), rel=1e-6)


def test_nothing_counted_is_0_and_nan_shows(library):
    dtype = library.dtypes[0]
    logits, target, weights = MAP.build(dtype)
    z, t, w = library.on((logits, target, np.zeros_like(weights)), dtype)
    value, gradient = al.BoundaryLoss().value_and_grad(z, t, pixel_weights=w)
    assert float(value) == 0
    assert not np.any(library.to_numpy(gradient))
    target[0, 0, 0, 0] = np.nan
    z, t = library.on((logits, target), dtype)
    assert np.isnan(float(al.BoundaryLoss()(z, t)))


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_large_logits_are_finite(size, library, dtype):
    logits, target, _ = MAP.build(dtype)
    for activation in ("softmax", "sigmoid"):
        z, t = library.on((np.sign(logits) * size, target), dtype)
        value, gradient = al.BoundaryLoss(activation=activation).value_and_grad(z, t)
        assert np.isfinite(float(value))
        assert np.all(np.isfinite(library.to_numpy(gradient)))


def test_half_precision(torch):
    z, t, _ = BACKENDS["torch"].inputs(MAP, "float16")
    value, gradient = al.BoundaryLoss().value_and_grad(z, t)
    assert value.dtype == torch.float32
    assert gradient.dtype == torch.float16
