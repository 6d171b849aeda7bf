"""Focal loss: what is special to it."""

import numpy as np
import pytest

import array_losses as al
from tests.cases import Data
from tests.test_values import assert_close


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
