"""Memory: keeps that of freed blocks at hand, and has the system hand out that of a gradient."""

from __future__ import annotations

import math

from array_losses.core import threads
from array_losses.core.namespace import Array, Namespace

__all__ = ["keep_freed_blocks", "touch"]

_ENOUGH_BYTES = 24 << 20
_kept: list[bool] = []


def keep_freed_blocks(xp: Namespace) -> None:
    """Make the C library keep freed blocks, rather than give them back to the system each time.

    glibc maps arrays of over 128 kB freshly and returns them when they are freed, so that every
    temporary of a block is paid for in page faults: four fifths of the time of a cross entropy.
    When a mapped array is freed, glibc raises that threshold to its size (up to 32 MB, see
    mallopt(3), M_MMAP_THRESHOLD). One array that is made, never touched, and freed does it.
    Elsewhere this does nothing.
    """
    if not _kept:
        xp.empty((_ENOUGH_BYTES,), dtype=xp.uint8, device="cpu")
        _kept.append(True)


def touch(fresh: Array, workers: int) -> None:
    """Write to each page of a large new NumPy array, each thread to pages of its own.

    The system clears memory when it is first written to, 2 MB at a time where it can. Two threads
    that come to the same 2 MB at once both clear it, one for nothing; and neighbouring blocks, of
    many classes each, meet in all of them: that was a fourth of the time of a cross entropy.
    """
    itemsize = fresh.dtype.itemsize
    if workers == 1 or math.prod(fresh.shape) * itemsize < _MAPPED_BYTES:
        return
    flat = fresh.ravel(order="K")
    page, piece = _PAGE_BYTES // itemsize, -(-flat.size // workers)

    def write(start: int) -> None:
        flat[start : start + piece : page] = 0.0

    threads.ordered_map(write, range(0, flat.size, piece), workers)


# What is larger, glibc always maps freshly.
_MAPPED_BYTES = 32 << 20
_PAGE_BYTES = 1 << 12
