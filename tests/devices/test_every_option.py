"""Every loss with every option on the fake device: no wait for it, no meeting of two devices.

What is copied to the device is copied once, not at each call.

All cases of the tests run in float32. In the other dtypes, by `backward` and `value_and_grad` in
turn, run those that have every option between them.
"""

import pytest

import array_losses as al
from tests.cases import CASES, COVER

ONE_NUMBER = [case for case in COVER if case.is_scalar]
OTHER_DTYPES = ("float64", "float16", "bfloat16")


@pytest.fixture
def arrays_of(torch):
    """Makes the arrays of a case, without their values."""
    from tests.devices.fake_device import NAME

    def make(case, dtype):
        for array in case.data.build():
            if array is None:
                yield None
                continue
            name = dtype if array.dtype.kind == "f" else array.dtype.name
            yield torch.empty(array.shape, dtype=getattr(torch, name), device=NAME)

    return make


@pytest.fixture
def run(torch, arrays_of):
    """Runs a function of a case's loss and arrays, and looks at the value and gradient it gives."""
    from tests.devices.counting import Waits
    from tests.devices.fake_device import NAME, fake_device

    def once(function, case, dtype):
        with fake_device() as copies, Waits() as waits:
            arrays = list(arrays_of(case, dtype))
            value, gradient = function(case.loss(), *arrays)
            if copies.places:  # numbers of the options, which are there from now on
                copies.places.clear()
                function(case.loss(), *arrays_of(case, dtype))
        assert not waits.waits
        assert not copies.places
        logits = arrays[0]
        assert value.device == gradient.device == logits.device
        assert logits.device.type == NAME
        assert gradient.shape == logits.shape
        assert gradient.dtype == logits.dtype
        assert value.dtype == (torch.float64 if dtype == "float64" else torch.float32)

    return once


def backward(loss, logits, target, weights):
    logits.requires_grad_()
    value = loss(logits, target, pixel_weights=weights)
    value.sum().backward()
    return value, logits.grad


def value_and_grad(loss, logits, target, weights):
    return loss.value_and_grad(logits, target, pixel_weights=weights)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_backward(run, case):
    run(backward, case, "float32")


@pytest.mark.parametrize("case", ONE_NUMBER, ids=lambda case: case.name)
def test_value_and_grad(run, case):
    run(value_and_grad, case, "float32")


@pytest.mark.parametrize("dtype", OTHER_DTYPES)
@pytest.mark.parametrize("case", COVER, ids=lambda case: case.name)
def test_other_dtypes(run, case, dtype):
    turn = COVER.index(case) + OTHER_DTYPES.index(dtype)
    run(value_and_grad if turn % 2 and case.is_scalar else backward, case, dtype)


def test_labels_of_another_device(torch):
    from tests.devices.fake_device import NAME, fake_device

    with fake_device():
        logits, labels = torch.empty((1, 3, 4), device=NAME), torch.zeros((1, 4), dtype=torch.int64)
        with pytest.raises(ValueError, match="`target`"):
            al.CrossEntropyLoss()(logits, labels)
