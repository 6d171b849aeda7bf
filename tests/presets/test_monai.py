"""presets.monai against MONAI, in float64 but for what MONAI rounds to float32."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import array_losses as al
from array_losses.presets import monai as presets
from tests.presets import packages
from tests.presets.agreement import relative, with_torch
from tests.presets.options import MANY, Data, seeds, shapes, some
from tests.presets.table import check_row

torch = pytest.importorskip("torch")
dice = packages.load("monai.losses.dice")
focal = packages.load("monai.losses.focal_loss")
tversky = packages.load("monai.losses.tversky")
LIBRARY = {
    "DiceLoss": dice,
    "DiceCELoss": dice,
    "DiceFocalLoss": dice,
    "GeneralizedDiceLoss": dice,
    "FocalLoss": focal,
    "TverskyLoss": tversky,
}
SINGLE = 2e-5  # for what is float32 in MONAI: FocalLoss, weights of GeneralizedDiceLoss, norms

OVERLAP = {
    "include_background": [True, False],
    "reduction": ["mean", "sum", "none"],
    "smooth_nr": [0.0, 1e-5, 1.0],
    "smooth_dr": [1e-8, 1e-5, 1.0],
    "batch": [True, False],
}
ACTIVATIONS = st.sampled_from([{}, {"sigmoid": True}, {"softmax": True}, {"other_act": "tanh"}])
TARGETS = st.sampled_from(["labels", "one-hot", "multi-hot", "soft", "one class"])


def case(data, kind, shape, options, *, activated=True):
    """Input and target of a kind, and the options that fit."""
    channels = 1 if kind == "one class" else 3
    full = (2, channels, *shape)
    logits = data.logits(*full)
    if activated and not any(options.get(k) for k in ("sigmoid", "softmax", "other_act")):
        logits = data.probabilities(*full)
    if kind == "one class" and options.get("softmax"):
        logits = data.probabilities(*full)
    labels = data.labels(3, 2, *shape)
    labels[0] = np.minimum(labels[0], 1)  # a class is absent
    if kind == "labels":
        return logits, labels[:, None].astype(np.float64), {"to_onehot_y": True}
    if kind == "one-hot":
        return logits, np.moveaxis(np.eye(3)[labels], -1, 1), {}
    if kind == "soft":
        return logits, data.distribution(*full), {}
    return logits, data.bits(*full), {}


def squeezed(x):
    """An activation of one's own, into (0, 1)."""
    return 1 / (1 + (-x).exp()) if hasattr(x, "exp") else 1 / (1 + np.exp(-x))


def compare(name, options, arrays, **more):
    options = dict(options)
    if options.get("other_act"):
        options["other_act"] = squeezed
    preset = getattr(presets, name)(**options)
    theirs = {
        key: torch.tensor(one, dtype=torch.float64)
        if key == "weight" and name == "DiceCELoss" and one is not None
        else one
        for key, one in options.items()
    }
    with_torch("monai", preset, getattr(LIBRARY[name], name)(**theirs), arrays, **more)


def rounding(options, more):
    """MONAI makes labels one-hot in float32, in which it then takes the norm of the target."""
    rounded = bool(options.get("squared_pred") and more.get("to_onehot_y"))
    return {"rounded": rounded, "limit": SINGLE if rounded else 1e-12}


def with_ignored(data, kind, shape, options, target):
    """A value to ignore, in the labels or as a class; an ignored class is without a gradient."""
    if kind in {"labels", "one class"}:
        options["ignore_index"] = int(data.rng.choice([255, -1, 1]))
        hidden = data.rng.uniform(size=target.shape) < 0.3
        target[hidden] = options["ignore_index"]
    elif kind in {"one-hot", "multi-hot"}:
        options["ignore_index"] = int(data.rng.choice([0, 2, 255]))
        if options["ignore_index"] == 255:
            hidden = data.rng.uniform(size=(target.shape[0], 1, *shape)) < 0.3
            target[np.broadcast_to(hidden, target.shape)] = 0.0


@MANY
@given(
    seeds,
    shapes,
    TARGETS,
    ACTIVATIONS,
    some(
        **OVERLAP,
        squared_pred=[True, False],
        jaccard=[True, False],
        weight=["each", 2.5, None],
        soft_label=[True, False],
    ),
    st.booleans(),
)
def test_dice_loss(seed, shape, kind, activation, options, ignoring):
    data = Data(seed)
    options |= activation
    logits, target, more = case(data, kind, shape, options)
    if ignoring:
        with_ignored(data, kind, shape, options, target)
    if options.get("weight") == "each":
        counted = 3 if options.get("include_background", True) else 2
        options["weight"] = [0.5, 2.0, 0.0][:counted]
    numpy = not options.get("other_act")
    compare("DiceLoss", options | more, [logits, target], numpy=numpy, **rounding(options, more))


@MANY
@given(
    seeds,
    shapes,
    TARGETS,
    ACTIVATIONS,
    some(**OVERLAP, alpha=[0.3, 1.0], beta=[0.7, 1.0], soft_label=[True, False]),
    st.booleans(),
)
def test_tversky_loss(seed, shape, kind, activation, options, ignoring):
    data = Data(seed)
    options |= activation
    logits, target, more = case(data, kind, shape, options)
    if ignoring:
        with_ignored(data, kind, shape, options, target)
    numpy = not options.get("other_act")
    compare("TverskyLoss", options | more, [logits, target], numpy=numpy)


@MANY
@given(
    seeds,
    shapes,
    TARGETS,
    ACTIVATIONS,
    some(**OVERLAP, w_type=["square", "simple", "uniform"], soft_label=[True, False]),
)
def test_generalized_dice_loss(seed, shape, kind, activation, options):
    data = Data(seed)
    options |= activation
    logits, target, more = case(data, kind, shape, options)
    exact = options.get("w_type") == "uniform"
    numpy = not options.get("other_act")
    compare(
        "GeneralizedDiceLoss",
        options | more,
        [logits, target],
        numpy=numpy,
        limit=1e-12 if exact else SINGLE,
        rounded=not exact,
    )


@MANY
@given(
    seeds,
    shapes,
    TARGETS,
    some(
        include_background=[True, False],
        gamma=[0.0, 0.5, 1.0, 2.0, 3.7],
        alpha=[None, 0.25, "each"],
        weight=["each", 2.5, None],
        reduction=["mean", "sum", "none"],
        use_softmax=[True, False],
    ),
    st.booleans(),
)
def test_focal_loss(seed, shape, kind, options, ignoring):
    data = Data(seed)
    logits, target, more = case(data, kind, shape, {}, activated=False)
    counted = 3 if options.get("include_background", True) else 2
    if kind == "one class":
        counted = 1
        options["use_softmax"] = False  # a softmax of one class
        if options.get("weight") == "each":
            options.pop("weight")
    for key in ("alpha", "weight"):
        if options.get(key) == "each":
            options[key] = [0.5, 2.0, 0.25][:counted]
    if ignoring:
        with_ignored(data, kind, shape, options, target)
    compare("FocalLoss", options | more, [logits, target], limit=SINGLE, rounded=True)


COMBINED = {key: value for key, value in OVERLAP.items() if key != "reduction"} | {
    "squared_pred": [True, False],
    "jaccard": [True, False],
    "lambda_dice": [0.0, 1.0, 0.5],
}


@MANY
@given(
    seeds,
    shapes,
    TARGETS,
    ACTIVATIONS.filter(lambda one: "other_act" not in one and one),
    some(
        **COMBINED,
        reduction=["mean", "sum"],
        weight=[None, [0.5, 2.0, 1.0]],
        lambda_ce=[0.0, 1.0, 2.0],
        label_smoothing=[0.0, 0.1],
    ),
)
def test_dice_ce_loss(seed, shape, kind, activation, options):
    data = Data(seed)
    options |= activation
    logits, target, more = case(data, kind, shape, options)
    if kind == "one class":
        options.pop("include_background", None)
        if options.get("weight"):
            options["weight"] = [2.0]
    compare("DiceCELoss", options | more, [logits, target], **rounding(options, more))


@MANY
@given(
    seeds,
    shapes,
    TARGETS,
    ACTIVATIONS.filter(lambda one: "other_act" not in one and one),
    some(
        **COMBINED,
        reduction=["mean", "sum", "none"],
        weight=[None, 2.5],
        gamma=[0.5, 2.0],
        lambda_focal=[0.0, 1.0, 2.0],
        alpha=[None, 0.25],
    ),
)
def test_dice_focal_loss(seed, shape, kind, activation, options):
    data = Data(seed)
    options |= activation
    logits, target, more = case(data, kind, shape, options)
    compare("DiceFocalLoss", options | more, [logits, target], limit=SINGLE, rounded=True)


def test_options_are_compared_by_value():
    mine = presets.DiceLoss(softmax=True, weight=torch.tensor([1.0, 2.0]))
    assert mine == presets.DiceLoss(softmax=True, weight=[1.0, 2.0])
    assert hash(mine) == hash(presets.DiceLoss(*mine.options().values()))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: presets.DiceLoss(sigmoid=True, softmax=True), ValueError, "Only one of"),
        (lambda: presets.DiceLoss(other_act=1), TypeError, "`other_act` must be callable"),
        (lambda: presets.DiceCELoss(reduction="none"), ValueError, "`reduction` must be"),
        (lambda: presets.DiceCELoss(lambda_ce=-1.0), ValueError, "`lambda_ce` must not be"),
        (lambda: presets.DiceFocalLoss(lambda_focal=-1.0), ValueError, "`lambda_focal` must not"),
        (lambda: presets.DiceFocalLoss(sigmoid=True, softmax=True), ValueError, "Only one of"),
        (lambda: presets.FocalLoss(reduction="all"), ValueError, "`reduction` must be"),
    ],
)
def test_bad_options_are_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_bad_arrays_are_errors():
    data = Data(30)
    with pytest.raises(ValueError, match="`target` must have the axes of `input`"):
        presets.DiceLoss(softmax=True)(data.logits(2, 3, 4), data.labels(3, 2, 4))
    with pytest.raises(ValueError, match="`target` must hold integers"):
        presets.FocalLoss(to_onehot_y=True)(data.logits(2, 3, 4), np.full((2, 1, 4), 3))
    arrays = data.logits(2, 3, 4), data.bits(2, 3, 4)
    for option in ("alpha", "weight"):
        with pytest.raises(ValueError, match=f"`{option}` must hold one number per class"):
            presets.FocalLoss(**{option: [0.5]})(*arrays)
    with pytest.raises(NotImplementedError, match="`other_act` has no derivative"):
        presets.DiceLoss(other_act=squeezed).value_and_grad(*arrays)


# --- oddities and departures ---------------------------------------------------------------------


def agreed(name, arrays, **options):
    tensors = [torch.from_numpy(np.array(x)) for x in arrays]
    theirs = getattr(LIBRARY[name], name)(**options)(*tensors)
    assert relative(getattr(presets, name)(**options)(*arrays), theirs) < SINGLE
    return theirs


def some_arrays(present=3):
    data = Data(31)
    logits, labels = data.logits(2, 3, 4, 5), data.labels(present, 2, 4, 5)
    return logits, labels, np.moveaxis(np.eye(3)[labels], -1, 1)


def test_oddity_of_absent_classes():
    logits, labels, _ = some_arrays(present=2)
    theirs = agreed("DiceLoss", (logits, labels[:, None]), softmax=True, to_onehot_y=True)
    mine = al.DiceLoss(pool="image")(logits, labels)
    check_row("monai", "`DiceLoss(softmax=True)`, 2 of 3 classes present", theirs, mine)
    theirs = agreed(
        "GeneralizedDiceLoss", (logits, labels[:, None]), softmax=True, to_onehot_y=True
    )
    mine = al.GeneralizedDiceLoss(pool="image")(logits, labels)
    check_row("monai", "`GeneralizedDiceLoss(softmax=True)`, 2 of 3 classes present", theirs, mine)


def test_oddity_of_class_weights():
    logits, labels, _ = some_arrays()
    options = {"softmax": True, "to_onehot_y": True, "weight": [10.0, 10.0, 10.0]}
    theirs = agreed("DiceLoss", (logits, labels[:, None]), **options)
    mine = al.DiceLoss(pool="image", class_weights=[10, 10, 10])(logits, labels)
    check_row("monai", "`DiceLoss(weight=[10, 10, 10])`", theirs, mine)


def test_oddity_of_soft_targets():
    _, _, target = some_arrays()
    target = 0.8 * target + 0.2 / 3
    theirs = agreed("DiceLoss", (target, target))
    mine = al.DiceLoss(pool="image", activation=None)(target, target)
    check_row("monai", "`DiceLoss()` of a soft target with itself", theirs, mine)


def test_oddity_of_the_divisor_of_focal():
    logits, labels, one_hot = some_arrays()
    mine = al.FocalLoss(activation="sigmoid")(logits, one_hot)
    theirs = agreed("FocalLoss", (logits, labels[:, None]), to_onehot_y=True, ignore_index=255)
    check_row("monai", "`FocalLoss(ignore_index=255)`, none ignored", theirs, mine)
    theirs = agreed("FocalLoss", (logits, labels[:, None]), to_onehot_y=True, use_softmax=True)
    check_row("monai", "`FocalLoss(use_softmax=True)`", theirs, al.FocalLoss()(logits, labels))
    theirs = agreed("FocalLoss", (logits, labels[:, None]), to_onehot_y=True, reduction="sum")
    mine = al.FocalLoss(activation="sigmoid", reduction="sum")(logits, one_hot)
    check_row("monai", '`FocalLoss(reduction="sum")`', theirs, mine)


def test_oddity_of_the_cross_entropy_of_many_labels():
    data = Data(32)
    arrays = data.logits(2, 3, 4, 5), data.bits(2, 3, 4, 5)
    theirs = agreed("DiceCELoss", arrays, sigmoid=True, lambda_dice=0.0)
    mine = al.CrossEntropyLoss(activation="sigmoid")(*arrays)
    check_row("monai", "`DiceCELoss(sigmoid=True, lambda_dice=0)`, multi-hot", theirs, mine)


def test_departure_of_logits_that_are_no_probabilities():
    logits, _, one_hot = some_arrays()
    theirs = dice.DiceLoss()(torch.from_numpy(logits), torch.from_numpy(one_hot))
    with pytest.raises(ValueError, match="must hold probabilities"):
        presets.DiceLoss()(logits, one_hot)
    check_row("monai", "`DiceLoss()` of logits", theirs, "ValueError")


def test_departure_of_half_precision():
    data = Data(33)
    logits = torch.from_numpy(data.logits(1, 2, 600, 600)).half()
    labels = torch.from_numpy(data.labels(2, 1, 1, 600, 600))
    options = {"softmax": True, "to_onehot_y": True}
    theirs = dice.DiceLoss(**options)(logits, labels)
    mine = presets.DiceLoss(**options)(logits, labels)
    assert mine == pytest.approx(
        float(presets.DiceLoss(**options)(logits.double(), labels)), rel=1e-5
    )
    check_row("monai", "`DiceLoss(softmax=True)` in float16, 600 x 600 pixels", theirs, mine)


def test_departure_of_another_activation_in_half_precision():
    """It is given the input as it is; what it rounds is not made good."""
    data = Data(36)
    logits = torch.from_numpy(data.logits(1, 1, 30, 30)).half()
    arrays = logits, torch.from_numpy(data.bits(1, 1, 30, 30)).half()
    theirs = dice.DiceLoss(other_act=torch.sigmoid)(*arrays)
    mine = presets.DiceLoss(other_act=torch.sigmoid)(*arrays)
    exact = presets.DiceLoss(sigmoid=True)(logits.double(), arrays[1].double())
    assert presets.DiceLoss(sigmoid=True)(*arrays) == pytest.approx(float(exact), rel=1e-6)
    assert mine != pytest.approx(float(exact), rel=1e-6)
    assert abs(mine - exact) < abs(theirs - exact)
    check_row("monai", "`DiceLoss(other_act=torch.sigmoid)` in float16", theirs, mine)


def test_uniform_weights_of_an_empty_mask():
    """With uniform weights an absent class is no infinite one; else all weigh 0 then."""
    arrays = np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 4, 4))
    for options, expected in (({}, 1.0), ({"smooth_nr": 1}, 0.875)):
        loss = agreed("GeneralizedDiceLoss", arrays, sigmoid=True, w_type="uniform", **options)
        assert float(loss) == pytest.approx(expected, rel=1e-5)
    agreed("GeneralizedDiceLoss", arrays, sigmoid=True, w_type="square", smooth_nr=1)
    several = Data(37).logits(2, 3, 4), np.zeros((2, 3, 4))
    for batch in (False, True):
        agreed("GeneralizedDiceLoss", several, softmax=True, w_type="uniform", batch=batch)


def test_oddity_of_soft_targets_in_focal():
    data = Data(34)
    arrays = data.logits(2, 3, 4, 5), data.probabilities(2, 3, 4, 5)
    theirs = agreed("FocalLoss", arrays)
    mine = al.FocalLoss(activation="sigmoid", normalize="all")(*arrays)
    check_row("monai", "`FocalLoss()` of a soft target, against the mixture", theirs, mine)


def test_departure_of_a_softmax_of_one_class():
    data = Data(35)
    arrays = data.logits(2, 1, 4, 5), data.bits(2, 1, 4, 5)
    theirs = focal.FocalLoss(use_softmax=True)(*map(torch.from_numpy, arrays))
    with pytest.raises(ValueError, match='`activation` must not be "softmax"'):
        presets.FocalLoss(use_softmax=True)(*arrays)
    check_row("monai", "`FocalLoss(use_softmax=True)` of one class", theirs, "ValueError")


def test_departure_of_float64_in_focal():
    logits, labels, _ = some_arrays()
    theirs = focal.FocalLoss(to_onehot_y=True)(
        torch.from_numpy(logits), torch.from_numpy(labels[:, None])
    )
    assert theirs.dtype == torch.float32
    mine = presets.FocalLoss(to_onehot_y=True)(logits, labels[:, None])
    assert mine.dtype == np.float64
    check_row("monai", "`FocalLoss` of float64, the dtype", "float32", "float64")


@pytest.mark.parametrize("place", [0, 1])
def test_tensors_with_metadata(place, monkeypatch):
    """MONAI's own subclass: the bits of plain tensors, and the type that MONAI returns."""

    def refuse(*arguments):
        raise AssertionError

    monkeypatch.setattr("array_losses.frameworks.torch_autograd.WholeEvaluation", refuse)
    with_metadata = packages.load("monai.data.meta_tensor").MetaTensor
    options = {"to_onehot_y": True, "softmax": True}
    logits = torch.from_numpy(Data(7).logits(2, 3, 4, 5))
    labels = torch.from_numpy(Data(8).labels(3, 2, 1, 4, 5))
    arrays = [logits, labels]
    arrays[place] = with_metadata(arrays[place], meta={"from": "here"})
    arrays[0].requires_grad_()
    found = presets.DiceCELoss(**options)(*arrays)
    assert type(found) is type(dice.DiceCELoss(**options)(*arrays)) is with_metadata
    assert found.meta["from"] == "here"
    found.backward()
    plain = logits.clone().detach().requires_grad_()
    expected = presets.DiceCELoss(**options)(plain, labels)
    expected.backward()
    assert torch.equal(found.as_tensor(), expected)
    assert torch.equal(torch.as_tensor(arrays[0].grad), plain.grad)
