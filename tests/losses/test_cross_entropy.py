"""Cross entropy, Poly-1 and what focal loss shares with them."""

from math import exp, log, log1p

import numpy as np
import pytest

import array_losses as al
from tests import oracle
from tests.backends import BACKENDS
from tests.cases import Data
from tests.losses.test_values import assert_close

both = pytest.mark.parametrize("loss", [al.CrossEntropyLoss, al.PolyLoss, al.FocalLoss])


@both
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_every_kind_of_target_says_the_same(loss, activation, library, dtype):
    logits, labels, _ = Data(seed=2).build(dtype)
    one_hot = np.moveaxis(np.eye(3)[labels], -1, 1)
    logits = library.asarray(logits, dtype)
    loss = loss(activation=activation, class_weights=(0.5, 1, 2))
    targets = (labels, one_hot.astype(np.uint8), one_hot.astype(bool), one_hot)
    first, *others = [float(loss(logits, library.asarray(target, dtype))) for target in targets]
    assert others == pytest.approx([first] * 3, rel=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("gamma", [None, 1.0])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_confident_pixels_keep_their_digits(gamma, activation, library, dtype):
    """Where the other class has probability q = 4e-18: 1 - p, formed by subtraction, would be 0."""
    q, entropy = exp(-40) / (1 + exp(-40)), log1p(exp(-40))
    options = {"activation": activation, "reduction": "sum"}
    if gamma is None:
        loss, expected, slope = al.CrossEntropyLoss(**options), entropy, -q
    else:  # q (-log p), with dp/dz = p q
        loss = al.FocalLoss(gamma=gamma, **options)
        expected, slope = q * entropy, -q * (1 - q) * entropy - q * q
    if activation == "softmax":
        logits, target = np.array([[40.0, 0.0]]), np.array([0])
    else:
        logits, target = np.array([[40.0]]), np.array([1])
    value, gradient = loss.value_and_grad(library.asarray(logits, dtype), library.asarray(target))
    rounding = {"float64": 1e-13, "float32": 2e-5}[dtype]
    assert float(value) == pytest.approx(expected, rel=rounding, abs=0)
    # Autodiff of a softmax ends with p - 1 whatever the formula: right to the rounding of 1 only.
    absolute = 2.0**-52 if library.module == "jax" else 0
    assert float(gradient[0, 0]) == pytest.approx(slope, rel=rounding, abs=absolute)


@both
def test_excluded_class_is_exact(loss, library, dtype):
    logits, target, _ = Data(classes=3, seed=3).build(dtype)
    target = np.where(target == 2, 0, target)
    excluded = logits.copy()
    excluded[:, 2] = -np.inf
    loss = loss()
    value, gradient = loss.value_and_grad(library.asarray(excluded, dtype), library.asarray(target))
    two, slope = loss.value_and_grad(
        library.asarray(np.ascontiguousarray(logits[:, :2]), dtype), library.asarray(target)
    )
    assert_close(float(value), float(two), dtype)
    assert_close(library.to_numpy(gradient)[:, :2], library.to_numpy(slope), dtype)
    np.testing.assert_array_equal(library.to_numpy(gradient)[:, 2], 0)


def test_excluded_class_of_the_target_is_infinite(library):
    logits = library.asarray(np.array([[0.0, -np.inf]]), library.dtypes[0])
    assert float(al.CrossEntropyLoss()(logits, library.asarray(np.array([1])))) == np.inf


def test_probability_0_of_the_target_is_infinite(library):
    p = library.asarray(np.array([[1.0, 0.0], [0.5, 0.5]]), library.dtypes[0])
    loss = al.CrossEntropyLoss(activation=None, reduction="none")
    sure = library.to_numpy(loss(p, library.asarray(np.array([0, 0]))))
    np.testing.assert_allclose(sure, [0, log(2)], rtol=1e-6)
    with np.errstate(divide="ignore"):  # here, and only here, NumPy may say so
        wrong = library.to_numpy(loss(p, library.asarray(np.array([1, 0]))))
    np.testing.assert_allclose(wrong, [np.inf, log(2)], rtol=1e-6)


@both
def test_nan_of_a_counted_pixel_shows(loss, library):
    logits, target, _ = Data(seed=4).build()
    logits[0, 1, 2, 3] = np.nan
    value = loss()(library.asarray(logits, library.dtypes[0]), library.asarray(target))
    assert np.isnan(float(value))


@both
def test_sum_of_the_map_is_the_sum(loss, library, dtype):
    data = Data(ignore=(255,), weights="float", seed=5)
    logits, target, weights = library.inputs(data, dtype)
    pixels = loss(ignore_index=255, reduction="none")(logits, target, pixel_weights=weights)
    total = loss(ignore_index=255, reduction="sum")(logits, target, pixel_weights=weights)
    assert_close(float(total), library.to_numpy(pixels).astype(np.float64).sum(), dtype)


def test_as_torch(torch):
    """The divisors, weights, smoothing and ignored pixels are PyTorch's."""
    functional = torch.nn.functional
    logits, target, _ = BACKENDS["torch"].inputs(Data(ignore=(255,), seed=6), "float64")
    weight = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    value = al.cross_entropy_loss(logits, target, ignore_index=255, class_weights=weight.tolist())
    theirs = functional.cross_entropy(logits, target, weight=weight, ignore_index=255)
    torch.testing.assert_close(value, theirs, rtol=1e-14, atol=0)
    for reduction in ("none", "sum", "mean"):
        options = {"label_smoothing": 0.1, "ignore_index": 255, "reduction": reduction}
        value = al.cross_entropy_loss(logits, target, **options)
        theirs = functional.cross_entropy(logits, target, **options)
        torch.testing.assert_close(value, theirs, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("options", [{"activation": "softmax"}, {}])
def test_one_class_needs_a_sigmoid(options, library):
    logits = library.asarray(np.zeros((2, 1, 3)), library.dtypes[0])
    target = library.asarray(np.zeros((2, 3), dtype=np.int64))
    with pytest.raises(ValueError, match="sigmoid"):
        al.CrossEntropyLoss(**options)(logits, target)


def test_pos_weight_needs_two_sided_entropy():
    with pytest.raises(ValueError, match="pos_weight"):
        al.CrossEntropyLoss(pos_weight=2.0)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_poly_adds_a_multiple_of_the_mistaken_probability(activation, library, dtype):
    data = Data(ignore=(255,), weights="float", seed=7)
    logits, target, weights = library.inputs(data, dtype)
    options = {"activation": activation, "ignore_index": 255, "class_weights": (1, 2, 4)}

    def value(loss):
        return float(loss(logits, target, pixel_weights=weights))

    entropy = value(al.CrossEntropyLoss(**options))
    rounding = 1e-5 if dtype == "float32" else 1e-13
    assert value(al.PolyLoss(epsilon=0.0, **options)) == pytest.approx(entropy, rel=rounding)
    one, three = (value(al.PolyLoss(epsilon=e, **options)) - entropy for e in (1.0, 3.0))
    assert 0 < one < 1
    assert three == pytest.approx(3 * one, rel=rounding)
    # Where every class errs alike, the mistaken probability is all there is to say.
    zeros = library.asarray(np.zeros((1, 3, 2)), dtype)
    flat = al.PolyLoss(epsilon=3.0, activation=activation)(zeros, library.asarray([[0, 2]]))
    expected = log(3) + 3 * 2 / 3 if activation == "softmax" else log(2) + 3 / 2
    assert float(flat) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [al.CrossEntropyLoss, al.PolyLoss, al.FocalLoss])
def test_units_of_the_divisor(loss, library, dtype):
    """Pixels or elements, valid or all, count the same whatever the activation."""
    logits, target, _ = library.inputs(Data(classes=4, ignore=(255,), seed=8), dtype)
    valid = int(np.sum(library.to_numpy(target) != 255))
    every = library.to_numpy(target).size
    for activation in ("softmax", "sigmoid"):
        for background in (True, False):
            options = {
                "activation": activation,
                "ignore_index": 255,
                "include_background": background,
            }
            total = float(loss(reduction="sum", **options)(logits, target))
            classes = 4 if background else 3
            for normalize, divisor in {
                "valid_pixels": valid,
                "all_pixels": every,
                "valid_elements": valid * classes,
                "all_elements": every * classes,
            }.items():
                value = float(loss(normalize=normalize, **options)(logits, target))
                assert value == pytest.approx(total / divisor, rel=1e-5)


@pytest.mark.parametrize("target", ["labels", "one-hot", "soft"])
@both
def test_a_class_of_weight_0_may_be_impossible(loss, target, library, dtype):
    """0 times log 0 is 0: such a class does not matter, neither to the value nor to the slope."""
    p, labels = np.array([[[0.0, 0.4], [0.7, 0.4], [0.3, 0.2]]]), np.array([[0, 1]])
    t = labels if target == "labels" else np.moveaxis(np.eye(3)[labels], -1, 1)
    t = t.astype(np.uint8) if target == "one-hot" else t
    same = p.copy()
    same[0, 0, 0] = 0.6
    for options in ({"class_weights": (0.0, 1.0, 2.0)}, {"include_background": False}):
        for activation, first, other in (
            (None, p, same),
            ("softmax", np.where(p == 0, -np.inf, p), None),
        ):
            criterion = loss(activation=activation, reduction="sum", **options)
            z, g = library.on((first, t), dtype)
            value, gradient = criterion.value_and_grad(z, g)
            if other is None:  # that pixel does not count
                z, g = library.on((first[..., 1:], t[..., 1:]), dtype)
            else:
                z, g = library.on((other, t), dtype)
            expected, slope = criterion.value_and_grad(z, g)
            count = slope.shape[-1]
            assert_close(float(value), float(expected), dtype)
            assert_close(library.to_numpy(gradient)[..., -count:], library.to_numpy(slope), dtype)
            assert not np.any(library.to_numpy(gradient)[..., 0])


@pytest.mark.parametrize("options", [{"class_weights": (0.0, 1.0)}, {"pos_weight": (0.0, 1.0)}])
@both
def test_a_side_of_weight_0_may_be_impossible(loss, options, library, dtype):
    z = np.array([[[-np.inf, 0.4], [0.7, 0.4]]])
    z, t = library.on((z, np.array([[[1, 0], [0, 1]]])), dtype)
    value, gradient = loss(activation="sigmoid", **options).value_and_grad(z, t)
    assert np.isfinite(float(value))
    gradient = library.to_numpy(gradient)
    assert gradient[0, 0, 0] == 0
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient)


@pytest.mark.parametrize("alpha", [0.0, (0.0, 1.0)])
def test_alpha_0_of_an_impossible_class(alpha, library, dtype):
    p, t = library.on((np.array([[[0.0, 0.5], [1.0, 0.5]]]), np.array([[0, 1]])), dtype)
    value, gradient = al.FocalLoss(activation=None, alpha=alpha).value_and_grad(p, t)
    expected = 0.0 if alpha == 0 else 0.25 * log(2) / 2
    assert float(value) == pytest.approx(expected, rel=1e-6)
    assert np.all(np.isfinite(library.to_numpy(gradient)))
    assert not np.any(library.to_numpy(gradient)[..., 0])


def test_nan_shows_in_a_class_of_weight_0(library, dtype):
    p, t = library.on((np.array([[[np.nan, 0.5], [1.0, 0.5]]]), np.array([[0, 1]])), dtype)
    assert np.isnan(float(al.CrossEntropyLoss(activation=None, class_weights=(0, 1))(p, t)))


def test_a_class_of_weight_0_under_torch_compile(torch):
    p = torch.tensor([[[0.0, 0.4], [0.7, 0.4], [0.3, 0.2]]], requires_grad=True)
    t = torch.tensor([[0, 1]])
    loss = al.CrossEntropyLoss(activation=None, class_weights=(0, 1, 1))
    for one in (loss, 0 * loss):
        compiled = torch.compile(one, fullgraph=True, backend="aot_eager")
        (slope,) = torch.autograd.grad(compiled(p, t), p)
        expected = one.value_and_grad(p.detach(), t)[1]
        assert torch.allclose(slope, expected)


def test_a_loss_without_weight_in_the_divisor_is_0(library, dtype):
    """Of a multi-hot target without a class, smoothed: the sum is not 0, what divides it is."""
    logits, loss = np.array([[1.0, 2.0, 0.0]]), al.CrossEntropyLoss(label_smoothing=0.1)
    target = library.asarray(np.zeros((1, 3), dtype=np.int64))
    value, gradient = loss.value_and_grad(library.asarray(logits, dtype), target)
    assert oracle.cross_entropy(logits, np.zeros((1, 3)), label_smoothing=0.1) == 0.0
    assert float(value) == 0.0
    assert not np.any(library.to_numpy(gradient))
