"""Bad input: which exception comes, and that its message names the argument."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import array_losses as al
from array_losses.cli.main import main
from tests.backends import BACKENDS
from tests.cases import (
    ALL_CLASSES,
    CLASSES,
    LOVASZ_LOSSES,
    OF_LOGITS,
    OVERLAP_LOSSES,
    PIXEL_LOSSES,
    Data,
)

each_class = pytest.mark.parametrize("name", CLASSES)
CLASS_LOSSES = tuple(name for name in CLASSES if name not in PIXEL_LOSSES)
NAN, INF = float("nan"), float("inf")


def make(name, **options):
    return getattr(al, ALL_CLASSES[name])(**options)


def says(argument, *words):
    """A message with the argument in backticks, and these words after it."""
    return ".*".join([f"`{argument}`", *map(re.escape, words)])


@pytest.fixture
def inputs(library):
    """Logits (2, 3, 3, 4) and labels of each library."""
    logits, target, _ = library.inputs(Data(seed=81), "float64")
    return logits, target


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1, 1), (1, 3, 1, 1)])
@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("CrossEntropyLoss", "pos_weight"),
        ("CrossEntropyLoss", "class_weights"),
        ("DiceLoss", "class_weights"),
        ("FocalLoss", "gamma"),
        ("FocalLoss", "alpha"),
        ("TverskyLoss", "gamma"),
    ],
)
def test_one_number_per_class_along_any_one_axis(name, option, shape, library):
    """As `torch.ones(3, 1, 1)`, which other libraries want."""
    options = {"activation": "sigmoid"} if option in {"pos_weight", "alpha"} else {}
    numbers = np.array([0.25, 0.5, 0.75])
    array = library.asarray(numbers.reshape(shape), library.dtypes[0])
    if not hasattr(array, "tolist"):
        pytest.skip("an array whose numbers Python cannot read")
    found = getattr(al, name)(**options, **{option: array})
    assert getattr(found, option) == (0.25, 0.5, 0.75)
    assert found == getattr(al, name)(**options, **{option: numbers})
    square = library.asarray(np.ones((3, 3)), library.dtypes[0])
    with pytest.raises(TypeError, match=says(option, "one axis", "(3, 3)")):
        getattr(al, name)(**options, **{option: square})


WRONG_OPTIONS = [
    *[
        (tuple(CLASSES), option, value, error)
        for option, value, error in [
            ("class_axis", 1.0, TypeError),
            ("class_axis", "1", TypeError),
            ("class_axis", True, TypeError),
            ("class_axis", None, TypeError),
            ("ignore_index", 255.0, TypeError),
            ("ignore_index", "255", TypeError),
            ("ignore_index", True, TypeError),
            ("ignore_index", (255, 0.5), TypeError),
            ("ignore_index", (255, True), TypeError),
            ("class_weights", 1.0, TypeError),
            ("class_weights", "123", TypeError),
            ("class_weights", (1.0, "2"), TypeError),
            ("class_weights", (1.0, None), TypeError),
            ("class_weights", (1.0, True), TypeError),
            ("class_weights", (1.0, -1.0), ValueError),
            ("class_weights", (1.0, NAN), ValueError),
            ("class_weights", (1.0, INF), ValueError),
            ("class_weights", (0.0, 0.0), ValueError),
            ("class_weights", (), ValueError),
            ("class_weights", np.ones((2, 2)), TypeError),
            ("class_weights", [[1.0, 2.0, 3.0]], TypeError),
            ("include_background", 1, TypeError),
            ("include_background", "no", TypeError),
            ("include_background", None, TypeError),
            ("reduction", "average", ValueError),
            ("reduction", "Mean", ValueError),
            ("reduction", None, ValueError),
        ]
    ],
    *[
        (tuple(name for name in CLASSES if name not in OF_LOGITS), "activation", value, ValueError)
        for value in ("tanh", "Softmax", "none")
    ],
    (("cross_entropy", "poly"), "normalize", "focal", ValueError),
    *[
        (PIXEL_LOSSES, "normalize", value, ValueError)
        for value in ("batch", None, "Valid", "weights_pixels", "classes")
    ],
    *[
        (("cross_entropy", "poly"), option, value, error)
        for option, value, error in [
            ("label_smoothing", -0.1, ValueError),
            ("label_smoothing", 1.1, ValueError),
            ("label_smoothing", NAN, ValueError),
            ("label_smoothing", "0.1", TypeError),
            ("label_smoothing", True, TypeError),
            ("label_smoothing", None, TypeError),
            ("pos_weight", 2.0, ValueError),  # with a softmax
        ]
    ],
    *[
        (("cross_entropy",), option, value, error)
        for option in ("top_k", "ohem_threshold")
        for value, error in [
            (0.0, ValueError),
            (-0.1, ValueError),
            (1.1, ValueError),
            (10, ValueError),
            (NAN, ValueError),
            (INF, ValueError),
            ("0.1", TypeError),
            (True, TypeError),
            ((0.1, 0.2), TypeError),
        ]
    ],
    *[
        (("cross_entropy",), "min_kept", value, error)
        for value, error in [
            (-1, ValueError),
            (1000, ValueError),  # without `ohem_threshold`
            (10.0, TypeError),
            (True, TypeError),
            (None, TypeError),
        ]
    ],
    *[
        (("poly",), "epsilon", value, error)
        for value, error in [(NAN, ValueError), (INF, ValueError), ("1", TypeError)]
    ],
    *[
        (("focal",), option, value, error)
        for option, value, error in [
            ("gamma", -1.0, ValueError),
            ("gamma", NAN, ValueError),
            ("gamma", INF, ValueError),
            ("gamma", "2", TypeError),
            ("gamma", None, TypeError),
            ("gamma", (1.0, -1.0), ValueError),
            ("gamma", (1.0, "2"), TypeError),
            ("alpha", -0.1, ValueError),
            ("alpha", NAN, ValueError),
            ("alpha", "0.25", TypeError),
            ("alpha", (0.5, -1.0), ValueError),
            ("pos_weight", 2.0, ValueError),  # with a softmax
            ("threshold", 0.0, ValueError),
            ("threshold", 1.5, ValueError),
            ("threshold", "0.5", TypeError),
            ("threshold", (0.3, 0.0), ValueError),
            ("threshold", (0.3, 0.3, 0.4), ValueError),
            ("soft", "joint", ValueError),
            ("soft", "arithmetic", ValueError),  # with a softmax
        ]
    ],
    *[
        (CLASS_LOSSES, option, value, ValueError)
        for option, value in [
            ("pool", "pixel"),
            ("pool", None),
            ("absent", "ignore"),
            ("absent", None),
            ("absent", True),
            ("normalize", "valid"),
            ("normalize", None),
        ]
    ],
    *[
        ((*OVERLAP_LOSSES, "generalized_dice"), option, value, error)
        for option, value, error in [
            ("smooth", -1.0, ValueError),
            ("smooth", NAN, ValueError),
            ("smooth", INF, ValueError),
            ("smooth", "1", TypeError),
            ("smooth", None, TypeError),
            ("smooth", (1.0,), ValueError),
            ("smooth", (1.0, 1.0, 1.0), ValueError),
            ("smooth", (1.0, -1.0), ValueError),
            ("power", 3, ValueError),
            ("power", 0, ValueError),
            ("power", "2", ValueError),
            ("power", True, ValueError),
            ("intersection", "sum", ValueError),
            ("intersection", None, ValueError),
            ("form", "exp", ValueError),
            ("form", None, ValueError),
            ("pool", "class", ValueError),
        ]
    ],
    *[
        (("tversky",), option, value, error)
        for option in ("fp_weight", "fn_weight")
        for value, error in [
            (-0.1, ValueError),
            (NAN, ValueError),
            (INF, ValueError),
            ("1", TypeError),
            (None, TypeError),
            (True, TypeError),
        ]
    ],
    *[
        (("tversky",), "gamma", value, error)
        for value, error in [
            (0.0, ValueError),
            (-1.0, ValueError),
            (NAN, ValueError),
            ("1", TypeError),
            ((1.0, 0.0, 3.0), ValueError),
        ]
    ],
    *[
        (("generalized_dice",), option, value, ValueError)
        for option, value in [("weighting", "cube"), ("weighting", None), ("absent", "zero")]
    ],
    *[
        (("unified_focal",), option, value, error)
        for option, value, error in [
            ("reduction", "none", ValueError),
            ("symmetry", "both", ValueError),
            ("delta", 1.5, ValueError),
            ("delta", "0.6", TypeError),
            ("gamma", 1.0, ValueError),
            ("gamma", -0.5, ValueError),
            ("gamma", (0.5, 0.5, 0.5), TypeError),
            ("balance", 1.5, ValueError),
            ("pool", "batch+class", ValueError),
        ]
    ],
    *[(("mcc",), "intersection", value, ValueError) for value in ("sum", None)],
    *[
        ((*LOVASZ_LOSSES, "mcc", "generalized_dice"), "pool", value, ValueError)
        for value in ("batch+class", "image+class")
    ],
    *[
        (LOVASZ_LOSSES, "bins", value, error)
        for value, error in [
            (0, ValueError),
            (-1, ValueError),
            (2.5, TypeError),
            ("many", TypeError),
            (True, TypeError),
        ]
    ],
]


@pytest.mark.parametrize(("names", "option", "value", "error"), WRONG_OPTIONS)
def test_wrong_options(names, option, value, error):
    for name in names:
        with pytest.raises(error, match=says(option)):
            make(name, **{option: value})
        with pytest.raises(error, match=says(option)):
            getattr(al, f"{name}_loss")(
                np.zeros((1, 3, 2)), np.ones((1, 2), int), **{option: value}
            )


def test_options_that_exclude_each_other():
    with pytest.raises(ValueError, match=says("alpha", "0 to 1")):
        al.FocalLoss(activation="sigmoid", alpha=1.5)
    with pytest.raises(ValueError, match=says("pos_weight", "class_weights")):
        al.CrossEntropyLoss(pos_weight=2.0)
    with pytest.raises(ValueError, match=says("pos_weight", "class_weights")):
        al.FocalLoss(pos_weight=2.0)
    with pytest.raises(ValueError, match=says("top_k", "`ohem_threshold`")):
        al.CrossEntropyLoss(top_k=0.1, ohem_threshold=0.7)
    with pytest.raises(ValueError, match=says("min_kept", "`ohem_threshold`")):
        al.CrossEntropyLoss(top_k=0.1, min_kept=10)
    with pytest.raises(ValueError, match=says("gamma", "one number")):
        al.TverskyLoss(gamma=(1.0, 2.0), pool="batch+class")
    with pytest.raises(ValueError, match="`fp_weight` and `fn_weight`"):
        al.TverskyLoss(fp_weight=0, fn_weight=0)


@pytest.mark.parametrize(
    ("value", "error"),
    [(-1.0, ValueError), (NAN, ValueError), (INF, ValueError), ("1", TypeError)],
)
def test_wrong_pos_weight(value, error):
    with pytest.raises(error, match=says("pos_weight")):
        al.CrossEntropyLoss(activation="sigmoid", pos_weight=value)


@each_class
def test_an_unknown_option(name):
    with pytest.raises(TypeError, match="unknown"):
        make(name, unknown=1)
    with pytest.raises(TypeError, match="positional"):
        getattr(al, CLASSES[name])(1)


@each_class
def test_options_come_in_many_kinds(name, torch):
    """Lists, arrays, tensors and numbers of other libraries become tuples and plain numbers."""
    expected = make(name, class_weights=(1.0, 2.0, 3.0), ignore_index=(0, 255), class_axis=-1)
    for weights in ([1, 2, 3], np.array([1, 2, 3]), torch.tensor([1.0, 2.0, 3.0]), range(1, 4)):
        loss = make(
            name,
            class_weights=weights,
            ignore_index=np.asarray([0, 255], dtype="uint8"),
            class_axis=np.int32(-1),
        )
        assert loss == expected
        assert hash(loss) == hash(expected)
        assert repr(loss) == repr(expected)
    assert make(name, ignore_index=np.uint8(255)) == make(name, ignore_index=255)
    assert make(name, ignore_index=torch.tensor(255)) == make(name, ignore_index=255)
    assert type(make(name, ignore_index=np.uint8(255)).ignore_index) is int


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (al.CrossEntropyLoss, "label_smoothing"),
        (al.CrossEntropyLoss, "top_k"),
        (al.CrossEntropyLoss, "ohem_threshold"),
        (al.FocalLoss, "gamma"),
        (al.FocalLoss, "alpha"),
        (al.DiceLoss, "smooth"),
        (al.TverskyLoss, "fp_weight"),
        (al.TverskyLoss, "fn_weight"),
    ],
)
def test_numbers_come_in_many_kinds(kind, option, torch):
    expected = kind(**{option: 0.25})
    for number in (np.float32, np.float64, Fraction, np.asarray, torch.tensor):
        loss = kind(**{option: number(0.25)})
        assert loss == expected
        assert type(getattr(loss, option)) is float


def test_rows_of_numbers_come_in_many_kinds():
    assert al.FocalLoss(gamma=[1, 2], alpha=np.array([1, 2])) == al.FocalLoss(
        gamma=(1.0, 2.0), alpha=(1.0, 2.0)
    )
    assert al.DiceLoss(smooth=np.array([0, 1])) == al.DiceLoss(smooth=(0.0, 1.0))
    sigmoid = al.CrossEntropyLoss(activation="sigmoid", pos_weight=[1, 2])
    assert hash(sigmoid) == hash(al.CrossEntropyLoss(activation="sigmoid", pos_weight=(1.0, 2.0)))


# --- arrays ---------------------------------------------------------------------------------------


@each_class
def test_lists_and_numbers(name, inputs):
    logits, target = inputs
    loss = make(name)
    for bad in ([[0.0, 1.0]], 1.0, "logits"):
        with pytest.raises(TypeError, match=says("logits")):
            loss(bad, target)
        with pytest.raises(TypeError, match=says("target")):
            loss(logits, bad)
    with pytest.raises(TypeError, match=says("pixel_weights")):
        loss(logits, target, pixel_weights=[1.0])


def test_none_in_place_of_an_array(inputs):
    with pytest.raises(TypeError, match=says("target")):
        al.DiceLoss()(inputs[0], None)
    with pytest.raises(TypeError, match=says("logits")):
        al.DiceLoss()(None, inputs[1])


@each_class
def test_mixed_libraries(name, torch, jax):
    logits, target, weights = Data(weights="float", seed=82).build()
    loss = make(name)
    for function in (loss, loss.value_and_grad):
        for convert in (torch.tensor, jax.numpy.asarray):
            hint = "" if convert is torch.tensor else "jnp.asarray"
            with pytest.raises(TypeError, match=says("logits", "`target`", hint)):
                function(logits, convert(target))
            with pytest.raises(TypeError, match=says("logits", "`pixel_weights`", hint)):
                function(logits, target, pixel_weights=convert(weights))
        with pytest.raises(TypeError, match=says("logits", "`target`")):
            function(torch.tensor(logits), target)
        with pytest.raises(TypeError, match=says("logits", "`target`")):
            function(jax.numpy.asarray(logits), torch.tensor(target))


def test_mixed_devices():
    xp = pytest.importorskip("array_api_strict")
    first, other = BACKENDS["strictest"], BACKENDS["strict-device1"]
    arrays = Data(weights="float", seed=83).build()
    assert xp.Device("device1") == other.device
    z, t, _ = first.on(arrays)
    z2, t2, w2 = other.on(arrays)
    for loss in (al.CrossEntropyLoss(), al.DiceLoss()):
        with pytest.raises(ValueError, match=says("target", "device1")):
            loss(z, t2)
        with pytest.raises(ValueError, match=says("target", "device")):
            loss(z2, t)
        with pytest.raises(ValueError, match=says("pixel_weights", "device1")):
            loss(z, t, pixel_weights=w2)


def test_mixed_devices_of_torch(torch):
    z, t = torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match=says("target", "meta")):
        al.CrossEntropyLoss()(z, t.to("meta"))


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "complex64"])
@each_class
def test_logits_that_are_not_floating(name, dtype):
    target = np.zeros((2, 4), dtype=int)
    for function in (make(name), make(name).value_and_grad):
        with pytest.raises(TypeError, match=says("logits", "floating", dtype)):
            function(np.zeros((2, 3, 4), dtype=dtype), target)


def test_logits_that_are_not_floating_anywhere(library):
    logits, target = (library.asarray(np.zeros(s, dtype=int)) for s in ((2, 3, 4), (2, 4)))
    with pytest.raises(TypeError, match=says("logits", "floating")):
        al.CrossEntropyLoss()(logits, target)


@each_class
def test_targets_of_wrong_kinds(name):
    logits = np.zeros((2, 3, 4))
    with pytest.raises(TypeError, match=says("target", "integer", "float64")):
        make(name)(logits, np.zeros((2, 4)))  # labels that someone made floating
    with pytest.raises(TypeError, match=says("target", "complex")):
        make(name)(logits, np.zeros((2, 3, 4), dtype=complex))
    with pytest.raises(TypeError, match=says("pixel_weights", "floating or bool", "int")):
        make(name)(logits, np.zeros((2, 4), int), pixel_weights=np.ones((2, 4), int))


WRONG_SHAPES = {
    # Everything here would broadcast, or count by position.
    "no batch": (4,),
    "one image": (1, 4),
    "one pixel": (2, 1),
    "classes last": (2, 4, 3),
    "a class axis of one": (2, 1, 4),
    "another axis": (2, 4, 1, 1),
    "none": (),
}


@pytest.mark.parametrize("shape", WRONG_SHAPES.values(), ids=WRONG_SHAPES)
def test_targets_of_wrong_shapes(shape, library):
    logits = library.asarray(np.zeros((2, 3, 4)), library.dtypes[0])
    for kind in (int, float):
        target = library.asarray(np.zeros(shape, dtype=kind), library.dtypes[0])
        for name in CLASSES:
            with pytest.raises(ValueError, match=says("target", "shape", str(shape))):
                make(name)(logits, target)


MISTAKEN_SHAPES = {
    # class_axis, shape of the logits, shape of the target, what the message says in the end
    "classes last": (1, (2, 5, 4, 3), (2, 5, 4), "; it would fit with `class_axis=-1`."),
    "classes second": (-1, (2, 3, 5, 4), (2, 5, 4), "; it would fit with `class_axis=1`."),
    "no batch": (1, (3, 5, 4), (5, 4), "; the batch axis seems to be missing: add it by `[None]`."),
    "no batch in the target": (
        1,
        (1, 3, 5, 4),
        (5, 4),
        "; the batch axis seems to be missing: add it by `[None]`.",
    ),
    "a class axis of one": (
        1,
        (2, 3, 5, 4),
        (2, 1, 5, 4),
        "; labels have no class axis: drop the one of length 1.",
    ),
    "nothing known": (1, (2, 3, 5, 4), (2, 7, 4), "got (2, 7, 4)."),
}


@pytest.mark.parametrize(
    ("axis", "logits", "target", "end"), MISTAKEN_SHAPES.values(), ids=MISTAKEN_SHAPES
)
def test_what_a_wrong_shape_may_have_meant(axis, logits, target, end, library):
    z = library.asarray(np.zeros(logits), library.dtypes[0])
    t = library.asarray(np.zeros(target, dtype=int))
    with pytest.raises(ValueError, match=f"{says('target', 'shape')}.*{re.escape(end)}$"):
        al.DiceLoss(class_axis=axis)(z, t)


def test_labels_that_became_floats(library):
    z, t = (library.asarray(np.zeros(shape), library.dtypes[0]) for shape in ((2, 3, 4), (2, 4)))
    with pytest.raises(TypeError, match=says("target", "convert them to an integer dtype")):
        al.DiceLoss()(z, t)


MISTAKEN_WEIGHTS = {
    # class_axis, shape of the logits, shape of the weights, the line that makes them fit
    "an image": (1, (2, 3, 5, 4), (2,), "xp.broadcast_to(w[:, None, None], (2, 5, 4))"),
    "an image, other axes 1": (1, (2, 3, 5, 4), (2, 1, 1), "xp.broadcast_to(w, (2, 5, 4))"),
    "no batch": (1, (2, 3, 5, 4), (5, 4), "xp.broadcast_to(w[None, ...], (2, 5, 4))"),
    "no batch of one": (1, (1, 3, 5, 4), (5, 4), "xp.broadcast_to(w[None, ...], (1, 5, 4))"),
    "a class axis of one": (1, (2, 3, 5, 4), (2, 1, 5, 4), "w[:, 0, ...]"),
    "a last class axis of one": (-1, (2, 5, 4, 3), (2, 5, 4, 1), "w[..., 0]"),
    "an axis of one elsewhere": (-1, (2, 5, 4, 3), (2, 1, 5, 4), "w[:, 0, ...]"),
}


@pytest.mark.parametrize(
    ("axis", "logits", "shape", "line"), MISTAKEN_WEIGHTS.values(), ids=MISTAKEN_WEIGHTS
)
def test_the_line_that_makes_pixel_weights_fit(axis, logits, shape, line, library):
    z = library.asarray(np.zeros(logits), library.dtypes[0])
    pixels = tuple(np.delete(logits, axis).tolist())
    t = library.asarray(np.zeros(pixels, dtype=int))
    w = library.asarray(np.ones(shape), library.dtypes[0])
    loss = al.DiceLoss(class_axis=axis)
    with pytest.raises(ValueError, match=says("pixel_weights", "shape", str(pixels))) as caught:
        loss(z, t, pixel_weights=w)
    said = str(caught.value).replace("pixel_weights", "w")
    assert f"`{line}`" in said
    fitted = eval(line, {"w": w, "xp": library.xp})
    assert float(loss(z, t, pixel_weights=fitted)) == pytest.approx(float(loss(z, t)), rel=1e-6)


def test_pixel_weights_with_all_classes(library):
    z, w = (library.asarray(np.ones((2, 3, 4)), library.dtypes[0]) for _ in range(2))
    t = library.asarray(np.zeros((2, 4), dtype=int))
    with pytest.raises(ValueError, match=says("pixel_weights", "multi-hot", "`ignore_index`")):
        al.DiceLoss()(z, t, pixel_weights=w)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 1), (2, 1, 4), (2, 3, 4), ()])
def test_pixel_weights_of_wrong_shapes(shape, library):
    logits = library.asarray(np.zeros((2, 3, 4)), library.dtypes[0])
    target = library.asarray(np.zeros((2, 4), dtype=int))
    for kind in (float, bool):
        weights = library.asarray(np.ones(shape, dtype=kind), library.dtypes[0])
        for name in CLASSES:
            with pytest.raises(ValueError, match=says("pixel_weights", "shape", str(shape))):
                make(name)(logits, target, pixel_weights=weights)


@each_class
def test_logits_of_wrong_shapes(name):
    with pytest.raises(ValueError, match=says("logits", "axis")):
        make(name)(np.zeros(3), np.zeros((), dtype=int))
    with pytest.raises(ValueError, match=says("logits", "class")):
        make(name)(np.zeros((2, 0, 4)), np.zeros((2, 4), dtype=int))
    for axis in (3, -4):
        with pytest.raises(ValueError, match=says("class_axis", str(axis))):
            make(name, class_axis=axis)(np.zeros((2, 3, 4)), np.zeros((2, 4), dtype=int))


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [-1, 3, 255, -100])
@each_class
def test_labels_outside_the_classes(name, label, library):
    logits, target, _ = Data(seed=84).build()
    target[0, 1, 2] = label
    logits, target = library.on((logits, target), library.dtypes[0])
    for function in (make(name, ignore_index=7), make(name).value_and_grad):
        library.check_bad_values(says("target", "0 to 2", str(label)), function, logits, target)


@pytest.mark.parametrize("target_dtype", ["uint8", "int8", "uint16"])
def test_labels_outside_the_classes_of_every_type(target_dtype, library):
    target = np.zeros((1, 4), dtype=target_dtype)
    target[0, 1] = 100
    logits = library.asarray(np.zeros((1, 3, 4)), library.dtypes[0])
    match = says("target", "0 to 2", "100")
    library.check_bad_values(match, al.DiceLoss(), logits, library.asarray(target))


@each_class
def test_hot_values_beyond_1(name, library):
    logits, target, _ = Data(target="multi-hot", seed=85).build()
    target[0, 1, 2, 0] = 2
    logits, target = library.on((logits, target), library.dtypes[0])
    library.check_bad_values(says("target", "0 to 1", "2"), make(name), logits, target)


@each_class
def test_a_mask_beyond_1(name, library):
    options = {} if name in OF_LOGITS else {"activation": "sigmoid"}
    logits, target, _ = Data(classes=1, target_dtype="uint8", seed=86).build()
    target[0, 1, 2] = 255  # as image editors save masks
    logits, target = library.on((logits, target), library.dtypes[0])
    match = says("target", "0 to 1", "255")
    library.check_bad_values(match, make(name, **options), logits, target)


@each_class
def test_negative_pixel_weights(name, library):
    logits, target, weights = Data(weights="float", seed=87).build()
    weights[0, 1, 2] = -0.5
    logits, target, weights = library.on((logits, target, weights), library.dtypes[0])
    match = says("pixel_weights", "negative", "-0.5")
    for function in (make(name), make(name).value_and_grad):
        library.check_bad_values(match, function, logits, target, pixel_weights=weights)


# --- options that do not fit the arrays -----------------------------------------------------------


def test_one_class_with_softmax(library):
    logits = library.asarray(np.zeros((2, 1, 4)), library.dtypes[0])
    target = library.asarray(np.zeros((2, 4), dtype=int))
    for name in CLASSES:
        if name not in OF_LOGITS:
            with pytest.raises(ValueError, match=says("activation", "sigmoid")):
                make(name)(logits, target)


@each_class
def test_one_class_without_background(name):
    options = {} if name in OF_LOGITS else {"activation": "sigmoid"}
    loss = make(name, include_background=False, **options)
    with pytest.raises(ValueError, match=says("include_background")):
        loss(np.zeros((2, 1, 4)), np.zeros((2, 4), dtype=int))


def test_ignore_index_with_a_floating_target(library):
    logits, target, _ = library.inputs(Data(target="soft", seed=88), library.dtypes[0])
    for name in CLASSES:
        with pytest.raises(ValueError, match=says("ignore_index", "`pixel_weights`")):
            make(name, ignore_index=255)(logits, target)


@each_class
def test_what_leaves_out_one_class_at_a_pixel(name, library):
    """A floating multi-hot target cannot; the message says what can, and it does."""
    target = np.array([[[1.0, 0.0, -1.0, 1.0], [0.0, -1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]]])
    logits = np.linspace(-2, 2, 12).reshape(target.shape)
    other = np.where(target == -1, 5.0, logits)
    options = {} if name in OF_LOGITS else {"activation": "sigmoid"}
    loss = make(name, ignore_index=-1, **options)
    z, other, t = library.on((logits, other, target), library.dtypes[0])
    with pytest.raises(ValueError, match=says("ignore_index", "multi-hot", "integer")):
        loss(z, t)
    match = says("target", "got -1", "multi-hot", "`ignore_index`")
    library.check_bad_values(match, make(name, **options), z, t)
    t = library.asarray(target.astype(int))
    assert float(loss(z, t)) == float(loss(other, t)) != float(loss(z + other, t))


@pytest.mark.parametrize("length", [1, 2, 4])
@each_class
def test_class_weights_of_wrong_length(name, length, library):
    logits, target, _ = library.inputs(Data(seed=89), library.dtypes[0])
    with pytest.raises(ValueError, match=says("class_weights", "3", str(length))):
        make(name, class_weights=(1.0,) * length)(logits, target)


@pytest.mark.parametrize("option", ["gamma", "alpha", "pos_weight"])
def test_other_numbers_of_wrong_length(option):
    kind = al.CrossEntropyLoss if option == "pos_weight" else al.FocalLoss
    loss = kind(activation="sigmoid", **{option: (0.5, 0.5)})
    with pytest.raises(ValueError, match=says(option, "3", "2")):
        loss(np.zeros((2, 3, 4)), np.zeros((2, 4), dtype=int))


def test_pos_weight_of_exclusive_probabilities():
    loss = al.CrossEntropyLoss(activation=None, pos_weight=2.0)
    with pytest.raises(ValueError, match=says("pos_weight")):
        loss(np.full((2, 3, 4), 1 / 3), np.zeros((2, 4), dtype=int))


@each_class
def test_value_and_grad_of_a_map(name):
    loss = make(name, reduction="none")
    with pytest.raises(ValueError, match=says("reduction", "none")):
        loss.value_and_grad(np.zeros((2, 3, 4)), np.zeros((2, 4), dtype=int))
    with pytest.raises(ValueError, match=says("reduction", "none")):
        (2 * loss).value_and_grad(np.zeros((2, 3, 4)), np.zeros((2, 4), dtype=int))


@pytest.mark.parametrize("name", LOVASZ_LOSSES)
def test_sorting_cannot_be_reduced_over_devices(name, library):
    logits, target, _ = library.inputs(Data(seed=90), library.dtypes[0])
    for loss in (make(name), al.CrossEntropyLoss() + make(name)):
        with pytest.raises((ValueError, NotImplementedError), match=says("all_reduce", "pool")):
            loss(logits, target, all_reduce=lambda totals: totals)


@pytest.mark.parametrize("options", [{"top_k": 0.1}, {"ohem_threshold": 0.7}])
def test_the_hardest_pixels_of_many_devices_are_not_known(options, library):
    logits, target, _ = library.inputs(Data(seed=90), library.dtypes[0])
    loss = al.CrossEntropyLoss(**options)
    for one in (loss, al.DiceLoss() + loss):
        with pytest.raises((ValueError, NotImplementedError), match=says("all_reduce", "hardest")):
            one(logits, target, all_reduce=lambda totals: totals)


# --- sums -----------------------------------------------------------------------------------------


def test_sums_that_mix_reductions():
    with pytest.raises(ValueError, match=says("reduction", "none")):
        al.CrossEntropyLoss(reduction="none") + al.DiceLoss()
    with pytest.raises(ValueError, match=says("reduction", "none")):
        sum([al.DiceLoss(), al.FocalLoss(), 2 * al.JaccardLoss(reduction="none")])


@pytest.mark.parametrize(
    "other", [al.CrossEntropyLoss(reduction="none"), al.DiceLoss(reduction="none", pool="image")]
)
def test_sums_of_maps_and_numbers_a_class(other):
    """Even where the shapes happen to be the same."""
    with pytest.raises(ValueError, match=says("reduction")):
        al.DiceLoss(reduction="none") + other


def test_sums_whose_losses_want_different_targets():
    for make_sum in (
        lambda: al.DiceLoss() + 0.1 * al.BoundaryLoss(),
        lambda: al.BoundaryLoss() + (al.CrossEntropyLoss() + al.DiceLoss()),
    ):
        with pytest.raises(ValueError, match=says("losses", "one target", "add the values")):
            make_sum()
    both = al.BoundaryLoss() + 2 * al.BoundaryLoss(activation="sigmoid")
    assert len(both.losses) == 2


@pytest.mark.parametrize("other", [1, 1.0, None, "loss", al.DiceLoss, [al.DiceLoss()]])
def test_what_cannot_be_added(other):
    with pytest.raises(TypeError):
        al.DiceLoss() + other
    with pytest.raises(TypeError):
        other + al.DiceLoss()


@pytest.mark.parametrize("weight", ["2", None, [2.0], al.DiceLoss(), 2j, True])
def test_what_a_loss_is_not_multiplied_by(weight):
    with pytest.raises(TypeError):
        al.DiceLoss() * weight
    with pytest.raises(TypeError):
        weight * al.DiceLoss()


@pytest.mark.parametrize("divisor", ["2", None, [2.0], al.DiceLoss(), 2j, True])
def test_what_a_loss_is_not_divided_by(divisor):
    with pytest.raises(TypeError):
        al.DiceLoss() / divisor
    with pytest.raises(TypeError):
        2.0 / al.DiceLoss()


def test_divisors_that_give_no_finite_weight():
    with pytest.raises(ZeroDivisionError):
        al.DiceLoss() / 0
    with pytest.raises(ValueError, match=says("weights", "finite")):
        al.DiceLoss() / 1e-310
    for divisor in (NAN, INF):
        with pytest.raises(ValueError, match=says("divisor", "finite")):
            al.DiceLoss() / divisor


@pytest.mark.parametrize("weight", [NAN, INF, -INF])
def test_weights_that_are_not_finite(weight):
    with pytest.raises(ValueError, match=says("weights", "finite")):
        weight * al.DiceLoss()


def test_sums_made_by_hand():
    with pytest.raises(ValueError, match=says("weights", "1")):
        al.WeightedSum(losses=(al.DiceLoss(),), weights=(1.0, 2.0))
    with pytest.raises(ValueError, match=says("weights")):
        al.WeightedSum(losses=(), weights=())
    with pytest.raises(TypeError, match=says("losses")):
        al.WeightedSum(losses=("dice",), weights=(1.0,))


@pytest.mark.parametrize("wrong", [{0: 0.5, 1: 0.5}, {0.5, 1.0}, b"\x01\x02"])
@pytest.mark.parametrize("option", ["class_weights", "smooth", "ignore_index"])
def test_what_has_no_order_is_no_sequence(option, wrong):
    with pytest.raises(TypeError, match=says(option)):
        al.DiceLoss(**{option: wrong})


def test_masked_arrays():
    logits, target = np.zeros((1, 2, 3)), np.ma.masked_equal(np.array([[0, 1, 2]]), 2)
    with pytest.raises(TypeError, match=says("target", "masked")):
        al.DiceLoss()(logits, target)


@pytest.mark.parametrize(
    ("all_reduce", "error"),
    [
        (lambda totals: np.concatenate([totals, totals]), ValueError),
        (lambda totals: totals[:-1], ValueError),
        (lambda _: None, ValueError),
        ("sum", TypeError),
    ],
)
def test_wrong_all_reduce(all_reduce, error):
    with pytest.raises(error, match=says("all_reduce")):
        al.DiceLoss()(np.zeros((1, 2, 3)), np.array([[0, 1, 1]]), all_reduce=all_reduce)


def test_numbers_beyond_floats():
    with pytest.raises(ValueError, match=says("gamma", "finite")):
        al.FocalLoss(gamma=10**400)
    with pytest.raises(ValueError, match=says("weights", "finite")):
        1e200 * (1e200 * al.DiceLoss())


@pytest.mark.parametrize("name", CLASSES)
def test_soft_targets_far_from_probabilities(name, library):
    logits, mask = np.zeros((1, 2, 3)), 255.0 * np.eye(2, 3)[None]
    z, t, w = library.on((logits, mask, np.zeros((1, 3))), library.dtypes[0])
    for function in (make(name), make(name).value_and_grad):
        library.check_bad_values(says("target", "0 to 1", "255"), function, z, t)
    # where nothing counts, nothing is wrong
    assert float(make(name)(z, t, pixel_weights=w)) == 0


@pytest.mark.parametrize("name", sorted(set(CLASSES) - set(OF_LOGITS)))
def test_logits_in_place_of_probabilities(name, library):
    arrays = np.array([[[-2.0, 1.0], [2.0, 0.5]]]), np.array([[0, 1]]), np.array([[0.0, 1.0]])
    logits, target, weights = library.on(arrays, library.dtypes[0])
    loss = make(name, activation=None)
    for function in (loss, loss.value_and_grad):
        library.check_bad_values(says("logits", "0 to 1", "-2"), function, logits, target)
    assert np.isfinite(float(loss(logits, target, pixel_weights=weights)))
    assert np.isfinite(float(make(name, activation=None, ignore_index=0)(logits, target)))


@pytest.mark.parametrize("score", [al.dice_coefficient, al.jaccard_index])
def test_scores_of_logits(score, library):
    arrays = np.array([[[-2.0, 1.0], [2.0, 0.5]]]), np.array([[0, 1]])
    p, t = library.on(arrays, library.dtypes[0])
    library.check_bad_values(says("prediction", "0 to 1", "-2"), score, p, t)


@pytest.mark.parametrize("dtype", [">i2", ">i4", ">i8", ">u2"])
def test_big_endian_labels_outside_the_classes(dtype):
    """Whose low byte is the high one where it is taken for little-endian."""
    step = 1 << (8 * np.dtype(dtype).itemsize - 8)
    target = np.array([[0, 1, min(step, np.iinfo(dtype).max - 1)]]).astype(dtype)
    with pytest.raises(ValueError, match="`target` must hold integers from 0 to 2"):
        al.CrossEntropyLoss()(np.zeros((1, 3, 3)), target)


@pytest.mark.parametrize("name", ["cross_entropy", "poly", "focal", "unified_focal"])
def test_an_ignored_label_outside_the_classes_of_given_probabilities(name, torch):
    """It is no class whose probability could be 0, also where PyTorch follows the formula."""
    p = torch.tensor([[[0.3, 0.3], [0.7, 0.7]]], dtype=torch.float64)
    target = torch.tensor([[0, 255]])
    loss = getattr(al, ALL_CLASSES[name])(activation=None, ignore_index=255)
    gradient, value = torch.func.grad_and_value(lambda q: loss(q, target))(p)
    expected, slope = loss.value_and_grad(p.numpy(), target.numpy())
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(gradient.numpy(), slope, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("name", ["cross_entropy", "focal", "dice"])
def test_infinity_is_no_number(name, torch):
    logits = torch.tensor([[[float("inf"), 0.0], [0.0, 1.0]]], dtype=torch.float64)
    target = torch.tensor([[0, 1]])
    loss = getattr(al, ALL_CLASSES[name])()
    assert np.isnan(float(loss(logits, target)))
    assert np.isnan(float(torch.func.grad_and_value(lambda z: loss(z, target))(logits)[1]))


# --- the words of docs/errors.md ------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")


def rows(title):
    """The calls of a table of the page and what they say; an ellipsis stands for anything."""
    _, _, part = PAGE.partition(f"\n### {title}\n")
    part, _, _ = part.partition("\n#")
    found = re.findall(r"^\| `(.+?)` \| (.+) \|$", part, re.MULTILINE)
    assert found
    return [pytest.param(*row, id=row[0]) for row in found]


def check_words(call, words, **names):
    """Make the call, and compare with what the page says."""
    if words == "nan":
        assert np.isnan(float(eval(call, names)))
        return
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        eval(call, names)
    pattern = ".*".join(map(re.escape, words.split("…")))
    assert re.fullmatch(pattern, f"{caught.type.__name__}: {caught.value}", re.DOTALL)


def arrays_of_the_page(library):
    """The arrays that the page makes with NumPy, and the libraries."""
    shape, dtype = (2, 3, 4), library.dtypes[0]
    return {
        "al": al,
        "np": np,
        "z": library.asarray(np.zeros(shape), dtype),
        "y": library.asarray(np.zeros((2, 4), dtype=int)),
        "hot": library.asarray(np.ones(shape, dtype=int)),
        "soft": library.asarray(np.ones(shape), dtype),
        "w": library.asarray(np.ones((2, 4)), dtype),
    }


# What is said of values, which cannot be inspected everywhere.
OF_VALUES = re.compile(r"must (hold|not be) (integers|probabilities|negative|above)\b")


@pytest.mark.parametrize(("call", "words"), rows("With every library"))
def test_words_of_every_library(call, words, library):
    if OF_VALUES.search(words) and not library.can_inspect:
        words = "nan"
    check_words(call, words, **arrays_of_the_page(library))


@pytest.mark.parametrize(("call", "words"), rows("NumPy"))
def test_words_of_numpy(call, words):
    torch = pytest.importorskip("torch") if "torch" in call else None
    check_words(call, words, torch=torch, **arrays_of_the_page(BACKENDS["numpy"]))


@pytest.mark.parametrize(("call", "words"), rows("PyTorch"))
def test_words_of_torch(call, words, torch):
    check_words(call, words, torch=torch, **arrays_of_the_page(BACKENDS["torch"]))


@pytest.mark.parametrize(("call", "words"), rows("JAX"))
def test_words_of_jax(call, words, jax):
    torch = pytest.importorskip("torch") if "torch" in call else None
    check_words(call, words, jax=jax, torch=torch, **arrays_of_the_page(BACKENDS["jax"]))


@pytest.mark.parametrize(("call", "words"), rows("The command"))
def test_words_of_the_command(call, words, monkeypatch, capsys):
    arguments = call.split()
    while "=" in arguments[0]:
        monkeypatch.setenv(*arguments.pop(0).split("="))
    assert arguments.pop(0) == "array-losses"
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    line = capsys.readouterr().err.splitlines()[-1]
    assert status == 2
    prefix = f"array-losses {arguments[0]}: (error: )?"
    assert re.fullmatch(prefix + ".*".join(map(re.escape, words.split("…"))), line)
