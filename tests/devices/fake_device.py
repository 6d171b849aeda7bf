"""A device that computes nothing: its tensors have a shape, a dtype and a place, and no values.

Tensors on it take the path of those on a GPU. PyTorch raises where they meet tensors of the CPU,
and where their values are inspected.
"""

from collections import Counter
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

import numpy as np
import torch
from torch._dynamo.trace_rules import get_torch_obj_rule_map
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

from array_losses.frameworks import torch as tensors
from array_losses.frameworks import torch_autograd
from array_losses.frameworks.sent import Sent
from tests.devices.counting import places_of_call

NAME = "gpu"


class CopiesToDevice:
    """Counts numbers of the host that become tensors of the device, by place: each is a wait.

    By functions in place of PyTorch's own: no mode of tensors sees them, and a mode of functions
    not what a backward pass calls.
    """

    def __init__(self):
        self.places = Counter()

    def counted(self, function):
        """Return a function that makes tensors, which counts those of the device."""

        def made(x, *args, **named):
            if isinstance(x, torch.Tensor) or not _is_fake(named.get("device")):
                return function(x, *args, **named)
            self.places[places_of_call()[:1]] += 1
            like = function(np.asarray(x), *args, **{**named, "device": "cpu"})
            return torch.empty(like.shape, dtype=like.dtype, device=named["device"])

        return made


@contextmanager
def fake_device():
    """Work with fake tensors, made with device="gpu"; gives the copies that are made to it."""
    _registered()
    copies = CopiesToDevice()
    with (
        taken_for_plain(),
        torch.autograd.set_multithreading_enabled(False),  # there is no thread for the device
        patch.object(tensors.TORCH, "_sent", Sent(FakeTensor)),
        patch.object(torch, "asarray", copies.counted(torch.asarray)),
        patch.object(torch, "as_tensor", copies.counted(torch.as_tensor)),
        patch.object(torch, "tensor", copies.counted(torch.tensor)),
        FakeTensorMode(),
    ):
        yield copies


@contextmanager
def taken_for_plain():
    """Fake tensors, and those that a mode follows, stand for plain ones: they are no transform."""
    with (
        patch.object(tensors, "is_transformed", _never),
        patch.object(torch_autograd, "is_transformed", _never),
    ):
        yield


def _never(*tensors):
    return False


@cache
def _registered():
    """Make the device known to PyTorch, for good; nothing but these tests is to look for it."""
    # The first backward pass starts a thread for each device that is known, and that of this one
    # can end the process badly.
    torch.ones((), requires_grad=True).backward()
    # The compiler looks functions up by name, once: not while others are in their place.
    get_torch_obj_rule_map()
    module = _DummyBackendModule()
    module.is_available = lambda: False
    _setup_privateuseone_for_python_backend(NAME, backend_module=module)


def _is_fake(device):
    return device is not None and torch.device(device).type == NAME
