"""Threads that work on blocks side by side, for libraries that release the interpreter lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["available", "ordered_map"]

_T = TypeVar("_T")
_R = TypeVar("_R")
_pools: dict[int, ThreadPoolExecutor] = {}

# A forked child inherits the pool, but not its threads: it makes its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


def available() -> int:
    """Return how many threads to use: the cores we may use, at most OMP_NUM_THREADS."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) > 0 else cores


def ordered_map(function: Callable[[_T], _R], items: Sequence[_T], threads: int) -> list[_R]:
    """Return the results in the order of the items: sums over them never depend on timing."""
    if threads <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="array_losses")
    results: list[Any] = [None] * len(items)
    left = deque(range(len(items)))

    def work() -> None:
        while left:
            try:
                n = left.popleft()
            except IndexError:  # Another thread was faster.
                return
            results[n] = function(items[n])

    # The calling thread is one of them, and a future is what a thread costs, not what an item does.
    helpers = [_pools[threads].submit(work) for _ in range(min(threads, len(items)) - 1)]
    try:
        work()
    finally:  # Nobody works on when this returns, or raises.
        left.clear()
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in errors:
        if error is not None:
            raise error
    return results
