"""Who takes part: our losses in each framework, and the peers, for one workload and loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import array_losses as al
from tests.benchmarks.calls import Calls, jax_calls, numpy_calls, torch_calls
from tests.benchmarks.peers import jax_peers, missing, torch_peers

if TYPE_CHECKING:
    from array_losses.losses.base import Criterion
    from tests.benchmarks.calls import Preparation
    from tests.benchmarks.workloads import Inputs, Workload

__all__ = ["BINS", "IN_FLOAT32", "Contender", "contenders", "our_loss"]

BINS = 4096
OURS = "array_losses"
IN_FLOAT32 = f"{OURS}, torch, float32"


@dataclass(frozen=True)
class Contender:
    """A name, what it is called with, and how its calls are prepared."""

    name: str
    framework: str
    prepare: Preparation
    binned: bool = False  # the Lovász loss by a histogram

    @property
    def ours(self) -> bool:
        """Whether it is of this library."""
        return self.name.startswith(OURS)


def our_loss(loss: str, *, binary: bool, binned: bool = False, class_axis: int = 1) -> Criterion:
    """Return our loss of this name."""
    if loss == "lovasz":
        if binary:
            return al.LovaszHingeLoss(class_axis=class_axis)
        bins = BINS if binned else None
        return al.LovaszSoftmaxLoss(class_axis=class_axis, bins=bins)
    options: dict[str, Any] = {
        "activation": "sigmoid" if binary else "softmax",
        "class_axis": class_axis,
    }
    if loss == "ce+dice":
        return al.CrossEntropyLoss(**options) + al.DiceLoss(**options)
    kinds: dict[str, Any] = {
        "ce": al.CrossEntropyLoss,
        "focal": al.FocalLoss,
        "dice": al.DiceLoss,
        "jaccard": al.JaccardLoss,
    }
    return kinds[loss](**options)


def contenders(mode: str, loss: str, workload: Workload) -> list[Contender]:
    """Return who is measured side by side: `mode` is "eager", "compile" or "jit"."""
    absent = missing()
    frameworks = {
        "eager": ("numpy", "torch"),
        "compile": ("torch",),
        "jit": ("jax",),
    }[mode]
    frameworks = tuple(one for one in frameworks if one not in absent)
    if workload.dtype == "bfloat16":
        frameworks = tuple(one for one in frameworks if one != "numpy")
    variants = (False, True) if loss == "lovasz" and not workload.binary else (False,)
    ours = [
        Contender(
            f"{OURS}, {_TITLES[framework]}{f', {BINS:,} bins' if binned else ''}",
            framework,
            partial(_ours, loss, mode, framework, binned),
            binned,
        )
        for binned in variants
        for framework in frameworks
    ]
    if mode == "eager" and workload.dtype != "float32" and "torch" not in absent:
        # Half precision is to be no slower than this.
        ours.append(Contender(IN_FLOAT32, "torch", partial(_in_float32, loss)))
    if mode == "jit":
        peers = [Contender(name, "jax", make) for name, make in jax_peers(loss, workload).items()]
    else:
        found = torch_peers(loss, workload, compiled=mode == "compile")
        peers = [Contender(name, "torch", make) for name, make in found.items()]
    return ours + peers


_TITLES = {"numpy": "NumPy", "torch": "torch", "jax": "JAX"}


def _in_float32(loss: str, inputs: Inputs) -> Calls:
    workload = replace(inputs.workload, dtype="float32")
    logits = inputs.logits.astype(np.float32)
    return _ours(loss, "eager", "torch", False, replace(inputs, workload=workload, logits=logits))


def _ours(loss: str, mode: str, framework: str, binned: bool, inputs: Inputs) -> Calls:
    binary = inputs.workload.binary
    if framework == "jax":
        axis = -1 if inputs.workload.classes_last else 1
        return jax_calls(our_loss(loss, binary=binary, binned=binned, class_axis=axis), inputs)
    criterion = our_loss(loss, binary=binary, binned=binned)
    if framework == "numpy":
        return numpy_calls(criterion, inputs)
    return torch_calls(criterion, inputs, compiled=mode == "compile")
