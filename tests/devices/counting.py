"""Counts what eager PyTorch would launch on a GPU: kernels, bytes, peak memory, waits.

One rule for every contender: a call of an operator that computes is a launch, and reads each
tensor it is given once and writes each tensor it returns once. Views and empty tensors are free.
`_KERNELS` and `_BYTES` list the operators of which that is not true.
"""

import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

import array_losses

PACKAGE = Path(array_losses.__file__).parent

# Views that do not say so in their schema, what only makes room, and what is a wait instead.
_FREE = {
    "_local_scalar_dense",
    "_reshape_alias",
    "_unsafe_view",
    "detach",
    "device",
    "empty",
    "empty_like",
    "empty_strided",
    "is_same_size",
    "lift_fresh",
    "new_empty",
    "new_empty_strided",
    "resize_",
    "set_",
}
# The host needs what the device has yet to compute: values, or the shape of the result.
_WAITS = {
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "histc",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
    "unique_dim",
}
# Operators that CUDA carries out by several kernels one after the other. Sorting is left as one
# launch that reads and writes once, for all contenders: how many passes it takes depends on the
# length of a row and on the version.
_KERNELS = {
    "binary_cross_entropy_with_logits": 4,  # log_sigmoid, 1 - target, product, difference
    "count_nonzero": 2,  # comparison, sum
    "index_add": 2,  # these copy the whole tensor, then change it
    "index_copy": 2,
    "index_fill": 2,
    "index_put": 2,
    "logsumexp": 6,  # largest entry, its check, difference, exp, sum, log
    "masked_fill": 2,
    "masked_scatter": 2,
    "scatter": 2,
    "scatter_add": 2,
    "scatter_reduce": 2,
}


# Asked for another dtype, these first convert all of their input (ATen/native/ReduceOpsUtils.h),
# except half precision to float32.
_WIDENING = {"cumsum", "mean", "prod", "sum"}


class Launch(NamedTuple):
    """One operator that was called: how many kernels, the bytes they move, and who called it.

    `places` are lines of array_losses, the innermost first; none where PyTorch's own backward pass
    called it.
    """

    operator: str
    kernels: int
    moved: int
    places: tuple[str, ...]


class Waits(TorchDispatchMode):
    """Counts in `waits`, by operator and place, how often the host would wait for the device.

    Every value of the device that is inspected is taken to be 0.
    """

    def __init__(self):
        super().__init__()
        self.waits = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        operator, kwargs = func.overloadpacket.__name__, kwargs or {}
        if _waits(operator, args, kwargs):
            self.waits[operator, *places_of_call()[:1]] += 1
        return 0 if operator == "_local_scalar_dense" else func(*args, **kwargs)


class Counted(Waits):
    """Counts the operators that run inside the context.

    Attributes
    ----------
    launches : every operator that computes, in order
    peak : the most memory that tensors made inside the context held at one time, in bytes; what a
        kernel needs for itself is not known
    waits : how often the host would wait for the device, by operator and place
    """

    def __init__(self):
        super().__init__()
        self.launches = []
        self.peak = 0
        self._held = WeakIdKeyDictionary()

    @property
    def kernels(self):
        """How many kernels were launched."""
        return sum(one.kernels for one in self.launches)

    @property
    def moved(self):
        """How many bytes they read and wrote."""
        return sum(one.moved for one in self.launches)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        read = {name: x for name, x in (kwargs or {}).items() if name != "out"}  # is written
        before = [x for x in tree_leaves((args, read)) if isinstance(x, torch.Tensor)]
        for x in before:
            self._held.setdefault(x.untyped_storage(), 0)  # not made here
        result = super().__torch_dispatch__(func, types, args, kwargs)
        after = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        for x in after:
            self._held.setdefault(x.untyped_storage(), x.untyped_storage().nbytes())
        self.peak = max(self.peak, sum(self._held.values()))
        operator = func.overloadpacket.__name__
        if not (func.is_view or operator in _FREE):
            cost = _cost(operator, args, before, after)
            self.launches.append(Launch(operator, *cost, places_of_call()))
        return result


def places_of_call():
    """Return the lines of array_losses that run, the innermost first."""
    frame, places = sys._getframe(1), []
    while frame is not None:
        name = _name_in_package(frame.f_code.co_filename)
        if name:
            places.append(f"{name}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return tuple(places)


@cache
def _name_in_package(file):
    path = Path(file)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else None


def _waits(operator, args, kwargs):
    if operator in _WAITS:
        return True
    if operator == "_to_copy":
        to = kwargs.get("device")
        return to is not None and to.type != args[0].device.type
    if operator == "copy_":
        return args[0].device.type != args[1].device.type
    if operator not in {"index", "index_put", "index_put_"}:
        return False
    masks = (torch.bool, torch.uint8)
    return any(i is not None and i.dtype in masks for i in args[1])


def _cost(operator, args, before, after):
    """Return how many kernels an operator takes, and the bytes that they read and write."""
    kernels = _KERNELS.get(operator, 1)
    if operator in _BYTES:
        return kernels, _BYTES[operator](args, before, after)
    moved = _size(before) + _size(after)
    if operator in _WIDENING and _widens(before[0], after[0]):
        return kernels + 1, moved + 2 * before[0].numel() * after[0].element_size()
    return kernels, moved


def _widens(before, after):
    """Return whether a reduction converts its input."""
    halves = (torch.float16, torch.bfloat16)
    fused = before.dtype in halves and after.dtype == torch.float32
    return before.dtype != after.dtype and not fused


def _size(tensors):
    return sum(map(_bytes, tensors))


def _bytes(x):
    """Return the bytes of a tensor, entries that lie in one place counted once."""
    entries = 1
    for length, stride in zip(x.shape, x.stride(), strict=True):
        if stride != 0:
            entries *= length
    return entries * x.element_size()


def _only_written(args, before, after):
    return _size(after)


def _copied(args, before, after):
    return _size(args[:2])


def _read_at(args, before, after):
    """A read of each result entry, its place, and its writing."""
    indices = [x for x in tree_leaves(args[1:]) if isinstance(x, torch.Tensor)]
    return _size(indices) + 2 * _size(after)


def _written_at(args, before, after):
    """What `scatter` writes: places and values are read, and as many entries written."""
    index, *values = (x for x in args[2:] if isinstance(x, torch.Tensor))
    return _size([index, *values]) + index.numel() * args[0].element_size()


def _added_at(args, before, after):
    """As `scatter`, but entries are read before they are written."""
    return _written_at(args, before, after) + args[2].numel() * args[0].element_size()


def _put(args, before, after):
    """What indexed assignment writes: indices and values are read, and as many entries written."""
    indices = [i for i in args[1] if i is not None]
    entries = max(i.numel() for i in indices)
    return _size(indices) + _bytes(args[2]) + entries * args[0].element_size()


def _label_losses(args, before, after):
    """nll_loss forward: the labels, one log-probability for each, and the result."""
    labels = args[1]
    return _bytes(labels) + labels.numel() * args[0].element_size() + _size(after)


def _label_gradients(args, before, after):
    """nll_loss backward: the labels are read, zeros written everywhere, and one entry for each."""
    labels = args[2]
    return _bytes(labels) + labels.numel() * args[1].element_size() + _size(after)


def _on_a_copy(rule):
    """The rule of an operator in place, for the one that first copies the whole tensor."""
    return lambda args, before, after: 2 * _bytes(args[0]) + rule(args, before, after)


_BYTES = {
    "copy_": _copied,
    "fill_": _only_written,
    "full_like": _only_written,
    "gather": _read_at,
    "index": _read_at,
    "index_put": _on_a_copy(_put),
    "index_put_": _put,
    "index_select": _read_at,
    "new_full": _only_written,
    "new_ones": _only_written,
    "new_zeros": _only_written,
    "nll_loss2d_backward": _label_gradients,
    "nll_loss2d_forward": _label_losses,
    "nll_loss_backward": _label_gradients,
    "nll_loss_forward": _label_losses,
    "ones_like": _only_written,
    "scatter": _on_a_copy(_written_at),
    "scatter_": _written_at,
    "scatter_add": _on_a_copy(_added_at),
    "scatter_add_": _added_at,
    "take": _read_at,
    "zero_": _only_written,
    "zeros_like": _only_written,
}
