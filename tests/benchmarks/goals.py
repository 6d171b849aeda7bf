"""The maintainers' goals: how our times should compare with others', and how much memory we use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.comparison import Comparison, comparisons, grouped
from tests.benchmarks.contenders import IN_FLOAT32

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.benchmarks.memory import MemoryRow
    from tests.benchmarks.timing import Row

__all__ = ["Verdict", "memory_goals", "verdicts"]

# Our time for value and gradient, eager, on all threads, as a multiple of the fastest other
# package's; by line and workload.
_GOALS = {
    "ce": {"a": 0.35, "b": 0.85, "c": 0.9, "d": 0.9, "e": 2.0},
    "focal": {"a": 0.6, "b": 0.9, "c": 0.9, "d": 0.5, "e": 1.2},
    "dice": {"a": 0.45, "b": 0.9, "c": 0.7, "d": 0.9, "e": 1.0},
    "jaccard": {"a": 0.45, "b": 0.9, "c": 0.7, "d": 0.9, "e": 1.0},
    "lovasz": {"a": 0.25, "b": 0.3, "c": 0.15, "d": 0.15, "e": 0.2},
    "lovasz, binned": {"a": 0.1, "b": 0.15, "c": 0.1},
    "ce+dice": {"a": 0.35, "b": 0.6, "c": 0.6, "d": 0.7, "e": 0.8},
}
# Memory beyond the inputs, in multiples of the logits: forward; forward + gradient.
_LOVASZ_MULTIPLES = (1.2, 2.0)  # exact
_ALLOWANCE = 24e6  # bytes, beside the gradient, of all others
# Compiled losses are to be no slower than the fastest other package, half precision than float32.
_OTHER_GOAL = 1.0


@dataclass(frozen=True)
class Verdict(Comparison):
    """A comparison with the goal for it, if there is one."""

    goal: float | None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.goal is None else self.ratio <= self.goal


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Compare each of our rows as the goals do: half precision with our own loss in float32.

    Goals are for all threads.
    """
    groups = grouped(rows)
    most = max((row.threads for row in rows), default=1)
    found = []
    for one in comparisons(rows):
        row = one.row
        goal = _GOALS[one.line].get(row.workload) if row.mode == "eager" else _OTHER_GOAL
        wide = _in_float32(groups[row.group])
        peer, peer_seconds = one.peer, one.peer_seconds
        if wide is not None and not row.binned:
            peer, peer_seconds, goal = IN_FLOAT32, wide, _OTHER_GOAL
        goal = goal if row.threads == most else None
        found.append(Verdict(row, peer, one.seconds, peer_seconds, goal))
    return found


def _in_float32(group: Iterable[Row]) -> float | None:
    for row in group:
        if row.contender == IN_FLOAT32 and row.gradient is not None:
            return row.gradient.minimum
    return None


def memory_goals(row: MemoryRow) -> tuple[float, float]:
    """Return how many bytes the value, and the value with the gradient, may take."""
    if row.loss == "lovasz" and not row.binned:
        forward, gradient = _LOVASZ_MULTIPLES
        return (
            max(forward * row.logits_bytes, _ALLOWANCE),
            max(gradient * row.logits_bytes, row.logits_bytes + _ALLOWANCE),
        )
    return _ALLOWANCE, row.logits_bytes + _ALLOWANCE
