"""Losses on a device without float64, as MPS and some XPUs are: the fake one refuses it."""

from types import SimpleNamespace

import pytest

from array_losses.core.namespace import namespace_of, wide_dtype
from tests.cases import COVER


@pytest.fixture
def no_float64(torch):
    """A mode in which the fake device has no float64."""
    from torch.utils._python_dispatch import TorchDispatchMode

    from tests.devices.fake_device import NAME

    class Refusing(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for one in result if isinstance(result, tuple | list) else (result,):
                if (
                    isinstance(one, torch.Tensor)
                    and one.device.type == NAME
                    and one.dtype == torch.float64
                ):
                    msg = f"{function} makes float64, which the device does not have"
                    raise TypeError(msg)
            return result

    return Refusing


@pytest.mark.parametrize(
    "case", [case for case in COVER if case.is_scalar], ids=lambda case: case.name
)
def test_losses(torch, no_float64, case):
    from tests.devices.fake_device import NAME, fake_device

    with fake_device(), no_float64():
        arrays = [
            torch.empty(
                array.shape,
                dtype=getattr(torch, "float32" if array.dtype.kind == "f" else array.dtype.name),
                device=NAME,
            )
            if array is not None
            else None
            for array in case.data.build()
        ]
        value, gradient = case.loss().value_and_grad(*arrays[:2], pixel_weights=arrays[2])
    assert value.dtype == torch.float32
    assert gradient.dtype == arrays[0].dtype


@pytest.mark.parametrize("has_it", [True, False])
def test_xpu(torch, monkeypatch, has_it):
    """There arrays of float64 can be made, and no kernel takes them."""
    found = SimpleNamespace(has_fp64=has_it)
    xp = namespace_of(x=torch.ones(1))
    monkeypatch.setattr(xp.xpu, "get_device_properties", lambda _: found)
    wide = wide_dtype(xp, torch.float32, torch.device("xpu", 0))
    assert wide == (torch.float64 if has_it else torch.float32)
