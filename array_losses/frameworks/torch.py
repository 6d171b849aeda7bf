"""PyTorch: what it does best, and what is known of its tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function

from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, Namespace, namespace_of
from array_losses.frameworks.sent import Sent

__all__ = [
    "TORCH",
    "Torch",
    "as_numpy",
    "can_inspect",
    "in_cpu_memory",
    "is_transformed",
    "memory_as_numpy",
    "plainly",
    "wants_more",
]


class Torch(Library):
    """PyTorch, whose tensors are written in place."""

    writes_by_index = True
    compares_floats = True

    def __init__(self, xp: Namespace) -> None:
        super().__init__(xp)
        self._sent = Sent(torch.Tensor)

    def per_class(self, values: tuple[float, ...], dtype: DType, on: Any) -> Array:
        """Return numbers that are known, one per class, as a row that nobody writes to."""
        if on.type == "cpu" or is_transformed():
            return super().per_class(values, dtype, on)

        def send() -> Array:
            with torch.inference_mode(False):  # autograd keeps no tensor of inference mode
                return torch.tensor(values, dtype=dtype, device=on)

        return self._sent.get((values, dtype, on), send)

    def sum_at(self, places: Array, x: Array | None, length: int, dtype: DType) -> Array:
        """Return the sums of `x` by place, one axis each; None for `x` counts the places."""
        if x is None:
            x = torch.ones(places.shape, dtype=dtype, device=places.device)
        nothing = torch.zeros((length,), dtype=dtype, device=places.device)
        return nothing.index_add(0, places, x.to(dtype))

    def sums_after_zero(self, places: Array, x: Array, length: int, dtype: DType) -> Array:
        """Return the sums of `x` by place along the last axis, a 0 in front of them."""
        shape = (*places.shape[:-1], length + 1)
        sums = torch.zeros(shape, dtype=dtype, device=places.device)
        sums[..., 1:].scatter_add_(-1, places, x.expand(places.shape))
        return sums

    def bins_of(self, x: Array, bins: int) -> Array:
        """Return the bin from 0 to 1 of each entry, contiguous."""
        whole = (x * bins).to(torch.int32, memory_format=torch.contiguous_format)
        return whole.clamp(0, bins - 1)  # whatever integer a NaN becomes

    def add_multiple(self, x: Array, y: Array, factor: float) -> Array:
        """Return `x` plus a number times `y`, which may be a mask, in place of `x`."""
        return x.add_(y, alpha=factor)

    def softmax(self, logits: Array) -> tuple[Array, Any]:
        """Return the probability of each class, and what its logarithm can be had from sooner."""
        return _along_classes(torch.softmax, logits), None

    def log_softmax(self, logits: Array, known: Any) -> Array:
        """Return the logarithm of the probability of each class."""
        return _along_classes(torch.log_softmax, logits)

    def log_softmax_at(self, logits: Array, known: Any, index: Array) -> Array:
        """Return that of the class that `index` names, (images, 1, pixels)."""
        return self.take_class(self.log_softmax(logits, known), index)

    def sigmoid(self, logits: Array) -> Array:
        """Return the logistic function, with the relative accuracy of its small values."""
        return torch.sigmoid(logits)

    def log_sigmoid(self, logits: Array) -> Array:
        """Return its logarithm."""
        return torch.nn.functional.logsigmoid(logits)

    def softmax_backward(self, p: Array, dp: Array) -> Array:
        """Return p (dp - mean of dp)."""
        return _along_classes(_softmax_backward, p, dp)

    def add_product(self, x: Array, y: Array, z: Array) -> Array:
        """Return x + y z, in place of `x`."""
        return x.addcmul_(y, z)

    def filled(self, x: Array, where: Array, value: float) -> Array:
        """Return `x` with a number where a mask says so, in place."""
        return x.masked_fill_(where, value)

    def class_index(self, labels: Array, num_classes: int) -> Array:
        """Return labels as the index of a class, the nearest for one that is none."""
        highest = min(num_classes - 1, torch.iinfo(labels.dtype).max)
        return labels.clamp(0, highest).to(torch.int64)

    def take_class(self, x: Array, index: Array) -> Array:
        """Return the entry of `x` at the class that `index` (images, 1, pixels) names."""
        return torch.gather(x.expand(*index.shape[:1], -1, *index.shape[2:]), 1, index)

    def put_class(self, x: Array, index: Array, values: Array | float) -> Array:
        """Return `x` with a number, or values (images, 1, pixels), at that class, in place."""
        return x.scatter_(1, index, values)

    def sorted_descending(self, x: Array) -> tuple[Array, Array]:
        """Return the entries along the last axis from the largest down, and their order."""
        values, order = torch.sort(x, dim=-1, descending=True, stable=True)
        return values, order

    def back_in_place(self, order: Array, x: Array) -> Array:
        """Return sorted entries to the places from which `order` took them."""
        return torch.empty_like(x).scatter_(-1, order, x)

    def in_order(self, x: Array, order: Array) -> Array:
        """Return the entries of `x` in that order."""
        # The standard's take_along_axis turns sizes that are left open into numbers.
        return torch.gather(x, -1, order)

    def counting_dtype(self, dtype: DType, highest: int) -> DType:
        """Return the dtype to count so far in."""
        if torch.are_deterministic_algorithms_enabled():
            # On CUDA PyTorch then refuses cumulative sums of floats.
            return torch.int32 if highest < 2**31 else torch.int64
        return super().counting_dtype(dtype, highest)

    def running_count(self, mask: Array, dtype: DType) -> Array:
        """Return how many entries are true up to each place of the last axis."""
        return torch.cumsum(mask, -1, dtype=self.counting_dtype(dtype, mask.shape[-1]))

    def accumulated(self, x: Array) -> Array:
        """Return the sums up to each place of the last axis, in place."""
        return x.cumsum_(-1)

    def inverse(self, x: Array, least: float) -> Array:
        """Return 1 / x, of `x` not below `least`, in place of `x`."""
        return x.clamp_(min=least).reciprocal_()

    def add_into(self, room: Array, x: Array, y: Array) -> None:
        """Write a sum into a part of an array."""
        torch.add(x, y, out=room)

    def times(self, x: Array, y: Array) -> Array:
        """Return a product that is contiguous whatever the strides of `x`, whose shape it has."""
        return torch.mul(x, y, out=x.new_empty(x.shape))

    def cumulative_sum(self, x: Array, dtype: DType = None) -> Array:
        """Return the sums of `x` up to each place of its last axis."""
        return torch.cumsum(x, -1, dtype=dtype)


def _along_classes(function: Callable[..., Array], *arrays: Array) -> Array:
    """Return a function along axis 1; where the classes lie side by side in memory, without a copy.

    PyTorch's softmax works on contiguous tensors, and copies others.
    """
    last = [x.movedim(1, -1) for x in arrays]
    if arrays[0].is_contiguous() or not last[0].is_contiguous():
        return function(*arrays, 1)
    return function(*last, -1).movedim(-1, 1)


def _softmax_backward(p: Array, dp: Array, axis: int) -> Array:
    return torch.ops.aten._softmax_backward_data(dp, p, axis, p.dtype)


TORCH = Torch(namespace_of(x=torch.empty((), dtype=torch.float32, device="cpu")))


def plainly(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Call a function with plain tensors in place of those that only carry metadata.

    What it returns is then of the type that functions of PyTorch return for them. Subclasses that
    follow every operation (FakeTensor, say) stay as they are.
    """
    carriers = [x for x in (*args, *named.values()) if _carries_metadata(x)]
    if not carriers:
        return function(*args, **named)
    kinds = {type(x) for x in carriers if _is_asked(x)}
    one_suits_all = any(all(issubclass(one, other) for other in kinds) for one in kinds)
    asks = one_suits_all and not torch.compiler.is_compiling()
    return _OnPlain(function, asks=asks)(*args, **named)


class _OnPlain:
    """A function of plain tensors as one of PyTorch's own, which asks subclasses first."""

    def __init__(self, function: Callable[..., Any], *, asks: bool) -> None:
        self.function = function
        self.asks = asks
        self.__name__ = getattr(function, "__name__", "array_losses")

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return the function's result, as a subclass returns it."""
        carriers = [x for x in (*args, *named.values()) if _carries_metadata(x)]
        # Also once more by a mode: a default device is one.
        if self.asks and has_torch_function(carriers):
            return handle_torch_function(self, carriers, *args, **named)
        return self.function(*map(_plain, args), **{name: _plain(x) for name, x in named.items()})


def _is_asked(x: Any) -> bool:
    """Return whether a subclass of tensors has a say in functions of PyTorch."""
    return type(x).__torch_function__ is not torch._C._disabled_torch_function_impl


def _carries_metadata(x: Any) -> bool:
    """Return whether `x` is of a subclass of tensors that sees no more than calls of functions."""
    if not isinstance(x, torch.Tensor) or type(x) in _PLAIN:
        return False
    return type(x).__torch_dispatch__ is torch.Tensor.__torch_dispatch__


def _plain(x: Any) -> Any:
    """Return a tensor that carries metadata without it, of the same memory and graph."""
    if not _carries_metadata(x):
        return x
    with torch._C.DisableTorchFunctionSubclass():
        return x.as_subclass(torch.Tensor)


_PLAIN = (torch.Tensor, torch.nn.Parameter)


def as_numpy(*tensors: Array | None) -> tuple[Array, ...] | None:
    """Return NumPy arrays that share the tensors' memory, None where there can be none."""
    if is_transformed(*tensors) or any(_is_elsewhere(x) for x in tensors if x is not None):
        return None
    return tuple(x if x is None else memory_as_numpy(x) for x in tensors)


def _is_elsewhere(x: Array) -> bool:
    return not in_cpu_memory(x) or (torch.is_grad_enabled() and x.requires_grad)


def in_cpu_memory(*tensors: Array | None) -> bool:
    """Return whether all of some tensors lie in the memory of the CPU.

    Whatever differs between CPU and GPU asks here, so that tests can treat CPU tensors as a GPU's.
    """
    return all(x is None or x.is_cpu for x in tensors)


def memory_as_numpy(x: Array) -> Array:
    """Return a tensor in the memory of the CPU as a NumPy array; bfloat16 as float32."""
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy(force=True)


def can_inspect(x: Array) -> bool:
    """Return whether the values of `x` can be inspected, and nothing follows them."""
    return not (is_transformed(x) or wants_more(x, None)) and in_cpu_memory(x)


def is_transformed(*tensors: Array | None) -> bool:
    """Return whether something other than plain autograd follows the operations.

    That is torch.compile and torch.export, torch.func, forward-mode differentiation, subclasses
    that follow operations, such as FakeTensor, and the meta device, which holds no values.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return True
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    if torch.utils._python_dispatch._get_current_dispatch_mode() is not None:
        return True
    return any(
        type(x) not in _PLAIN or x.is_meta or forward_ad.unpack_dual(x).tangent is not None
        for x in tensors
        if x is not None
    )


def wants_more(target: Array, pixel_weights: Array | None) -> bool:
    """Return whether a gradient is wanted that the closed form does not give."""
    wanted = target.requires_grad or (pixel_weights is not None and pixel_weights.requires_grad)
    return torch.is_grad_enabled() and wanted
