"""Where probabilities are next to 0 or 1: gradients stay finite, and keep their digits."""

from dataclasses import replace

import numpy as np
import pytest

import array_losses as al
from array_losses.core.protocol import Call
from array_losses.core.whole import WholeEvaluation, has_closed_form
from array_losses.frameworks import library_of
from tests import oracle
from tests.backends import BACKENDS
from tests.cases import ALL_CLASSES, CASES, CLASSES, OF_LOGITS, SCALAR_CASES, Data, oracle_value

EPS = 2.0**-23

# --- what all logits share ------------------------------------------------------------------------


def _shifts(case):
    """Whether nothing changes if a number is added to all logits."""
    softmax = all(
        name not in OF_LOGITS and options.get("activation", "softmax") == "softmax"
        for _, name, options in case.terms
    )
    return softmax and not case.data.probabilities and case.data.classes > 1


def _offset(case, size=1e5):
    """Arrays in float32, and the same logits with an offset, which rounds none of them."""
    logits, target, weights = case.data.build("float32")
    logits = np.round(logits * 64) / np.float32(64)
    return logits, logits + np.float32(size), target, weights


@pytest.mark.parametrize("case", [c for c in CASES if _shifts(c)], ids=lambda case: case.name)
def test_an_offset_of_all_logits_changes_nothing(case, torch):
    logits, moved, target, weights = _offset(case)
    expected = oracle_value(case, logits, target, weights)
    loss, close = case.loss(), 64 * EPS * np.max(np.abs(expected), initial=0.0)
    found = loss(moved, target, pixel_weights=weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=close)
    z, t, w = BACKENDS["torch"].on((moved, target, weights))
    _, found = torch.func.vjp(lambda x: loss(x, t, pixel_weights=w), z)[::-1]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=close)


OFFSET = [
    *[(name, {}) for name in CLASSES if name not in OF_LOGITS],
    *[(name, {"reduction": "none"}) for name in ("cross_entropy", "focal", "dice", "mcc")],
    ("cross_entropy", {"top_k": 0.4}),
    ("cross_entropy", {"ohem_threshold": 0.5}),
    ("unified_focal", {}),
]


@pytest.mark.parametrize(("name", "options"), OFFSET)
def test_an_offset_of_all_logits_changes_nothing_in_jax(name, options, jax):
    rng = np.random.default_rng(5)
    logits = np.round(rng.normal(size=(2, 3, 8)) * 64) / np.float32(64)
    target = rng.integers(0, 3, size=(2, 8))
    loss = getattr(al, ALL_CLASSES[name])(**options)
    expected = np.asarray(oracle.LOSSES[name](logits, target, **options))
    for offset in (1e5, -1e5):
        moved = jax.numpy.asarray((logits + offset).astype("float32"))
        found = np.asarray(loss(moved, jax.numpy.asarray(target)))
        close = 64 * EPS * np.max(np.abs(expected))
        np.testing.assert_allclose(found, expected, rtol=0, atol=close)


# --- a class that is surely absent, sure pixels ---------------------------------------------------

SURE = (30.0, 60.0, 95.0, 1000.0)
TINY = 2e-38  # below it float32 has fewer digits, and JAX none


def _absent(case, size):
    """A class that no pixel has, and that the logits rule out."""
    data = case.data
    labels = data.target == "labels"
    number = 1 if data.classes > 1 or labels else 0
    data = replace(data, absent=(number,), absent_in_first=())
    logits, target, weights = data.build("float32")
    classes = np.moveaxis(logits, data.class_axis, 0)
    classes[min(number, data.classes - 1)] -= np.float32(size)
    return logits, target, weights


def _sure(case, size):
    """Every second pixel is sure, some of these wrong."""
    data = case.data
    logits, target, weights = data.build("float32")
    hot = target
    if target.ndim != logits.ndim:
        hot = np.expand_dims(target, data.class_axis)
        if data.classes > 1:
            classes = np.arange(data.classes)
            hot = np.moveaxis(target[..., None] == classes, -1, data.class_axis)
    rng = np.random.default_rng(3)
    pixels = rng.choice([0.0, 0.0, 1.0, 1.0, -1.0], size=target.shape)
    if target.ndim != logits.ndim:
        pixels = np.expand_dims(pixels, data.class_axis)
    sign = np.where(np.asarray(hot, dtype=np.float64) > 0.5, 0.5, -0.5)
    return logits + np.float32(size) * (sign * pixels).astype("float32"), target, weights


PLACES = {"absent": _absent, "sure": _sure}
# Not where rounding decides which pixels count, or the bin of an error; nor given probabilities.
CLOSE = [
    case
    for case in SCALAR_CASES
    if not case.data.probabilities
    and case.data.target != "distances"
    and not any({"top_k", "ohem_threshold", "bins"} & set(options) for *_, options in case.terms)
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", CLOSE, ids=lambda case: case.name)
def test_sure_places(case, place, torch):
    """In float32 as in float64, in closed form as by automatic differentiation."""
    loss = case.loss()
    for size in SURE:
        arrays = PLACES[place](case, size)
        wide = [x if x is None or x.dtype.kind != "f" else x.astype("float64") for x in arrays]
        _, expected = loss.value_and_grad(*wide[:2], pixel_weights=wide[2])
        assert np.all(np.isfinite(expected))
        scale = np.max(np.abs(expected), initial=0.0)
        value, found = loss.value_and_grad(*arrays[:2], pixel_weights=arrays[2])
        assert np.isfinite(value)
        np.testing.assert_allclose(found, expected, rtol=0, atol=512 * EPS * scale + TINY)
        z, t, w = BACKENDS["torch"].on(arrays)
        plain = torch.func.grad(lambda x, t=t, w=w: loss(x, t, pixel_weights=w))(z)
        # Differentiated step by step, what is small where all pixels are sure has fewer digits.
        close = 512 * EPS * max(scale, 1e-3)
        np.testing.assert_allclose(plain.numpy(), expected, rtol=0, atol=close)


CLOSED = [c for c in CLOSE if has_closed_form(Call(c.loss().terms(), *c.data.build()))]


@pytest.mark.parametrize("case", CLOSED, ids=lambda case: case.name)
def test_the_form_for_compilers(case, torch):
    """Step by step, in float64 and at sure pixels in float32: the numbers of NumPy."""
    loss = case.loss()
    usual = case.data.build("float64")
    for arrays in (usual, *(make(case, size) for make in PLACES.values() for size in SURE)):
        eps = np.finfo(arrays[0].dtype).eps
        wide = [x if x is None or x.dtype.kind != "f" else x.astype("float64") for x in arrays]
        value, expected = loss.value_and_grad(*wide[:2], pixel_weights=wide[2])
        call = Call(loss.terms(), *BACKENDS["torch"].on(arrays))
        found = WholeEvaluation(library_of(call.logits), call, autodiff=False)
        assert np.isfinite(float(found.value))
        if arrays is usual:  # A class that is surely absent may become 0 / 0 in float32.
            np.testing.assert_allclose(found.value, value, rtol=512 * eps)
        close = 512 * eps * np.max(np.abs(expected), initial=0.0) + TINY
        np.testing.assert_allclose(found.gradient(), expected, rtol=0, atol=close)


IN_JAX = [
    *[(name, {"activation": "sigmoid"}) for name in CLASSES if name not in OF_LOGITS],
    *[(name, {"activation": "sigmoid", "absent": "keep"}) for name in ("dice", "mcc")],
    ("jaccard", {}),
    ("mcc", {}),
    ("dice", {"power": 2}),
    ("tversky", {"gamma": 0.75, "activation": "sigmoid"}),
    ("focal", {"gamma": 0.5, "activation": "sigmoid"}),
    ("focal", {"normalize": "focal", "gamma": 3.0}),
    ("unified_focal", {"activation": "sigmoid"}),
    ("unified_focal", {}),
]


@pytest.mark.parametrize(("name", "options"), IN_JAX)
def test_sure_places_in_jax(name, options, jax):
    """Traced: labels, and the same as a soft target, which leaves the closed form."""
    loss = getattr(al, ALL_CLASSES[name])(**options)
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, size=(2, 6))
    soft = 0.5 * np.moveaxis(np.eye(3)[labels], -1, 1) + 0.5 * np.eye(3)[[0]][..., None]
    for target in (labels, soft.astype("float32")):
        gradient = jax.jit(jax.grad(loss))
        for size in SURE:
            logits = rng.normal(size=(2, 3, 6)).astype("float32")
            logits[:, 2] -= np.float32(size)
            logits[:, :2, ::2] *= np.float32(size)
            given = jax.numpy.asarray(logits), jax.numpy.asarray(target)
            found = np.asarray(gradient(*given))
            wide = target if target is labels else target.astype("float64")
            _, expected = loss.value_and_grad(logits.astype("float64"), wide)
            close = 512 * EPS * np.max(np.abs(expected))
            np.testing.assert_allclose(found, expected, rtol=0, atol=close)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 95.0), ("float64", 720.0)])
@pytest.mark.parametrize("loss", [al.DiceLoss, al.JaccardLoss, al.TverskyLoss, al.MCCLoss])
def test_a_kept_class_that_nearly_underflows(loss, dtype, size):
    """Its mass is no normal number, and the inverse of that infinite; at ignored pixels too."""
    logits = np.array([[3.0, -size], [2.0, -size], [1.0, -size]], dtype=dtype)
    make = loss(activation="sigmoid", absent="keep", ignore_index=9)
    value, gradient = make.value_and_grad(logits, np.array([0, 0, 9]))
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
    assert np.all(np.abs(gradient[:, 1]) < 1e-15)
    assert not np.any(gradient[2])


# --- digits ---------------------------------------------------------------------------------------


def _distance(loss, logits, target):
    """How far float32 is from float64, in eps: value and gradient, both relative."""
    logits = np.asarray(logits, dtype="float32")
    found = loss.value_and_grad(logits, target)
    expected = loss.value_and_grad(logits.astype("float64"), target)
    return [
        float(np.max(np.abs(a - b)) / np.max(np.abs(b)) / EPS)
        for a, b in zip(found, expected, strict=True)
    ]


def _all_sure(size, activation="softmax"):
    labels = np.array([[0, 1, 2, 0, 1, 2]])
    sign = np.moveaxis(np.where(np.eye(3)[labels] == 1, 1.0, -1.0), -1, 1)
    noise = np.random.default_rng(8).normal(size=sign.shape)
    return (size / 2 if activation == "softmax" else size) * sign + 0.3 * noise, labels


SURE_DIGITS = [
    *[(name, {"power": 2}) for name in ("dice", "jaccard", "tversky", "generalized_dice")],
    ("tversky", {"power": 2, "fp_weight": 0.3, "fn_weight": 0.7}),
    ("tversky", {"power": 2, "fp_weight": 0.7, "fn_weight": 0.3}),
    *[("poly", {"epsilon": epsilon}) for epsilon in (-1.0, -0.99, -1.1)],
    ("focal", {"gamma": 0.5}),
    ("mcc", {}),
    *[("focal", {"normalize": "focal", "gamma": gamma}) for gamma in (1.0, 2.5)],
]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize(("name", "options"), SURE_DIGITS)
def test_sure_pixels_keep_their_digits(name, options, activation):
    loss = getattr(al, ALL_CLASSES[name])(activation=activation, **options)
    for size in (3.0, 10.0, 20.0):
        logits, labels = _all_sure(size, activation)
        value, gradient = _distance(loss, logits, labels)
        assert value < 64
        assert gradient < 512
        assert float(loss(logits, labels)) == pytest.approx(
            oracle.LOSSES[name](logits, labels, activation=activation, **options),
            rel=1e-5 if "epsilon" in options or "power" in options else 1e-12,
            abs=1e-15,
        )


def test_sure_pixels_keep_their_digits_by_automatic_differentiation(torch):
    """A one-hot target: what its class shares with the largest logit cancelled to rounding."""
    logits, labels = _all_sure(30.0)
    target = np.moveaxis(np.eye(3)[labels], -1, 1)
    loss = al.CrossEntropyLoss()
    _, expected = loss.value_and_grad(logits, labels)
    found = torch.func.grad(loss)(torch.tensor(logits), torch.tensor(target))
    close = 1e-12 * np.max(np.abs(expected))
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=close)


def test_one_sided_weights_keep_small_derivatives():
    """Next to a much larger derivative outside a class, that inside it must not be lost."""
    logits = [-0.06583802, 39.65387872, 19.99412397, -4.23221086, -20.61048665, -40.18577396]
    logits += [18.58351063, -20.82740223, -2.24419244]
    loss = al.UnifiedFocalLoss(delta=0.0)
    z, labels = np.reshape(logits, (1, 3, 3)), np.array([[1, 0, 2]])
    expected = [  # by differences with 80 digits
        [3.31496956e-10, -4.25666551e-10, -4.35709065e-10],
        [-8.88850249e-10, 4.25666551e-10, 4.63183699e-10],
        [5.57353293e-10, 2.25476964e-28, -2.74746336e-11],
    ]
    found = loss.value_and_grad(z, labels)[1]
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-17)


def test_log_cosh_of_a_large_loss_does_not_overflow(library, dtype):
    """log cosh x is x - log 2 there."""
    loss = al.DiceLoss(form="log_cosh", smooth=(5000.0, 1.0))
    linear = al.DiceLoss(smooth=(5000.0, 1.0))
    logits, target, _ = library.inputs(Data(), dtype)
    value, gradient = loss.value_and_grad(logits, target)
    below, expected = linear.value_and_grad(logits, target)
    assert float(value) == pytest.approx(-float(below) - np.log(2.0), rel=1e-6)
    close = 512 * EPS * np.max(np.abs(library.to_numpy(expected)))
    found = library.to_numpy(gradient)
    np.testing.assert_allclose(found, -library.to_numpy(expected), rtol=0, atol=close)


def test_a_threshold_of_1_counts_every_pixel(library, dtype):
    """Also where p rounds to 1: none of them is weighed down."""
    logits = library.asarray(np.array([[40.0, 0.0], [150.0, 0.0], [0.0, 0.0]]), dtype)
    target = library.asarray(np.array([0, 0, 0]))
    loss = al.FocalLoss(threshold=1, normalize="focal")
    assert float(loss(logits, target)) == pytest.approx(np.log(2.0) / 3, rel=1e-6)


@pytest.mark.parametrize(("gamma", "size"), [(5.0, 20.0), (3.0, 32.0), (2.0, 46.0)])
def test_normalised_focal_of_sure_pixels(gamma, size, library, dtype):
    """The divisor is no number of float32, but the loss is."""
    z = np.array([[size, 0.0], [size - 1.0, 0.0]])
    loss, labels = al.FocalLoss(normalize="focal", gamma=gamma), np.array([0, 0])
    expected, slope = loss.value_and_grad(z, labels)
    value, gradient = loss.value_and_grad(library.asarray(z, dtype), library.asarray(labels))
    reference = oracle.focal(z, labels, normalize="focal", gamma=gamma)
    assert expected == pytest.approx(reference, rel=1e-12, abs=0)
    assert float(value) == pytest.approx(expected, rel=64 * EPS, abs=0)
    close = 512 * EPS * np.max(np.abs(slope))
    np.testing.assert_allclose(library.to_numpy(gradient), slope, rtol=0, atol=close)
