"""The result of a check on one backend: the errors, their limits, and both in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from array_losses.testing.eps import HALF

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Agreement", "Limits", "describe"]


@dataclass(frozen=True)
class Limits:
    """The largest errors that still agree, in eps."""

    value: float = 64.0
    gradient: float = 512.0
    half_gradient: float = 1.0

    def of_gradient(self, dtype: str) -> float:
        """Return the limit for a gradient of this dtype."""
        return self.half_gradient if dtype in HALF else self.gradient


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well a function agrees with its reference on one backend.

    Attributes
    ----------
    framework, device, dtype : str
        The backend: a framework, one of its devices and one of its dtypes.
    value, reference : float
        The value on this backend and that of the reference; of a map (``reduction="none"``) the
        means.
    value_error : float
        The error in eps of the dtype computed in: float32 for half precision, unless the value is
        half precision itself. Relative to the reference, or to the largest entry of a map.
    gradient_error : float or None
        The largest error of an entry, in eps of the inputs' dtype and relative to the largest
        entry of the reference's gradient. None where there is no gradient to compare.
    value_limit, gradient_limit : float
        The largest errors that still agree.
    milliseconds : float
        The time of one evaluation, gradient included, once it is warm.
    problem : str or None
        Something other than a large error: an exception, a wrong dtype.
    """

    framework: str
    device: str
    dtype: str
    value: float
    reference: float
    value_error: float
    gradient_error: float | None
    value_limit: float
    gradient_limit: float
    milliseconds: float
    problem: str | None = None

    @property
    def off(self) -> bool:
        """Whether an error is beyond its limit."""
        return self.value_error > self.value_limit or (
            self.gradient_error is not None and self.gradient_error > self.gradient_limit
        )

    @property
    def ok(self) -> bool:
        """Whether both errors are within their limits and there is no other problem."""
        return self.problem is None and not self.off


def describe(rows: Iterable[Agreement]) -> str:
    """Return a text about rows that disagree: their errors, and other problems, each once."""
    lines = []
    problems: dict[str, list[Agreement]] = {}
    for row in rows:
        if row.off:
            lines.append(f"{row.framework} {row.device} {row.dtype}: {_errors(row)}")
        if row.problem is not None:
            problems.setdefault(row.problem, []).append(row)
    lines += [f"{_backends(where)}: {problem}" for problem, where in problems.items()]
    return "\n".join(f"  {line}" for line in lines)


def _backends(rows: list[Agreement]) -> str:
    dtypes: dict[str, list[str]] = {}
    for row in rows:
        dtypes.setdefault(f"{row.framework} {row.device}", []).append(row.dtype)
    return "; ".join(f"{backend} {', '.join(names)}" for backend, names in dtypes.items())


def _errors(row: Agreement) -> str:
    text = (
        f"value {row.value:.9g} for {row.reference:.9g}, {row.value_error:.3g} eps off "
        f"(limit {row.value_limit:g})"
    )
    if row.gradient_error is None:
        return text
    return text + f"; gradient {row.gradient_error:.3g} eps off (limit {row.gradient_limit:g})"
