"""The judge: makes the references of a function, and compares every backend with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from array_losses.testing.agreement import Agreement, Limits
from array_losses.testing.backends import Backend
from array_losses.testing.eps import EPS, HALF, error_in_eps
from array_losses.testing.evaluation import (
    Evaluation,
    Result,
    called,
    evaluate,
    is_loss,
    rounded,
    wide,
)
from array_losses.testing.framework import named
from array_losses.testing.gradients import directional_derivative

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["agreement_at"]

_STEP = 2e-6


def agreement_at(
    backends: Sequence[Backend],
    function: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    limits: Limits,
) -> list[Agreement]:
    """Return the agreement of a function on each of these backends."""
    judge = _Judge(function, inputs, backends, limits)
    return [judge.row(backend) for backend in backends]


class _Judge:
    """Compares backends with the references of their dtypes, each made once."""

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: Sequence[np.ndarray],
        backends: Sequence[Backend],
        limits: Limits,
    ) -> None:
        self.function = function
        self.inputs = inputs
        self.limits = limits
        self.numpy = Backend(named("numpy"), "cpu", "float64")
        self.references: dict[str, Result] = {}
        self.broken: str | None = None
        self.wrong_slope: str | None = None
        self.differentiator: Backend | None = None
        try:
            self._settle([None] if is_loss(function) else _differentiators(backends))
        except Exception as error:  # noqa: BLE001  whatever goes wrong is a result of the check
            self.broken = f"the reference, NumPy in float64, raised {_message(error)}"

    def row(self, backend: Backend) -> Agreement:
        """Return how well one backend agrees."""
        if self.broken is not None:
            return self._failed(backend, self.broken)
        try:
            reference = self._reference(backend.dtype)
            inputs = rounded(self.inputs, backend.dtype, wide(backend.dtype))
            evaluation = evaluate(self.function, inputs, backend)
        except Exception as error:  # noqa: BLE001  as above
            return self._failed(backend, _message(error))
        return self._compared(backend, evaluation, reference)

    def _settle(self, differentiators: list[Backend | None]) -> None:
        """Choose the first differentiator whose gradient is the slope of the value.

        None among them stands for NumPy itself: a loss has its own gradient there.
        """
        for differentiator in differentiators:
            self.references.clear()
            self.differentiator = differentiator
            reference = self._reference("float64")
            self.wrong_slope = self._slope_problem(reference)
            if reference.gradient is not None and self.wrong_slope is None:
                return

    def _slope_problem(self, reference: Result) -> str | None:
        """Return how the gradient differs from finite differences, if it does."""
        if reference.gradient is None:
            return None
        x, *others = rounded(self.inputs, "float64", "float64")
        rng = np.random.default_rng(0)
        for _ in range(2):
            direction = rng.normal(size=x.shape)
            terms = reference.gradient * direction
            slope = directional_derivative(
                lambda moved: called(self.function, [moved, *others]), x, direction, _STEP
            )
            allowed = 1e-8 * (np.sum(np.abs(terms)) + np.abs(reference.value))
            if not abs(slope - np.sum(terms)) <= allowed:
                return (
                    "the float64 gradient is not the slope of the value: along a direction it "
                    f"says {np.sum(terms):.9g}, finite differences say {slope:.9g}"
                )
        return None

    def _reference(self, dtype: str) -> Result:
        if dtype not in self.references:
            held = "float32" if dtype in HALF else "float64"
            self.references[dtype] = self._referred(rounded(self.inputs, dtype, held), held)
        return self.references[dtype]

    def _referred(self, inputs: Sequence[np.ndarray], dtype: str) -> Result:
        """Return the value on NumPy arrays, and the gradient from there or the differentiator."""
        result = evaluate(self.function, inputs, replace(self.numpy, dtype=dtype)).results[0]
        if self.differentiator is None or result.value.ndim:
            return result
        there = replace(self.differentiator, dtype=dtype)
        try:
            differentiated = evaluate(self.function, inputs, there).results[0]
        except Exception:  # noqa: BLE001  the row of that backend says it
            return result
        return replace(result, gradient=differentiated.gradient)

    def _compared(self, backend: Backend, evaluation: Evaluation, reference: Result) -> Agreement:
        results = evaluation.results
        value_errors = [_value_error(one, reference, backend.dtype) for one in results]
        worst = int(np.argmax(value_errors))
        gradient_errors = [
            error_in_eps(one.gradient, reference.gradient, backend.dtype)
            for one in results
            if one.gradient is not None and reference.gradient is not None
        ]
        slope = self.wrong_slope if gradient_errors else None
        return Agreement(
            framework=backend.framework.name,
            device=backend.device,
            dtype=backend.dtype,
            value=_mean(results[worst].value),
            reference=_mean(reference.value),
            value_error=value_errors[worst],
            gradient_error=max(gradient_errors, default=None),
            value_limit=self.limits.value,
            gradient_limit=self.limits.of_gradient(backend.dtype),
            milliseconds=evaluation.milliseconds,
            problem=next((one.problem for one in results if one.problem is not None), slope),
        )

    def _failed(self, backend: Backend, problem: str) -> Agreement:
        return Agreement(
            framework=backend.framework.name,
            device=backend.device,
            dtype=backend.dtype,
            value=np.nan,
            reference=np.nan,
            value_error=np.nan,
            gradient_error=None,
            value_limit=self.limits.value,
            gradient_limit=self.limits.of_gradient(backend.dtype),
            milliseconds=np.nan,
            problem=problem,
        )


def _differentiators(backends: Sequence[Backend]) -> list[Backend | None]:
    """Return a backend of each framework that differentiates functions, on the CPU if possible."""
    able: dict[str, Backend] = {}
    for backend in sorted(backends, key=lambda backend: backend.device != "cpu"):
        if backend.framework.differentiators():
            able.setdefault(backend.framework.name, backend)
    return list(able.values()) or [None]


def _message(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values, dtype=np.float64)) if values.size else 0.0


def _value_error(result: Result, reference: Result, dtype: str) -> float:
    """Return the error in eps of the dtype computed in: of the coarser, wide or the value's own."""
    computed = max(wide(dtype), result.value_dtype, key=lambda name: EPS.get(name, 0.0))
    return error_in_eps(result.value, reference.value, computed)
