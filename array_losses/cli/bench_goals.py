"""The goals: how our time should compare with the best peer's, and how it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from array_losses.cli.bench_contenders import IN_FLOAT32

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from array_losses.cli.bench_memory import MemoryRow
    from array_losses.cli.bench_time import Row

__all__ = ["GOALS", "LINES", "Verdict", "best_peer", "line_of", "memory_goals", "verdicts"]

# Ratio of forward + gradient to the best eager peer, on all threads; by line and workload.
GOALS = {
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
# Compiled and jitted losses are to be no slower than the best peer of their kind.
_OTHER_GOAL = 1.0
LINES = {
    "ce": "Cross entropy",
    "focal": "Focal",
    "dice": "Dice",
    "jaccard": "Jaccard",
    "lovasz": "Lovász, exact",
    "lovasz, binned": "Lovász-Softmax, 4,096 bins",
    "ce+dice": "CE + Dice",
}


@dataclass(frozen=True)
class Verdict:
    """One of our rows beside the best peer of its run: the ratio, and the goal if there is one."""

    row: Row
    line: str
    peer: str
    peer_seconds: float
    ratio: float
    goal: float | None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.goal is None else self.ratio <= self.goal


def line_of(row: Row | MemoryRow) -> str:
    """Return the line of the table of goals."""
    return f"{row.loss}, binned" if row.binned else row.loss


def best_peer(rows: Iterable[Row]) -> tuple[str, float] | None:
    """Return the name and the least time, forward + gradient, of the fastest peer in a group."""
    times = [
        (row.gradient.minimum, row.contender)
        for row in rows
        if not row.ours and row.gradient is not None
    ]
    return (min(times)[1], min(times)[0]) if times else None


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Compare each of our rows with the best peer of its group.

    CE + Dice is held against the fastest of the peers' sums and the sum of the fastest cross
    entropy and the fastest Dice, if both were measured with it. Half precision is held against our
    own loss in float32.
    """
    groups: dict[tuple[str, str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    most = max((row.threads for row in rows), default=1)
    found = []
    for (mode, workload, loss, threads), group in groups.items():
        parts = [
            best_peer(groups.get((mode, workload, one, threads), ()))
            for one in _PARTS.get(loss, ())
        ]
        references = [best_peer(group), _sum_of(parts)]
        wide = _in_float32(group)
        for row in group:
            if not row.ours or row.gradient is None or row.contender == IN_FLOAT32:
                continue
            goal = GOALS[line_of(row)].get(workload) if mode == "eager" else _OTHER_GOAL
            peers = [one for one in references if one is not None]
            if wide is not None and not row.binned:
                peers, goal = [wide], _OTHER_GOAL
            if peers:
                name, seconds = min(peers, key=lambda pair: pair[1])
                ratio = row.gradient.minimum / seconds
                goal = goal if threads == most else None
                found.append(Verdict(row, line_of(row), name, seconds, ratio, goal))
    return found


_PARTS: dict[str, tuple[str, ...]] = {"ce+dice": ("ce", "dice")}


def _sum_of(parts: Sequence[tuple[str, float] | None]) -> tuple[str, float] | None:
    known = [one for one in parts if one is not None]
    if not known or len(known) < len(parts):
        return None
    return " and ".join(name for name, _ in known), sum(seconds for _, seconds in known)


def _in_float32(group: Iterable[Row]) -> tuple[str, float] | None:
    for row in group:
        if row.contender == IN_FLOAT32 and row.gradient is not None:
            return row.contender, row.gradient.minimum
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
