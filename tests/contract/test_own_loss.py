"""A loss of a user's own, as docs/contributing.md writes it, on every framework."""

from dataclasses import dataclass

import numpy as np
import pytest

import array_losses as al
from array_losses.testing import assert_gradient


@dataclass(frozen=True, kw_only=True)
class BrierLoss(al.Loss):
    """The squared error of the probabilities."""

    activation: str = "softmax"

    def sums_of(self, pixels):
        error = pixels.every.p - pixels.one_hot
        return pixels.sum(error * error), pixels.sum(pixels.xp.ones_like(error))

    def value_of(self, xp, sums):
        errors, counted = sums
        return xp.sum(errors), xp.sum(counted)

    def grad_sums(self, xp, sums, d):
        errors, counted = sums
        return d + 0.0 * errors, 0.0 * counted

    def derivative(self, pixels, grad_sums):
        error = pixels.every.p - pixels.one_hot
        return pixels.by_p(2.0 * error * grad_sums[0][:, :, None])


def data():
    rng = np.random.default_rng(3)
    return rng.normal(size=(2, 3, 5)), rng.integers(3, size=(2, 5)), rng.uniform(0.5, 2, (2, 5))


def expected(logits, target, weights):
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    errors = (p - np.eye(3)[target].transpose(0, 2, 1)) ** 2
    return np.sum(weights[:, None] * errors) / (3 * np.sum(weights))


def test_on_every_framework(library):
    logits, target, weights = library.on(data(), library.dtypes[0])
    close = {"rel": 64 * float(np.finfo(library.dtypes[0]).eps)}
    own, dice = BrierLoss(), al.DiceLoss()
    value, gradient = own.value_and_grad(logits, target, pixel_weights=weights)
    assert float(value) == pytest.approx(expected(*data()), **close)
    assert_gradient(own, data()[0], data()[1], pixel_weights=data()[2])
    slope = own.value_and_grad(*data()[:2], pixel_weights=data()[2])[1]
    np.testing.assert_allclose(library.to_numpy(gradient), slope, rtol=1e-4, atol=1e-7)
    summed = (own + 0.5 * dice)(logits, target)
    total = expected(*data()[:2], np.ones((2, 5))) + 0.5 * dice(*data()[:2])
    assert float(summed) == pytest.approx(total, **close)


def test_with_everything_else(torch):
    criterion = BrierLoss(ignore_index=2, activation="sigmoid") - 0.5 * al.DiceLoss(ignore_index=2)
    assert al.from_config(criterion.to_config()) == criterion
    logits, target = (torch.from_numpy(x) for x in data()[:2])
    assert torch.autograd.gradcheck(lambda z: criterion(z, target), logits.requires_grad_())
    assert_gradient(criterion, *data()[:2])
    _, terms = criterion.value_and_terms(*data()[:2])
    assert terms[0] == criterion.losses[0](*data()[:2])
