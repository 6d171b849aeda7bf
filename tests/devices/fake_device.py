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
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from array_losses.frameworks import torch as tensors
from array_losses.frameworks import torch_autograd
from tests.devices.counting import places_of_call

NAME = "gpu"


class CopiesToDevice(TorchFunctionMode):
    """Counts numbers of the host that become tensors of the device, by place: each is a wait."""

    def __init__(self):
        super().__init__()
        self.places = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        made = func in {torch.asarray, torch.as_tensor, torch.tensor}
        if not made or isinstance(args[0], torch.Tensor) or not _is_fake(kwargs.get("device")):
            return func(*args, **kwargs)
        self.places[places_of_call()[:1]] += 1
        like = torch.asarray(np.asarray(args[0]), dtype=kwargs.get("dtype"))
        return torch.empty(like.shape, dtype=like.dtype, device=kwargs["device"])


@contextmanager
def fake_device():
    """Work with fake tensors, made with device="gpu"; gives the copies that are made to it."""
    _registered()
    # Fake tensors, and the modes that follow them, are transforms; here they stand for plain ones.
    with (
        patch.object(tensors, "is_transformed", _never),
        patch.object(torch_autograd, "is_transformed", _never),
        FakeTensorMode(),
        CopiesToDevice() as copies,
    ):
        yield copies


def _never(*tensors):
    return False


@cache
def _registered():
    _setup_privateuseone_for_python_backend(NAME)


def _is_fake(device):
    return device is not None and torch.device(device).type == NAME
