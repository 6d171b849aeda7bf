"""Finite differences: the check of a closed-form gradient that needs no other framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["assert_gradient", "directional_derivative", "numerical_gradient"]


def directional_derivative(
    function: Callable[[np.ndarray], Any], x: np.ndarray, direction: np.ndarray, step: float
) -> float:
    """Return the derivative of a scalar function along a direction, by four central points."""

    def at(steps: int) -> float:
        return float(function(x + steps * step * direction))

    return (8.0 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12.0 * step)


def numerical_gradient(
    function: Callable[..., Any], x: Any, /, *others: Any, step: float = 1e-5
) -> np.ndarray:
    """Return the gradient of a scalar function in its first argument, by finite differences.

    Central differences over four points in float64: good to about nine digits where the function
    is smooth. The function is called four times for each entry of `x`.

    Parameters
    ----------
    function : callable
        Takes NumPy arrays, ``function(x, *others)``, and returns a scalar.
    x : array_like
        Where to differentiate. It is copied and widened to float64.
    *others : array
        Passed on as they are.
    step : float, optional
        The distance between the points.

    Returns
    -------
    numpy.ndarray
        float64, shaped like `x`.

    Raises
    ------
    ValueError
        If `step` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.testing import numerical_gradient
    >>> numerical_gradient(lambda x: np.sum(x**3), [0.0, 1.0, 2.0]).round(6)
    array([ 0.,  3., 12.])
    """
    if not step > 0.0:
        msg = f"`step` must be positive, got {step!r}."
        raise ValueError(msg)
    x = np.array(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        direction = np.zeros_like(x)
        direction[index] = 1.0
        gradient[index] = directional_derivative(
            lambda moved: function(moved, *others), x, direction, step
        )
    return gradient


def assert_gradient(
    loss: Any,
    logits: Any,
    target: Any,
    /,
    *,
    pixel_weights: Any = None,
    rtol: float = 1e-6,
    step: float = 1e-5,
) -> None:
    """Assert that the closed-form gradient of a loss is the slope of its value.

    Compares ``loss.value_and_grad`` on NumPy arrays in float64 with finite differences of
    ``loss(...)``, entry by entry. Choose logits without ties: at a kink there is no slope.

    Parameters
    ----------
    loss : Loss
        A loss, of this library or of your own.
    logits, target, pixel_weights : array_like
        What the loss takes; it is given `pixel_weights` only if you give them. `logits`, and a
        floating target or weights, are widened to float64. A few hundred logits are enough, each
        costs four evaluations.
    rtol : float, optional
        The largest difference allowed, relative to the largest entry of the gradient.
    step : float, optional
        The distance between the points of the finite differences.

    Raises
    ------
    AssertionError
        With the entry that differs most, if any differs.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> from array_losses.testing import assert_gradient
    >>> rng = np.random.default_rng(0)
    >>> assert_gradient(al.DiceLoss(), rng.normal(size=(2, 3, 4)), rng.integers(0, 3, (2, 4)))
    """
    logits, target = widened(logits), widened(target)
    # An own loss need not take weights.
    weights = {} if pixel_weights is None else {"pixel_weights": widened(pixel_weights)}
    _, gradient = loss.value_and_grad(logits, target, **weights)
    expected = numerical_gradient(lambda x: loss(x, target, **weights), logits, step=step)
    difference = np.abs(gradient - expected)
    wrong = ~(difference <= rtol * np.max(np.abs(expected), initial=0.0) + 1e-12)
    if np.any(wrong):
        raise AssertionError(_text(loss, gradient, expected, wrong))


def widened(array: Any) -> np.ndarray:
    """Return a NumPy copy, in float64 if it was floating."""
    array = np.array(array)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _text(loss: Any, gradient: np.ndarray, expected: np.ndarray, wrong: np.ndarray) -> str:
    difference = np.where(np.isnan(gradient - expected), np.inf, np.abs(gradient - expected))
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(difference), difference.shape))
    return (
        f"The gradient of {loss} differs from finite differences at {int(np.sum(wrong))} of "
        f"{wrong.size} entries; most at {worst}: it says {float(gradient[worst]):.10g}, the slope "
        f"is {float(expected[worst]):.10g}."
    )
