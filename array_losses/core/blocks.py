"""Losses that go over the same blocks of pixels: how the batch is cut, read and written."""

from __future__ import annotations

import math
from functools import partial
from typing import TypeAlias

from array_losses.core import plan as plans
from array_losses.core.arguments import Batch, classes_second
from array_losses.core.block import Block
from array_losses.core.library import Library
from array_losses.core.low_precision import Conversion
from array_losses.core.namespace import Array, Namespace, compute_dtype, device
from array_losses.core.pixels import Mode, Pixels
from array_losses.core.protocol import Formula, Terms

__all__ = ["Cut", "Group", "grouped"]

Cut: TypeAlias = tuple[slice, ...]
Place: TypeAlias = tuple[tuple[int | None, int | None], ...]
Kept: TypeAlias = tuple[Array, bool]


class Group:
    """Losses that share a class axis.

    Parameters
    ----------
    batch : Batch
    terms : the whole sum
    members : the places of these losses in the sum
    conversion : how logits of low precision are read and gradients written
    mode : how blocks may be worked on
    """

    def __init__(
        self,
        lib: Library,
        batch: Batch,
        terms: Terms,
        members: list[int],
        conversion: Conversion,
        mode: Mode,
    ) -> None:
        self._lib = lib
        self.xp = batch.xp
        self.batch = batch
        self._mode = mode
        self.members = members
        self._conversion = conversion
        formulas: list[Formula] = [terms[i][1] for i in members]
        self.class_axis = formulas[0].class_axis % batch.logits.ndim
        images, self.classes, *space = batch.logits.shape
        self.shape: tuple[int, ...] = (images, *space)
        # Where no loss keeps images apart, the pixels of several go on one axis: not on a device,
        # where that would copy the batch.
        self._merged = mode.can_inspect and not any(formula.per_image for formula in formulas)
        # How the pixels of a piece go on one axis.
        self._flat = (
            partial(_together, batch.xp, merged=self._merged)
            if mode.can_inspect
            else partial(_viewed, batch.xp)
        )
        self._views = list(dict.fromkeys(formula.view for formula in formulas))
        # Which of its views each loss has.
        self.view_of = {i: self._views.index(terms[i][1].view) for i in members}
        self._only: list[Pixels] | None = None
        self._keeps_whole = False
        self._kept: dict[Place, Kept] = {}
        self._dtype = compute_dtype(batch.xp, batch.logits.dtype)
        self._device = device(batch.logits)
        self._hard = not batch.soft

    def cuts(self, plan: plans.Plan, itemsize: int) -> list[Cut]:
        """Return the blocks; `everything`, if one is enough or there is no pixel at all."""
        on_cpu = self._mode.can_inspect  # only there
        size = plan.pixels(self.classes, itemsize, on_cpu=on_cpu)
        if math.prod(self.shape) <= size:
            return [self.everything]
        return plans.blocks(self.shape, size)

    @property
    def everything(self) -> Cut:
        """The whole batch as one block."""
        return tuple(slice(None) for _ in self.shape)

    def size(self, cut: Cut) -> int:
        """Return the number of pixels of a block."""
        pairs = zip(cut, self.shape, strict=True)
        return math.prod(len(range(*one.indices(length))) for one, length in pairs)

    def classes_second(self, array: Array) -> Array:
        """Return a view of an array of the logits' shape with its classes second."""
        return classes_second(self.xp, array, self.class_axis)

    def pixels(self, cut: Cut) -> list[Pixels]:
        """Return a block as its losses see it, once for each view."""
        if self._keeps_whole and self._only is not None:
            return self._only
        seen = self.last_pixels(cut)
        if self._keeps_whole:
            self._only = seen
        return seen

    def last_pixels(self, cut: Cut) -> list[Pixels]:
        """Return the same, which need not be kept any longer: for the gradient."""
        if self._only is not None and cut == self.everything:
            only, self._only = self._only, None
            return only
        block = self._block(cut, self._kept.pop(_place(cut), None))
        return [Pixels(block, view, self._mode) for view in self._views]

    def keep_whole(self) -> None:
        """Keep what is computed of the whole batch, the only block, from pass to pass."""
        self._keeps_whole = True

    def keep_only(self, seen: list[Pixels]) -> None:
        """Keep the only block there is, with all that was computed for it, for the next pass."""
        self._only = seen

    def keep(self, cut: Cut, seen: list[Pixels], room: Array) -> None:
        """Keep in its place in `room` what the next pass can have in place of a block's logits."""
        if len(seen) > 1:
            return
        (pixels,) = seen
        kept = pixels.kept()
        if kept is not None:
            self.write(room, cut, kept)
            self._kept[_place(cut)] = (room, pixels.read_target.plain)

    def read(self, array: Array, cut: Cut) -> Array:
        """Return a block of an array with its classes second."""
        return self._flat(array[_with_classes(cut)], self.classes)

    def write(self, array: Array, cut: Cut, block: Array, *, add: bool = False) -> None:
        """Write a block to, or add it to, its place in an array with its classes second."""
        where = _with_classes(cut)
        piece = self._apart(block, array[where].shape)
        if array.dtype == self._dtype:
            array[where] = array[where] + piece if add else piece
            return
        conversion = self._conversion
        if add:
            piece = conversion.widen(array[where]) + piece
        array[where] = conversion.narrow(piece)

    def as_gradient(self, block: Array) -> Array:
        """Return what was made of the whole batch in the shape and dtype of the logits."""
        xp, logits = self.xp, self.batch.logits  # whose classes are second
        gradient = self._apart(block, logits.shape)
        if logits.dtype != self._dtype:
            gradient = self._conversion.narrow(gradient)
        axes = [0, *range(2, gradient.ndim)]
        axes.insert(self.class_axis, 1)
        return xp.permute_dims(gradient, tuple(axes)) if self.class_axis != 1 else gradient

    def _block(self, cut: Cut, kept: Kept | None) -> Block:
        # Not one of them may refer to the group, which may keep the block: nothing would be freed
        # until the garbage is collected.
        xp, batch, flat, classes = self.xp, self.batch, self._flat, self.classes
        widen = self._conversion.widen
        logits = batch.logits[_with_classes(cut)]
        room, plain = (None, False) if kept is None else (kept[0][_with_classes(cut)], kept[1])
        images = 1 if self._merged else logits.shape[0]
        count = math.prod(logits.shape) // max(1, images * classes)
        if batch.labelled:
            target = flat(batch.target[cut], None)
        else:
            target = flat(batch.target[_with_classes(cut)], classes)
        hard = self._hard
        if self._mode.can_inspect and not hard and all(view.bounded for view in self._views):
            target, hard = _hardened(xp, target)
        weights = batch.pixel_weights
        if weights is not None:
            weights = flat(weights[cut], None)
        return Block(
            self._lib,
            (images, classes, count),
            self._dtype,
            self._device,
            hard,
            lambda: widen(flat(logits, classes)),
            target,
            weights,
            None if room is None else lambda: flat(room, classes),
            plain,
        )

    def _apart(self, x: Array, shape: tuple[int, ...]) -> Array:
        """Return the inverse of `_together` for an array with classes."""
        xp = self.xp
        if not self._merged or shape[0] == 1:
            return xp.reshape(x, shape)
        x = xp.reshape(x, (shape[1], shape[0], *shape[2:]))
        return xp.permute_dims(x, (1, 0, *range(2, x.ndim)))


def _place(cut: Cut) -> Place:
    return tuple((one.start, one.stop) for one in cut)


def _together(xp: Namespace, x: Array, classes: int | None, *, merged: bool) -> Array:
    """Return a piece with its pixels on one axis, those of all images where they are `merged`.

    Its classes, if it has any, are second.
    """
    images, total = x.shape[0], math.prod(x.shape)
    if merged:
        if classes is not None and images != 1:
            x = xp.permute_dims(x, (1, 0, *range(2, x.ndim)))
        images = 1
    if classes is None and images == 1:
        return xp.reshape(x, (1, total))
    # By way of one axis, which makes a view of other strides contiguous.
    flat = xp.reshape(x, (-1,)) if total else x
    if classes is None:
        return xp.reshape(flat, (images, total // max(1, images)))
    return xp.reshape(flat, (images, classes, total // max(1, images * classes)))


def _viewed(xp: Namespace, x: Array, classes: int | None) -> Array:
    """Return a piece with the pixels of each image on one axis, whatever its strides."""
    shape = (x.shape[0],) if classes is None else (x.shape[0], classes)
    return xp.reshape(x, (*shape, math.prod(x.shape) // max(1, math.prod(shape))))


def _hardened(xp: Namespace, target: Array) -> tuple[Array, bool]:
    """Return a floating target as bools where it holds nothing but 0 and 1, and whether it does.

    Bools are worked on faster. The first pixels tell most soft targets.
    """
    if 0 in target.shape:
        return target, False
    for some in (target[:, :, :1], target):
        one = some == 1.0
        if not xp.all(one | (some == 0.0)):
            return target, False
    return one, True


def _with_classes(cut: Cut) -> Cut:
    return (cut[0], slice(None), *cut[1:])


def grouped(
    lib: Library, terms: Terms, batches: list[Batch], conversion: Conversion, mode: Mode
) -> list[Group]:
    """Return the losses of a sum in groups, those first of which one may be taken class by class.

    Their errors may lie in the gradient itself, which is replaced block by block.
    """
    members: dict[int, list[int]] = {}
    for i, (_, formula) in enumerate(terms):
        members.setdefault(formula.class_axis, []).append(i)

    def later(axis: int) -> tuple[bool, int]:
        return all(terms[i][1].strategy in {"pixel", "sums"} for i in members[axis]), axis

    return [
        Group(lib, batches[members[axis][0]], terms, members[axis], conversion, mode)
        for axis in sorted(members, key=later)
    ]
