"""Matthews correlation loss: what is special to it."""

import numpy as np
import pytest

import array_losses as al
from tests.cases import Data


def close(dtype):
    return {"rel": 1e-5 if dtype == "float32" else 1e-13}


def loss_of(library, dtype, p, target, **options):
    p = library.asarray(np.asarray(p, dtype=np.float64), dtype)
    loss = al.MCCLoss(activation=None, **options)
    value, gradient = loss.value_and_grad(p, library.asarray(np.asarray(target)))
    return float(value), library.to_numpy(gradient)


def test_it_is_the_correlation_of_two_labellings(library, dtype):
    """Of hard predictions it is Pearson's correlation of the two masks."""
    rng = np.random.default_rng(1)
    target = rng.random((2, 30)) < 0.3
    found = np.where(rng.random(target.shape) < 0.8, target, ~target)
    expected = 1 - np.corrcoef(target.ravel(), found.ravel())[0, 1]
    value, _ = loss_of(library, dtype, found[:, np.newaxis], target.astype(np.int64))
    assert value == pytest.approx(expected, **close(dtype))


def test_right_wrong_and_blind(library, dtype):
    target = [[0, 1, 1, 0, 1]]
    mask = np.array(target, dtype=np.float64)[:, np.newaxis]
    for p, expected in ((mask, 0), (1 - mask, 2), (np.full_like(mask, 0.5), 1)):
        assert loss_of(library, dtype, p, target)[0] == pytest.approx(expected, abs=1e-6)


def test_both_classes_of_two_have_the_same_loss(library, dtype):
    """It does not matter which of the two is called positive."""
    logits, target, weights = library.inputs(Data(classes=2, weights="float", seed=2), dtype)
    both = al.MCCLoss(reduction="none")(logits, target, pixel_weights=weights)
    one, other = library.to_numpy(both)
    assert one == pytest.approx(other, **close(dtype))


def test_almost_right_keeps_its_digits(library, dtype):
    """1 - MCC is 2e-12 here; the fraction itself would be 1."""
    z = library.asarray(np.array([[[27.0, -27.0, 27.0, -27.0]]]), dtype)
    target = library.asarray(np.array([[1, 0, 1, 0]]))
    q = np.exp(-27.0) / (1 + np.exp(-27.0))
    # TP = TN = 2 (1 - q), FP = FN = 2 q: MCC = 1 - 2 q.
    value, gradient = al.MCCLoss(activation="sigmoid").value_and_grad(z, target)
    assert float(value) == pytest.approx(2 * q, rel=1e-5)
    slope = 0.5 * q * (1 - q)  # each pixel moves the loss by 2 q / 4
    np.testing.assert_allclose(
        library.to_numpy(gradient)[0, 0], [-slope, slope, -slope, slope], rtol=1e-5
    )


@pytest.mark.parametrize("label", [0, 1])
def test_a_mask_of_one_value_has_nothing_to_correlate_with(label, library, dtype):
    p, target = [[[0.2, 0.7, 0.9]]], [[label] * 3]
    for absent, expected in (("skip", 0), ("zero", 0), ("keep", 1)):
        value, gradient = loss_of(library, dtype, p, target, absent=absent)
        assert value == expected
        assert not np.any(gradient)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_prediction_of_one_value_is_blind(p, library, dtype):
    value, gradient = loss_of(library, dtype, [[[p, p, p]]], [[0, 1, 1]])
    assert value == 1
    assert not np.any(gradient)


@pytest.mark.parametrize("size", [1e-3, 1e4])
def test_the_size_of_weights_does_not_matter(size, library, dtype):
    """Products of four counts would overflow, or underflow, long before these do."""
    logits, target, weights = Data(weights="float", seed=3).build(dtype)
    z, t, w = library.on((logits, target, weights), dtype)
    expected = float(al.MCCLoss()(z, t, pixel_weights=w))
    w = library.asarray(weights * size, dtype)
    assert float(al.MCCLoss()(z, t, pixel_weights=w)) == pytest.approx(expected, **close(dtype))


def test_a_soft_target_is_its_own_best_prediction(library, dtype):
    _, p, _ = library.inputs(Data(target="soft", seed=4), dtype)
    value = float(al.MCCLoss(activation=None)(p, p))
    assert value == pytest.approx(0, abs=1e-6 if dtype == "float32" else 1e-15)
    assert float(al.MCCLoss(activation=None, intersection="product")(p, p)) > 0.1
