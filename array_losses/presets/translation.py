"""Translation: a call of another library's loss, in terms of ours."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from array_losses import frameworks
from array_losses.core.namespace import Array, is_array_api_obj, is_of_jax, namespace_of
from array_losses.frameworks import plainly
from array_losses.losses.base import Criterion
from array_losses.losses.loss_object import LossObject

__all__ = ["ByClass", "Call", "Preset", "PresetFunction", "Sum", "Translation", "preset_function"]

P = ParamSpec("P")
S_co = TypeVar("S_co", bound="Call", covariant=True)


def _same(x: Array) -> Array:
    return x


class Call(Protocol):
    """A call of another library's loss in terms of ours: one translation, or several."""

    @property
    def is_number(self) -> bool:
        """Whether the result is one number."""

    def value(self) -> Array:
        """Return the other library's number, or its map."""

    def value_and_grad(self) -> tuple[Array, Array]:
        """Return the number, and its derivative with respect to the prediction."""


@dataclass(frozen=True)
class Translation:
    """One of our losses with its arrays: (scale * criterion(...) + offset) ** power.

    Attributes
    ----------
    criterion : Criterion
    logits, target, pixel_weights : array
        As the criterion takes them.
    scale, offset : number or 0-D array
        Neither depends on the prediction.
    power : number
        Of the whole, which must not be negative then.
    reshape : callable
        From our map to the other library's, where the result is one.
    back : callable
        From d loss / d logits to d loss / d prediction.
    """

    criterion: Criterion
    logits: Array
    target: Array
    pixel_weights: Array | None = None
    scale: Any = 1.0
    offset: Any = 0.0
    power: float = 1.0
    reshape: Callable[[Array], Array] = _same
    back: Callable[[Array], Array] = _same

    @property
    def is_number(self) -> bool:
        """Whether the result is one number, so that it has a gradient on every framework."""
        return all(one.reduction != "none" for _, one in self.criterion.terms())

    def value(self) -> Array:
        """Return the other library's number, or its map."""
        value = self.criterion(self.logits, self.target, pixel_weights=self.pixel_weights)
        return self.reshape(self._raised(self._placed(value), self.power))

    def value_and_grad(self) -> tuple[Array, Array]:
        """Return the number, and its derivative with respect to the prediction."""
        if not self.is_number:
            msg = (
                f"A preset that returns an array has no one gradient; it stands for "
                f'{self.criterion}: use that with `reduction` "mean" or "sum".'
            )
            raise ValueError(msg)
        value, grad = self.criterion.value_and_grad(
            self.logits, self.target, pixel_weights=self.pixel_weights
        )
        value, grad = self._placed(value), self._scaled(grad)
        if self.power != 1.0:
            factor = self.power * self._raised(value, self.power - 1.0)
            grad = grad * namespace_of(value=value).astype(factor, grad.dtype)
        return self._raised(value, self.power), self.back(grad)

    def scaled(self, factor: Any) -> Translation:
        """Return the same times a factor, which does not depend on the prediction."""
        return replace(self, scale=self.scale * factor, offset=self.offset * factor)

    def plus(self, other: Translation) -> Call:
        """Return the sum with another; as one sum of ours if both take the same arrays."""
        same = ("logits", "target", "pixel_weights", "reshape", "back")
        alike = all(getattr(self, name) is getattr(other, name) for name in same)
        numbers = (self.scale, other.scale, self.offset, other.offset)
        plain = all(isinstance(one, float | int) for one in numbers)
        if not (alike and plain and self.power == other.power == 1.0):
            return Sum(self, other)
        both = self.scale * self.criterion + other.scale * other.criterion
        return replace(self, criterion=both, scale=1.0, offset=self.offset + other.offset)

    def before(self, back: Callable[[Array], Array]) -> Translation:
        """Return the same with one more step from d loss / d logits to that of the prediction."""
        mine = self.back
        return replace(self, back=lambda grad: back(mine(grad)))

    def reshaped(self, last: Callable[[Array], Array]) -> Translation:
        """Return the same with one more step from our map to the other library's."""
        mine = self.reshape
        return replace(self, reshape=lambda x: last(mine(x)))

    def _placed(self, value: Array) -> Array:
        value = self._scaled(value)
        free = isinstance(self.offset, float) and self.offset == 0.0
        return value if free else value + self.offset

    @staticmethod
    def _raised(value: Array, power: float) -> Array:
        """Return `value` to a power, 0 with a derivative of 0 where it is 0."""
        if power == 1.0:
            return value
        xp = namespace_of(value=value)
        nothing = value == 0.0
        return xp.where(nothing, 0.0, xp.exp(power * xp.log(xp.where(nothing, 1.0, value))))

    def _scaled(self, x: Array) -> Array:
        if isinstance(self.scale, float | int) and self.scale == 1.0:
            return x
        if not is_array_api_obj(self.scale):  # a number, or what stands for an open one
            return self.scale * x
        return namespace_of(scale=self.scale).astype(self.scale, x.dtype) * x


@dataclass(frozen=True)
class Sum:
    """Two translations of one prediction, added: for losses that take other arrays each."""

    first: Call
    second: Call

    @property
    def is_number(self) -> bool:
        """Whether the result is one number."""
        return self.first.is_number and self.second.is_number

    def value(self) -> Array:
        """Return the other library's number, or its map."""
        return self.first.value() + self.second.value()

    def value_and_grad(self) -> tuple[Array, Array]:
        """Return the number, and its derivative with respect to the prediction."""
        one, two = self.first.value_and_grad(), self.second.value_and_grad()
        return one[0] + two[0], one[1] + two[1]


@dataclass(frozen=True)
class ByClass:
    """One translation per class, for losses that treat the classes one by one.

    Each is of one slice of the prediction on axis 1. Numbers are added, maps are stacked there.

    Attributes
    ----------
    parts : tuple of Translation
    back : callable
        From d loss / d logits of all classes to d loss / d prediction.
    """

    parts: tuple[Translation, ...]
    back: Callable[[Array], Array] = _same

    @property
    def is_number(self) -> bool:
        """Whether the result is one number."""
        return all(one.is_number for one in self.parts)

    def value(self) -> Array:
        """Return the other library's number, or its map."""
        values = [one.value() for one in self.parts]
        if self.is_number:
            return functools.reduce(operator.add, values)
        return namespace_of(value=values[0]).stack(values, axis=1)

    def value_and_grad(self) -> tuple[Array, Array]:
        """Return the number, and its derivative with respect to the prediction."""
        values, grads = zip(*(one.value_and_grad() for one in self.parts), strict=True)
        grad = namespace_of(grad=grads[0]).stack(list(grads), axis=1)
        return functools.reduce(operator.add, values), self.back(grad)

    def scaled(self, factor: Any) -> ByClass:
        """Return the same times a factor, which does not depend on the prediction."""
        return replace(self, parts=tuple([one.scaled(factor) for one in self.parts]))

    def before(self, back: Callable[[Array], Array]) -> ByClass:
        """Return the same with one more step from d loss / d logits to that of the prediction."""
        mine = self.back
        return replace(self, back=lambda grad: back(mine(grad)))


def _translated(
    translate: Callable[..., S_co], args: tuple[Any, ...], named: dict[str, Any]
) -> S_co:
    """Return the translation of a call, in which JAX's arrays may stand beside NumPy's."""
    if not (any(map(is_of_jax, args)) or any(map(is_of_jax, named.values()))):
        return translate(*args, **named)
    names = [*inspect.signature(translate).parameters]
    prediction = "y_pred" if "y_pred" in names else names[0]
    given = dict(zip(names, args, strict=False))
    if len(given) < len(args) or given.keys() & named or prediction not in given | named:
        return translate(*args, **named)  # which says what is wrong
    given |= named
    beside = [name for name in given if name in _BESIDE]
    arrays = frameworks.alike(given[prediction], *(given[name] for name in beside))
    return translate(**given | dict(zip((prediction, *beside), arrays, strict=True)))


# The names of what the libraries want beside the prediction: targets, weights and masks.
_BESIDE = frozenset(
    {"target", "targets", "labels", "y_true", "y", "sample_weight", "loss_mask", "where"}
)


class Preset(LossObject):
    """A loss class of another library: a frozen dataclass with its options in its order."""

    def translate(self, *arrays: Any, **named: Any) -> Call:
        """Return our loss and the arrays that it takes."""
        raise NotImplementedError

    @plainly
    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Return the loss of the arrays, given in the other library's order or by its names."""
        return _translated(self.translate, arrays, named).value()

    @plainly
    def value_and_grad(self, *arrays: Any, **named: Any) -> tuple[Any, Any]:
        """Return the loss and its gradient with respect to the prediction, on any framework."""
        return _translated(self.translate, arrays, named).value_and_grad()

    def options(self) -> dict[str, Any]:
        """Return the options by their names."""
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]

    def keep(self, **values: Any) -> None:
        """Set options while the object is made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


class PresetFunction(Protocol[P, S_co]):
    """A loss function of another library, with a gradient for every framework."""

    def __call__(self, *args: P.args, **options: P.kwargs) -> Any:
        """Return the loss."""

    def value_and_grad(self, *args: P.args, **options: P.kwargs) -> tuple[Any, Any]:
        """Return the loss and its gradient with respect to the prediction, on any framework."""

    def translate(self, *args: P.args, **options: P.kwargs) -> S_co:
        """Return our loss and the arrays that it takes."""


def preset_function(translate: Callable[P, S_co]) -> PresetFunction[P, S_co]:
    """Make a function of another library from the translation of its call."""

    @plainly
    @functools.wraps(translate)
    def function(*args: P.args, **options: P.kwargs) -> Any:
        return _translated(translate, args, options).value()

    @plainly
    @functools.wraps(translate)
    def value_and_grad(*args: P.args, **options: P.kwargs) -> tuple[Any, Any]:
        return _translated(translate, args, options).value_and_grad()

    both: Any = function
    both.__signature__ = inspect.signature(translate).replace(return_annotation=Any)
    both.value_and_grad = value_and_grad
    both.translate = translate
    return cast("PresetFunction[P, S_co]", both)
