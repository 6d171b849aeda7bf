"""presets.torch against torch.nn.functional and torch.nn, in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import array_losses as al
from array_losses.presets import torch as presets
from tests.presets.agreement import with_torch
from tests.presets.options import MANY, Bound, Data, seeds, shapes, some
from tests.presets.table import check_row

torch = pytest.importorskip("torch")
F = torch.nn.functional
REDUCTIONS = ["mean", "sum", "none"]
WEIGHTS = [1.0, 0.0, 2.5]


def tensor(x):
    return x if x is None or isinstance(x, str | float | int) else torch.from_numpy(np.asarray(x))


def compare(name, arrays, options):
    theirs = {key: tensor(value) for key, value in options.items()}
    with_torch(
        "torch",
        Bound(getattr(presets, name), **options),
        lambda *x: getattr(F, name)(*x, **theirs),
        arrays,
    )


@MANY
@given(
    seeds,
    shapes,
    some(
        weight=[WEIGHTS, None],
        reduction=REDUCTIONS,
        label_smoothing=[0.0, 0.1, 1.0],
        ignore_index=[-100, 255, 1],
    ),
)
def test_cross_entropy_of_labels(seed, shape, options):
    data = Data(seed)
    target = data.labels(3, 2, *shape, ignored=options.get("ignore_index", -100))
    target.flat[:2] = 0, 2  # something counts, also with ignore_index=1 and the weight of 1
    compare("cross_entropy", [data.logits(2, 3, *shape), target], options)


@MANY
@given(
    seeds,
    shapes,
    some(weight=[WEIGHTS, None], reduction=REDUCTIONS, label_smoothing=[0.0, 0.1, 1.0]),
)
def test_cross_entropy_of_probabilities(seed, shape, options):
    data = Data(seed)
    arrays = [data.logits(2, 3, *shape), data.distribution(2, 3, *shape)]
    compare("cross_entropy", arrays, options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_one_item(reduction):
    data = Data(1)
    compare("cross_entropy", [data.logits(3), np.asarray(2)], {"reduction": reduction})
    compare(
        "cross_entropy", [data.logits(3), data.distribution(3, axis=0)], {"reduction": reduction}
    )


@MANY
@given(
    seeds,
    shapes,
    some(
        weight=["element", "image", None],
        pos_weight=["class", "element", 3.0, None],
        reduction=REDUCTIONS,
    ),
    st.booleans(),
)
def test_binary_cross_entropy_with_logits(seed, shape, options, soft):
    data = Data(seed)
    rng = data.rng
    full = (2, 3, *shape)
    made = {
        "element": rng.uniform(0.0, 2.0, size=full),
        "image": rng.uniform(0.5, 2.0, size=(2, *(1,) * (1 + len(shape)))),
        "class": np.asarray([0.5, 0.0, 4.0]).reshape(3, *(1,) * len(shape)),
    }
    options = {key: made.get(value, value) for key, value in options.items()}
    target = data.probabilities(*full) if soft else data.bits(*full)
    theirs = dict(options)
    if isinstance(theirs.get("pos_weight"), float):
        theirs["pos_weight"] = np.asarray(theirs["pos_weight"])
    with_torch(
        "torch",
        Bound(presets.binary_cross_entropy_with_logits, **options),
        lambda *x: F.binary_cross_entropy_with_logits(
            *x, **{key: tensor(value) for key, value in theirs.items()}
        ),
        [data.logits(*full), target],
    )


@pytest.mark.parametrize(
    "old",
    [
        {"size_average": False},
        {"size_average": True},
        {"reduce": False},
        {"reduce": True},
        {"size_average": False, "reduce": False},
        {"size_average": False, "reduce": True},
    ],
)
def test_classes_and_older_options(old):
    data = Data(7)
    logits, labels, bits = data.logits(2, 3, 4), data.labels(3, 2, 4), data.bits(2, 3, 4)
    with pytest.warns(UserWarning, match="reduction"):
        theirs = torch.nn.CrossEntropyLoss(tensor(WEIGHTS), **old)
    for weight in (WEIGHTS, tensor(WEIGHTS)):
        mine = presets.CrossEntropyLoss(weight, **old)
        assert mine == presets.CrossEntropyLoss(WEIGHTS, **old)
        with_torch("torch", mine, theirs, [logits, labels])
    with pytest.warns(UserWarning, match="reduction"):
        theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0), **old)
    with_torch("torch", presets.BCEWithLogitsLoss(pos_weight=2.0, **old), theirs, [logits, bits])


def test_oddity_of_class_weights():
    data = Data(3)
    logits, labels = data.logits(1, 3, 9), data.labels(3, 1, 9)
    weights = [1.0, 2.0, 5.0]
    one_hot = np.eye(3)[labels].transpose(0, 2, 1)
    theirs = F.cross_entropy(tensor(logits), tensor(one_hot), torch.tensor(weights).double())
    assert float(presets.cross_entropy(logits, one_hot, weights)) == pytest.approx(float(theirs))
    mine = al.CrossEntropyLoss(class_weights=weights)(logits, one_hot)
    assert float(mine) == pytest.approx(float(presets.cross_entropy(logits, labels, weights)))
    check_row("torch", "class weights with a one-hot target, mean", theirs, mine)


def test_departure_where_all_is_ignored():
    logits, target = Data(3).logits(1, 3, 4), np.full((1, 4), -100)
    theirs = F.cross_entropy(tensor(logits), tensor(target))
    assert theirs.isnan()
    value, grad = presets.cross_entropy.value_and_grad(logits, target)
    assert not grad.any()
    check_row("torch", "`cross_entropy`, all pixels ignored, mean", theirs, value)


def test_departure_in_half_precision():
    """PyTorch rounds its result to half precision."""
    data = Data(4)
    logits, target = tensor(data.logits(2, 3, 50)).half(), tensor(data.labels(3, 2, 50))
    assert F.cross_entropy(logits, target).dtype == torch.float16
    assert presets.cross_entropy(logits, target).dtype == torch.float32


def test_departure_of_one_class():
    logits, target = Data(5).logits(1, 1, 4), np.zeros((1, 4), dtype=int)
    theirs = F.cross_entropy(tensor(logits), tensor(target))
    with pytest.raises(ValueError, match="`activation` must not be"):
        presets.cross_entropy(logits, target)
    check_row("torch", "`cross_entropy` of one class", theirs, "ValueError")


def test_departure_of_class_weights_of_0():
    logits, target = Data(6).logits(1, 3, 4), np.zeros((1, 4), dtype=int)
    theirs = F.cross_entropy(tensor(logits), tensor(target), torch.zeros(3).double())
    with pytest.raises(ValueError, match="`class_weights` must hold a positive number"):
        presets.cross_entropy(logits, target, [0.0, 0.0, 0.0])
    check_row("torch", "`cross_entropy(weight=[0, 0, 0])`, mean", theirs, "ValueError")
