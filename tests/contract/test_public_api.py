"""The public face: names, signatures, defaults, docstrings, and what loss objects can do."""

import copy
import dataclasses
import inspect
import pickle
import typing

import numpy as np
import pytest

import array_losses as al
from tests.cases import ALL_CLASSES, MAPPED, PIXEL_LOSSES, POOLING_LOSSES

COMMON = {
    "class_axis": 1,
    "ignore_index": None,
    "class_weights": None,
    "include_background": True,
    "reduction": "mean",
}
OVERLAP = {
    "activation": "softmax",
    "pool": "batch",
    "absent": "skip",
    "normalize": "weights",
    "form": "linear",
    "smooth": 0.0,
    "power": 1,
    "intersection": "l1",
}
DEFAULTS = {
    "cross_entropy": {
        "activation": "softmax",
        "label_smoothing": 0.0,
        "pos_weight": None,
        "normalize": "weights",
        "top_k": None,
        "ohem_threshold": None,
        "min_kept": 0,
    },
    "poly": {
        "activation": "softmax",
        "label_smoothing": 0.0,
        "pos_weight": None,
        "normalize": "weights",
        "epsilon": 1.0,
    },
    "focal": {
        "activation": "softmax",
        "gamma": 2.0,
        "alpha": None,
        "pos_weight": None,
        "threshold": None,
        "soft": "mixture",
        "normalize": "valid",
    },
    "dice": OVERLAP,
    "jaccard": OVERLAP,
    "tversky": {**OVERLAP, "fp_weight": 0.5, "fn_weight": 0.5, "gamma": 1.0},
    "generalized_dice": {**OVERLAP, "weighting": "square"},
    "mcc": {
        "activation": "softmax",
        "pool": "batch",
        "absent": "skip",
        "normalize": "weights",
        "intersection": "l1",
    },
    "boundary": {"activation": "softmax", "normalize": "valid_elements"},
    "unified_focal": {
        "activation": "softmax",
        "pool": "batch",
        "absent": "skip",
        "symmetry": "asymmetric",
        "delta": 0.6,
        "gamma": 0.5,
        "balance": 0.5,
    },
    "lovasz_softmax": {
        "activation": "softmax",
        "pool": "batch",
        "absent": "skip",
        "normalize": "weights",
        "bins": None,
    },
    "lovasz_hinge": {"pool": "batch", "absent": "keep", "normalize": "weights", "bins": None},
}
FULL = {
    "cross_entropy": {
        "activation": "sigmoid",
        "pos_weight": (1, 2, 3),
        "label_smoothing": 0.1,
        "top_k": 0.1,
    },
    "poly": {"epsilon": -0.5, "label_smoothing": 0.1},
    "focal": {"gamma": (0, 1, 2), "alpha": 0.25},
    "dice": {"smooth": (0, 1), "pool": "image", "form": "log"},
    "jaccard": {"power": 2, "pool": "batch+class"},
    "tversky": {"fp_weight": 0.3, "fn_weight": 0.7, "gamma": 0.75},
    "generalized_dice": {"weighting": "simple", "absent": "keep"},
    "mcc": {"absent": "zero", "normalize": "classes"},
    "unified_focal": {"symmetry": "symmetric", "gamma": 0.25},
    "boundary": {"normalize": "all"},
    "lovasz_softmax": {"activation": None},
    "lovasz_hinge": {"absent": "zero"},
}

each_class = pytest.mark.parametrize("name", ALL_CLASSES)


def class_of(name):
    return getattr(al, ALL_CLASSES[name])


def function_of(name):
    return getattr(al, f"{name}_loss")


def full(name):
    """A loss with many options."""
    return class_of(name)(class_weights=[1, 2, 3], ignore_index=[0, 255], **FULL[name])


# --- names ----------------------------------------------------------------------------------------


def test_names():
    assert al.__all__ == sorted(set(al.__all__))
    for name in al.__all__:
        assert not inspect.ismodule(getattr(al, name))
    expected = {*ALL_CLASSES.values(), *(f"{name}_loss" for name in ALL_CLASSES)}
    assert expected <= set(al.__all__)
    assert al.__version__.count(".") == 2


@pytest.mark.parametrize("name", al.__all__)
def test_public_things_are_documented(name):
    thing = getattr(al, name)
    text = inspect.getdoc(thing)
    assert text.splitlines()[0].endswith(".")
    assert "Parameters\n---" in text or "See Also\n---" in text or name == "Loss"
    if name in ALL_CLASSES.values():
        assert "References\n---" in text or "Notes\n---" in text
        assert ">>>" in text
        for field in dataclasses.fields(thing):
            assert field.name in text, f"{field.name} is not described"


# --- options --------------------------------------------------------------------------------------


@each_class
def test_options_and_defaults(name):
    fields = {field.name: field.default for field in dataclasses.fields(class_of(name))}
    assert fields == COMMON | DEFAULTS[name]
    assert all(field.kw_only for field in dataclasses.fields(class_of(name)))


@each_class
def test_function_has_the_options_of_the_class(name):
    function = inspect.signature(function_of(name))
    logits, target, weights, *options = function.parameters.values()
    assert [str(one) for one in (logits, target)] == ["logits: 'ArrayT'", "target: 'Any'"]
    assert {one.kind for one in (logits, target)} == {inspect.Parameter.POSITIONAL_ONLY}
    assert str(weights) == "pixel_weights: 'Any' = None"
    assert weights.kind is inspect.Parameter.KEYWORD_ONLY
    # names, order, kinds, defaults and annotations
    assert options == [*inspect.signature(class_of(name)).parameters.values()]
    assert function.return_annotation == "ArrayT"
    assert typing.get_type_hints(function_of(name)).keys() == {*function.parameters, "return"}


@each_class
def test_function_is_documented_as_its_class(name):
    """By what `help` shows: the formula, every parameter and an example of its own."""
    mine, its = inspect.getdoc(function_of(name)), inspect.getdoc(class_of(name))
    formula, options = its.split("Parameters\n----------\n", maxsplit=1)
    assert formula.strip() in mine
    assert options.split("\n\nRaises", maxsplit=1)[0] in mine
    for array in ("logits", "target", "pixel_weights", "Returns", "Raises", "See Also"):
        assert f"\n{array}" in mine
    assert f"al.{name}_loss(" in mine
    assert f"al.{ALL_CLASSES[name]}(" not in mine


def test_functions_are_found_by_their_names():
    for name in ALL_CLASSES:
        function = function_of(name)
        assert pickle.loads(pickle.dumps(function)) is function
        with pytest.raises(TypeError, match=rf"^{name}_loss\(\) missing 2 required positional"):
            function()


@each_class
def test_function_passes_every_option_on(name):
    """An option that the function forgot would keep its default."""
    options = {
        "class_axis": 2,
        "ignore_index": 255,
        "class_weights": (1, 2, 3),
        "include_background": False,
        "reduction": "sum",
        "pool": "image",
        "absent": "zero",
        "smooth": 0.5,
        "power": 2,
        "intersection": "product",
        "fp_weight": 0.3,
        "fn_weight": 0.9,
        "gamma": 0.75,
        "alpha": 0.3,
        "normalize": "all",
        "label_smoothing": 0.2,
        "pos_weight": 3.0,
        "activation": "sigmoid",
        "bins": None,
        "epsilon": 2.0,
        "form": "log",
        "weighting": "simple",
        "threshold": 0.3,
        "soft": "geometric",
        "symmetry": "symmetric",
        "delta": 0.2,
        "balance": 0.7,
        "top_k": None,
        "ohem_threshold": 0.5,
        "min_kept": 3,
    }
    options = {key: options[key] for key in COMMON | DEFAULTS[name]}
    if name not in (*PIXEL_LOSSES, *MAPPED) and "normalize" in options:
        options["normalize"] = "classes"
    if name in POOLING_LOSSES:
        options["absent"] = "keep"
    rng = np.random.default_rng(91)
    logits, target = rng.normal(size=(2, 4, 3)), rng.integers(3, size=(2, 4))
    target[0, :2] = 255
    if name in MAPPED:
        target = rng.normal(size=logits.shape)
        del options["ignore_index"]
    assert function_of(name)(logits, target, **options) == class_of(name)(**options)(logits, target)
    for key in options.keys() - {"class_axis", "ignore_index"}:
        # pos_weight and soft need the sigmoid, min_kept the threshold: without it they go too.
        needed_by = {"activation": {"pos_weight", "soft"}, "ohem_threshold": {"min_kept"}}
        left_out = {key} | needed_by.get(key, set())
        others = {name: value for name, value in options.items() if name not in left_out}
        expected = class_of(name)(**others)(logits, target)
        assert function_of(name)(logits, target, **others) == expected


@pytest.mark.parametrize("call", ["__call__", "value_and_grad"])
def test_calls_have_one_signature(call):
    for kind in (*(class_of(name) for name in ALL_CLASSES), al.WeightedSum):
        parameters = list(inspect.signature(getattr(kind, call)).parameters.values())[1:]
        assert [one.name for one in parameters] == [
            "logits",
            "target",
            "pixel_weights",
            "all_reduce",
        ]
        assert [one.kind.name for one in parameters] == ["POSITIONAL_ONLY"] * 2 + [
            "KEYWORD_ONLY"
        ] * 2


def test_scores_have_one_signature():
    signatures = [inspect.signature(one) for one in (al.dice_coefficient, al.jaccard_index)]
    assert signatures[0] == signatures[1]
    defaults = {
        key: one.default
        for key, one in signatures[0].parameters.items()
        if one.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert defaults == {
        "num_classes": None,
        "pixel_weights": None,
        "ignore_index": None,
        "class_axis": 1,
        "include_background": True,
        "pool": "batch",
        "absent": "nan",
        "reduction": "mean",
    }


# --- objects --------------------------------------------------------------------------------------

OBJECTS = {
    **{name: lambda name=name: class_of(name)() for name in ALL_CLASSES},
    **{f"{name}-full": lambda name=name: full(name) for name in ALL_CLASSES},
    "sum": lambda: full("dice") + 0.5 * full("focal") + -2.0 * al.LovaszHingeLoss(),
}


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_objects_are_values(make):
    one, other = make(), make()
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)
    assert eval(repr(one), vars(al)) == one
    for duplicate in (
        pickle.loads(pickle.dumps(one)),
        copy.copy(one),
        copy.deepcopy(one),
        dataclasses.replace(one),
    ):
        assert type(duplicate) is type(one)
        assert duplicate == one


@each_class
def test_objects_are_frozen(name):
    loss = class_of(name)()
    with pytest.raises(dataclasses.FrozenInstanceError):
        loss.reduction = "sum"
    assert loss != class_of(name)(reduction="sum")
    assert dataclasses.replace(loss, reduction="sum").reduction == "sum"


def test_losses_of_other_classes_are_not_equal():
    objects = {class_of(name)() for name in ALL_CLASSES}
    assert len(objects) == len(ALL_CLASSES)
    assert all(isinstance(one, al.Loss) for one in objects)


# --- sums -----------------------------------------------------------------------------------------


def test_ways_to_write_a_sum():
    ce, dice = al.CrossEntropyLoss(), al.DiceLoss()
    expected = al.WeightedSum(losses=(ce, dice), weights=(2.0, 0.5))
    for one in (
        2 * ce + 0.5 * dice,
        ce * 2 + dice * 0.5,
        np.float64(2) * ce + np.float32(0.5) * dice,
        ce * np.float64(2) + dice * np.float64(0.5),
        0.5 * (4 * ce + dice),
        (4 * ce + dice) / 2,
        2 * ce + dice / np.int64(2),
        sum([2 * ce, 0.5 * dice]),
    ):
        assert isinstance(one, al.WeightedSum)
        assert one == expected
        assert hash(one) == hash(expected)
        assert all(type(weight) is float for weight in one.weights)
    assert sum([ce]) == ce


def test_a_sum_is_the_sum():
    rng = np.random.default_rng(92)
    logits, target = rng.normal(size=(2, 3, 4)), rng.integers(3, size=(2, 4))
    losses = [class_of(name)() for name in ALL_CLASSES if name not in MAPPED]
    total = sum((i + 1.0) * loss for i, loss in enumerate(losses))
    value, gradient = total.value_and_grad(logits, target)
    pairs = [loss.value_and_grad(logits, target) for loss in losses]
    expected = [sum((i + 1.0) * pair[k] for i, pair in enumerate(pairs)) for k in (0, 1)]
    assert value == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-12, atol=1e-15)
    assert total(logits, target) == pytest.approx(expected[0], rel=1e-14)


def test_a_loss_of_weight_0_is_not_evaluated(monkeypatch):
    def fail(self, pixels):
        raise AssertionError

    monkeypatch.setattr(al.LovaszSoftmaxLoss, "sums_of", fail)
    logits, target = np.zeros((2, 3, 4)), np.zeros((2, 4), dtype=int)
    loss = al.DiceLoss() + 0 * al.LovaszSoftmaxLoss()
    assert loss(logits, target) == al.DiceLoss()(logits, target)
    # Neither is it where it could not be: its inputs are never inspected.
    loss = al.DiceLoss() + 0.0 * al.CrossEntropyLoss(class_weights=(1, 2, 3, 4, 5))
    assert loss(logits, target) == al.DiceLoss()(logits, target)


@pytest.mark.parametrize("bad", [1.0, np.nan, np.inf])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_a_sum_of_nothing_but_weight_0(activation, bad, library):
    """None is evaluated, as next to others, so the logits do not matter."""
    logits, target = np.full((2, 3, 4), bad), np.zeros((2, 4), dtype=int)
    z, t = library.on((logits, target), library.dtypes[0])
    ce, dice = (kind(activation=activation) for kind in (al.CrossEntropyLoss, al.DiceLoss))
    for loss in (0 * dice, 0 * ce, 0 * ce + 0 * dice):
        value, gradient = loss.value_and_grad(z, t)
        assert float(value) == 0
        assert float(loss(z, t)) == 0
        np.testing.assert_array_equal(library.to_numpy(gradient), np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="`target`"):
        (0 * dice)(z, t[:, :2])


def test_a_sum_of_nothing_but_weight_0_stays_in_the_graph(torch):
    z = torch.full((2, 3, 4), torch.nan, requires_grad=True)
    (0 * al.DiceLoss())(z, torch.zeros((2, 4), dtype=torch.int64)).backward()
    assert torch.equal(z.grad, torch.zeros(2, 3, 4))
