"""Our times beside the fastest other package's, measured side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tests.benchmarks.contenders import IN_FLOAT32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.benchmarks.memory import MemoryRow
    from tests.benchmarks.timing import Row

__all__ = ["LINES", "Comparison", "comparisons", "grouped", "line_of"]

LINES = {
    "ce": "Cross entropy",
    "focal": "Focal",
    "dice": "Dice",
    "jaccard": "Jaccard",
    "lovasz": "Lovász, exact",
    "lovasz, binned": "Lovász-Softmax, 4,096 bins",
    "ce+dice": "CE + Dice",
}
_PARTS = {"ce+dice": ("ce", "dice")}
# Rows that were measured side by side: mode, workload, loss, threads.
Groups: TypeAlias = "Mapping[tuple[str, str, str, int], Sequence[Row]]"


@dataclass(frozen=True)
class Comparison:
    """One of our rows beside the fastest other package of its group, for value and gradient."""

    row: Row
    peer: str
    seconds: float
    peer_seconds: float

    @property
    def line(self) -> str:
        """The line of the tables."""
        return line_of(self.row)

    @property
    def ratio(self) -> float:
        """Our time, as a multiple of theirs."""
        return self.seconds / self.peer_seconds


def line_of(row: Row | MemoryRow) -> str:
    """Return the line of the tables: a loss, or the Lovász loss by a histogram."""
    return f"{row.loss}, binned" if row.binned else row.loss


def grouped(rows: Iterable[Row]) -> Groups:
    """Return the rows by what they were measured side by side with."""
    groups: dict[tuple[str, str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return groups


def comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """Compare each of our rows with the fastest other package of its group.

    The reference for CE + Dice is the fastest of the other packages' sums, or the fastest cross
    entropy plus the fastest Dice if that is less and both were measured.
    """
    groups = grouped(rows)
    found = []
    for key, group in groups.items():
        references = [one for one in (_fastest(group), _sum_of_parts(groups, key)) if one]
        if not references:
            continue
        peer_seconds, peer = min(references)
        found += [
            Comparison(row, peer, row.gradient.minimum, peer_seconds)
            for row in group
            if row.ours and row.gradient is not None and row.contender != IN_FLOAT32
        ]
    return found


def _fastest(rows: Iterable[Row]) -> tuple[float, str] | None:
    """Return the time for value and gradient of the fastest other package, and its name."""
    times = [
        (row.gradient.minimum, row.contender)
        for row in rows
        if not row.ours and row.gradient is not None
    ]
    return min(times, default=None)


def _sum_of_parts(groups: Groups, key: tuple[str, str, str, int]) -> tuple[float, str] | None:
    mode, workload, loss, threads = key
    parts = [
        _fastest(groups.get((mode, workload, part, threads), ())) for part in _PARTS.get(loss, ())
    ]
    known = [one for one in parts if one is not None]
    if not known or len(known) < len(parts):
        return None
    return sum(seconds for seconds, _ in known), " and ".join(name for _, name in known)
