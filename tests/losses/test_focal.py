"""Focal loss: what is special to it."""

import numpy as np
import pytest

import array_losses as al
from tests.cases import Data
from tests.losses.test_values import assert_close


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("normalize", ["weights", "valid", "all"])
def test_gamma_0_is_cross_entropy(activation, normalize, library, dtype):
    data = Data(ignore=(255,), weights="float", seed=1)
    logits, target, weights = library.inputs(data, dtype)
    options = {
        "activation": activation,
        "normalize": normalize,
        "ignore_index": 255,
        "class_weights": (1, 2, 4),
    }
    focal = al.FocalLoss(gamma=0, **options).value_and_grad(logits, target, pixel_weights=weights)
    entropy = al.CrossEntropyLoss(**options).value_and_grad(logits, target, pixel_weights=weights)
    for mine, theirs in zip(focal, entropy, strict=True):
        assert_close(library.to_numpy(mine), library.to_numpy(theirs), dtype)


@pytest.mark.parametrize("gamma", [0.0, 0.25, 0.5, 1.0, 2.0, 7.5])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_focal_is_finite_wherever_logits_are(gamma, activation, library, dtype):
    line = np.array([-1e4, -100.0, -30.0, 0.0, 30.0, 100.0, 1e4])
    logits = np.stack([line, np.zeros_like(line)], axis=1)
    loss = al.FocalLoss(gamma=gamma, activation=activation)
    for label in (0, 1):
        target = library.asarray(np.full(len(line), label))
        value, gradient = loss.value_and_grad(library.asarray(logits, dtype), target)
        assert np.isfinite(float(value))
        assert np.all(np.isfinite(library.to_numpy(gradient)))


def test_pos_weight_is_a_factor_of_positives(library, dtype):
    logits, target, _ = library.inputs(Data(target="multi-hot", seed=9), dtype)
    options = {"activation": "sigmoid", "gamma": 1.5, "reduction": "sum"}
    value = float(al.FocalLoss(pos_weight=(1.0, 2.0, 5.0), alpha=0.25, **options)(logits, target))
    there = library.to_numpy(target) == 1
    expected = 0.0
    for c, weight in enumerate((1.0, 2.0, 5.0)):
        for side, factor in ((there, 0.25 * weight), (~there, 0.75)):
            only = side & (np.arange(3) == c)[:, None, None]
            targets = np.where(only, there, 9)
            loss = al.FocalLoss(ignore_index=9, **options)
            expected += factor * float(loss(logits, library.asarray(targets.astype(np.int64))))
    assert value == pytest.approx(expected, rel=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_the_normalized_mean_is_weighted_by_the_focal_factor(gamma, activation, library, dtype):
    data = Data(ignore=(255,), weights="float", seed=10)
    logits, target, weights = library.inputs(data, dtype)
    options = {"activation": activation, "ignore_index": 255, "reduction": "none"}

    def total(loss):
        found = loss(logits, target, pixel_weights=weights)
        return np.sum(library.to_numpy(found).astype(np.float64))

    focal = total(al.FocalLoss(gamma=gamma, **options))
    poly = al.PolyLoss(epsilon=1.0, **options)
    entropy = al.CrossEntropyLoss(**options)
    value = float(
        al.FocalLoss(gamma=gamma, normalize="focal", activation=activation, ignore_index=255)(
            logits, target, pixel_weights=weights
        )
    )
    rounding = 1e-5 if dtype == "float32" else 1e-12
    if gamma == 0:  # every factor is 1
        divisor = np.sum(np.where(library.to_numpy(target) == 255, 0, library.to_numpy(weights)))
        divisor *= 3 if activation == "sigmoid" else 1
        assert value == pytest.approx(focal / divisor, rel=rounding)
    else:  # Poly-1 adds the mistaken probabilities to cross entropy: the factors
        assert value == pytest.approx(focal / (total(poly) - total(entropy)), rel=rounding)


def test_normalized_focal_of_certain_pixels_is_0(library, dtype):
    """The weights of all pixels are 0, and so is the loss."""
    z = library.asarray(np.array([[1e4, 0.0], [0.0, 1e4]]), dtype)
    target = library.asarray(np.array([0, 1]))
    for gamma in (0.5, 2.0):
        value, gradient = al.FocalLoss(gamma=gamma, normalize="focal").value_and_grad(z, target)
        assert float(value) == 0
        assert not np.any(library.to_numpy(gradient))


def test_reduced_focal_is_cross_entropy_below_its_threshold(library, dtype):
    p = np.array([[0.2, 0.8], [0.45, 0.55], [0.6, 0.4], [0.9, 0.1]])
    logits, target = library.asarray(np.log(p), dtype), library.asarray(np.zeros(4, np.int64))
    loss = al.FocalLoss(gamma=1.5, threshold=0.5, reduction="none")
    factor = np.array([1.0, 1.0, (0.4 / 0.5) ** 1.5, (0.1 / 0.5) ** 1.5])
    found = library.to_numpy(loss(logits, target))
    np.testing.assert_allclose(found, factor * -np.log(p[:, 0]), rtol=1e-5)


def test_a_pair_makes_reduced_focal_continuous(library, dtype):
    p = np.array([[0.2, 0.8], [0.3, 0.7], [0.3001, 0.6999], [0.9, 0.1]])
    logits, target = library.asarray(np.log(p), dtype), library.asarray(np.zeros(4, np.int64))
    loss = al.FocalLoss(gamma=2.0, threshold=(0.3, 0.7), reduction="none")
    factor = library.to_numpy(loss(logits, target)) / -np.log(p[:, 0])
    expected = [1.0, 1.0, (0.6999 / 0.7) ** 2, (0.1 / 0.7) ** 2]
    np.testing.assert_allclose(factor, expected, rtol=1e-5)


JOINT = ("arithmetic", "geometric", "log_odds")


@pytest.mark.parametrize("soft", JOINT)
def test_a_hard_target_has_one_focal_loss(soft, library, dtype):
    """As integers, by the same operations; as floats, to rounding."""
    data = Data(target="multi-hot", weights="float", seed=12)
    logits, target, weights = library.inputs(data, dtype)
    options = {"activation": "sigmoid", "gamma": 1.5, "alpha": (0.2, 0.5, 0.9)}
    expected = al.FocalLoss(**options).value_and_grad(logits, target, pixel_weights=weights)
    loss = al.FocalLoss(soft=soft, **options)
    found = loss.value_and_grad(logits, target, pixel_weights=weights)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(library.to_numpy(mine), library.to_numpy(theirs))
    floats = library.asarray(library.to_numpy(target), dtype)
    found = loss.value_and_grad(logits, floats, pixel_weights=weights)
    for mine, theirs in zip(found, expected, strict=True):
        assert_close(library.to_numpy(mine), library.to_numpy(theirs), dtype)


@pytest.mark.parametrize("soft", JOINT)
def test_without_gamma_every_soft_form_is_cross_entropy(soft, library, dtype):
    logits, target, _ = library.inputs(Data(target="soft", seed=13), dtype)
    found = al.FocalLoss(gamma=0, activation="sigmoid", soft=soft).value_and_grad(logits, target)
    expected = al.CrossEntropyLoss(activation="sigmoid").value_and_grad(logits, target)
    for mine, theirs in zip(found, expected, strict=True):
        assert_close(library.to_numpy(mine), library.to_numpy(theirs), dtype)


def test_means_of_the_probabilities_of_both_sides():
    """p = 0.8 for g = 0.25: by the definitions of three means."""
    p, g, options = 0.8, 0.25, {"gamma": 1.0, "activation": "sigmoid"}
    logits = np.array([[np.log(p / (1 - p))]])
    entropy = -g * np.log(p) - (1 - g) * np.log(1 - p)
    means = {
        "arithmetic": g * p + (1 - g) * (1 - p),
        "geometric": p**g * (1 - p) ** (1 - g),
        "log_odds": 1 / (1 + (p / (1 - p)) ** (1 - 2 * g)),
    }
    for soft, p_t in means.items():
        found = float(al.FocalLoss(soft=soft, **options)(logits, np.array([[g]])))
        assert found == pytest.approx((1 - p_t) * entropy)


def test_joint_forms_are_of_one_class_or_of_a_sigmoid():
    p = np.full((1, 2, 3), 0.5)
    with pytest.raises(ValueError, match='`soft` must be "mixture" where several classes'):
        al.FocalLoss(activation=None, soft="arithmetic")(p, p)
    with pytest.raises(ValueError, match='`soft` must not be "log_odds"'):
        al.FocalLoss(activation=None, soft="log_odds")
