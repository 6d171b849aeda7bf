"""PyTorch: an autograd function for eager tensors, one for its compiler, else the plain formula.

The plain formula is for torch.func, torch.export and forward mode, and for what has no closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from array_losses.core.engine import Evaluation, State
from array_losses.core.low_precision import Conversion
from array_losses.core.namespace import Array
from array_losses.core.protocol import AllReduce, Call, Terms, prepare
from array_losses.core.whole import WholeEvaluation, check_values, has_closed_form
from array_losses.frameworks.libraries import library_of
from array_losses.frameworks.torch import (
    in_cpu_memory,
    is_transformed,
    memory_as_numpy,
    plainly,
    wants_more,
)

__all__ = ["value", "value_and_grad", "value_and_terms"]

# PyTorch has these dtypes, but few operations on them.
_WIDE_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


def value(call: Call) -> Array:
    """Return the loss, in the autograd graph of the logits."""
    return _plainly(_value, call)


def value_and_grad(call: Call) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to the logits, outside the autograd graph."""
    return _plainly(_value_and_grad, call)


def value_and_terms(call: Call) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss in the graph of the logits, and the values of the losses in it, detached."""

    def flat(call: Call) -> tuple[Array, ...]:
        each: list[Array] = []
        return _value(call, each), *each

    loss, *each = _plainly(flat, call)
    return loss, tuple(each)


def _plainly(function: Callable[[Call], Any], call: Call) -> Any:
    """Call a function with plain tensors in place of those that only carry metadata."""

    def of_arrays(*arguments: Any) -> Any:
        return function(Call(call.terms, *arguments))

    return plainly(of_arrays, *call[1:])


def _value(call: Call, each: list[Array] | None = None) -> Array:
    """Return the loss; the values of the losses in it go into `each`, if it is given: detached."""
    if is_transformed(*call.arrays):
        return _compiled(call, each) if _is_compiled(call) else _formula(call, each)
    if wants_more(call.target, call.pixel_weights):
        _inspect(call)
        return _formula(call, each)
    if not (torch.is_grad_enabled() and call.logits.requires_grad):
        return _Eager(call).value(each)[0]
    return _Loss.apply(*call.arrays, call.terms, call.all_reduce, each)


def _value_and_grad(call: Call) -> tuple[Array, Array]:
    if is_transformed(*call.arrays):
        if _is_compiled(call):
            found = _explicit(_detached(call))
            return found.value, found.gradient().to(call.logits.dtype)

        def of_logits(z: Array) -> Array:
            return _formula(call._replace(logits=z))

        grad, loss = torch.func.grad_and_value(of_logits)(call.logits)
        return loss, grad
    with torch.no_grad():
        return _Eager(_detached(call)).value_and_gradient()


def _detached(call: Call) -> Call:
    z, t, w = (x if x is None else x.detach() for x in call.arrays)
    return Call(call.terms, z, t, w, call.all_reduce)


def _formula(call: Call, each: list[Array] | None = None) -> Array:
    target = _signed(call.terms, call.target)
    call = Call(call.terms, call.logits, target, call.pixel_weights, call.all_reduce)
    whole = WholeEvaluation(library_of(call.logits), call, autodiff=True)
    if each is not None:
        each += [one.detach() for one in whole.each_value]
    return whole.value


def _is_compiled(call: Call) -> bool:
    """Return whether torch.compile follows the call, and it has a closed form.

    Not torch.export, nor transforms inside of what is compiled: they follow the plain formula.
    """
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return False
    if torch._C._functorch.get_dynamic_layer_stack_depth() > 0:
        return False
    return not wants_more(call.target, call.pixel_weights) and has_closed_form(call)


def _explicit(call: Call) -> WholeEvaluation:
    """Return an evaluation that gives its gradient itself."""
    call = call._replace(target=_signed(call.terms, call.target))
    return WholeEvaluation(library_of(call.logits), call, autodiff=False)


def _compiled(call: Call, each: list[Array] | None) -> Array:
    """Return the loss, and the values of the losses in it, as `_value` does."""
    if each is not None:
        each += _explicit(_detached(call)).each_value
    return _Compiled.apply(*call.arrays, call.terms)


class _Compiled(torch.autograd.Function):
    """Value and gradient in closed form, for torch.compile.

    Backward evaluates the loss once more, since it may not change what forward has made. The
    compiler makes one of two equal operations, and chooses what to keep. What it has compiled
    cannot be differentiated twice, with or without this function.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Array, target: Array, pixel_weights: Array | None, terms: Terms
    ) -> Array:
        ctx.save_for_backward(logits, target, pixel_weights)
        ctx.terms = terms
        return _explicit(Call(terms, logits, target, pixel_weights)).value

    @staticmethod
    def backward(ctx: Any, d: Array) -> tuple[Array | None, ...]:
        logits, target, pixel_weights = ctx.saved_tensors
        gradient = _explicit(Call(ctx.terms, logits, target, pixel_weights)).gradient(d)
        return gradient.to(logits.dtype), None, None, None


def _signed(terms: Terms, target: Array) -> Array:
    """Return wide unsigned labels as int64; what that cannot hold as no class, and not ignored."""
    if target.dtype not in _WIDE_UNSIGNED:
        return target
    signed = target.to(torch.int64)
    ignored = {value for _, one in terms for value in one.view.ignore_index}
    no_class = next(value for value in range(-1, -len(ignored) - 2, -1) if value not in ignored)
    return torch.where(signed < 0, no_class, signed)


def _inspect(call: Call) -> None:
    """Raise a ValueError for bad values in CPU memory, which the formula would make NaN."""
    if in_cpu_memory(*call.arrays):
        near = [x if x is None else memory_as_numpy(x) for x in call.arrays]
        lib = library_of(near[0])
        check_values(lib, call.terms, prepare(lib, Call(call.terms, *near)))


class _Loss(torch.autograd.Function):
    """Value forward, the closed form backward; if that is differentiated, the plain formula."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Array,
        target: Array,
        pixel_weights: Array | None,
        terms: Terms,
        all_reduce: AllReduce | None,
        each: list[Array] | None,
    ) -> Array:
        evaluation = _Eager(Call(terms, logits, target, pixel_weights, all_reduce))
        ctx.gradient = ctx.state = ctx.evaluation = None
        if evaluation.better_at_once:
            loss, ctx.gradient = evaluation.value_and_gradient(each)
        else:
            loss, ctx.state = evaluation.value(each)
            loss = evaluation.own(loss, ctx.state)
            ctx.evaluation = evaluation if evaluation.keeps_pixels else None
        ctx.save_for_backward(logits, target, pixel_weights)
        ctx.terms, ctx.all_reduce = terms, all_reduce
        return loss

    @staticmethod
    def backward(ctx: Any, d: Array) -> tuple[Array | None, ...]:
        logits, target, pixel_weights = ctx.saved_tensors
        call = Call(ctx.terms, logits, target, pixel_weights, ctx.all_reduce)
        if is_transformed(d) or torch._C._functorch.is_legacy_batchedtensor(d):
            # Many cotangents at once: torch.autograd.functional.jacobian(vectorize=True).
            with torch.enable_grad():
                z = logits.detach().requires_grad_()
                loss = _formula(call._replace(logits=z))
            (gradient,) = torch.autograd.grad(loss, z, d)
        elif torch.is_grad_enabled():
            loss = _formula(call)
            (gradient,) = torch.autograd.grad(loss, logits, d, create_graph=True)
            # A gradient that the logits do not move (the hinge's) is in their graph all the same.
            gradient = torch.where(torch.zeros_like(logits, dtype=torch.bool), logits, gradient)
        elif ctx.state is not None:
            # What was computed serves once: it becomes the gradient.
            evaluation, ctx.evaluation = ctx.evaluation, None
            gradient = (evaluation or _Eager(call)).gradient(ctx.state, d)
        else:
            gradient = _made_at_once(ctx, d, call)
        return gradient, None, None, None, None, None


def _made_at_once(ctx: Any, d: Array, call: Call) -> Array:
    """Return `d` times the gradient that came with the value."""
    # Let go of it: what nobody else holds becomes `logits.grad` without a copy.
    gradient, ctx.gradient = ctx.gradient, None
    as_it_is = d.item() == 1.0
    scaled_half = call.logits.dtype == torch.float16 and not as_it_is
    if gradient is None or scaled_half:
        evaluation = _Eager(call)
        if scaled_half:  # A loss scale is there to come before rounding.
            return evaluation.gradient(evaluation.value()[1], d)
        # A second backward pass: the same way, for the same bits.
        gradient = evaluation.value_and_gradient()[1]
    return gradient if as_it_is else gradient.mul_(d)


class _Eager:
    """The engine on tensors; tensors in the memory of the CPU are worked on as NumPy arrays.

    They share their memory, so nothing is copied, and NumPy works on blocks in threads. Half
    precision passes as NumPy's float16, bfloat16 too, of which only PyTorch knows what the bits
    mean: it widens and narrows each block.
    """

    def __init__(self, call: Call) -> None:
        terms, logits, target, pixel_weights, all_reduce = call
        on_cpu = in_cpu_memory(*call.arrays)
        self.shared = on_cpu and logits.dtype in (*_NUMPY_FLOATS, *_HALVES)
        self.dtype = logits.dtype
        low_precision = None
        if self.shared:
            if logits.dtype in _HALVES:
                low_precision = Conversion(
                    partial(_widened, logits.dtype), partial(_narrowed, logits.dtype)
                )
                logits = logits.view(torch.float16)
            logits, target = memory_as_numpy(logits), memory_as_numpy(target)
            pixel_weights = None if pixel_weights is None else memory_as_numpy(pixel_weights)
            all_reduce = None if all_reduce is None else partial(_reduce_numpy, all_reduce)
        else:
            target = _signed(terms, target)
        self.engine = Evaluation(
            library_of(logits),
            Call(terms, logits, target, pixel_weights, all_reduce),
            can_inspect=on_cpu,
            low_precision=low_precision,
        )

    @property
    def better_at_once(self) -> bool:
        """Whether the gradient should come with the value.

        Not on a device: what it is multiplied by cannot be inspected there, and to multiply the
        whole of it costs as much as two softmaxes.
        """
        return self.shared and self.engine.better_at_once

    @property
    def keeps_pixels(self) -> bool:
        """Whether the gradient can be made from what was computed for the value."""
        return self.engine.whole

    def value(self, each: list[Array] | None = None) -> tuple[Array, State]:
        """Return the loss, and what the backward pass needs of it."""
        value, state = self.engine.value()
        self._keep(each)
        return self._as_tensor(value), state

    def own(self, loss: Array, state: State) -> Array:
        """Return the loss as a tensor that may be changed, and that nothing here refers to.

        What is in the graph, and kept for it too, would keep itself until garbage is collected.
        """
        if self.shared and not loss.ndim:
            return loss
        (weight, _), *more = self.engine.terms
        kept = not (more or self.engine.maps) and weight == 1.0 and state.divisors[0] is None
        return loss.clone() if kept else loss.data

    def gradient(self, state: State, d: Array) -> Array:
        """Return d loss / d logits times `d`."""
        d = memory_as_numpy(d) if self.shared else d
        return self._as_gradient(self.engine.gradient(state, d))

    def value_and_gradient(self, each: list[Array] | None = None) -> tuple[Array, Array]:
        """Return the loss and d loss / d logits."""
        value, gradient = self.engine.value_and_gradient()
        self._keep(each)
        return self._as_tensor(value), self._as_gradient(gradient)

    def _keep(self, each: list[Array] | None) -> None:
        """Put the values of the losses into a list, if there is one."""
        if each is not None:
            each += [self._as_tensor(one).clone() for one in self.engine.each_value]

    def _as_gradient(self, x: Array) -> Array:
        x = self._as_tensor(x)
        return x.view(self.dtype) if self.dtype in _HALVES else x

    def _as_tensor(self, x: Array) -> Array:
        if not self.shared:
            return x
        if x.ndim:
            return torch.from_numpy(x)
        # For a number, NumPy may give its scalar.
        wide = torch.float64 if self.dtype == torch.float64 else torch.float32
        return torch.scalar_tensor(x.item(), dtype=wide, device="cpu")


_NUMPY_FLOATS = (torch.float32, torch.float64)
_HALVES = (torch.float16, torch.bfloat16)
# PyTorch converts what is shorter in the thread that asks, and not in others beside ours.
_PIECE = (1 << 15) - 1


def _widened(dtype: Any, x: Array) -> Array:
    """Return a NumPy array of halves, which are of a PyTorch `dtype`, as float32."""
    bits = torch.from_numpy(x).view(dtype)
    return _converted(bits, torch.empty_like(bits, dtype=torch.float32)).numpy()


def _narrowed(dtype: Any, x: Array) -> Array:
    """Return a NumPy array of float32 as halves, which are of a PyTorch `dtype`."""
    wide = torch.from_numpy(x)
    return _converted(wide, torch.empty_like(wide, dtype=dtype)).view(torch.float16).numpy()


def _converted(source: Array, result: Array) -> Array:
    """Return `result` filled from `source`, of the same strides."""
    if source.is_contiguous() and result.is_contiguous():
        pieces = zip(source.view(-1).split(_PIECE), result.view(-1).split(_PIECE), strict=True)
        for some, room in pieces:
            room.copy_(some)
        return result
    return result.copy_(source)


def _reduce_numpy(all_reduce: AllReduce, sums: Array) -> Array:
    summed = all_reduce(torch.from_numpy(sums))
    return summed.numpy() if isinstance(summed, torch.Tensor) else summed
