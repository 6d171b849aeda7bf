"""The floor: what this machine needs to read, to take exponentials and to write, at least."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.workloads import Workload

__all__ = ["Floor", "measure_floor"]

# glibc gives arrays of more than this back to the system when they are freed (mallopt(3)): only
# those are fresh each time.
_FRESH_BYTES = 32 << 20
_CACHED = 1 << 16  # numbers whose exponentials are taken in the cache of a core
_REPEATS = 50  # so that handing them to a thread takes a small part of the time
_SECONDS = 0.4  # for each of the three


@dataclass(frozen=True)
class Floor:
    """Three rates, with so many threads together."""

    threads: int
    copy_bytes_per_second: float  # read and written bytes of a copy between two used arrays
    exp_per_second: float
    fresh_bytes_per_second: float  # written to memory that the system gives for the first time

    def forward(self, workload: Workload) -> float:
        """Return the seconds to read logits and labels once, or to take the exponentials."""
        label_bytes = np.dtype(workload.label_dtype).itemsize * workload.pixels
        read = (workload.logits_bytes + label_bytes) / self.copy_bytes_per_second
        return max(read, workload.elements / self.exp_per_second)

    def gradient(self, workload: Workload) -> float:
        """Return the seconds for that and for writing the gradient to fresh memory."""
        size = workload.logits_bytes
        fresh = size > _FRESH_BYTES
        rate = self.fresh_bytes_per_second if fresh else self.copy_bytes_per_second
        return self.forward(workload) + size / rate


def measure_floor(threads: int) -> Floor:
    """Measure the three rates: the best of repeated trials."""
    count = 2 * _FRESH_BYTES // 4
    source, drain = np.ones(count, np.float32), np.ones(count, np.float32)
    numbers = np.linspace(-8, 0, _CACHED, dtype=np.float32)
    results = [np.empty_like(numbers) for _ in range(threads)]
    parts = [slice(i * count // threads, (i + 1) * count // threads) for i in range(threads)]
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda part: np.copyto(drain[part], source[part]), parts))

        def exponentials() -> None:
            list(pool.map(lambda out: [np.exp(numbers, out=out) for _ in range(_REPEATS)], results))

        def fresh() -> None:
            new = np.empty(count, np.float32)
            list(pool.map(lambda part: new[part].fill(0), parts))

        return Floor(
            threads,
            copy_bytes_per_second=2 * source.nbytes / _best(copy),
            exp_per_second=threads * _REPEATS * _CACHED / _best(exponentials),
            fresh_bytes_per_second=source.nbytes / _best(fresh),
        )


def _best(function: Callable[[], None]) -> float:
    return min(_times(function))


def _times(function: Callable[[], None]) -> Iterator[float]:
    function()
    end = time.perf_counter() + _SECONDS
    while (start := time.perf_counter()) < end:
        function()
        yield time.perf_counter() - start
