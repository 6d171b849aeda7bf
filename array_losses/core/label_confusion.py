"""Confusion counts of predicted labels: true and false positives, false negatives, by class."""

from __future__ import annotations

import math

from array_losses.core import plan as plans
from array_losses.core import threads
from array_losses.core.arguments import Batch
from array_losses.core.block import Block, View
from array_losses.core.labels import as_integers, outside
from array_losses.core.library import Library
from array_losses.core.namespace import Array, Namespace, device
from array_losses.core.protocol import Sums
from array_losses.core.target import Target

__all__ = ["confusion", "refuse"]


def refuse(xp: Namespace, predicted: Array, bad: Array, highest: int) -> None:
    """Raise a ValueError if a predicted integer is `bad`: none of 0 to `highest` where it counts.

    Inspects values: for eager arrays in CPU memory only.
    """
    if math.prod(bad.shape) == 0 or not xp.any(bad):
        return
    found = xp.where(bad, predicted, xp.zeros_like(predicted))
    label = int(xp.max(found)) or int(xp.min(found))
    msg = (
        f"`prediction` must hold integers from 0 to {highest} wherever the target counts, got "
        f"{label}; where nothing counts (`ignore_index`, a pixel weight of 0) it may hold anything."
    )
    raise ValueError(msg)


def confusion(lib: Library, batch: Batch, predicted: Array, view: View, *, per_image: bool) -> Sums:
    """Return the weighted counts of a batch, (1, classes) each, or (images, classes).

    A ValueError where a counted pixel is predicted to be none of the classes. Two masks are one
    class.

    Parameters
    ----------
    batch : Batch
        NumPy arrays; of the logits only the shape is read.
    predicted : array, integer or bool, shaped like the target
    """
    xp = batch.xp
    images, classes, *space = batch.logits.shape
    shape = (images, math.prod(space))
    predicted, target = xp.reshape(predicted, shape), xp.reshape(batch.target, shape)
    weights = None if batch.pixel_weights is None else xp.reshape(batch.pixel_weights, shape)
    told_apart = max(classes, 2)  # in a mask: there or not

    def work(cut: tuple[slice, ...]) -> Array:
        return _of_block(
            Block(
                lib,
                (*predicted[cut].shape[:1], told_apart, predicted[cut].shape[1]),
                xp.float64,
                device(target),
                True,
                lambda: None,
                target[cut],
                weights if weights is None else weights[cut],
            ),
            predicted[cut],
            view,
            per_image=per_image,
        )

    plan = plans.current()
    cuts = plans.blocks(shape, plan.pixels(1, 8, on_cpu=True))
    found = threads.ordered_map(work, cuts, plan.threads or threads.available())
    rows = images if per_image else 1
    total = xp.zeros((3, rows, told_apart), dtype=xp.float64, device=device(target))
    for cut, counts in zip(cuts, found, strict=True):
        total[:, cut[0] if per_image else slice(None), :] += counts
    hits, false, missed = total[:, :, -1:] if classes == 1 else total
    return hits, false, missed


def _of_block(block: Block, predicted: Array, view: View, *, per_image: bool) -> Array:
    """Return true positives, false positives and false negatives, (3, images or 1, classes)."""
    xp, classes = block.xp, block.shape[1]
    read = Target(block, view, can_inspect=True, traced=False)
    weights = None if read.weights is None else read.weights[:, 0, :]
    predicted = as_integers(xp, predicted)
    if predicted.size and (xp.min(predicted) < 0 or xp.max(predicted) >= classes):
        bad = outside(xp, predicted, classes - 1)
        refuse(xp, predicted, bad if weights is None else bad & (weights != 0.0), classes - 1)
        predicted = xp.where(bad, 0, predicted)
    target = read.labels.narrow[:, 0, :]  # type: ignore[union-attr]
    wrong = predicted != target
    hits, missed = _split(xp, target, wrong, weights, classes, per_image=per_image)
    _, false = _split(xp, predicted, wrong, weights, classes, per_image=per_image)
    return xp.stack([hits, false, missed])


def _split(
    xp: Namespace,
    labels: Array,
    wrong: Array,
    weights: Array | None,
    classes: int,
    *,
    per_image: bool,
) -> tuple[Array, Array]:
    """Return the weight of the pixels of each label, of the right ones and of the wrong ones."""
    rows = labels.shape[0] if per_image else 1
    place = xp.multiply(wrong, classes, dtype=xp.intp)
    place += xp.astype(labels, xp.intp, copy=False)
    if rows > 1:
        place += 2 * classes * xp.arange(rows, dtype=xp.intp, device=device(labels))[:, None]
    flat = None if weights is None else xp.reshape(weights, (-1,))
    sums = xp.bincount(xp.reshape(place, (-1,)), flat, minlength=2 * classes * rows)
    right_or_wrong = xp.reshape(sums, (rows, 2, classes))
    return right_or_wrong[:, 0, :], right_or_wrong[:, 1, :]
