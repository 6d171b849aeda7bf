"""How work is cut: the size of a block and the number of threads."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Plan", "blocks", "current", "using"]

# Small enough that the handful of temporaries of a block stay in the cache.
_CPU_BLOCK_BYTES = 1 << 20
# With many classes that is few pixels, and what is done once per pixel is over so soon that threads
# do little but hand the interpreter lock to each other: then up to twice as much.
_CPU_ENOUGH_PIXELS = 1 << 15
_DIGITS = 18  # of a number in a variable: Python refuses to read thousands
# On an accelerator a block only bounds memory; many small kernels would cost time, and what is more
# than one block is computed twice.
_ACCELERATOR_BLOCK_BYTES = 1 << 30


@dataclass(frozen=True)
class Plan:
    """The pixels of a block are `block_pixels`, or else as many as fill the default size."""

    block_pixels: int | None = None
    threads: int | None = None

    def pixels(self, classes: int, itemsize: int, *, on_cpu: bool) -> int:
        """Return the number of pixels of a block."""
        if self.block_pixels is not None:
            return self.block_pixels
        if not on_cpu:
            return max(1, _ACCELERATOR_BLOCK_BYTES // (classes * itemsize))
        pixels = _CPU_BLOCK_BYTES // (classes * itemsize)
        return max(1, pixels, min(2 * pixels, _CPU_ENOUGH_PIXELS))


_plan: ContextVar[Plan | None] = ContextVar("array_losses_plan", default=None)


def _number_from(name: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > _DIGITS or int(text) < 1:
        msg = f"The environment variable `{name}` must be a positive integer, got {text!r}."
        raise ValueError(msg)
    return int(text)


def current() -> Plan:
    """Return the plan in force: of `using`, else of the environment variables, else the default."""
    plan = _plan.get()
    if plan is not None:
        return plan
    return Plan(_number_from("ARRAY_LOSSES_BLOCK_PIXELS"), _number_from("ARRAY_LOSSES_THREADS"))


@contextmanager
def using(*, block_pixels: int | None = None, threads: int | None = None) -> Iterator[None]:
    """Work with blocks of so many pixels and so many threads inside the context."""
    for name, value in (("block_pixels", block_pixels), ("threads", threads)):
        if value is not None and value < 1:
            msg = f"`{name}` must be None or at least 1, got {value}."
            raise ValueError(msg)
    token = _plan.set(Plan(block_pixels, threads))
    try:
        yield
    finally:
        _plan.reset(token)


def blocks(shape: tuple[int, ...], size: int) -> list[tuple[slice, ...]]:
    """Return slices that cut an array of pixels (images, ...) into pieces of about `size` pixels.

    A piece is a range along one axis, single positions on the axes before it, all of those after.
    """
    if math.prod(shape) == 0:
        return []
    axis, rest = len(shape) - 1, 1
    while axis > 0 and rest * shape[axis] <= size:
        rest *= shape[axis]
        axis -= 1
    step = max(1, size // rest)
    ranges = [slice(i, min(i + step, shape[axis])) for i in range(0, shape[axis], step)]
    result: list[tuple[slice, ...]] = []
    after = (slice(None),) * (len(shape) - axis - 1)
    for flat in range(math.prod(shape[:axis])):
        before, remainder = [], flat
        for extent in reversed(shape[:axis]):
            remainder, i = divmod(remainder, extent)
            before.append(slice(i, i + 1))
        result += [(*reversed(before), one, *after) for one in ranges]
    return result
