"""Checks of a loss's options, made when the loss is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias

__all__ = [
    "PerClass",
    "choice",
    "class_weights",
    "for_classes",
    "fraction",
    "index",
    "integer",
    "non_negative",
    "number",
    "per_class_or_number",
    "smoothing_pair",
    "threshold_pair",
    "true_or_false",
]

PerClass: TypeAlias = float | Sequence[float]


def number(name: str, value: Any, *, lowest: float = -math.inf, highest: float = math.inf) -> float:
    """Return `value` as a float, or raise an error that names the option."""
    value = _plain(name, value)
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = f"`{name}` must be a number, got {value!r}."
        raise TypeError(msg)
    try:
        value = float(value)
    except OverflowError:
        value = math.inf if value > 0 else -math.inf
    if not math.isfinite(value) or not lowest <= value <= highest:
        msg = f"`{name}` must be {_range(lowest, highest)}, got {value!r}."
        raise ValueError(msg)
    return value


def _range(lowest: float, highest: float) -> str:
    if highest < math.inf:
        return f"a number from {lowest:g} to {highest:g}"
    return "a finite number" if lowest == -math.inf else f"a finite number of at least {lowest:g}"


def fraction(name: str, value: Any) -> float:
    """Return `value` as a float above 0 and up to 1."""
    result = number(name, value)
    if not 0.0 < result <= 1.0:
        msg = f"`{name}` must be a number above 0 and up to 1, got {result!r}."
        raise ValueError(msg)
    return result


def non_negative(name: str, value: Any) -> float:
    """Return `value` as a finite float of at least 0."""
    return number(name, value, lowest=0.0)


def integer(name: str, value: Any, *, lowest: int | None = None) -> int:
    """Return `value` as an int."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        msg = f"`{name}` must be an integer, got {value!r}."
        raise TypeError(msg)
    value = int(value)
    if lowest is not None and value < lowest:
        msg = f"`{name}` must be at least {lowest}, got {value}."
        raise ValueError(msg)
    return value


def true_or_false(name: str, value: Any) -> bool:
    """Return `value`, which must be a bool."""
    if not isinstance(value, bool):
        msg = f"`{name}` must be True or False, got {value!r}."
        raise TypeError(msg)
    return value


def choice(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """Return `value`, which must be one of `allowed`."""
    value = _plain(name, value)
    if isinstance(value, bool) or not any(
        isinstance(value, type(one)) and value == one for one in allowed
    ):
        msg = f"`{name}` must be one of {', '.join(map(repr, allowed))}, got {value!r}."
        raise ValueError(msg)
    return value


def _plain(name: str, value: Any) -> Any:
    """Return the Python numbers in an array or a NumPy scalar; anything else as it is."""
    if not hasattr(value, "tolist"):
        return value
    if getattr(value, "requires_grad", False):
        msg = (
            f"`{name}` must be a constant, got a tensor that requires a gradient, which no option "
            "passes on; to learn a weight, multiply the value, `weight * loss(logits, target)`."
        )
        raise TypeError(msg)
    try:
        return value.tolist()
    except Exception as error:  # each framework has its own for a value that is not there
        msg = (
            f"`{name}` must be known when the loss is made, got a traced array, {value}; a weight "
            "may be traced where it multiplies the value, `weight * loss(logits, target)`."
        )
        raise TypeError(msg) from error


def _squeezed(name: str, value: Any) -> Any:
    """Return the Python numbers in an array whose numbers lie along one axis, (C, 1, 1) say."""
    shape = tuple(getattr(value, "shape", ()))
    if sum(length != 1 for length in shape) > 1:
        msg = f"`{name}` must hold its numbers along one axis, got an array of shape {shape}."
        raise TypeError(msg)
    value = _plain(name, value)
    for _ in shape[1:]:
        value = [number for part in value for number in part]
    return value


def _members(name: str, value: Any, kind: str = "a sequence") -> tuple[Any, ...]:
    value = _squeezed(name, value)
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        msg = f"`{name}` must be {kind}, got {value!r}."
        raise TypeError(msg)
    members = tuple(value)
    if not members:
        msg = f"`{name}` must not be empty, got {value!r}."
        raise ValueError(msg)
    if any(isinstance(one, (list, tuple)) for one in members):
        msg = f"`{name}` must be a sequence of numbers, got {value!r}."
        raise TypeError(msg)
    return members


def per_class_or_number(
    name: str, value: Any, *, lowest: float = 0.0, highest: float = math.inf
) -> float | tuple[float, ...]:
    """Return `value` as one float for all classes or as a tuple of one per class."""
    value = _squeezed(name, value)
    if isinstance(value, Real):
        return number(name, value, lowest=lowest, highest=highest)
    members = _members(name, value, "a number or a sequence of numbers")
    return tuple(number(name, one, lowest=lowest, highest=highest) for one in members)


def class_weights(value: Any) -> tuple[float, ...] | None:
    """Return `class_weights` as a tuple of finite numbers, none negative and one positive."""
    if value is None:
        return None
    weights = tuple(non_negative("class_weights", one) for one in _members("class_weights", value))
    if not any(weights):
        msg = f"`class_weights` must hold a positive number, got {weights}."
        raise ValueError(msg)
    return weights


def index(value: Any) -> int | tuple[int, ...] | None:
    """Return `ignore_index` as None, an int or a tuple of ints."""
    if value is None:
        return None
    value = _squeezed("ignore_index", value)
    if isinstance(value, Real):
        return integer("ignore_index", value)
    members = _members("ignore_index", value, "None, an integer or a sequence of integers")
    return tuple(integer("ignore_index", one) for one in members)


def smoothing_pair(value: Any) -> float | tuple[float, float]:
    """Return `smooth` as one float or as the pair (numerator, denominator)."""
    smooth = per_class_or_number("smooth", value)
    if isinstance(smooth, tuple) and len(smooth) != 2:
        msg = f"`smooth` must be a number or a pair (numerator, denominator), got {smooth}."
        raise ValueError(msg)
    return smooth


def threshold_pair(name: str, value: Any) -> float | tuple[float, float]:
    """Return a threshold as one float or as the pair (threshold, divisor), above 0 and up to 1."""
    pair = per_class_or_number(name, value, highest=1.0)
    if isinstance(pair, tuple) and len(pair) != 2:
        msg = f"`{name}` must be a number or a pair (threshold, divisor), got {pair}."
        raise ValueError(msg)
    if pair == 0.0 or (isinstance(pair, tuple) and 0.0 in pair):
        msg = f"`{name}` must be above 0, got {pair}."
        raise ValueError(msg)
    return pair


def for_classes(name: str, value: Any, num_classes: int) -> tuple[float, ...]:
    """Return one number per class; a wrong length raises a ValueError."""
    if isinstance(value, Real):
        return (float(value),) * num_classes
    if len(value) != num_classes:
        msg = f"`{name}` must hold one number per class ({num_classes}), got {len(value)}."
        raise ValueError(msg)
    return tuple(value)
