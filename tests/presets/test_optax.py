"""presets.optax against optax, in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import array_losses as al
from array_losses.presets import optax as presets
from tests.presets import packages
from tests.presets.agreement import with_jax
from tests.presets.options import MANY, Bound, Data, seeds, shapes, some
from tests.presets.table import check_row

optax = packages.load("optax.losses")
jax = pytest.importorskip("jax")


def compare(name, arrays, options):
    def theirs(*x):
        given = {
            k: jax.numpy.asarray(v) if isinstance(v, np.ndarray) else v for k, v in options.items()
        }
        return getattr(optax, name)(*x, **given)

    with_jax("optax", Bound(getattr(presets, name), **options), theirs, arrays)


def soft_or_hard(data, soft, *shape):
    return data.probabilities(*shape) if soft else data.bits(*shape)


@MANY
@given(seeds, shapes, st.booleans())
def test_sigmoid_binary_cross_entropy(seed, shape, soft):
    data = Data(seed)
    arrays = [data.logits(2, *shape), soft_or_hard(data, soft, 2, *shape)]
    compare("sigmoid_binary_cross_entropy", arrays, {})


@MANY
@given(
    seeds,
    shapes,
    some(alpha=[0.0, 0.25, 1.0, None], gamma=[0.0, 0.5, 1.0, 2.0, 3.7]),
    st.booleans(),
)
def test_sigmoid_focal_loss(seed, shape, options, soft):
    data = Data(seed)
    arrays = [data.logits(2, *shape), soft_or_hard(data, soft, 2, *shape)]
    compare("sigmoid_focal_loss", arrays, options)


def distributions(data, shape, axes):
    """Probabilities that sum to 1 over some axes."""
    p = data.rng.uniform(0.05, 1.0, size=shape)
    return p / p.sum(axis=axes, keepdims=True)


AXES = {"axis": [-1, 0, 1, (1, 2), (2, 0)]}


def classes_there(data, kind, shape, axis, labels=None):
    """A mask of the classes that there are, of the logits' shape, or of whole pixels."""
    if kind is None:
        return {}
    axes = tuple(a % len(shape) for a in np.atleast_1d(axis))
    pixels = tuple(n for i, n in enumerate(shape) if i not in axes)
    if kind == "pixels" and len(axes) == 1:
        return {"where": data.rng.uniform(size=pixels) < 0.7}
    return {"where": data.rng.uniform(size=shape) < 0.7}


@MANY
@given(
    seeds,
    some(**AXES),
    st.sampled_from([None, "pixels", "classes"]),
    st.sampled_from(["softmax_cross_entropy", "poly_loss_cross_entropy"]),
    st.sampled_from([-0.5, 0.0, 1.0]),
)
def test_losses_of_distributions(seed, options, where, name, epsilon):
    data, shape = Data(seed), (3, 4, 5)
    axis = options.get("axis", -1)
    arrays = [data.logits(*shape), distributions(data, shape, axis)]
    if name == "poly_loss_cross_entropy" and where == "pixels":
        where = "classes"  # whole pixels are an error in optax
    options |= classes_there(data, where, shape, axis)
    if name == "poly_loss_cross_entropy":
        options["epsilon"] = epsilon
    compare(name, arrays, options)


@MANY
@given(seeds, some(**AXES), st.sampled_from([None, "pixels", "classes"]))
def test_softmax_cross_entropy_with_integer_labels(seed, options, where):
    data, shape = Data(seed), (3, 4, 5)
    axes = tuple(a % 3 for a in np.atleast_1d(options.get("axis", -1)))
    pixels = tuple(n for i, n in enumerate(shape) if i not in axes)
    classes = int(np.prod([shape[a] for a in axes]))
    labels = data.labels(classes, *pixels)
    options |= classes_there(data, where, shape, options.get("axis", -1))
    if "where" in options and options["where"].ndim == 3:  # the labelled class is there
        one_hot = np.eye(classes, dtype=bool)[labels].reshape(*pixels, *(shape[a] for a in axes))
        kept = [i for i in range(3) if i not in axes]
        options["where"] |= one_hot.transpose(np.argsort([*kept, *axes]))
    compare("softmax_cross_entropy_with_integer_labels", [data.logits(*shape), labels], options)


@pytest.mark.parametrize("axis", [None, (0, 1)])
def test_every_axis_may_be_one_of_classes(axis):
    data = Data(1)
    arrays = [data.logits(3, 4), distributions(data, (3, 4), (0, 1))]
    compare("softmax_cross_entropy", arrays, {"axis": axis})


@MANY
@given(
    seeds,
    shapes,
    some(
        class_weights=[np.asarray([1.0, 0.0, 2.5]), None],
        smooth=[0.0, 1.0, 1e-5],
        alpha=[0.3, 0.5, 1.0],
        beta=[0.7, 0.5, 1.0],
        reduction=["mean", "sum", "none"],
        ignore_background=[True, False],
        axis=[None, (1,), (0, 1)],
    ),
    st.booleans(),
)
def test_dice_loss(seed, shape, options, soft):
    data = Data(seed)
    full = (2, *shape, 3)
    target = data.distribution(*full, axis=-1)
    if not soft:
        target = np.eye(3)[target.argmax(-1)]
    compare("dice_loss", [data.logits(*full), target], options)
    options["apply_softmax"] = False
    compare("dice_loss", [data.distribution(*full, axis=-1), target], options)


@MANY
@given(seeds, shapes, some(smooth=[0.0, 1.0, 1e-5]), st.booleans(), st.booleans())
def test_binary_dice_loss(seed, shape, options, soft, last):
    data = Data(seed)
    full = (2, *shape, 1) if last else (2, *shape)
    arrays = [data.logits(*full), soft_or_hard(data, soft, *full)]
    compare("binary_dice_loss", arrays, options)
    compare("dice_loss", [x.reshape(2, *shape, 1) for x in arrays], options)


def test_oddity_of_smooth():
    data = Data(5)
    logits, target = data.logits(1, 8, 3), np.eye(3)[data.labels(3, 1, 8)]
    (theirs,) = optax.dice_loss(logits, target)
    options = {"class_axis": -1, "pool": "image", "absent": "keep"}
    mine = al.DiceLoss(smooth=1.0, **options)(logits, target)
    (preset,) = presets.dice_loss(logits, target)
    assert preset == pytest.approx(float(theirs), rel=1e-6)
    assert preset == pytest.approx(float(al.DiceLoss(smooth=2.0, **options)(logits, target)))
    check_row("optax", "`dice_loss(smooth=1)`", theirs, mine)


def test_departure_of_probabilities_of_one_class():
    data = Data(6)
    p, target = data.probabilities(1, 8), data.bits(1, 8)
    with pytest.raises(ValueError, match="valid probability"):
        optax.binary_dice_loss(p, target, apply_sigmoid=False)
    (mine,) = presets.binary_dice_loss(p, target, apply_sigmoid=False)
    check_row("optax", "`binary_dice_loss(apply_sigmoid=False)`", "ValueError", mine)


def test_departure_of_labels_that_are_no_classes():
    logits, labels = np.zeros((2, 3)), np.asarray([1, 3])
    with jax.enable_x64(True):
        theirs = optax.softmax_cross_entropy_with_integer_labels(
            jax.numpy.asarray(logits), jax.numpy.asarray(labels)
        )
    assert np.isnan(theirs[1])
    with pytest.raises(ValueError, match="`target` must hold integers from 0 to 2, got 3"):
        presets.softmax_cross_entropy_with_integer_labels(logits, labels)
    check_row(
        "optax", "`softmax_cross_entropy_with_integer_labels`, label 3 of 3", "nan", "ValueError"
    )


def test_departure_of_negative_labels():
    logits, labels = Data(14).logits(2, 3), np.asarray([1, -1])
    with jax.enable_x64(True):
        theirs = optax.softmax_cross_entropy_with_integer_labels(
            jax.numpy.asarray(logits), jax.numpy.asarray(labels)
        )
    last = presets.softmax_cross_entropy_with_integer_labels(logits, np.asarray([1, 2]))
    np.testing.assert_allclose(theirs, last)  # it counts from the end
    with pytest.raises(ValueError, match="`target` must hold integers from 0 to 2, got -1"):
        presets.softmax_cross_entropy_with_integer_labels(logits, labels)
    what = "`softmax_cross_entropy_with_integer_labels`, label -1 of 3"
    check_row("optax", what, theirs[1], "ValueError")


def test_departure_of_poly_loss_of_some_pixels():
    data = Data(13)
    logits, labels = data.logits(2, 3), np.eye(3)[[0, 2]]
    where = np.asarray([True, False])
    with pytest.raises(ValueError, match="Incompatible shapes"):
        optax.poly_loss_cross_entropy(logits, labels, where=jax.numpy.asarray(where))
    mine = presets.poly_loss_cross_entropy(logits, labels, where=where)
    assert mine[0] == presets.poly_loss_cross_entropy(logits, labels)[0]
    assert mine[1] == 0.0
    check_row(
        "optax", "`poly_loss_cross_entropy`, `where` of pixels, summed", "ValueError", mine.sum()
    )
