"""Losses that need all pixels of a class together, on a device: the classes side by side.

There few large kernels are fast, so as many classes are worked on at once as memory allows.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, Namespace, device
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Formula, LossByClass

__all__ = ["side_by_side"]

# Which images and which classes.
Place: TypeAlias = tuple[slice, slice]

# So many errors at a time: what is made of them takes some hundred MB.
_PIECE = 1 << 22


def side_by_side(
    lib: Library,
    formula: Formula,
    pixels: Pixels,
    errors: Array,
    *,
    wide: DType,
    room: Array | None = None,
) -> tuple[LossByClass, Array]:
    """Return loss and support of each class, and d loss / d errors.

    Parameters
    ----------
    pixels : the whole batch, for its target and weights
    errors : array (images, classes, ...)
    wide : the dtype of what is returned by class
    room : where d loss / d errors goes, maybe in place of the errors; by default a new array
    """
    xp, shape, apart = lib.xp, errors.shape, formula.per_image
    if 0 in shape:
        size, on = (shape[0] if apart else 1, shape[1]), device(errors)
        return LossByClass(*(xp.zeros(size, dtype=wide, device=on) for _ in range(2))), errors
    lines = _pieces(shape, apart=apart)
    if room is None and not len(lines) == len(lines[0]) == 1:
        room = xp.empty_like(errors)
    found: list[tuple[Array, Array]] = []
    for line in lines:
        losses, supports = [], []
        for place in line:
            mine = errors[(*place, ...)]
            target, counted = _target(pixels, place, apart=apart)
            rows = _rows(xp, mine, apart=apart)
            loss, support, by_error = formula.all_classes(lib, rows, target, counted)
            by_error = _as_block(xp, by_error, mine.shape)
            if room is not None:
                room[(*place, ...)] = by_error
            losses.append(loss)
            supports.append(support)
        found.append((_joined(xp, losses, 1), _joined(xp, supports, 1)))
    every = (_joined(xp, list(parts), 0) for parts in zip(*found, strict=True))
    sums = LossByClass(*(xp.astype(one, wide, copy=False) for one in every))
    return sums, by_error if room is None else room


def _pieces(shape: tuple[int, ...], *, apart: bool) -> list[list[Place]]:
    """Return the pieces of a batch that are worked on one after the other.

    In a line the classes of some images. A class is never cut: all its pixels, or those of an
    image, go together.
    """
    images, classes, *space = shape
    row = math.prod(space) if apart else images * math.prod(space)
    step = max(1, _PIECE // row)
    columns = [slice(i, min(i + step, classes)) for i in range(0, classes, step)]
    if not apart:  # The target may have all images on one axis.
        return [[(slice(None), column) for column in columns]]
    step = max(1, step // classes)
    lines = [slice(i, min(i + step, images)) for i in range(0, images, step)]
    return [[(line, column) for column in columns] for line in lines]


def _target(pixels: Pixels, place: Place, *, apart: bool) -> tuple[Array, Array | None]:
    """Return the target of some classes, and how much each pixel counts, None for 1.

    (Rows, classes, pixels), the one bool where it is hard, the other where all weights are 0 or 1.
    """
    xp, read, (images, classes) = pixels.xp, pixels.read_target, place
    counted = read.mask if read.unit_weights else pixels.weights
    if counted is not None:
        several = counted.shape[1] > 1
        counted = _flat(xp, counted[images, classes if several else slice(None), :], apart=apart)
    if read.labels is None:
        return _flat(xp, pixels.target[images, classes, :], apart=apart), counted
    labels = _flat(xp, read.labels.narrow[images, :, :], apart=apart)
    on = device(labels)
    numbers = xp.arange(classes.start, classes.stop, dtype=labels.dtype, device=on)
    return labels == numbers[None, :, None], counted


def _rows(xp: Namespace, x: Array, *, apart: bool) -> Array:
    """Return a view of an array (images, classes, ...) as (rows, classes, images, pixels).

    Pixels that are sorted together lie in one row: those of one image, or of all images.
    """
    images, classes, *space = x.shape
    count = math.prod(space)
    if apart:
        return xp.reshape(x, (images, classes, 1, count))
    return xp.permute_dims(xp.reshape(x, (1, images, classes, count)), (0, 2, 1, 3))


def _flat(xp: Namespace, x: Array, *, apart: bool) -> Array:
    """Return an array (images, classes, pixels) as (rows, classes, pixels)."""
    rows = _rows(xp, x, apart=apart)
    return xp.reshape(rows, (*rows.shape[:2], rows.shape[2] * rows.shape[3]))


def _as_block(xp: Namespace, x: Array, shape: tuple[int, ...]) -> Array:
    """Return a view of an array (rows, classes, pixels) as (images, classes, ...)."""
    images, classes, *space = shape
    if x.shape[0] == images:
        return xp.reshape(x, shape)
    x = xp.reshape(x, (classes, images, *space))
    return xp.permute_dims(x, (1, 0, *range(2, len(shape))))


def _joined(xp: Namespace, parts: list[Array], axis: int) -> Array:
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=axis)
