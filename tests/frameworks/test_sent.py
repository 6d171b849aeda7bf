"""Numbers per class of tensors on a device: sent once, and kept where they may be."""

import pytest

NUMBERS = (0.5, 2.0)


@pytest.fixture
def row(torch):
    """Makes the numbers as a tensor on a device of its own, the one without values."""
    from array_losses.core.namespace import namespace_of
    from array_losses.frameworks.torch import Torch

    lib = Torch(namespace_of(x=torch.ones(1)))
    return lambda device="meta", dtype=torch.float32, numbers=NUMBERS: lib.per_class(
        numbers, dtype, torch.device(device)
    )


def test_one_tensor_by_numbers_dtype_and_device(torch, row):
    first = row()
    assert row() is first
    assert row(dtype=torch.float64) is not first
    assert row(numbers=(2.0, 0.5)) is not first
    assert row("cpu") is not row("cpu")


def test_autograd_keeps_what_inference_mode_sent(torch, row):
    with torch.inference_mode():
        sent = row()
    assert sent is row()
    assert not sent.is_inference()


def test_what_a_mode_or_a_transform_makes_is_not_kept(torch, row):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        inside = row()
    assert row() is not inside
    kept = []

    def function(x):
        kept.append(row())
        return (x * kept[0].to("meta")).sum()

    torch.func.grad(function)(torch.ones(2, device="meta"))
    assert row() is not kept[0]


def test_very_many_are_not_kept(monkeypatch, torch, row):
    monkeypatch.setattr("array_losses.frameworks.sent._MOST", 2)
    kept = [row(numbers=(float(i),)) for i in range(3)]
    again = [row(numbers=(float(i),)) for i in range(3)]
    assert [x is y for x, y in zip(kept, again, strict=True)] == [True, True, False]
