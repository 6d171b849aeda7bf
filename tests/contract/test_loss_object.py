"""What a loss answers beside its values: names of other libraries, attributes, arithmetic."""

import dataclasses

import numpy as np
import pytest

import array_losses as al
from array_losses import presets
from tests.cases import ALL_CLASSES

OBJECTS = {
    **{name: lambda kind=kind: getattr(al, kind)() for name, kind in ALL_CLASSES.items()},
    "sum": lambda: al.CrossEntropyLoss() + 0.5 * al.DiceLoss(),
    "monai": presets.monai.DiceLoss,
    "nnunet": lambda: presets.nnunet.DC_and_CE_loss({}, {}),
    "keras": presets.keras.Dice,
}
each_object = pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
each_class = pytest.mark.parametrize("name", ALL_CLASSES)


# --- names of other libraries ---------------------------------------------------------------------

FOREIGN = {
    "sigmoid": r'`activation="sigmoid"`',
    "softmax": r'`activation="softmax"`',
    "weight": "`class_weights=`",
    "batch": '`pool="batch"` or "image"',
    "to_onehot_y": "leave it out",
    "from_logits": "`activation=None`",
    "smooth_nr": "`smooth=`",
    "ignored_index": "`ignore_index=`",
    "dim": "`class_axis=`",
    "sample_weight": "`pixel_weights=` at the call",
    "device": "a loss holds no arrays",
}


@each_class
@pytest.mark.parametrize("option", ["sigmoid", "weight", "to_onehot_y"])
def test_options_of_other_libraries_are_answered(name, option):
    logits, target = np.zeros((1, 2, 3)), np.zeros((1, 3), dtype=int)
    with pytest.raises(TypeError, match=f"`{option}` is not an arg.*{FOREIGN[option]}"):
        getattr(al, ALL_CLASSES[name])(**{option: True})
    with pytest.raises(TypeError, match=f"of {name}_loss; instead: {FOREIGN[option]}"):
        getattr(al, f"{name}_loss")(logits, target, **{option: True})


@pytest.mark.parametrize("option", FOREIGN)
def test_names_of_other_libraries(option):
    with pytest.raises(TypeError, match=f"argument of DiceLoss; instead: .*{FOREIGN[option]}"):
        al.DiceLoss(**{option: True})


def test_other_unknown_options():
    with pytest.raises(TypeError, match=r"`smoth` .* DiceLoss; did you mean `smooth`?"):
        al.DiceLoss(smoth=1.0)
    with pytest.raises(TypeError, match=r"`foo` is .*; it has `class_axis`, `ignore_index`, "):
        al.DiceLoss(foo=1.0)
    with pytest.raises(TypeError, match=r"`foo` is .* of dice_loss; it has `pixel_weights`, "):
        al.dice_loss(1, 2, foo=1.0)
    with pytest.raises(TypeError, match=r"`pixel_weights` .* instead: .* at the call"):
        al.DiceLoss(pixel_weights=None)


def test_an_own_init_has_its_own_names():
    class Scaled(al.DiceLoss):
        def __init__(self, scale):
            super().__init__(smooth=2.0 * scale)

    assert Scaled(scale=2).smooth == 4.0


@pytest.mark.parametrize("call", ["__call__", "value_and_grad", "value_and_terms"])
@pytest.mark.parametrize(
    ("named", "answer"),
    [
        ("logits", "logits first: `.logits, target.`"),
        ("target", "logits first"),
        ("input", "logits first"),
        ("mask", "`pixel_weights=`"),
        ("pixel_weight", "did you mean `pixel_weights`?"),
    ],
)
def test_names_of_arrays_are_answered(call, named, answer):
    for loss in (al.DiceLoss(), al.DiceLoss() + al.MCCLoss()):
        with pytest.raises(TypeError, match=f"`{named}` .*{answer}"):
            getattr(loss, call)(**{named: np.zeros((1, 2, 3))})
    with pytest.raises(TypeError, match=f"`{named}` .*{answer}"):
        al.dice_loss(**{named: np.zeros((1, 2, 3))})


# --- attributes -----------------------------------------------------------------------------------


@each_object
def test_what_is_asked_of_a_module_is_answered(make):
    loss = make()
    for name in ("to", "cuda", "forward", "parameters", "state_dict", "train"):
        assert not hasattr(loss, name)
        assert getattr(loss, name, None) is None
        with pytest.raises(AttributeError, match=f"{name}.*torch_module"):
            getattr(loss, name)
    with pytest.raises(AttributeError, match=r"has no attribute 'foo'$"):
        loss.foo  # noqa: B018
    assert not hasattr(type(loss), "to")


@each_object
def test_setting_an_option_says_what_to_do(make):
    loss = make()
    for one in dataclasses.fields(loss):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"replace.loss, {one.name}=..."):
            setattr(loss, one.name, None)
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"`foo` .*torch_module"):
        loss.foo = 1
    assert loss == make()


def test_own_frozen_subclasses_say_it_too():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Mine(al.DiceLoss):
        extra: float = 1.0

    with pytest.raises(dataclasses.FrozenInstanceError, match=r"replace.loss, extra="):
        Mine().extra = 2.0


@each_object
def test_dir_shows_what_to_use(make):
    loss = make()
    shown = {name for name in dir(loss) if not name.startswith("_")}
    options = {one.name for one in dataclasses.fields(loss) if one.init}
    methods = {"to_config", "value_and_grad"}
    assert options | methods <= shown
    assert shown <= options | methods | {"value_and_terms", "get_config", "dc", "ce"}
    assert "__call__" in dir(loss)


# --- arithmetic -----------------------------------------------------------------------------------


def test_differences():
    ce, dice = al.CrossEntropyLoss(), al.DiceLoss()
    assert ce - dice == al.WeightedSum(losses=(ce, dice), weights=(1.0, -1.0))
    assert -dice == -1 * dice
    assert -(2 * ce - dice / 2) == al.WeightedSum(losses=(ce, dice), weights=(-2.0, 0.5))
    logits, target = np.random.default_rng(5).normal(size=(1, 3, 7)), np.zeros((1, 7), dtype=int)
    value, gradient = (ce - dice).value_and_grad(logits, target)
    pairs = [one.value_and_grad(logits, target) for one in (ce, dice)]
    assert value == pytest.approx(pairs[0][0] - pairs[1][0], rel=1e-13)
    np.testing.assert_allclose(gradient, pairs[0][1] - pairs[1][1], rtol=1e-12, atol=1e-15)
    for wrong in (lambda: ce - 1, lambda: 1 - ce, lambda: ce + 1):
        with pytest.raises(TypeError, match=r"unsupported operand"):
            wrong()


def test_arrays_as_weights(library):
    dice = al.DiceLoss()
    half, pair = (library.asarray(np.asarray(x), library.dtypes[0]) for x in (0.5, [0.5, 0.5]))
    expected = al.WeightedSum(losses=(dice,), weights=(0.5,))
    if library.module == "array_api_strict":
        return  # its `*` refuses what is no array by itself
    for one in (half * dice, dice * half):
        assert one == expected
    assert dice / half == 2 * dice
    for wrong in (lambda: pair * dice, lambda: dice * pair, lambda: dice / pair):
        with pytest.raises(TypeError, match=r"must be a number, got .0.5, 0.5."):
            wrong()


def test_learned_weights_and_options_are_errors(torch):
    weight = torch.tensor(0.5, requires_grad=True)
    for wrong in (
        lambda: weight * al.DiceLoss(),
        lambda: al.DiceLoss() * weight,
        lambda: al.DiceLoss(smooth=weight),
        lambda: al.CrossEntropyLoss(class_weights=weight[None]),
        lambda: al.TverskyLoss(gamma=weight),
    ):
        with pytest.raises(TypeError, match=r"requires a gradient.*`weight . loss.logits"):
            wrong()


def test_traced_weights_and_options_are_errors(jax):
    z, t = jax.numpy.zeros((1, 2, 3)), jax.numpy.zeros((1, 3), dtype=int)
    for wrong in (
        lambda w: (w * al.DiceLoss())(z, t),
        lambda w: (al.DiceLoss() * w)(z, t),
        lambda w: al.DiceLoss(smooth=w)(z, t),
        lambda w: al.CrossEntropyLoss(class_weights=w)(z, t),
    ):
        with pytest.raises(TypeError, match=r"must be known when the loss is made.*traced"):
            jax.jit(wrong)(0.5)
