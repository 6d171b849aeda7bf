"""Keeps the memory of freed blocks at hand."""

from __future__ import annotations

from array_losses.core.namespace import Namespace

__all__ = ["keep_freed_blocks"]

_ENOUGH_BYTES = 24 << 20
_kept: list[bool] = []


def keep_freed_blocks(xp: Namespace, on: object) -> None:
    """Make the C library keep freed blocks, rather than give them back to the system each time.

    glibc maps arrays of over 128 kB freshly and returns them when they are freed, so that every
    temporary of a block is paid for in page faults: four fifths of the time of a cross entropy.
    When a mapped array is freed, glibc raises that threshold to its size (up to 32 MB, see
    mallopt(3), M_MMAP_THRESHOLD). One array that is made, never touched, and freed does it.
    Elsewhere this does nothing.
    """
    if not _kept:
        xp.empty((_ENOUGH_BYTES,), dtype=xp.uint8, device=on)
        _kept.append(True)
