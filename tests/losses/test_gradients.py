"""Gradients: the closed form against differences of the oracle, and against every autodiff."""

from functools import cache

import numpy as np
import pytest

import array_losses as al
from array_losses.core import plan
from tests import oracle
from tests.backends import BACKENDS
from tests.cases import (
    ALL_CLASSES,
    CLASSES,
    LOVASZ_LOSSES,
    OF_LOGITS,
    OVERLAP_LOSSES,
    SCALAR_CASES,
    Case,
    Data,
    oracle_value,
)

# Relative to the largest entry of the gradient.
ROUNDING = {"float64": 1e-12, "float32": 512 * 2.0**-23}

each_case = pytest.mark.parametrize("case", SCALAR_CASES, ids=lambda case: case.name)


def assert_close(actual, expected, rounding):
    scale = np.max(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rounding * scale)


@cache
def closed_form(case, dtype):
    """NumPy's value and gradient in float64, on the inputs rounded to `dtype`."""
    inputs = BACKENDS["numpy"].on(case.data.build(dtype), "float64")
    return case.loss().value_and_grad(*inputs[:2], pixel_weights=inputs[2])


@each_case
def test_closed_form_against_differences(case):
    logits, target, weights = case.data.build()
    value, gradient = closed_form(case, "float64")
    expected = oracle.numerical_gradient(lambda x: oracle_value(case, x, target, weights), logits)
    # What differences are worth: rounding of the value, divided by the step.
    scale = max(1.0, abs(value))
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-9 * scale)


@pytest.mark.parametrize("name", CLASSES)
def test_none_has_no_gradient_of_its_own(name, library):
    logits, target, _ = library.inputs(Data(), library.dtypes[0])
    with pytest.raises(ValueError, match="reduction"):
        getattr(al, CLASSES[name])(reduction="none").value_and_grad(logits, target)


def test_value_and_grad(backend, dtype, scalar_case):
    case = scalar_case
    logits, target, weights = backend.inputs(case.data, dtype)
    before = backend.to_numpy(logits)
    value, gradient = case.loss().value_and_grad(logits, target, pixel_weights=weights)

    expected_value, expected = closed_form(case, dtype)
    assert backend.owns(value)
    assert backend.owns(gradient)
    assert backend.dtype_of(value) == backend.dtype_of(gradient) == dtype
    assert value.shape == ()
    assert gradient.shape == logits.shape
    assert_close(backend.to_numpy(value), expected_value, ROUNDING[dtype])
    assert_close(backend.to_numpy(gradient), expected, ROUNDING[dtype])
    np.testing.assert_array_equal(before, backend.to_numpy(logits))


@each_case
def test_torch_backward(case, torch):
    backend = BACKENDS["torch"]
    logits, target, weights = backend.inputs(case.data, "float64")
    logits.requires_grad_()
    case.loss()(logits, target, pixel_weights=weights).backward()
    assert_close(backend.to_numpy(logits.grad), closed_form(case, "float64")[1], 1e-12)


@each_case
def test_torch_func_grad(case, torch):
    backend = BACKENDS["torch"]
    logits, target, weights = backend.inputs(case.data, "float64")
    loss = case.loss()
    gradient = torch.func.grad(lambda z: loss(z, target, pixel_weights=weights))(logits)
    assert_close(backend.to_numpy(gradient), closed_form(case, "float64")[1], 1e-12)


@pytest.mark.parametrize("name", CLASSES)
def test_jax_grad(name, jax):
    case = Case(name, ((1.0, name, {}),), Data(seed=12))
    logits, target, _ = BACKENDS["jax-x64"].inputs(case.data, "float64")
    gradient = jax.grad(jax.jit(case.loss()))(logits, target)
    assert_close(np.asarray(gradient), closed_form(case, "float64")[1], 1e-12)


def test_none_is_differentiated_by_the_frameworks(torch, jax):
    """Vector-Jacobian products of a map of pixels and of a row of classes."""
    data = Data(ignore=(255,), weights="float", seed=5)
    for name in CLASSES:
        none = getattr(al, CLASSES[name])(ignore_index=255, reduction="none")
        total = getattr(al, CLASSES[name])(ignore_index=255, reduction="sum")
        inputs = BACKENDS["numpy"].inputs(data, "float64")
        expected = total.value_and_grad(*inputs[:2], pixel_weights=inputs[2])[1]

        z, t, w = BACKENDS["torch"].inputs(data, "float64")
        z.requires_grad_()
        none(z, t, pixel_weights=w).sum().backward()
        assert_close(z.grad.numpy(), expected, 1e-12)

        z, t, w = BACKENDS["jax-x64"].inputs(data, "float64")
        gradient = jax.grad(lambda z, t=t, w=w, f=none: f(z, t, pixel_weights=w).sum())(z)
        assert_close(np.asarray(gradient), expected, 1e-12)


# --- where formulas break: kinks, ties, saturation ------------------------------------------------


def _places():
    rng = np.random.default_rng(3)
    shape = (2, 3, 2, 3)
    signs = rng.choice([-1.0, 1.0], size=shape)
    few = rng.choice([-1.0, 0.0, 1.0], size=(2, 3, 2, 1))
    return {
        "zeros": np.zeros(shape),
        "100": 100.0 * signs,
        "10000": 1e4 * signs,
        "one-at-10000": np.where(rng.random(shape) < 0.3, 1e4, rng.normal(size=shape)),
        "ties": np.repeat(few, 3, axis=3),
        "margin": signs,  # the hinge's kink
    }


PLACES = _places()
SHARP = [
    *[(name, {}) for name in CLASSES],
    *[(name, {"activation": "sigmoid"}) for name in CLASSES if name not in OF_LOGITS],
    *[
        ("focal", {"gamma": gamma, "activation": activation})
        for gamma in (0.0, 0.5, 1.0)
        for activation in ("softmax", "sigmoid")
    ],
    *[
        ("focal", {"gamma": gamma, "normalize": "focal", "activation": activation})
        for gamma in (0.0, 0.5, 1.0, 2.0)
        for activation in ("softmax", "sigmoid")
    ],
    ("focal", {"threshold": 0.4, "gamma": 0.5}),
    *[
        ("focal", {"soft": soft, "gamma": gamma, "activation": "sigmoid"})
        for soft in ("arithmetic", "geometric", "log_odds")
        for gamma in (0.0, 0.5, 2.0)
    ],
    ("cross_entropy", {"label_smoothing": 0.1}),
    ("cross_entropy", {"activation": "sigmoid", "pos_weight": 3.0}),
    *[(name, {"power": 2, "absent": "keep"}) for name in OVERLAP_LOSSES],
    *[("dice", {"form": form, "absent": "keep"}) for form in ("log", "log_cosh")],
    ("mcc", {"absent": "keep", "pool": "image"}),
    *[("unified_focal", {"symmetry": symmetry}) for symmetry in ("asymmetric", "symmetric")],
    ("unified_focal", {"activation": "sigmoid", "gamma": 0.1, "absent": "keep"}),
    ("generalized_dice", {"absent": "keep", "pool": "image", "form": "log"}),
    ("jaccard", {"form": "log", "activation": "sigmoid", "smooth": 1.0}),
    ("dice", {"pool": "image+class", "form": "log", "class_weights": (1.0, 2.0, 0.0)}),
    *[
        ("tversky", {"gamma": gamma, "form": form, "fn_weight": 2.0})
        for gamma in (0.75, 2.0)
        for form in ("linear", "log")
    ],
    ("lovasz_softmax", {"pool": "image", "absent": "keep"}),
    ("lovasz_hinge", {"pool": "image", "absent": "skip"}),
    ("lovasz_softmax", {"bins": 8, "absent": "keep"}),
    ("lovasz_hinge", {"bins": 8, "pool": "image"}),
]
TARGETS = {
    "labels": np.array([[[0, 1, 2], [2, 2, 1]], [[0, 0, 1], [1, 2, 0]]]),
    "absent": np.array([[[0, 0, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]]]),
    "all-ignored": np.full((2, 2, 3), 255),
    # The probabilities of equal logits, among them: p = g exactly, for the kinks of the l1 form.
    "soft": np.broadcast_to(
        np.array([0.5, 0.5, 0.0, 0.25, 0.25, 0.5]).reshape(2, 3, 1, 1), (2, 3, 2, 3)
    ).copy(),
}
SHARP_IDS = [
    "-".join([name, *(f"{key}-{value}" for key, value in options.items())])
    for name, options in SHARP
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("name", "options"), SHARP, ids=SHARP_IDS)
def test_sharp_places(name, options, place, target, torch, jax):
    """Value and gradient are finite there, and closed form and autodiff are one."""
    z, t = PLACES[place], TARGETS[target]
    if t.dtype != np.float64:
        options = {**options, "ignore_index": 255}
    loss = getattr(al, ALL_CLASSES[name])(**options)
    value, gradient = loss.value_and_grad(z, t)
    reference = oracle.LOSSES[name](z, t, **options)
    assert np.all(np.isfinite(gradient))
    assert value == pytest.approx(reference, rel=1e-13, abs=1e-15)
    if target == "all-ignored":
        assert value == 0
        assert not np.any(gradient)

    tensor = torch.tensor(z, requires_grad=True)
    loss(tensor, torch.tensor(t)).backward()
    assert_close(tensor.grad.numpy(), gradient, 1e-12)
    plain = torch.func.grad(loss)(torch.tensor(z), torch.tensor(t))
    assert_close(plain.numpy(), gradient, 1e-12)
    # Jitted inside: places and hard targets, which are alike, are compiled once.
    _, theirs = loss.value_and_grad(jax.numpy.asarray(z), jax.numpy.asarray(t))
    assert_close(np.asarray(theirs), gradient, 1e-12)


def test_one_class_at_zero(library, dtype):
    """The first step of a network whose last layer starts at zero."""
    logits = library.asarray(np.zeros((1, 1, 2)), dtype)
    target = library.asarray(np.array([[0, 1]]))
    _, gradient = al.CrossEntropyLoss(activation="sigmoid").value_and_grad(logits, target)
    np.testing.assert_array_equal(library.to_numpy(gradient), [[[0.25, -0.25]]])


LOSSES = [
    *[(name, {}) for name in CLASSES],
    *[(name, {"activation": "sigmoid"}) for name in CLASSES if name not in OF_LOGITS],
    *[(name, {"bins": 8}) for name in LOVASZ_LOSSES],
]


@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_excluded_class(name, options, library, dtype):
    """Minus infinity at a class that is not the target is a probability of 0, and is exact."""
    logits, target, _ = Data(classes=4, absent=(2,), seed=31).build(dtype)
    logits[:, 2] = -np.inf
    loss = getattr(al, CLASSES[name])(**options)
    value, gradient = loss.value_and_grad(*library.on((logits, target), dtype))
    reference = oracle.LOSSES[name](logits, target, **options)
    assert float(value) == pytest.approx(reference, rel=ROUNDING[dtype])
    gradient = library.to_numpy(gradient)
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[:, 2])

    others = [0, 1, 3]
    expected = np.zeros_like(logits)
    for b, i, j in np.ndindex(target.shape):
        pixel = np.s_[b : b + 1, others, i : i + 1, j : j + 1]

        def moved(z, pixel=pixel):
            x = logits.astype(np.float64)
            x[pixel] = z
            return oracle.LOSSES[name](x, target, **options)

        expected[pixel] = oracle.numerical_gradient(moved, logits[pixel])
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=max(ROUNDING[dtype], 1e-8))


# --- second derivatives ---------------------------------------------------------------------------

SMOOTH = [
    ("cross_entropy", {"label_smoothing": 0.1, "class_weights": (1.0, 2.0, 0.5)}),
    ("cross_entropy", {"activation": "sigmoid", "pos_weight": 2.0}),
    ("focal", {"gamma": 2.0, "alpha": 0.25}),
    ("focal", {"gamma": 0.5, "activation": "sigmoid"}),
    ("focal", {"normalize": "focal", "gamma": 1.5}),
    ("dice", {"smooth": 1.0}),
    ("dice", {"pool": "image", "power": 2}),
    ("jaccard", {"activation": "sigmoid"}),
    ("tversky", {"fp_weight": 0.3, "fn_weight": 0.7}),
    ("tversky", {"gamma": 0.75, "form": "log", "smooth": 1.0}),
    ("dice", {"form": "log_cosh", "pool": "image+class"}),
    ("poly", {"epsilon": 2.0}),
    ("generalized_dice", {"pool": "image", "weighting": "simple"}),
    ("mcc", {"activation": "sigmoid"}),
]


@pytest.mark.parametrize(("name", "options"), SMOOTH)
def test_second_derivatives(name, options, torch):
    loss = getattr(al, CLASSES[name])(ignore_index=255, **options)
    data = Data(spatial=(2, 2), ignore=(255,), weights="float", seed=11)
    logits, target, weights = BACKENDS["torch"].inputs(data, "float64")
    logits.requires_grad_()

    def function(z):
        return loss(z, target, pixel_weights=weights)

    assert torch.autograd.gradcheck(function, (logits,))
    assert torch.autograd.gradgradcheck(function, (logits,))


@pytest.mark.parametrize("gamma", [1.5, 2.0])
def test_second_derivatives_of_the_normalised_focal_loss(gamma, torch, jax):
    """Without weights it is computed in a large unit, whose square no dtype holds."""
    loss = al.FocalLoss(gamma=gamma, normalize="focal")
    logits, target, _ = Data(spatial=(2, 2), seed=11).build()
    direction = np.random.default_rng(4).normal(size=logits.shape)
    ahead, behind = (loss.value_and_grad(logits + h * direction, target)[1] for h in (1e-5, -1e-5))
    expected = (ahead - behind) / 2e-5

    z, t = torch.tensor(logits, requires_grad=True), torch.tensor(target)
    (gradient,) = torch.autograd.grad(loss(z, t), z, create_graph=True)
    (found,) = torch.autograd.grad((gradient * torch.tensor(direction)).sum(), z)
    assert_close(found.numpy(), expected, 1e-8)

    slope = jax.grad(lambda x: loss(x, jax.numpy.asarray(target)))
    found = jax.jvp(slope, (jax.numpy.asarray(logits),), (jax.numpy.asarray(direction),))[1]
    assert_close(np.asarray(found), expected, 1e-8)


# PyTorch's own: it loads its forward-mode rules with the function that it deprecates.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_second_derivatives_agree(torch, jax):
    """Hessians of a sum, in both frameworks."""
    case = Case(
        "sum",
        ((1.0, "cross_entropy", {}), (0.5, "dice", {"smooth": 1.0}), (2.0, "focal", {})),
        Data(batch=1, spatial=(3,), seed=2),
    )
    loss = case.loss()
    z, t, _ = BACKENDS["torch"].inputs(case.data, "float64")
    eager = torch.autograd.functional.hessian(lambda z: loss(z, t), z)
    plain = torch.func.hessian(lambda z: loss(z, t))(z)
    z, t, _ = BACKENDS["jax-x64"].inputs(case.data, "float64")
    theirs = np.asarray(jax.hessian(lambda z: loss(z, t))(z))
    assert np.any(theirs)
    assert_close(eager.numpy(), theirs, 1e-12)
    assert_close(plain.numpy(), theirs, 1e-12)


@pytest.mark.parametrize("lead", [10, 20, 40, 80])
@pytest.mark.parametrize(
    "loss",
    [
        al.DiceLoss(),
        al.DiceLoss(form="log"),
        al.TverskyLoss(gamma=1.5),
        al.MCCLoss(),
        al.GeneralizedDiceLoss(),
        al.CrossEntropyLoss() + al.DiceLoss(),
        al.LovaszSoftmaxLoss(),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("classes", [3, 12])
@pytest.mark.parametrize("block_pixels", [None, 3])
def test_a_gradient_is_right_where_all_pixels_are_surely_wrong(
    loss, lead, classes, block_pixels, library, dtype
):
    """Then it is the small difference of a class's own slope and their mean."""
    if library.module == "jax" and lead > 10 and isinstance(loss, al.MCCLoss):
        pytest.skip("JAX differentiates its formula, and loses that difference: docs/frameworks.md")
    labels = np.array([[0, 1, 2, 1]])
    logits = np.zeros((1, classes, 4))
    logits[:, 1] = lead
    one_hot = np.moveaxis(np.eye(classes, dtype=int)[labels], -1, 1)
    expected = loss.value_and_grad(logits, one_hot)[1]
    with plan.using(block_pixels=block_pixels):
        _, gradient = loss.value_and_grad(*library.on((logits, labels), dtype))
    error = np.abs(library.to_numpy(gradient) - expected).max() / np.abs(expected).max()
    assert error < 512 * np.finfo(dtype).eps


def test_a_moderate_softmax_bears_small_and_large_weights(library):
    if library.module == "jax":
        pytest.skip("JAX has no such softmax")
    rng = np.random.default_rng(4)
    labels = rng.integers(3, size=(1, 40))
    for offset, weight in ((20, 1e-25), (-20, 1e24), (38, 1e-25), (-38, 1e24)):
        logits = rng.normal(scale=0.1, size=(1, 3, 40)) + offset
        weights = np.full(labels.shape, weight)
        expected = al.DiceLoss().value_and_grad(logits, labels, pixel_weights=weights)[1]
        found = al.DiceLoss().value_and_grad(
            *library.on((logits, labels), "float32"),
            pixel_weights=library.asarray(weights, "float32"),
        )[1]
        np.testing.assert_allclose(
            library.to_numpy(found), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
        )
