"""Losses that need all pixels of a class together, on a CPU: one class after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from array_losses.core import threads
from array_losses.core.bucket_sort import rows_of
from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, device
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Formula, LossByClass

__all__ = ["each_class"]


def each_class(
    lib: Library, formula: Formula, pixels: Pixels, errors: Array, *, wide: DType, workers: int
) -> LossByClass:
    """Return loss and support of each class; put d loss / d errors in place of the errors.

    Parameters
    ----------
    pixels : the whole batch, for its target and weights
    errors : array (images, classes, ...)
    wide : the dtype to return
    workers : how many threads may work
    """
    xp = lib.xp
    images, classes, *space = errors.shape
    rows = [slice(i, i + 1) for i in range(images)] if formula.per_image else [slice(None)]
    tasks = [(n, row, c) for n, row in enumerate(rows) for c in range(classes)]

    # Many classes side by side, each by one thread; of few classes all threads work on one: what is
    # kept of a class while it is sorted is large then. With weights it is sorted whole.
    at_once = not (pixels.hard and pixels.read_target.unit_weights)
    within = 1 if at_once or len(tasks) >= 4 * workers else workers

    def each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return threads.ordered_map(function, items, within)

    def one(task: tuple[int, slice, int]) -> tuple[Array, Array]:
        _, row, c = task
        where = (row, c, *(slice(None) for _ in space))
        shape = rows_of(errors[where])
        mine = xp.reshape(errors[where], shape)
        inside, outside = (xp.reshape(x, shape) for x in pixels.counts_of_class(c, row))
        loss, support, by_error = formula.one_class(lib, mine, inside, outside, each)
        errors[where] = xp.reshape(by_error, errors[where].shape)
        return loss, support

    shape, on = (len(rows), classes), device(errors)
    losses, supports = (xp.zeros(shape, dtype=wide, device=on) for _ in range(2))
    found = threads.ordered_map(one, tasks, 1 if within > 1 else workers)
    for (n, _, c), (loss, support) in zip(tasks, found, strict=True):
        losses[n, c] = xp.astype(loss[0, 0], wide)
        supports[n, c] = xp.astype(support[0, 0], wide)
    return LossByClass(losses, supports + 0.0 * losses)
