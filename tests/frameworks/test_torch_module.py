"""`torch_module`: a loss where trainers of PyTorch ask for a module."""

import copy
import io
import pickle

import numpy as np
import pytest

import array_losses as al
from array_losses import presets

LOSSES = {
    "one": lambda: al.DiceLoss(ignore_index=255, smooth=1.0),
    "sum": lambda: al.CrossEntropyLoss(class_weights=(1, 2, 3)) + 0.5 * al.LovaszSoftmaxLoss(),
    "preset": lambda: presets.monai.DiceCELoss(softmax=True, to_onehot_y=True),
}
each_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)


def batch(torch, loss):
    rng = np.random.default_rng(8)
    logits = torch.from_numpy(rng.normal(size=(4, 3, 5, 6)))
    target = torch.from_numpy(rng.integers(3, size=(4, 5, 6)))
    return logits, target[:, None] if isinstance(loss, presets.monai.DiceCELoss) else target


@each_loss
def test_it_is_a_module(torch, make):
    loss = make()
    module = al.torch_module(loss)
    assert isinstance(module, torch.nn.Module)
    assert module.loss == loss
    assert not list(module.parameters())
    assert not module.state_dict()
    assert repr(loss) in repr(module)
    logits, target = batch(torch, loss)
    pair = [logits.clone().requires_grad_() for _ in range(2)]
    value, expected = module.to("cpu").train()(pair[0], target), loss(pair[1], target)
    assert torch.equal(value, expected)
    value.backward()
    expected.backward()
    assert torch.equal(pair[0].grad, pair[1].grad)
    losses = torch.nn.ModuleDict({"criterion": module})
    assert torch.equal(losses["criterion"](logits, target), expected)


def test_weights_are_passed_on(torch):
    logits, target = batch(torch, None)
    weights = torch.rand(target.shape, dtype=torch.float64)
    value = al.torch_module(al.DiceLoss())(logits, target, pixel_weights=weights)
    assert torch.equal(value, al.DiceLoss()(logits, target, pixel_weights=weights))


@each_loss
def test_copies_and_checkpoints(torch, make):
    module = al.torch_module(make())
    file = io.BytesIO()
    torch.save({"hyper_parameters": {"criterion": module, "loss": module.loss}}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)["hyper_parameters"]
    assert loaded["loss"] == module.loss
    for one in (
        loaded["criterion"],
        copy.deepcopy(module),
        pickle.loads(pickle.dumps(module)),
    ):
        assert one.loss == module.loss
        logits, target = batch(torch, module.loss)
        assert torch.equal(one(logits, target), module(logits, target))


@each_loss
def test_one_number_per_image(torch, make):
    loss = make()
    module, (logits, target) = al.torch_module(loss), batch(torch, loss)
    assert module.reduction == "mean"
    module.reduction = "none"
    assert module.reduction == "none"
    each = torch.stack([loss(logits[i : i + 1], target[i : i + 1]) for i in range(4)])
    assert torch.equal(module(logits, target), each)
    module.reduction = "mean"
    assert torch.equal(module(logits, target), loss(logits, target))
    with pytest.raises(ValueError, match=r'`reduction` must be "mean", .* or "none", got \'sum\''):
        module.reduction = "sum"


def test_an_own_reduction_stays(torch):
    logits, target = batch(torch, None)
    for reduction in ("none", "sum"):
        loss = al.FocalLoss(reduction=reduction)
        module = al.torch_module(loss)
        assert module.reduction == reduction
        module.reduction = reduction
        assert torch.equal(module(logits, target), loss(logits, target))
    module = al.torch_module(al.DiceLoss(class_axis=0))
    module.reduction = "none"
    with pytest.raises(ValueError, match="`class_axis`"):
        module(logits, target)


def test_an_option_of_the_loss_cannot_be_set(torch):
    """It would change nothing: the loss in the module is frozen."""
    for loss in (al.DiceLoss(), al.CrossEntropyLoss() + al.DiceLoss()):
        module = al.torch_module(loss)
        with pytest.raises(AttributeError, match=r"`smooth` cannot be set.*module\.loss"):
            module.smooth = 100.0
        module.loss = al.DiceLoss(smooth=100.0)
        assert module.loss.smooth == 100.0
        module.reduction = "none"


def test_activation_and_classes(torch):
    x = torch.randn(2, 3, 4)
    softmax = al.torch_module(al.CrossEntropyLoss() + al.DiceLoss())
    torch.testing.assert_close(softmax.activation(x), torch.softmax(x, 1))
    assert torch.equal(softmax.decodes(softmax.activation(x)), x.argmax(1))
    last = al.torch_module(al.DiceLoss(class_axis=-1))
    torch.testing.assert_close(last.activation(x), torch.softmax(x, -1))
    assert torch.equal(last.decodes(x), x.argmax(-1))
    for loss in (al.FocalLoss(activation="sigmoid"), al.LovaszHingeLoss()):
        module = al.torch_module(loss)
        torch.testing.assert_close(module.activation(x), torch.sigmoid(x))
        assert torch.equal(module.decodes(module.activation(x)), x > 0)
    given = al.torch_module(al.DiceLoss(activation=None))
    assert given.activation(x) is x
    assert torch.equal(given.decodes(x[:, :1]), x[:, :1] > 0.5)
    preset = al.torch_module(presets.monai.DiceLoss(softmax=True))
    assert preset.activation(x) is x
    assert torch.equal(preset.decodes(x), x.argmax(1))


def test_compiled_and_exported(torch):
    loss = al.CrossEntropyLoss() + 0.5 * al.DiceLoss()
    module, (logits, target) = al.torch_module(loss), batch(torch, None)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, target), loss(logits, target))
    program = torch.export.export(module, (logits, target)).module()
    torch.testing.assert_close(program(logits, target), loss(logits, target))


def test_what_is_no_loss():
    for wrong in (None, al.dice_loss, {"class": "DiceLoss"}, al.DiceLoss):
        with pytest.raises(TypeError, match="`loss` must be a loss, a weighted sum or a preset"):
            al.torch_module(wrong)
