"""Unified focal loss: what is special to it."""

import numpy as np
import pytest

import array_losses as al
from tests.cases import Data


def close(dtype):
    return {"rel": 1e-5 if dtype == "float32" else 1e-13}


@pytest.mark.parametrize("symmetry", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_it_is_a_sum_of_a_focal_and_a_tversky_loss(activation, symmetry, library, dtype):
    logits, target, weights = library.inputs(Data(weights="float", seed=1), dtype)
    delta, gamma, balance = 0.7, 0.25, 0.3
    loss = al.UnifiedFocalLoss(
        activation=activation, symmetry=symmetry, delta=delta, gamma=gamma, balance=balance
    )
    both = symmetry == "symmetric"
    if activation == "softmax":
        focal = al.FocalLoss(
            alpha=(1 - delta, delta, delta), gamma=(gamma, *(gamma if both else 0.0,) * 2)
        )
        powers = (1 - gamma if both else 1.0, 1 - gamma, 1 - gamma)
    elif both:
        focal = al.FocalLoss(activation=activation, alpha=delta, gamma=gamma)
        powers = 1 - gamma
    else:
        pytest.skip("no focal loss has an exponent for each side")
    tversky = al.TverskyLoss(
        activation=activation, fn_weight=delta, fp_weight=1 - delta, gamma=powers
    )
    expected = balance * focal + (1 - balance) * tversky
    value, gradient = loss.value_and_grad(logits, target, pixel_weights=weights)
    other, slope = expected.value_and_grad(logits, target, pixel_weights=weights)
    assert float(value) == pytest.approx(float(other), **close(dtype))
    np.testing.assert_allclose(
        library.to_numpy(gradient), library.to_numpy(slope), rtol=1e-4, atol=1e-7
    )


def test_a_sure_background_costs_less_than_a_sure_foreground(library, dtype):
    """Only the background is suppressed: log(2) for both, times 0.5^gamma for one."""
    z = library.asarray(np.zeros((1, 2)), dtype)
    loss = al.UnifiedFocalLoss(delta=0.5, gamma=0.5, balance=1.0)
    found = [float(loss(z, library.asarray(np.array([label])))) for label in (0, 1)]
    assert found[1] == pytest.approx(0.5 * np.log(2), rel=1e-6)
    assert found[0] == pytest.approx(found[1] * 0.5**0.5, rel=1e-6)


def test_it_is_one_loss_in_a_sum():
    loss = al.DiceLoss() + 2 * al.UnifiedFocalLoss(balance=0.25)
    assert loss.losses[1] == al.UnifiedFocalLoss(balance=0.25)
    assert [weight for weight, _ in loss.terms()] == [1.0, 0.5, 1.5]
    with pytest.raises(ValueError, match="`reduction`"):
        al.DiceLoss(reduction="none") + al.UnifiedFocalLoss()
