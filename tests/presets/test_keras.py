"""presets.keras against Keras on PyTorch, in float64 where Keras does not round to float32."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import array_losses as al
from array_losses.presets import keras as presets
from tests.presets import packages
from tests.presets.agreement import relative, with_torch
from tests.presets.options import MANY, Data, seeds, shapes, some
from tests.presets.table import check_row

torch = pytest.importorskip("torch")
os.environ["KERAS_BACKEND"] = "torch"
keras = packages.load("keras")
keras.config.set_floatx("float64")
SINGLE = 1e-6
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]


def compare(name, options, arrays):
    mine = getattr(presets, name)(**options)
    theirs = getattr(keras.losses, name)(**options)
    # Keras's `mean` and division round float64 to float32.
    summed = options.get("reduction", "mean") in {"sum", "none", None}
    clean = summed and "Binary" not in name
    with_torch(
        "keras", mine, theirs, arrays, wrt=1, limit=1e-12 if clean else SINGLE, rounded=not clean
    )


WEIGHED = st.sampled_from([None, "each", "column", "one axis", "number"])


def weighted(data, options, arrays, shape, weigh):
    """The arrays, and sample weights of a shape that fits that of the losses, or none."""
    if weigh is None:
        return arrays
    if weigh == "column" and len(shape) == 1:
        weigh = "each"  # Keras gives the losses themselves a column
    if options.get("ignore_class"):
        weigh = "each"  # Keras multiplies them by the mask in place
    made = {"each": shape, "column": (*shape, 1), "one axis": shape[-1:], "number": ()}[weigh]
    return [*arrays, np.asarray(data.rng.uniform(0.5, 2.0, size=made))]


@MANY
@given(
    seeds,
    shapes,
    st.sampled_from(["Dice", "Tversky"]),
    some(reduction=REDUCTIONS, axis=[None, (0, 1), (1, 2), 1, -1]),
    some(alpha=[0.3, 1.0], beta=[0.7, 1.0]),
    st.booleans(),
    WEIGHED,
)
def test_overlap_losses(seed, shape, name, options, tversky, soft, weigh):
    data = Data(seed)
    full = (2, *shape, 3)
    options |= tversky if name == "Tversky" else {}
    target = data.probabilities(*full) if soft else data.bits(*full)
    if options.get("axis") is not None or options.get("reduction", "sum") in {"none", None}:
        weigh = None
    arrays = [target, data.probabilities(*full)]
    compare(name, options, weighted(data, options, arrays, (2, 4), weigh))


@MANY
@given(
    seeds,
    shapes,
    st.sampled_from(["CategoricalCrossentropy", "CategoricalFocalCrossentropy"]),
    some(
        from_logits=[True, False],
        label_smoothing=[0.0, 0.1],
        axis=[-1, 1, 2],
        reduction=REDUCTIONS,
    ),
    some(alpha=[0.25, 1.0, "each"], gamma=[0.0, 0.5, 2.0, 3.7]),
    WEIGHED,
)
def test_categorical_losses(seed, shape, name, options, focal, weigh):
    data = Data(seed)
    full, axis = (2, *shape, 3), options.get("axis", -1)
    axis = options["axis"] = min(axis, len(full) - 1)
    if name == "CategoricalFocalCrossentropy":
        options |= focal
        if options.get("alpha") == "each":
            if axis % len(full) == len(full) - 1:
                options["alpha"] = [0.5, 1.0, 2.0]
            else:
                options.pop("alpha")  # Keras lets a list run along the last axis
    y_pred = data.logits(*full) if options.get("from_logits") else data.probabilities(*full)
    y_true = data.distribution(*full, axis=axis)
    pixels = tuple(n for i, n in enumerate(full) if i != axis % len(full))
    compare(name, options, weighted(data, options, [y_true, y_pred], pixels, weigh))


@MANY
@given(
    seeds,
    shapes,
    some(
        from_logits=[True, False],
        ignore_class=[None, 255, 1],
        axis=[-1, 1],
        reduction=REDUCTIONS,
    ),
    WEIGHED,
    st.booleans(),
)
def test_sparse_categorical_crossentropy(seed, shape, options, weigh, last):
    data = Data(seed)
    if not options.get("from_logits"):
        shape = (6,)  # else no gradient from Keras on PyTorch
    full, axis = (2, *shape, 3), options.get("axis", -1)
    y_pred = data.logits(*full) if options.get("from_logits") else data.probabilities(*full)
    pixels = tuple(n for i, n in enumerate(full) if i != axis % len(full))
    labels = data.labels(full[axis], *pixels, ignored=options.get("ignore_class"))
    labels.flat[0] = 0
    arrays = [np.expand_dims(labels, axis) if last and not weigh else labels, y_pred]
    arrays[0] = arrays[0].astype(np.float64)
    compare(
        "SparseCategoricalCrossentropy",
        options,
        weighted(data, options, arrays, pixels, weigh),
    )


@MANY
@given(
    seeds,
    shapes,
    st.sampled_from(["BinaryCrossentropy", "BinaryFocalCrossentropy"]),
    some(from_logits=[True, False], axis=[-1, 1], reduction=REDUCTIONS),
    some(apply_class_balancing=[True, False], alpha=[0.25, 1.0], gamma=[0.0, 0.5, 2.0, 3.7]),
    st.sampled_from([0.0, 0.1]),
    WEIGHED,
    st.booleans(),
)
def test_binary_losses(seed, shape, name, options, focal, smoothing, weigh, soft):
    data = Data(seed)
    full, axis = (2, *shape, 3), options.get("axis", -1)
    y_true = data.bits(*full)
    if name == "BinaryFocalCrossentropy":
        options |= focal
    options["label_smoothing"] = smoothing
    y_true = data.probabilities(*full) if soft else y_true
    y_pred = data.logits(*full) if options.get("from_logits") else data.probabilities(*full)
    losses = tuple(n for i, n in enumerate(full) if i != axis % len(full))
    compare(name, options, weighted(data, options, [y_true, y_pred], losses, weigh))


@pytest.mark.parametrize("name", ["Dice", "BinaryCrossentropy"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_last_axis_of_one(name, which):
    data = Data(51)
    arrays = [data.bits(2, 4, 5), data.probabilities(2, 4, 5)]
    arrays[which] = arrays[which][..., None]
    compare(name, {}, arrays)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: presets.Dice(reduction="all"), "`reduction` must be one of"),
        (lambda: presets.Dice()(np.zeros((2, 3)), np.zeros((2, 4))), "`y_true` must have"),
        (
            lambda: presets.BinaryCrossentropy()(
                np.zeros((2, 3)), np.full((2, 3), 0.5), np.ones(3)
            ),
            "`sample_weight` must broadcast to the shape of the losses",
        ),
        (
            lambda: presets.Dice(axis=1)(np.zeros((2, 3)), np.full((2, 3), 0.5), np.ones(2)),
            "`sample_weight` must be None where",
        ),
    ],
)
def test_what_cannot_be_said_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def agreed(name, arrays, **options):
    theirs = getattr(keras.losses, name)(**options)
    theirs = theirs(*(torch.from_numpy(np.array(x)) for x in arrays))
    assert relative(getattr(presets, name)(**options)(*arrays), theirs) < SINGLE
    return theirs


def test_oddity_of_one_sum_of_all_classes():
    data = Data(52)
    one_hot, p = np.eye(3)[data.labels(3, 2, 9) // 2], data.distribution(2, 9, 3, axis=-1)
    theirs = agreed("Dice", (one_hot, p))
    mine = al.DiceLoss(class_axis=-1, activation=None)(p, one_hot)
    check_row("keras", "`Dice()`, the mean over classes", theirs, mine)
    nothing = np.zeros((1, 4))
    theirs = agreed("Dice", (nothing, nothing))
    mine = al.DiceLoss(activation=None, absent="keep")(nothing[:, None], nothing[:, None])
    check_row("keras", "`Dice()`, empty prediction and target", theirs, mine)


def test_oddity_of_alpha_and_beta():
    data = Data(53)
    mask, p = data.bits(1, 20), data.probabilities(1, 20)
    theirs = agreed("Tversky", (mask, p), alpha=0.3, beta=0.7)
    mine = al.TverskyLoss(activation=None, fp_weight=0.3, fn_weight=0.7)(p[:, None], mask[:, None])
    check_row("keras", "`Tversky(alpha=0.3, beta=0.7)`, 0.3 for false positives", theirs, mine)


def test_oddity_of_alpha():
    data = Data(54)
    one_hot, p = np.eye(3)[data.labels(3, 2, 9)], data.distribution(2, 9, 3, axis=-1)
    theirs = agreed("CategoricalFocalCrossentropy", (one_hot, p))
    mine = al.FocalLoss(class_axis=-1, activation=None)(p, one_hot)
    check_row("keras", "`CategoricalFocalCrossentropy()`, no `alpha`", theirs, mine)


def test_departure_of_alpha_on_another_axis():
    data = Data(58)
    labels, p = data.labels(3, 2, 3), data.distribution(2, 3, 3)
    one_hot = np.moveaxis(np.eye(3)[labels], -1, 1)
    options = {"alpha": [0.5, 1.0, 2.0], "axis": 1}
    theirs = keras.losses.CategoricalFocalCrossentropy(**options)(one_hot, torch.from_numpy(p))
    mine = presets.CategoricalFocalCrossentropy(**options)(one_hot, p)
    last = [np.moveaxis(x, 1, -1) for x in (one_hot, p)]
    expected = agreed("CategoricalFocalCrossentropy", last, alpha=options["alpha"])
    assert mine == pytest.approx(float(expected))
    check_row("keras", "`CategoricalFocalCrossentropy(alpha=[...], axis=1)`", theirs, mine)


def test_departure_at_saturation():
    y_true, y_pred = np.asarray([[1.0, 0.0]]), np.asarray([[0.0, 40.0]])
    options = {"from_logits": True, "alpha": 1.0}
    z = torch.from_numpy(y_pred).requires_grad_()
    theirs = keras.losses.CategoricalFocalCrossentropy(**options)(y_true, z)
    theirs.backward()
    value, grad = presets.CategoricalFocalCrossentropy(**options).value_and_grad(y_true, y_pred)
    what = "`CategoricalFocalCrossentropy(alpha=1, from_logits=True)`, a wrong logit of 40"
    check_row("keras", what, theirs.detach(), value)
    check_row("keras", f"{what}, gradient", z.grad[0, 1], grad[0, 1])


def test_departure_of_float64():
    data = Data(56)
    arrays = data.bits(2, 5), data.probabilities(2, 5)
    keras.config.set_floatx("float32")  # the default
    theirs = keras.losses.Dice()(*map(torch.from_numpy, arrays))
    keras.config.set_floatx("float64")
    assert theirs.dtype == torch.float32
    assert presets.Dice()(*arrays).dtype == np.float64
    check_row("keras", "every loss of float64, the dtype by default", "float32", "float64")


def test_departure_of_the_gradient_of_images():
    data = Data(57)
    labels, p = data.labels(3, 1, 4, 5), data.distribution(1, 4, 5, 3, axis=-1)
    z = torch.from_numpy(p).requires_grad_()
    with pytest.raises(RuntimeError, match="contiguous"):
        keras.losses.SparseCategoricalCrossentropy()(torch.from_numpy(labels), z).backward()
    _, grad = presets.SparseCategoricalCrossentropy().value_and_grad(labels, p)
    what = "`SparseCategoricalCrossentropy()` of images on PyTorch, largest gradient"
    check_row("keras", what, "RuntimeError", np.abs(grad).max())
