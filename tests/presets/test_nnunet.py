"""presets.nnunet against an oracle of nnU-Net's formulas: the package is not installed here."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import array_losses as al
from array_losses.presets import nnunet as presets
from tests.presets.agreement import with_torch
from tests.presets.options import MANY, Data, seeds, shapes, some
from tests.presets.table import check_row

torch = pytest.importorskip("torch")
F = torch.nn.functional
ORACLE = "nnunet (oracle)"


def dice(p, y, batch_dice=False, do_bg=True, smooth=1.0, mask=None):
    """-(2T + s) / max(P + G + s, 1e-8), its mean over images and classes."""
    axes = [*([0] if batch_dice else []), *range(2, p.ndim)]
    mask = torch.ones_like(p[:, :1]) if mask is None else mask.to(p.dtype)
    y = y.to(p.dtype)
    overlap, sizes = (p * y * mask).sum(axes), ((p + y) * mask).sum(axes)
    scores = (2 * overlap + smooth) / (sizes + smooth).clip(1e-8)
    return -(scores if do_bg else scores[..., 1:]).mean()


def one_hot(labels, classes):
    return F.one_hot(labels.long(), classes).movedim(-1, 1)


def dc_and_ce(z, y, soft_dice, ce, weight_ce=1, weight_dice=1, ignore_label=None):
    mask = torch.ones_like(y, dtype=torch.bool) if ignore_label is None else y != ignore_label
    truth = one_hot(torch.where(mask, y, 0)[:, 0], z.shape[1])
    options = ce if ignore_label is None else {**ce, "ignore_index": ignore_label}
    entropy = F.cross_entropy(z, y[:, 0].long(), **options) if mask.any() else 0
    return weight_dice * dice(z.softmax(1), truth, mask=mask, **soft_dice) + weight_ce * entropy


def top_k(z, y, k=10, **options):
    """The mean of the largest k % of all losses."""
    losses = F.cross_entropy(z, y[:, 0].long(), reduction="none", **options).flatten()
    return losses.sort(descending=True).values[: int(losses.numel() * k / 100)].mean()


def dc_and_topk(z, y, soft_dice, ce, weight_ce=1, weight_dice=1, ignore_label=None):
    options = ce if ignore_label is None else {**ce, "ignore_index": ignore_label}
    overlap = dc_and_ce(z, y, soft_dice, {}, 0, weight_dice, ignore_label)
    return overlap + weight_ce * top_k(z, y, **options)


def dc_and_bce(z, y, soft_dice, weight_ce=1, weight_dice=1, use_ignore_label=False):
    if not use_ignore_label:
        entropy = F.binary_cross_entropy_with_logits(z, y)
        return weight_dice * dice(z.sigmoid(), y, **soft_dice) + weight_ce * entropy
    mask, y = 1 - y[:, -1:], y[:, :-1]
    entropy = F.binary_cross_entropy_with_logits(z, y, reduction="none")
    entropy = (entropy * mask).sum() / mask.sum().clip(1e-8)
    return weight_dice * dice(z.sigmoid(), y, mask=mask, **soft_dice) + weight_ce * entropy


DICE = {"batch_dice": [True, False], "do_bg": [True, False], "smooth": [0.0, 1e-5, 1.0]}
WEIGHTS = {"weight_ce": [1, 0.0, 2.0], "weight_dice": [1, 0.0, 0.5]}


@MANY
@given(
    seeds,
    shapes,
    st.sampled_from(["softmax", "sigmoid", None]),
    some(**DICE),
    st.sampled_from(["labels", "one-hot", "soft"]),
    st.booleans(),
    st.sampled_from([presets.SoftDiceLoss, presets.MemoryEfficientSoftDiceLoss]),
)
def test_soft_dice_loss(seed, shape, nonlin, options, kind, masked, kind_of_loss):
    data = Data(seed)
    full = (2, 3, *shape)
    x = data.logits(*full) if nonlin else data.distribution(*full)
    labels = data.labels(3, 2, 1, *shape)
    y = {
        "labels": labels,
        "one-hot": np.moveaxis(np.eye(3)[labels[:, 0]], -1, 1),
        "soft": data.distribution(*full),
    }[kind]
    arrays = [x, y, *([data.bits(2, 1, *shape)] if masked else [])]
    activate = {"softmax": lambda z: z.softmax(1), "sigmoid": torch.sigmoid, None: lambda z: z}

    def theirs(x, y, mask=None):
        y = one_hot(y[:, 0], 3) if kind == "labels" else y
        return dice(activate[nonlin](x), y, mask=mask, **options)

    if masked and options.get("smooth") == 0.0:
        options.pop("smooth")  # an image without a pixel is 0 / 0
    with_torch(ORACLE, kind_of_loss(nonlin, ddp=False, **options), theirs, arrays)


@MANY
@given(
    seeds,
    shapes,
    some(**DICE),
    some(weight=[[1.0, 2.0, 0.5]], label_smoothing=[0.1]),
    some(**WEIGHTS, ignore_label=[None, 255, 3]),
)
def test_dc_and_ce_loss(seed, shape, soft_dice, ce, options):
    data = Data(seed)
    labels = data.labels(3, 2, 1, *shape, ignored=options.get("ignore_label"))
    theirs = {
        key: torch.tensor(one).double() if isinstance(one, list) else one for key, one in ce.items()
    }
    if options.get("ignore_label"):
        soft_dice.pop("smooth", None)
    with_torch(
        ORACLE,
        presets.DC_and_CE_loss({"ddp": False, **soft_dice}, ce, **options),
        lambda z, y: dc_and_ce(z, y, soft_dice, theirs, **options),
        [data.logits(2, 3, *shape), labels.astype(np.float64)],
    )


TOP_K = {"weight": [[1.0, 2.0, 0.5]], "label_smoothing": [0.1], "k": [10, 29, 33.3, 70.0, 100]}


def as_tensors(options):
    """Options with PyTorch's class weights."""
    return {k: torch.tensor(x).double() if k == "weight" else x for k, x in options.items()}


@MANY
@given(seeds, shapes, some(**TOP_K, ignore_index=[255, 1]), st.booleans())
def test_top_k_loss(seed, shape, options, floating):
    data = Data(seed)
    labels = data.labels(3, 2, 1, *shape, ignored=options.get("ignore_index"))
    assume(int(labels.size * options.get("k", 10) / 100) > 0)
    with_torch(
        ORACLE,
        presets.TopKLoss(**options),
        lambda z, y: top_k(z, y, **as_tensors(options)),
        [data.logits(2, 3, *shape), labels.astype(np.float64) if floating else labels],
    )


@MANY
@given(seeds, shapes, some(**DICE), some(**TOP_K), some(**WEIGHTS, ignore_label=[None, 255, 3]))
def test_dc_and_topk_loss(seed, shape, soft_dice, ce, options):
    data = Data(seed)
    labels = data.labels(3, 2, 1, *shape, ignored=options.get("ignore_label"))
    assume(int(labels.size * ce.get("k", 10) / 100) > 0)
    if options.get("ignore_label"):
        soft_dice.pop("smooth", None)
    with_torch(
        ORACLE,
        presets.DC_and_topk_loss({"ddp": False, **soft_dice}, ce, **options),
        lambda z, y: dc_and_topk(z, y, soft_dice, as_tensors(ce), **options),
        [data.logits(2, 3, *shape), labels],
    )


@MANY
@given(seeds, shapes, some(**DICE), some(**WEIGHTS, use_ignore_label=[True, False]))
def test_dc_and_bce_loss(seed, shape, soft_dice, options):
    data = Data(seed)
    masks = 4 if options.get("use_ignore_label") else 3
    soft_dice.pop("smooth", None)
    with_torch(
        ORACLE,
        presets.DC_and_BCE_loss({}, {"ddp": False, **soft_dice}, **options),
        lambda z, y: dc_and_bce(z, y, soft_dice, **options),
        [data.logits(2, 3, *shape), data.bits(2, masks, *shape)],
    )


def softmax_helper_dim1(x):
    return torch.softmax(x, 1)


def test_activations_are_known_by_name():
    data = Data(61)
    arrays = data.logits(2, 3, 4), data.labels(3, 2, 1, 4)
    mine = presets.SoftDiceLoss(softmax_helper_dim1)
    assert mine(*arrays) == presets.SoftDiceLoss("softmax")(*arrays)
    assert presets.SoftDiceLoss(torch.sigmoid)(*arrays) == presets.SoftDiceLoss("sigmoid")(*arrays)
    own = presets.SoftDiceLoss(lambda x: 1 / (1 + np.exp(-x)))
    assert own(*arrays) == pytest.approx(presets.SoftDiceLoss("sigmoid")(*arrays))
    with pytest.raises(NotImplementedError, match="`apply_nonlin` has no derivative"):
        own.value_and_grad(*arrays)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: presets.SoftDiceLoss(clip_tp=1.0), "`clip_tp` must be None"),
        (lambda: presets.SoftDiceLoss(batch_dice=True), "`ddp` must be False"),
        (lambda: presets.DC_and_CE_loss({"batch_dice": True}, {}), "`ddp` must be False"),
        (lambda: presets.TopKLoss(k=0), "`k` must be a percentage"),
        (lambda: presets.DC_and_topk_loss({}, {"k": 101}), "`k` must be a percentage"),
        (
            lambda: presets.SoftDiceLoss("tanh")(np.zeros((1, 2, 3)), np.zeros((1, 1, 3))),
            "callable",
        ),
    ],
)
def test_what_cannot_be_said_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_two_terms_share_a_softmax():
    z, y = Data(64).logits(2, 3, 4), Data(64).labels(3, 2, 1, 4)
    said = presets.DC_and_CE_loss({}, {}, 0.5, 2.0).translate(z, y)
    assert said.criterion.weights == (2.0, 0.5)
    assert said.offset == -2.0


def test_the_terms_by_nnunets_names():
    """nnU-Net's trainer reads `loss.dc`, and sets it, compiled."""
    loss = presets.DC_and_CE_loss({"smooth": 1e-5, "do_bg": False}, {"weight": [1.0, 2.0]})
    assert loss.dc == presets.SoftDiceLoss("softmax", smooth=1e-5, do_bg=False)
    assert loss.ce.weight == (1.0, 2.0)
    assert isinstance(presets.DC_and_topk_loss({}, {"k": 5}).ce, presets.TopKLoss)
    regions = presets.DC_and_BCE_loss({}, {"smooth": 1e-5})
    assert regions.dc == presets.MemoryEfficientSoftDiceLoss("sigmoid", smooth=1e-5)
    with pytest.raises(dataclasses.FrozenInstanceError, match="`dc` cannot be set"):
        loss.dc = None


def test_oddity_of_the_sign():
    data = Data(62)
    z, y = data.logits(2, 3, 4, 5), data.labels(3, 2, 1, 4, 5)
    options = {"smooth": 1e-5, "do_bg": False}
    theirs = dc_and_ce(torch.from_numpy(z), torch.from_numpy(y), options, {})
    assert float(presets.DC_and_CE_loss(options, {})(z, y)) == pytest.approx(float(theirs))
    mine = (al.DiceLoss() + al.CrossEntropyLoss())(z, y[:, 0])
    check_row(
        "nnunet", "`DC_and_CE_loss`, against `al.DiceLoss() + al.CrossEntropyLoss()`", theirs, mine
    )


def test_departure_where_all_is_ignored():
    z, y = Data(63).logits(1, 3, 4), np.full((1, 1, 4), 255)
    value, grad = presets.DC_and_CE_loss({}, {}, ignore_label=255).value_and_grad(z, y)
    theirs = dc_and_ce(torch.from_numpy(z), torch.from_numpy(y), {}, {}, ignore_label=255)
    assert float(value) == float(theirs) == -1.0
    assert not grad.any()


def test_two_terms_of_the_hardest_pixels_share_a_softmax():
    z, y = Data(64).logits(2, 3, 4), Data(64).labels(3, 2, 1, 4)
    said = presets.DC_and_topk_loss({}, {"k": 30}, 0.5, 2.0).translate(z, y)
    assert said.criterion.weights == (2.0, 0.5)


def test_oddity_of_the_percentage():
    """k % of all pixels, ignored ones too."""
    data = Data(65)
    z, y = data.logits(2, 3, 4, 5), data.labels(3, 2, 1, 4, 5, ignored=255)
    theirs = top_k(torch.from_numpy(z), torch.from_numpy(y), ignore_index=255)
    assert float(presets.TopKLoss(ignore_index=255)(z, y)) == pytest.approx(float(theirs))
    mine = al.CrossEntropyLoss(top_k=0.1, ignore_index=255)(z, y[:, 0])
    check_row("nnunet", "`TopKLoss(ignore_index=255)`, some pixels ignored", theirs, mine)


def test_departure_of_a_percentage_that_is_no_pixel():
    data = Data(66)
    z, y = data.logits(1, 3, 9), data.labels(3, 1, 1, 9)
    theirs = top_k(torch.from_numpy(z), torch.from_numpy(y))
    mine = presets.TopKLoss()(z, y)
    largest = torch.nn.functional.cross_entropy(
        torch.from_numpy(z), torch.from_numpy(y[:, 0]).long(), reduction="none"
    ).max()
    assert float(mine) == pytest.approx(float(largest))
    check_row("nnunet", "`TopKLoss()` of 9 pixels", theirs, mine)
