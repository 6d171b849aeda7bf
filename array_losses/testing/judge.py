"""The judge: makes the references of a function, and compares every place with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from array_losses.testing.agreement import Agreement, Limits
from array_losses.testing.eps import EPS, HALF, error_in_eps
from array_losses.testing.evaluation import (
    Evaluation,
    Outcome,
    called,
    evaluate,
    is_loss,
    rounded,
    wide,
)
from array_losses.testing.framework import named
from array_losses.testing.gradients import directional_derivative
from array_losses.testing.places import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["agreement_at"]

_STEP = 2e-6


def agreement_at(
    places: Sequence[Place],
    function: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    limits: Limits,
) -> list[Agreement]:
    """Return the agreement of a function at each of these places."""
    judge = _Judge(function, inputs, places, limits)
    return [judge.row(place) for place in places]


class _Judge:
    """Compares places with the references of their dtypes, each made once."""

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: Sequence[np.ndarray],
        places: Sequence[Place],
        limits: Limits,
    ) -> None:
        self.function = function
        self.inputs = inputs
        self.limits = limits
        self.numpy = Place(named("numpy"), "cpu", "float64")
        self.references: dict[str, Outcome] = {}
        self.broken: str | None = None
        self.wrong_slope: str | None = None
        self.differentiator: Place | None = None
        try:
            self._settle([None] if is_loss(function) else _differentiators(places))
        except Exception as error:  # noqa: BLE001  whatever goes wrong is a result of the check
            self.broken = f"the reference, NumPy in float64, raised {_said(error)}"

    def row(self, place: Place) -> Agreement:
        """Return how well one place agrees."""
        if self.broken is not None:
            return self._failed(place, self.broken)
        try:
            reference = self._reference(place.dtype)
            inputs = rounded(self.inputs, place.dtype, wide(place.dtype))
            evaluation = evaluate(self.function, inputs, place)
        except Exception as error:  # noqa: BLE001  as above
            return self._failed(place, _said(error))
        return self._compared(place, evaluation, reference)

    def _settle(self, differentiators: list[Place | None]) -> None:
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

    def _slope_problem(self, reference: Outcome) -> str | None:
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

    def _reference(self, dtype: str) -> Outcome:
        if dtype not in self.references:
            held = "float32" if dtype in HALF else "float64"
            self.references[dtype] = self._referred(rounded(self.inputs, dtype, held), held)
        return self.references[dtype]

    def _referred(self, inputs: Sequence[np.ndarray], dtype: str) -> Outcome:
        """Return the value on NumPy arrays, and the gradient from there or the differentiator."""
        outcome = evaluate(self.function, inputs, replace(self.numpy, dtype=dtype)).outcomes[0]
        if self.differentiator is None or outcome.value.ndim:
            return outcome
        there = replace(self.differentiator, dtype=dtype)
        try:
            differentiated = evaluate(self.function, inputs, there).outcomes[0]
        except Exception:  # noqa: BLE001  the row of that place will say it
            return outcome
        return replace(outcome, gradient=differentiated.gradient)

    def _compared(self, place: Place, evaluation: Evaluation, reference: Outcome) -> Agreement:
        outcomes = evaluation.outcomes
        value_errors = [_value_error(one, reference, place.dtype) for one in outcomes]
        worst = int(np.argmax(value_errors))
        gradient_errors = [
            error_in_eps(one.gradient, reference.gradient, place.dtype)
            for one in outcomes
            if one.gradient is not None and reference.gradient is not None
        ]
        slope = self.wrong_slope if gradient_errors else None
        return Agreement(
            framework=place.framework.name,
            device=place.device,
            dtype=place.dtype,
            value=_mean(outcomes[worst].value),
            reference=_mean(reference.value),
            value_error=value_errors[worst],
            gradient_error=max(gradient_errors, default=None),
            value_limit=self.limits.value,
            gradient_limit=self.limits.of_gradient(place.dtype),
            milliseconds=evaluation.milliseconds,
            problem=next((one.problem for one in outcomes if one.problem is not None), slope),
        )

    def _failed(self, place: Place, problem: str) -> Agreement:
        return Agreement(
            framework=place.framework.name,
            device=place.device,
            dtype=place.dtype,
            value=np.nan,
            reference=np.nan,
            value_error=np.nan,
            gradient_error=None,
            value_limit=self.limits.value,
            gradient_limit=self.limits.of_gradient(place.dtype),
            milliseconds=np.nan,
            problem=problem,
        )


def _differentiators(places: Sequence[Place]) -> list[Place | None]:
    """Return one place of each framework that differentiates functions, on the CPU if it can be."""
    able: dict[str, Place] = {}
    for place in sorted(places, key=lambda place: place.device != "cpu"):
        if place.framework.differentiators():
            able.setdefault(place.framework.name, place)
    return list(able.values()) or [None]


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values, dtype=np.float64)) if values.size else 0.0


def _value_error(outcome: Outcome, reference: Outcome, dtype: str) -> float:
    """Return the error in eps of the dtype computed in: of the coarser, wide or the value's own."""
    computed = max(wide(dtype), outcome.value_dtype, key=lambda name: EPS.get(name, 0.0))
    return error_in_eps(outcome.value, reference.value, computed)
