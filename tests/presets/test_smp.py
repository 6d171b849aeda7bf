"""presets.smp against segmentation-models-pytorch, in float64 but for its Lovász loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import array_losses as al
from array_losses.presets import smp as presets
from tests.presets import packages
from tests.presets.agreement import relative, with_torch
from tests.presets.options import MANY, Data, seeds, shapes, some
from tests.presets.table import check_row

torch = pytest.importorskip("torch")
packages.bare("segmentation_models_pytorch")
smp = packages.load("segmentation_models_pytorch.losses")
planes = st.sampled_from([(3, 4), (5, 2), (2, 3, 2)])  # smp takes an image of one axis for a mask
WEIGHTS = [0.5, 0.0, 4.0]  # exact in float32, in which smp keeps them
MODES = st.sampled_from(["binary", "multiclass", "multilabel"])
SINGLE = 2e-5


def arrays_of(data, mode, shape, *, soft=False, ignored=None, present=3, single_channel=True):
    """Logits and a target as the mode wants them; some elements ignored."""
    if mode == "multiclass":
        return data.logits(2, 3, *shape), data.labels(present, 2, *shape, ignored=ignored)
    channels = 1 if mode == "binary" else 3
    full = (2, channels, *shape)
    target = data.probabilities(*full) if soft else data.bits(*full)
    if present < 3:
        target[:, -1] = 0.0
    if ignored is not None:
        target[data.rng.uniform(size=full) < 0.3] = ignored
    return data.logits(*full), target


def compare(name, options, arrays, **more):
    with_torch(
        "smp", getattr(presets, name)(**options), getattr(smp, name)(**options), arrays, **more
    )


@MANY
@given(
    seeds,
    shapes,
    st.sampled_from(["DiceLoss", "JaccardLoss", "TverskyLoss"]),
    MODES,
    some(
        classes=[None, [0, 2], [1], [-1, 0, 0]],
        log_loss=[True, False],
        from_logits=[True, False],
        smooth=[0.0, 1.0, 1e-5],
        ignore_index=[None, 255],
        eps=[1e-7, 1e-10],
        class_weights=[None, WEIGHTS],
    ),
    some(alpha=[0.3, 1.0], beta=[0.7, 1.0], gamma=[1.0, 0.75, 2.0]),
    st.booleans(),
    st.sampled_from([2, 3]),
)
def test_overlap_losses(seed, shape, name, mode, options, tversky, soft, present):
    data = Data(seed)
    options["mode"] = mode
    if mode == "binary":
        options.pop("classes", None)
        options.pop("class_weights", None)
    if name == "TverskyLoss":
        options |= tversky
    ignored = options.get("ignore_index")
    if options.get("class_weights") and options.get("classes") == [1]:
        options.pop("classes")  # weights 0 alone are 0 / 0
    soft = soft and not (mode == "multilabel" and ignored is not None)
    logits, target = arrays_of(data, mode, shape, soft=soft, ignored=ignored, present=present)
    if not options.get("from_logits", True):
        logits = data.probabilities(*logits.shape)
    compare(name, options, [logits, target])


@MANY
@given(
    seeds,
    shapes,
    MODES,
    some(
        alpha=[None, 0.25, 0.0, 1.0],
        gamma=[0.0, 1.0, 2.0, 3.7],
        ignore_index=[None, 255],
        from_logits=[True, False],
        reduction=["mean", "sum", "batchwise_mean", "none", None],
        normalized=[True, False],
        reduced_threshold=[None, 0.3, 0.5],
        class_weights=[None, WEIGHTS],
    ),
    st.booleans(),
)
def test_focal_loss(seed, shape, mode, options, soft):
    data = Data(seed)
    options["mode"] = mode
    reduction, ignored = options.get("reduction", "mean"), options.get("ignore_index")
    if mode == "multilabel":
        ignored = options["ignore_index"] = None  # an error in smp
    whole = reduction in {"none", None} or (reduction == "batchwise_mean" and ignored is None)
    if mode == "binary" or whole:
        options.pop("class_weights", None)
    if mode == "binary" and reduction in {"none", None}:
        ignored = options["ignore_index"] = None  # a map without the ignored elements in smp
        options.pop("normalized", None)
    logits, target = arrays_of(data, mode, shape, soft=soft, ignored=ignored)
    if not options.get("from_logits", True):
        logits = data.probabilities(*logits.shape)
    compare("FocalLoss", options, [logits, target])


@MANY
@given(seeds, planes, MODES, some(per_image=[True, False], ignore_index=[None, 255]), st.booleans())
def test_lovasz_loss(seed, shape, mode, options, integers):
    data = Data(seed)
    arrays = arrays_of(data, mode, shape, ignored=options.get("ignore_index"))
    if integers:
        arrays = arrays[0], arrays[1].astype(np.int64)
    compare("LovaszLoss", {"mode": mode, **options}, arrays, single=True, limit=SINGLE)


@MANY
@given(
    seeds,
    shapes,
    st.sampled_from([0.0, 0.1, 1.0]),
    some(reduction=["mean", "sum", "none"], ignore_index=[-100, 255, None], dim=[1, 2, -1]),
    st.booleans(),
)
def test_soft_cross_entropy_loss(seed, shape, smoothing, options, one_channel):
    data = Data(seed)
    dim = options.get("dim", 1) % (2 + len(shape))
    if dim == 0:
        dim = options["dim"] = 1
    full = (2, 3, *shape)
    pixels = tuple(n for i, n in enumerate(full) if i != dim)
    ignored = options.get("ignore_index", -100)
    target = data.labels(full[dim], *pixels, ignored=ignored)
    if options.get("reduction") == "none" and ignored is not None:
        options["ignore_index"] = ignored = None  # a map of another shape in smp
        target = data.labels(full[dim], *pixels)
    if one_channel:
        target = np.expand_dims(target, dim)
    compare(
        "SoftCrossEntropyLoss",
        {"smooth_factor": smoothing, **options},
        [data.logits(*full), target],
    )


@MANY
@given(
    seeds,
    shapes,
    some(
        weight=["element", None],
        ignore_index=[-100, 255, None],
        reduction=["mean", "sum", "none"],
        smooth_factor=[None, 0.0, 0.1, 0.5],
        pos_weight=["class", None],
    ),
    st.booleans(),
)
def test_soft_bce_with_logits_loss(seed, shape, options, soft):
    data = Data(seed)
    full = (2, 3, *shape)
    logits, target = arrays_of(
        data, "multilabel", shape, soft=soft, ignored=options.get("ignore_index", -100)
    )
    made = {
        "element": data.rng.uniform(0.0, 2.0, size=full),
        "class": np.asarray([0.5, 0.0, 4.0]).reshape(3, *(1,) * len(shape)),
    }
    here = {key: made.get(value, value) for key, value in options.items()}
    there = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in here.items()}

    class Either:
        """The preset with options of the arrays' library."""

        def translate(self, *arrays):
            given = here if isinstance(arrays[0], np.ndarray) else there
            return presets.SoftBCEWithLogitsLoss(**given).translate(*arrays)

        __call__ = lambda self, *arrays: self.translate(*arrays).value()  # noqa: E731
        value_and_grad = lambda self, *arrays: self.translate(*arrays).value_and_grad()  # noqa: E731

    with_torch("smp", Either(), smp.SoftBCEWithLogitsLoss(**there), [logits, target])


def test_options_are_compared_by_value():
    mine = presets.DiceLoss("multiclass", [0, 1], class_weights=torch.tensor([1.0, 2.0, 3.0]))
    assert mine == presets.DiceLoss("multiclass", (0, 1), class_weights=[1, 2, 3])
    assert hash(mine) == hash(presets.DiceLoss(*mine.options().values()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: presets.DiceLoss("multi"), "`mode` must be"),
        (lambda: presets.DiceLoss("multiclass", eps=0.1), "`eps` must be from 0 to 1e-3"),
        (lambda: presets.DiceLoss("binary", class_weights=[1.0]), "`class_weights` must be None"),
        (lambda: presets.DiceLoss("binary", [0]), "must be None with mode"),
        (lambda: presets.FocalLoss("binary", class_weights=[1.0]), "`class_weights` must be None"),
        (lambda: presets.FocalLoss("binary", reduction="all"), "`reduction` must be"),
        (
            lambda: presets.FocalLoss("binary", reduction="none", normalized=True),
            "`normalized` must be False",
        ),
        *[
            (
                lambda one=one: presets.FocalLoss("multilabel", reduction=one, class_weights=[1.0]),
                "`class_weights` must be None with reduction",
            )
            for one in ("none", None, "batchwise_mean")
        ],
        (lambda: presets.LovaszLoss("multi"), "`mode` must be"),
        (
            lambda: presets.DiceLoss("multiclass", [0, 3])(
                np.zeros((1, 3, 4)), np.zeros((1, 4), dtype=int)
            ),
            "`classes` must be from -3 to 2",
        ),
        *[
            (
                lambda options=options: presets.FocalLoss(class_weights=[1.0, 2.0], **options)(
                    np.zeros((1, 3, 4)), np.zeros((1, 3, 4))
                ),
                "`class_weights` must hold one number per class",
            )
            for options in ({"mode": "multilabel"}, {"mode": "multilabel", "normalized": True})
        ],
    ],
)
def test_what_cannot_be_said_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "preset",
    [
        presets.DiceLoss("multilabel", ignore_index=255),
    ],
)
def test_soft_targets_that_cannot_be_served_are_errors(preset):
    data = Data(14)
    logits, target = arrays_of(data, preset.mode, (3, 4), soft=True)
    with pytest.raises(ValueError, match="`target` must hold integers from 0 to 1"):
        preset(logits, target)


# --- oddities and departures ---------------------------------------------------------------------


def both(name, arrays, single=False, **options):
    kind = np.float32 if single else np.float64
    tensors = [torch.from_numpy(x.astype(kind) if x.dtype.kind == "f" else x) for x in arrays]
    return getattr(smp, name)(**options)(*tensors), getattr(presets, name)(**options)(*arrays)


def agreed(theirs, preset):
    assert relative(preset, theirs) < SINGLE
    return theirs


def test_oddity_of_absent_classes():
    arrays = arrays_of(Data(15), "multiclass", (4, 5), present=2)
    theirs = agreed(*both("DiceLoss", arrays, mode="multiclass"))
    check_row(
        "smp", '`DiceLoss("multiclass")`, 2 of 3 classes present', theirs, al.DiceLoss()(*arrays)
    )


def test_oddity_of_gamma():
    arrays = arrays_of(Data(16), "multiclass", (4, 5))
    theirs = agreed(*both("TverskyLoss", arrays, mode="multiclass", gamma=2.0))
    check_row("smp", "`TverskyLoss(gamma=2)`", theirs, al.TverskyLoss(gamma=2.0)(*arrays))


def test_oddity_of_focal():
    arrays = arrays_of(Data(17), "multiclass", (4, 5))
    theirs = agreed(*both("FocalLoss", arrays, mode="multiclass"))
    check_row("smp", '`FocalLoss("multiclass")`, against softmax', theirs, al.FocalLoss()(*arrays))
    p = np.exp(arrays[0]) / np.exp(arrays[0]).sum(1, keepdims=True)
    theirs = agreed(*both("FocalLoss", (p, arrays[1]), mode="multiclass", from_logits=False))
    mine = al.FocalLoss(activation=None)(p, arrays[1])
    check_row("smp", '`FocalLoss("multiclass", from_logits=False)`, against softmax', theirs, mine)


def test_oddity_of_normalized_focal():
    arrays = arrays_of(Data(24), "multilabel", (4, 5))
    theirs = agreed(*both("FocalLoss", arrays, mode="multilabel", normalized=True))
    mine = al.FocalLoss(activation="sigmoid", normalize="focal")(*arrays)
    check_row("smp", '`FocalLoss("multilabel", normalized=True)`', theirs, mine)


def test_oddity_of_soft_targets_in_focal():
    arrays = arrays_of(Data(25), "multilabel", (4, 5), soft=True)
    theirs = agreed(*both("FocalLoss", arrays, mode="multilabel"))
    mine = al.FocalLoss(activation="sigmoid")(*arrays)
    what = '`FocalLoss("multilabel")` of a soft target, against the mixture'
    check_row("smp", what, theirs, mine)


@pytest.mark.parametrize("normalized", [True, False])
def test_labels_may_be_floats(normalized):
    logits, labels = arrays_of(Data(27), "multiclass", (4, 5), ignored=255)
    preset = presets.FocalLoss("multiclass", ignore_index=255, normalized=normalized)
    assert preset(logits, labels.astype(np.float32)) == preset(logits, labels)


def test_normalized_focal_checks_labels():
    with pytest.raises(ValueError, match="`target` must hold integers"):
        presets.FocalLoss("multiclass", normalized=True)(np.zeros((1, 3, 4)), np.full((1, 4), 3))


def test_departure_of_ignored_elements_in_a_map():
    arrays = arrays_of(Data(26), "binary", (4, 5), ignored=255)
    options = {"mode": "binary", "ignore_index": 255, "reduction": "none"}
    theirs = smp.FocalLoss(**options)(*map(torch.from_numpy, arrays))
    mine = presets.FocalLoss(**options)(*arrays)
    counted = arrays[1].reshape(-1) != 255
    assert relative(mine[counted], theirs) < 1e-12
    assert not mine[~counted].any()
    what = '`FocalLoss("binary", ignore_index=255, reduction="none")`, the shape'
    check_row("smp", what, *(str(tuple(x.shape)) for x in (theirs, mine)))


def test_departure_of_eps_in_log_loss():
    arrays = np.full((1, 1, 4, 5), -800.0), np.ones((1, 1, 4, 5))
    theirs, mine = both("DiceLoss", arrays, mode="binary", log_loss=True)
    check_row("smp", "`DiceLoss(log_loss=True)`, nothing overlaps", theirs, mine)


def test_departure_of_certain_pixels_in_normalized_focal():
    arrays = np.full((1, 1, 4, 5), 12.0), np.ones((1, 1, 4, 5))
    theirs, mine = both("FocalLoss", arrays, mode="binary", normalized=True, reduction="sum")
    what = '`FocalLoss("binary", normalized=True, reduction="sum")` of sure pixels, times 1e6'
    check_row("smp", what, 1e6 * theirs, 1e6 * mine)


def test_probabilities_of_0_and_1():
    """As near to 0 and 1 as smp keeps them: not infinite, and without a gradient."""
    p, target = np.asarray([[[0.0, 1.0, 0.0, 0.3]]]), np.asarray([[[1.0, 1.0, 0.0, 1.0]]])
    for options in ({}, {"normalized": True}):
        compare("FocalLoss", {"mode": "binary", "from_logits": False, **options}, [p, target])
    p = np.concatenate([p, 1.0 - p], axis=1)
    labels = np.asarray([[0, 0, 1, 1]])
    compare("FocalLoss", {"mode": "multiclass", "from_logits": False}, [p, labels])


def test_oddity_of_the_divisor():
    arrays = arrays_of(Data(18), "multiclass", (4, 5), ignored=255)
    options = {"smooth_factor": 0.0, "ignore_index": 255}
    theirs = agreed(*both("SoftCrossEntropyLoss", arrays, **options))
    mine = al.CrossEntropyLoss(ignore_index=255)(*arrays)
    check_row("smp", "`SoftCrossEntropyLoss(smooth_factor=0)`, some pixels ignored", theirs, mine)
    arrays = arrays_of(Data(18), "multilabel", (4, 5), ignored=255)
    theirs = agreed(*both("SoftBCEWithLogitsLoss", arrays, ignore_index=255))
    mine = al.CrossEntropyLoss(activation="sigmoid", ignore_index=255)(
        arrays[0], arrays[1].astype(int)
    )
    check_row("smp", "`SoftBCEWithLogitsLoss()`, some elements ignored", theirs, mine)


def test_oddity_of_the_multilabel_hinge():
    arrays = arrays_of(Data(19), "multilabel", (4, 5))
    theirs = agreed(*both("LovaszLoss", arrays, single=True, mode="multilabel"))
    mine = al.LovaszHingeLoss()(arrays[0], arrays[1].astype(int))
    check_row("smp", '`LovaszLoss("multilabel")`, against one loss per class', theirs, mine)


def test_departure_of_the_default_smoothing():
    arrays = arrays_of(Data(20), "multiclass", (4, 5))
    with pytest.raises(TypeError):
        smp.SoftCrossEntropyLoss()(*map(torch.from_numpy, arrays))
    mine = presets.SoftCrossEntropyLoss()(*arrays)
    check_row("smp", "`SoftCrossEntropyLoss()`, its default `smooth_factor`", "TypeError", mine)


def test_departure_of_the_shape_of_a_map():
    arrays = arrays_of(Data(20), "multiclass", (4, 5))
    options = {"smooth_factor": 0.1, "reduction": "none"}
    theirs = smp.SoftCrossEntropyLoss(**options)(*map(torch.from_numpy, arrays))
    mine = presets.SoftCrossEntropyLoss(**options)(*arrays)
    assert relative(mine, theirs[:, 0]) < 1e-12
    shapes = (str(tuple(x.shape)) for x in (theirs, mine))
    check_row("smp", '`SoftCrossEntropyLoss(reduction="none")`, the shape', *shapes)


def test_departure_of_ignored_labels_in_multilabel_focal():
    arrays = arrays_of(Data(21), "multilabel", (4, 5), ignored=255)
    options = {"mode": "multilabel", "ignore_index": 255}
    with pytest.raises(IndexError):
        smp.FocalLoss(**options)(*map(torch.from_numpy, arrays))
    mine = presets.FocalLoss(**options)(*arrays)
    check_row("smp", '`FocalLoss("multilabel", ignore_index=255)`', "IndexError", mine)


def test_departure_where_all_is_ignored():
    logits, target = Data(22).logits(1, 3, 2, 2), np.full((1, 2, 2), 255)
    options = {"mode": "multiclass", "ignore_index": 255}
    theirs = smp.FocalLoss(**options)(*map(torch.from_numpy, (logits, target)))
    check_row(
        "smp",
        "`FocalLoss`, all pixels ignored",
        theirs,
        presets.FocalLoss(**options)(logits, target),
    )
    theirs = smp.LovaszLoss(**options)(*map(torch.from_numpy, (logits, target)))
    mine = presets.LovaszLoss(**options)(logits, target)
    check_row(
        "smp",
        '`LovaszLoss("multiclass")`, all pixels ignored',
        f"shape {tuple(theirs.shape)}",
        mine,
    )


def test_departure_of_float64_in_lovasz():
    arrays = arrays_of(Data(23), "multiclass", (4, 5))
    with pytest.raises(RuntimeError, match="same dtype"):
        smp.LovaszLoss("multiclass")(*map(torch.from_numpy, arrays))
    mine = presets.LovaszLoss("multiclass")(*arrays)
    check_row("smp", "`LovaszLoss` in float64", "RuntimeError", mine)
