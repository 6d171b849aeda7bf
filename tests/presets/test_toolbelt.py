"""presets.toolbelt against pytorch-toolbelt, in float64 but for focal and Lovász."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import array_losses as al
from array_losses.presets import toolbelt as presets
from tests.presets import packages
from tests.presets.agreement import relative, with_torch
from tests.presets.options import MANY, Data, seeds, shapes, some
from tests.presets.table import check_row

torch = pytest.importorskip("torch")
packages.bare("pytorch_toolbelt")
packages.bare("pytorch_toolbelt.losses")
packages.bare("pytorch_toolbelt.utils")
MODULES = {
    "DiceLoss": "dice",
    "JaccardLoss": "jaccard",
    "LovaszLoss": "lovasz",
    "BinaryLovaszLoss": "lovasz",
    "BinaryFocalLoss": "focal",
    "SoftCrossEntropyLoss": "soft_ce",
}
if "pytorch_toolbelt.utils" in sys.modules:  # its `__init__` imports OpenCV
    utils = sys.modules["pytorch_toolbelt.utils"]
    utils.pytorch_toolbelt_deprecated = lambda _: lambda function: function
THEIRS = {
    name: getattr(packages.load(f"pytorch_toolbelt.losses.{module}"), name)
    for name, module in MODULES.items()
}
MODES = st.sampled_from(["binary", "multiclass", "multilabel"])
planes = st.sampled_from([(3, 4), (5, 2), (2, 3, 2)])  # an image of one axis is taken for a mask
SINGLE = 2e-5


def compare(name, options, arrays, **more):
    theirs = dict(options)
    if options.get("classes") is not None:
        theirs["classes"] = np.asarray(options["classes"])  # of a list it makes an empty array
    with_torch(
        "toolbelt", getattr(presets, name)(**options), THEIRS[name](**theirs), arrays, **more
    )


def arrays_of(data, mode, shape, *, soft=False, ignored=None, present=3):
    if mode == "multiclass":
        return data.logits(2, 3, *shape), data.labels(present, 2, *shape, ignored=ignored)
    full = (2, 1 if mode == "binary" else 3, *shape)
    target = data.probabilities(*full) if soft else data.bits(*full)
    if present < 3:
        target[:, -1] = 0.0
    if ignored is not None:
        target[data.rng.uniform(size=full) < 0.3] = ignored
    return data.logits(*full), target


@MANY
@given(
    seeds,
    shapes,
    st.sampled_from(["DiceLoss", "JaccardLoss"]),
    MODES,
    some(
        classes=[None, [0, 2], [1], [-1, 0, 0]],
        log_loss=[True, False],
        from_logits=[True, False],
        smooth=[0.0, 1.0, 1e-5],
        eps=[1e-7, 1e-10],
    ),
    st.sampled_from([None, 255]),
    st.booleans(),
    st.sampled_from([2, 3]),
)
def test_overlap_losses(seed, shape, name, mode, options, ignored, soft, present):
    data = Data(seed)
    options["mode"] = mode
    if mode == "binary":
        options.pop("classes", None)
    if name == "DiceLoss":
        options["ignore_index"] = ignored
    else:
        ignored = None
    soft = soft and not (mode == "multilabel" and ignored is not None)
    logits, target = arrays_of(data, mode, shape, soft=soft, ignored=ignored, present=present)
    if not options.get("from_logits", True):
        logits = data.probabilities(*logits.shape)
    compare(name, options, [logits, target])


@MANY
@given(
    seeds,
    shapes,
    st.sampled_from(["multiclass", "multilabel"]),
    some(
        alpha=[None, 0.25, 0.0, 1.0],
        gamma=[0.0, 1.0, 2.0, 3.7],
        ignore_index=[None, 255],
        reduction=["mean", "sum", "batchwise_mean", "none"],
        normalized=[True, False],
        reduced_threshold=[None, 0.0, 0.3, 0.5],
        class_weights=[None, [0.5, 0.0, 4.0]],
    ),
    st.booleans(),
)
def test_binary_focal_loss(seed, shape, mode, options, soft):
    data = Data(seed)
    ignored = options.get("ignore_index")
    if ignored and options.get("gamma") == 3.7:
        options["gamma"] = 3.0  # else a gradient of NaN
    if options.get("reduction") in {"batchwise_mean", "none"}:
        options.pop("normalized", None)
    if soft and mode == "multilabel" and ignored and options.get("normalized"):
        options.pop("class_weights", None)
    arrays = arrays_of(data, mode, shape, soft=soft, ignored=ignored)
    compare("BinaryFocalLoss", options, arrays, limit=SINGLE, rounded=True)


@MANY
@given(seeds, planes, some(per_image=[True, False]), st.sampled_from([None, 255]))
def test_lovasz_losses(seed, shape, options, ignored):
    data = Data(seed)
    p = data.distribution(2, 3, *shape)
    labels = data.labels(3, 2, *shape, ignored=ignored)
    compare("LovaszLoss", {**options, "ignore": ignored}, [p, labels], single=True, limit=SINGLE)
    logits, labels = data.logits(2, *shape), data.labels(2, 2, *shape, ignored=ignored)
    options["ignore_index"] = ignored
    compare("BinaryLovaszLoss", options, [logits, labels], single=True, limit=SINGLE)


@MANY
@given(
    seeds,
    shapes,
    some(
        smooth_factor=[0.0, 0.1, 1.0],
        reduction=["mean", "sum", "none"],
        ignore_index=[-100, 255, None],
        dim=[1, 2],
    ),
)
def test_soft_cross_entropy_loss(seed, shape, options):
    data = Data(seed)
    full, dim = (2, 3, *shape), options.get("dim", 1)
    pixels = tuple(n for i, n in enumerate(full) if i != dim)
    ignored = options.get("ignore_index", -100)
    if options.get("reduction") == "none":
        options["ignore_index"] = ignored = None  # else a map of another shape
    arrays = [data.logits(*full), data.labels(full[dim], *pixels, ignored=ignored)]
    compare("SoftCrossEntropyLoss", options, arrays)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: presets.DiceLoss("multi"), "`mode` must be"),
        (lambda: presets.DiceLoss("multiclass", eps=0.1), "`eps` must be from 0 to 1e-3"),
        (lambda: presets.JaccardLoss("binary", [0]), "`classes` must be None"),
        (lambda: presets.BinaryFocalLoss(reduction="all"), "`reduction` must be"),
        (lambda: presets.BinaryFocalLoss(activation="softmax"), "`activation` must be"),
        (
            lambda: presets.BinaryFocalLoss(normalized=True, reduction="batchwise_mean"),
            "`normalized` must be False",
        ),
        (lambda: presets.BinaryFocalLoss(reduced_threshold=1.0), "`reduced_threshold` must be"),
        (
            lambda: presets.BinaryFocalLoss(
                normalized=True, ignore_index=255, class_weights=[1.0, 2.0]
            )(np.zeros((1, 2, 3)), np.full((1, 2, 3), 0.5)),
            "`class_weights` must be None",
        ),
    ],
)
def test_what_cannot_be_said_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def agreed(name, arrays, **options):
    theirs = THEIRS[name](**options)(*(torch.from_numpy(np.array(x)) for x in arrays))
    assert relative(getattr(presets, name)(**options)(*arrays), theirs.detach()) < SINGLE
    return theirs


def test_oddity_of_absent_classes():
    arrays = arrays_of(Data(41), "multiclass", (4, 5), present=2)
    theirs = agreed("DiceLoss", arrays, mode="multiclass")
    mine = al.DiceLoss()(*arrays)
    check_row("toolbelt", '`DiceLoss("multiclass")`, 2 of 3 classes present', theirs, mine)


def test_oddity_of_soft_targets():
    p = Data(42).probabilities(1, 1, 5, 5)
    theirs = agreed("JaccardLoss", (p, p), mode="binary", from_logits=False)
    mine = al.JaccardLoss(activation=None)(p, p)
    check_row("toolbelt", '`JaccardLoss("binary")` of a soft target with itself', theirs, mine)


def test_oddity_of_the_divisor():
    arrays = arrays_of(Data(43), "multiclass", (4, 5), ignored=255)
    theirs = agreed("SoftCrossEntropyLoss", arrays, ignore_index=255)
    mine = al.CrossEntropyLoss(ignore_index=255)(*arrays)
    check_row("toolbelt", "`SoftCrossEntropyLoss()`, some pixels ignored", theirs, mine)


def test_oddity_of_the_threshold():
    arrays = arrays_of(Data(48), "multilabel", (4, 5))
    theirs = agreed("BinaryFocalLoss", arrays, reduced_threshold=0.3)
    mine = al.FocalLoss(activation="sigmoid", threshold=0.3)(*arrays)
    check_row("toolbelt", "`BinaryFocalLoss(reduced_threshold=0.3)`", theirs, mine)


def test_oddity_of_normalized_focal():
    arrays = arrays_of(Data(49), "multilabel", (4, 5))
    theirs = agreed("BinaryFocalLoss", arrays, normalized=True)
    mine = al.FocalLoss(activation="sigmoid", normalize="focal")(*arrays)
    check_row("toolbelt", "`BinaryFocalLoss(normalized=True)`", theirs, mine)


def test_departure_of_logits_in_lovasz():
    logits, labels = arrays_of(Data(44), "multiclass", (4, 5))
    theirs = THEIRS["LovaszLoss"]()(torch.from_numpy(logits).float(), torch.from_numpy(labels))
    with pytest.raises(ValueError, match="must hold probabilities"):
        presets.LovaszLoss()(logits, labels)
    check_row("toolbelt", "`LovaszLoss` of logits", theirs, "ValueError")


def test_departure_of_float64():
    logits, labels = arrays_of(Data(45), "multiclass", (4, 5))
    theirs = THEIRS["BinaryFocalLoss"]()(torch.from_numpy(logits), torch.from_numpy(labels))
    assert theirs.dtype == torch.float32
    assert presets.BinaryFocalLoss()(logits, labels).dtype == np.float64
    check_row("toolbelt", "`BinaryFocalLoss` of float64, the dtype", "float32", "float64")
    p = Data(45).distribution(1, 3, 4, 5)
    with pytest.raises(RuntimeError, match="same dtype"):
        THEIRS["LovaszLoss"]()(torch.from_numpy(p), torch.from_numpy(labels[:1]))
    mine = presets.LovaszLoss()(p, labels[:1])
    check_row("toolbelt", "`LovaszLoss` in float64", "RuntimeError", mine)


def test_departure_of_a_list_of_classes():
    arrays = arrays_of(Data(46), "multiclass", (4, 5))
    theirs = THEIRS["DiceLoss"]("multiclass", classes=[0, 2])(*map(torch.from_numpy, arrays))
    mine = presets.DiceLoss("multiclass", classes=[0, 2])(*arrays)
    check_row("toolbelt", '`DiceLoss("multiclass", classes=[0, 2])`', theirs, mine)


def test_departure_of_ignored_pixels_in_focal():
    logits, labels = arrays_of(Data(47), "multiclass", (4, 5), ignored=255)
    options = {"gamma": 1.5, "ignore_index": 255}
    z = torch.from_numpy(logits).requires_grad_()
    THEIRS["BinaryFocalLoss"](**options)(z, torch.from_numpy(labels)).backward()
    _, mine = presets.BinaryFocalLoss(**options).value_and_grad(logits, labels)
    what = "`BinaryFocalLoss(gamma=1.5, ignore_index=255)`, largest gradient"
    check_row("toolbelt", what, z.grad.abs().max(), np.abs(mine).max())
