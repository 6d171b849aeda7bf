"""Tensors as PyTorch's users have them: of subclasses, on several devices, under a default one.

tests/presets/test_monai.py has MONAI's own subclass.
"""

import gc
import weakref

import numpy as np
import pytest

import array_losses as al
from array_losses.frameworks import plainly
from array_losses.presets import kornia, monai
from array_losses.presets import torch as torch_presets
from tests.backends import BACKENDS
from tests.cases import COVER, Data

LABELS = Data(spatial=(4, 5), weights="float", seed=201)


@pytest.fixture
def subclasses(torch):
    """Tensors that carry metadata: by PyTorch's default, as those of masks, and without a say."""

    class Keeping(torch.Tensor):
        pass

    class Dropping(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            if not all(issubclass(cls, one) for one in types):
                return NotImplemented
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **kwargs or {})

    class Silent(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

    return Keeping, Dropping, Silent


@pytest.fixture
def no_formula(monkeypatch):
    """The form that automatic differentiation follows raises."""

    def refuse(*arguments):
        raise AssertionError

    monkeypatch.setattr("array_losses.frameworks.torch_autograd.WholeEvaluation", refuse)


def tensors(data, dtype="float32"):
    return BACKENDS["torch"].inputs(data, dtype)


def results(call, arrays):
    """What a call gives for tensors: its value and the gradient that autograd finds."""
    logits = arrays[0].clone().requires_grad_()
    value = call(logits, *arrays[1:])
    value.sum().backward()
    return value, logits.grad


def with_weights(loss):
    return lambda z, t, w: loss(z, t, pixel_weights=w)


# --- Subclasses -----------------------------------------------------------------------------------


def test_a_subclass_takes_the_fast_path(torch, subclasses, no_formula):
    """In any argument, and gives the same bits."""
    kept, *_ = subclasses
    for case in COVER:
        arrays, call = tensors(case.data), with_weights(case.loss())
        expected = [x.detach() for x in results(call, arrays)]
        for place in range(3 if arrays[2] is not None else 2):
            some = [x.as_subclass(kept) if i == place else x for i, x in enumerate(arrays)]
            value, gradient = results(call, some)
            assert type(value) is kept, case.name
            assert torch.equal(value.detach().as_subclass(torch.Tensor), expected[0]), case.name
            assert torch.equal(gradient.as_subclass(torch.Tensor), expected[1]), case.name


@pytest.mark.parametrize("place", [0, 1])
def test_the_result_is_of_the_type_of_pytorch_s_own(place, torch, subclasses, no_formula):
    logits, labels, _ = tensors(LABELS)
    own = torch.nn.functional.cross_entropy
    for subclass in subclasses:
        arrays = [logits, labels]
        arrays[place] = arrays[place].as_subclass(subclass)
        expected = type(own(*arrays))
        loss = al.CrossEntropyLoss()
        assert type(loss(*arrays)) is expected
        assert [type(x) for x in loss.value_and_grad(*arrays)] == [expected, expected]
        assert type(torch_presets.cross_entropy(*arrays)) is expected
        assert type(torch_presets.CrossEntropyLoss()(*arrays)) is expected
        scored = [logits.softmax(1), labels]
        scored[place] = scored[place].as_subclass(subclass)
        assert type(al.jaccard_index(*scored)) is expected
        labelled = [labels, labels]
        labelled[place] = scored[1].as_subclass(subclass)
        assert type(al.dice_coefficient(*labelled, num_classes=3)) is expected


def test_a_subclass_under_a_default_device(torch, subclasses, no_formula):
    """Which is a mode, that functions go through first."""
    logits, labels, _ = tensors(LABELS)
    kept, *_ = subclasses
    with torch.device("cpu"):
        assert type(al.CrossEntropyLoss()(logits.as_subclass(kept), labels)) is kept


def test_a_call_with_a_subclass_keeps_nothing(torch, subclasses):
    logits, labels, _ = tensors(LABELS)
    kept, *_ = subclasses
    logits = logits.as_subclass(kept)
    alive = weakref.ref(logits)
    gc.collect()
    gc.disable()
    try:
        al.CrossEntropyLoss().value_and_grad(logits, labels)
        monai.DiceLoss(to_onehot_y=True, softmax=True)(logits, labels[:, None])
        del logits
        assert alive() is None
    finally:
        gc.enable()


def test_two_kinds_of_subclasses_at_once(torch, subclasses, no_formula):
    """PyTorch's own loss refuses them; nobody says which kind it would be."""
    logits, labels, weights = tensors(LABELS)
    kept, dropped, silent = subclasses
    loss = al.CrossEntropyLoss()
    found = loss(
        logits.as_subclass(kept),
        labels.as_subclass(dropped),
        pixel_weights=weights.as_subclass(silent),
    )
    assert type(found) is torch.Tensor
    assert torch.equal(found, loss(logits, labels, pixel_weights=weights))


def test_presets_and_maps_of_a_subclass(torch, subclasses, no_formula):
    kept, *_ = subclasses
    logits, labels, _ = tensors(LABELS)
    calls = [
        (monai.DiceCELoss(to_onehot_y=True, softmax=True), labels[:, None]),
        (kornia.FocalLoss(0.25, reduction="mean"), labels),
    ]
    for preset, target in calls:
        expected = results(preset, [logits, target])
        found = results(preset, [logits.as_subclass(kept), target.as_subclass(kept)])
        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one.detach().as_subclass(torch.Tensor), other.detach())
        assert type(found[0]) is kept
        value, gradient = preset.value_and_grad(logits.as_subclass(kept), target)
        assert type(value) is type(gradient) is kept
    pytest.importorskip("scipy")
    found = al.signed_distance_map(labels.as_subclass(kept), num_classes=3)
    assert type(found) is kept
    assert torch.equal(
        found.as_subclass(torch.Tensor), al.signed_distance_map(labels, num_classes=3)
    )


def test_a_subclass_that_follows_operations_goes_its_own_way(torch):
    from torch._subclasses import FakeTensor, FakeTensorMode

    logits, labels, _ = tensors(LABELS)
    with FakeTensorMode() as mode:
        found = al.CrossEntropyLoss()(mode.from_tensor(logits), mode.from_tensor(labels))
    assert type(found) is FakeTensor
    assert found.shape == ()


def test_other_arrays_are_none_of_its_business():
    arrays = np.zeros(3), [1.0], None
    assert plainly(lambda *given: given)(*arrays) == arrays


def test_a_tensor_spread_over_devices_is_refused(torch):
    """`DTensor`, on two devices of which this process pretends to be the first."""
    distributed = pytest.importorskip("torch.distributed")
    if not distributed.is_available():
        pytest.skip("PyTorch was built without torch.distributed")
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor
    from torch.testing._internal.distributed.fake_pg import FakeStore

    logits, labels, _ = tensors(LABELS)
    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    try:
        mesh = init_device_mesh("cpu", (2,))
        z, t = (distribute_tensor(x, mesh, [Shard(0)]) for x in (logits, labels))
        loss = al.CrossEntropyLoss()
        calls = {
            "logits": [
                lambda: loss(z, t),
                lambda: loss(z, labels),
                lambda: loss.value_and_grad(z, t),
            ],
            "target": [lambda: loss(logits, t)],
            "prediction": [lambda: al.dice_coefficient(z, t)],
            "input": [lambda: torch_presets.CrossEntropyLoss()(z, t)],
        }
        for name, some in calls.items():
            message = rf"`{name}` must be .* got a DTensor.*`{name}\.to_local\(\)`.*`all_reduce=`"
            for call in some:
                with pytest.raises(TypeError, match=message):
                    call()
        # What it says: this device has the first of both images.
        found = loss(z.to_local(), t.to_local(), all_reduce=lambda sums: 2 * sums)
        torch.testing.assert_close(found, loss(logits[:1], labels[:1]))
    finally:
        distributed.destroy_process_group()


# --- The default device ---------------------------------------------------------------------------


def test_the_default_device_is_not_used(torch):
    """It is another one here, of which no tensor has values."""
    logits, labels, weights = tensors(LABELS)
    probabilities, mask = logits.softmax(1), labels > 0
    one_hot = (labels[:, None] == torch.arange(3)[None, :, None, None]).float()
    inputs = [(case, tensors(case.data)) for case in COVER]
    with torch.device("meta"):  # what `torch.set_default_device` sets
        for case, arrays in inputs:
            value, gradient = results(with_weights(case.loss()), arrays)
            assert value.is_cpu, case.name
            assert gradient.is_cpu, case.name
            if case.is_scalar:
                found = case.loss().value_and_grad(*arrays[:2], pixel_weights=arrays[2])
                assert all(x.is_cpu for x in found), case.name
        others = [
            al.dice_coefficient(labels, labels, num_classes=3, pixel_weights=weights),
            al.jaccard_index(probabilities, labels),
            al.jaccard_index(mask, mask),
            monai.DiceCELoss(to_onehot_y=True, softmax=True)(logits, labels[:, None]),
            monai.FocalLoss(to_onehot_y=True, weight=[1.0, 2.0, 3.0])(logits, labels[:, None]),
            kornia.DiceLoss(weight=[1, 2, 3], ignore_index=2)(logits, labels),
            torch_presets.BCEWithLogitsLoss(pos_weight=[1.0] * 5)(logits, one_hot),
            torch.func.grad(lambda z: al.DiceLoss()(z, labels))(logits),
        ]
        assert all(x.is_cpu for x in others)


# --- Gradients of gradients -----------------------------------------------------------------------


def test_every_gradient_is_in_the_graph_of_the_logits(torch):
    """Also where they do not move it, as of the hinge: then the second derivative is 0."""
    for case in COVER:
        if not case.is_scalar:
            continue
        logits, target, weights = tensors(case.data, "float64")
        logits.requires_grad_()
        value = case.loss()(logits, target, pixel_weights=weights)
        (gradient,) = torch.autograd.grad(value, logits, create_graph=True)
        assert gradient.requires_grad, case.name
    logits = torch.zeros((1, 1, 4), dtype=torch.float64, requires_grad=True)
    value = al.LovaszHingeLoss()(logits, torch.tensor([[0, 1, 1, 0]]))
    (gradient,) = torch.autograd.grad(value, logits, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), logits)
    assert torch.equal(second, torch.zeros_like(second))


# --- Labels beyond int64 --------------------------------------------------------------------------


def test_an_unsigned_label_is_not_a_negative_one(torch):
    """2**64 - 1 has the bits of -1."""
    logits = torch.zeros((1, 3, 2))
    labels = torch.from_numpy(np.asarray([[0, 2**64 - 1]], dtype=np.uint64))
    for ignored in (-1, (-1, -2, 7)):
        loss = al.CrossEntropyLoss(ignore_index=ignored)
        with pytest.raises(ValueError, match="got 18446744073709551615"):
            loss(logits, labels)
        _, value = torch.func.grad_and_value(lambda z, loss=loss: loss(z, labels))(logits)
        assert torch.isnan(value)
    _, value = torch.func.grad_and_value(lambda z: loss(z, labels[:, :1]))(logits[..., :1])
    assert torch.equal(value, loss(logits[..., :1], labels[:, :1]))
