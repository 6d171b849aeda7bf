"""Memory: how far the resident set of a fresh process grows while a loss is computed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MemoryRow"]


@dataclass(frozen=True)
class MemoryRow:
    """The peak beyond the inputs, in bytes, or why there is none."""

    workload: str
    loss: str
    contender: str
    framework: str
    ours: bool
    binned: bool
    logits_bytes: int
    forward: int | None = None
    gradient: int | None = None
    problem: str | None = None
