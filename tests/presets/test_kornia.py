"""presets.kornia against kornia, in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import array_losses as al
from array_losses.presets import kornia as presets
from tests.presets import packages
from tests.presets.agreement import with_torch
from tests.presets.options import MANY, Bound, Data, seeds, shapes, some
from tests.presets.table import check_row

torch = pytest.importorskip("torch")
kornia = packages.load("kornia.losses")
WEIGHT = (0.5, 1.0, 0.0, 3.0)
REDUCTIONS = ["mean", "sum", "none"]
plane = st.sampled_from([(5, 4), (1, 7), (3, 2)])


def compare(name, arrays, options, *positional):
    def theirs(*tensors):
        given = {
            key: torch.tensor(one, dtype=torch.float64) if isinstance(one, tuple) else one
            for key, one in options.items()
        }
        return getattr(kornia, name)(*tensors, *positional, **given)

    with_torch("kornia", Bound(getattr(presets, name), *positional, **options), theirs, arrays)


@MANY
@given(
    seeds,
    plane,
    some(
        average=["micro", "macro"],
        eps=[1e-8, 1e-5, 1.0],
        weight=[None, WEIGHT],
        ignore_index=[-100, 255, 1, None],
    ),
    st.booleans(),
)
def test_dice_loss(seed, shape, options, one_image_ignored):
    data = Data(seed)
    ignored = options.get("ignore_index", -100)
    target = data.labels(4, 3, *shape, ignored=ignored)
    if one_image_ignored and ignored is not None:
        target[1] = ignored
    compare("dice_loss", [data.logits(3, 4, *shape), target], options)


@MANY
@given(
    seeds,
    plane,
    some(eps=[1e-8, 1e-5, 1.0], ignore_index=[-100, 255, 1, None]),
    st.sampled_from([(0.3, 0.7), (0.5, 0.5), (1.0, 0.0), (1.0, 1.0)]),
    st.booleans(),
)
def test_tversky_loss(seed, shape, options, weights, one_image_ignored):
    data = Data(seed)
    ignored = options.get("ignore_index", -100)
    target = data.labels(4, 3, *shape, ignored=ignored)
    if one_image_ignored and ignored is not None:
        target[1] = ignored
    compare("tversky_loss", [data.logits(3, 4, *shape), target], options, *weights)


@MANY
@given(
    seeds,
    shapes,
    st.sampled_from([None, 0.25, 0.0, 1.0]),
    some(
        gamma=[0.0, 0.5, 1.0, 2.0, 3.7],
        reduction=REDUCTIONS,
        weight=[None, WEIGHT],
        ignore_index=[-100, 255, 1, None],
    ),
)
def test_focal_loss(seed, shape, alpha, options):
    data = Data(seed)
    target = data.labels(4, 2, *shape, ignored=options.get("ignore_index", -100))
    compare("focal_loss", [data.logits(2, 4, *shape), target], options, alpha)


@MANY
@given(
    seeds,
    shapes,
    some(
        alpha=[None, 0.25, 0.0, 1.0],
        gamma=[0.0, 0.5, 1.0, 2.0, 3.7],
        reduction=REDUCTIONS,
        weight=[None, WEIGHT],
        pos_weight=[None, WEIGHT],
        ignore_index=[-100, 255, None],
    ),
    st.booleans(),
)
def test_binary_focal_loss_with_logits(seed, shape, options, soft):
    data = Data(seed)
    full = (2, 4, *shape)
    target = data.probabilities(*full) if soft else data.bits(*full)
    if options.get("ignore_index", -100) is not None:
        target[data.rng.uniform(size=full) < 0.3] = options.get("ignore_index", -100)
    compare("binary_focal_loss_with_logits", [data.logits(*full), target], options)


@MANY
@given(seeds, plane, some(weight=[None, WEIGHT]))
def test_lovasz_softmax_loss(seed, shape, options):
    data = Data(seed)
    arrays = [data.logits(2, 4, *shape), data.labels(4, 2, *shape)]
    compare("lovasz_softmax_loss", arrays, options)


@MANY
@given(seeds, plane, st.booleans())
def test_lovasz_hinge_loss(seed, shape, empty):
    data = Data(seed)
    target = data.labels(2, 2, *shape)
    if empty:
        target[0] = 0
    compare("lovasz_hinge_loss", [data.logits(2, 1, *shape), target], {})


CLASSES = {
    "DiceLoss": {"average": "macro", "weight": WEIGHT},
    "FocalLoss": {"alpha": 0.25, "reduction": "mean", "weight": WEIGHT},
    "BinaryFocalLossWithLogits": {"alpha": None, "pos_weight": WEIGHT, "reduction": "sum"},
    "TverskyLoss": {"alpha": 0.3, "beta": 0.7, "ignore_index": 2},
    "LovaszSoftmaxLoss": {"weight": WEIGHT},
    "LovaszHingeLoss": {},
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name):
    """The same options, by position and by name, as the class of kornia has."""
    data, options = Data(2), CLASSES[name]
    logits, target = data.logits(2, 4, 3, 5), data.labels(4, 2, 3, 5)
    if name == "BinaryFocalLossWithLogits":
        target = data.bits(2, 4, 3, 5)
    if name == "LovaszHingeLoss":
        logits, target = logits[:, :1], target % 2
    theirs = {
        key: torch.tensor(one, dtype=torch.float64) if isinstance(one, tuple) else one
        for key, one in options.items()
    }
    mine = getattr(presets, name)(**options)
    with_torch("kornia", mine, getattr(kornia, name)(**theirs), [logits, target])
    assert mine == getattr(presets, name)(**theirs)
    assert hash(mine) == hash(getattr(presets, name)(*mine.options().values()))


# --- oddities and departures ---------------------------------------------------------------------


def both(name, arrays, **options):
    theirs = getattr(kornia, name)(*map(torch.from_numpy, arrays), **options)
    return theirs, getattr(presets, name)(*arrays, **options)


def test_oddity_of_micro():
    data = Data(8)
    arrays = data.logits(2, 4, 3, 5), data.labels(4, 2, 3, 5) // 3
    theirs, preset = both("dice_loss", arrays)
    p = np.exp(arrays[0]) / np.exp(arrays[0]).sum(1, keepdims=True)
    assert preset == pytest.approx(1 - np.take_along_axis(p, arrays[1][:, None], 1).mean())
    assert preset == pytest.approx(float(theirs))
    check_row("kornia", "`dice_loss()`, the mean over classes", theirs, al.DiceLoss()(*arrays))


def test_oddity_of_an_image_ignored_whole():
    data = Data(9)
    logits, target = data.logits(2, 4, 3, 5), data.labels(4, 2, 3, 5)
    target[1] = -100
    theirs, preset = both("dice_loss", (logits, target), average="macro")
    assert preset == pytest.approx(float(theirs))
    mine = al.DiceLoss(pool="image", ignore_index=-100)(logits, target)
    check_row("kornia", '`dice_loss(average="macro")`, one of two images ignored', theirs, mine)


def test_oddity_of_the_divisor_of_focal():
    data = Data(10)
    arrays = data.logits(2, 4, 3, 5), data.labels(4, 2, 3, 5, ignored=-100)
    theirs, preset = both("focal_loss", arrays, alpha=None, reduction="mean")
    assert preset == pytest.approx(float(theirs))
    mine = al.FocalLoss(ignore_index=-100)(*arrays)
    check_row(
        "kornia", '`focal_loss(alpha=None, reduction="mean")`, some pixels ignored', theirs, mine
    )


def test_oddity_of_absent_classes_in_lovasz():
    data = Data(11)
    arrays = data.logits(2, 4, 3, 5), data.labels(2, 2, 3, 5)
    theirs, preset = both("lovasz_softmax_loss", arrays)
    assert preset == pytest.approx(float(theirs))
    mine = al.LovaszSoftmaxLoss()(*arrays)
    check_row("kornia", "`lovasz_softmax_loss`, 2 of 4 classes present", theirs, mine)


def test_departure_of_labels_in_the_hinge():
    data = Data(12)
    arrays = data.logits(1, 1, 3, 5), data.labels(2, 1, 3, 5, ignored=-100)
    theirs = kornia.lovasz_hinge_loss(*map(torch.from_numpy, arrays))
    with pytest.raises(ValueError, match="got -100"):
        presets.lovasz_hinge_loss(*arrays)
    check_row("kornia", "`lovasz_hinge_loss`, a label of -100", theirs, "ValueError")
