"""The engine: totals over blocks of pixels, the value, then the slope of each block."""

from __future__ import annotations

import math
from dataclasses import dataclass

from array_losses.core import memory, threads
from array_losses.core import plan as plans
from array_losses.core.arguments import Batch, classes_second
from array_losses.core.formula import (
    AllReduce,
    Formula,
    Fraction,
    Terms,
    Totals,
    divide,
    finish,
    prepare,
    weighted_sum,
)
from array_losses.core.namespace import (
    Array,
    Namespace,
    compute_dtype,
    device,
    is_numpy_namespace,
    wide_dtype,
)
from array_losses.core.pixels import Block, Pixels, View

__all__ = ["Evaluation", "State"]


@dataclass(frozen=True)
class State:
    """What the backward pass needs of the forward pass: small arrays only."""

    totals: tuple[Totals, ...]
    divisors: tuple[Array | None, ...]


class _Group:
    """Losses that go over the same blocks: their places in the sum, and their formulas."""

    def __init__(self, batch: Batch, terms: Terms, members: list[int]) -> None:
        self.batch = batch
        self.members = members
        self.formulas = formulas = [terms[i][1] for i in members]
        self.additive = all(formula.additive for formula in formulas)
        images, self.classes, *space = batch.logits.shape
        self.shape: tuple[int, ...] = (images, *space)
        self.merge = not any(formula.per_image for formula in formulas)
        self.kept: dict[int, dict[View, Pixels]] = {}

    def cut(self, plan: plans.Plan, itemsize: int, *, on_cpu: bool) -> list[tuple[slice, ...]]:
        """Return the blocks; one, if there is no pixel at all."""
        size = plan.pixels(self.classes, itemsize, on_cpu=on_cpu)
        return plans.blocks(self.shape, size) or [self.everything]

    @property
    def everything(self) -> tuple[slice, ...]:
        """The whole batch as one block."""
        return tuple(slice(None) for _ in self.shape)


def _grouped(terms: Terms, batches: list[Batch]) -> list[_Group]:
    members: dict[tuple[int, bool], list[int]] = {}
    for i, (_, formula) in enumerate(terms):
        members.setdefault((formula.class_axis, formula.additive), []).append(i)
    return [_Group(batches[found[0]], terms, found) for found in members.values()]


class Evaluation:
    """One evaluation of a weighted sum of losses on eager arrays.

    Parameters
    ----------
    look : bool
        Whether values may be looked at: arrays in the memory of the CPU.
    """

    def __init__(
        self,
        terms: Terms,
        logits: Array,
        target: Array,
        pixel_weights: Array | None = None,
        all_reduce: AllReduce | None = None,
        *,
        look: bool,
        state: State | None = None,
    ) -> None:
        batches = prepare(terms, logits, target, pixel_weights, all_reduce)
        self.xp: Namespace = batches[0].xp
        self.terms = terms
        self.logits = logits
        self.all_reduce = all_reduce
        self.look = look
        self.state = state
        self.dtype = compute_dtype(self.xp, logits.dtype)
        self.device = device(logits)
        self.sorted: dict[int, Array] = {}
        self.wide = wide_dtype(self.xp, self.dtype, self.device)
        self.groups = _grouped(terms, batches)
        plan = plans.current()
        self.threads = 1
        if is_numpy_namespace(self.xp):  # NumPy releases the interpreter lock.
            self.threads = plan.threads or threads.available()
            memory.keep_freed_blocks(self.xp)
        itemsize = self.xp.finfo(self.dtype).bits // 8
        self.cuts = [group.cut(plan, itemsize, on_cpu=look) for group in self.groups]

    # The two passes.

    def value(self) -> Array:
        """Go over the blocks for the totals, and return the value."""
        value = self._value(None)
        self.sorted.clear()
        return value

    def _value(self, gradient: Array | None) -> Array:
        """Return the value; `gradient` may be used as scratch."""
        totals: dict[int, Totals] = {}
        maps: dict[int, Array] = {}
        for group, cuts in zip(self.groups, self.cuts, strict=True):
            if group.additive:
                self._first_pass(group, cuts, totals, maps)
            else:
                totals |= self._sort(group, cuts, gradient)
        return self._finished(totals, maps)

    def _finished(self, totals: dict[int, Totals], maps: dict[int, Array]) -> Array:
        """Return the value from the totals, and keep what the gradient needs."""
        xp = self.xp
        order = sorted(totals)
        formulas = [self.terms[i][1] for i in order]
        reduced, fractions = finish(xp, formulas, [totals[i] for i in order], self.all_reduce)
        self.state = self._state(order, reduced, fractions)
        values = dict(zip(order, (divide(xp, *one) for one in fractions), strict=True)) | maps
        total = weighted_sum(self.terms, [values[i] for i in range(len(self.terms))])
        return xp.astype(total, self.dtype, copy=False)

    def gradient(self, d: Array | None = None) -> Array:
        """Go over the blocks for the slope, and return d loss / d logits times `d`."""
        xp = self.xp
        if self.state is None:
            msg = "The value must be taken first."
            raise RuntimeError(msg)
        gradient = xp.empty_like(self.logits)
        for group, cuts in zip(self.groups, self.cuts, strict=True):
            if not group.additive:
                self._sort(group, cuts, gradient)
        return self._gradient(gradient, d, self.state)

    def _gradient(self, gradient: Array, d: Array | None, state: State) -> Array:
        # What was sorted first may lie in the gradient itself: it is replaced block by block.
        order = sorted(range(len(self.groups)), key=lambda i: self.groups[i].additive)
        for n, i in enumerate(order):
            self._second_pass(self.groups[i], self.cuts[i], gradient, d, state, add=n > 0)
        self.sorted.clear()
        return gradient

    @property
    def better_at_once(self) -> bool:
        """Whether value and gradient together cost hardly more than the value."""
        formulas = [formula for _, formula in self.terms]
        if any(formula.reduction == "none" for formula in formulas):
            return False
        return self._in_one_pass or not all(formula.additive for formula in formulas)

    @property
    def _in_one_pass(self) -> bool:
        return self.all_reduce is None and all(formula.pixelwise for _, formula in self.terms)

    def value_and_gradient(self) -> tuple[Array, Array]:
        """Return both; sums over pixels in one pass, after one over the targets for the divisor."""
        xp = self.xp
        gradient = xp.empty_like(self.logits)
        if not self._in_one_pass:
            value = self._value(gradient)
            if self.state is None:
                msg = "The value must leave its state."
                raise RuntimeError(msg)
            return value, self._gradient(gradient, None, self.state)
        totals: dict[int, Totals] = {}
        for i, (group, cuts) in enumerate(zip(self.groups, self.cuts, strict=True)):
            self._only_pass(group, cuts, gradient, totals, add=i > 0)
        return self._finished(totals, {}), gradient

    # One pass over the blocks of a group.

    def _first_pass(
        self,
        group: _Group,
        cuts: list[tuple[slice, ...]],
        totals: dict[int, Totals],
        maps: dict[int, Array],
    ) -> None:
        xp = self.xp
        for i, formula in zip(group.members, group.formulas, strict=True):
            if formula.mapped:
                maps[i] = xp.empty(group.shape, dtype=self.dtype, device=self.device)

        def work(number: int) -> list[Totals]:
            cut = cuts[number]
            seen = self._pixels(group, number, cut, keep=len(cuts) == 1)
            found = []
            for i, formula in zip(group.members, group.formulas, strict=True):
                pixels = seen[formula.view]
                if formula.mapped:
                    piece = formula.pixel_losses(pixels)
                    maps[i][cut] = xp.reshape(piece, maps[i][cut].shape)
                    found.append(())
                else:
                    found.append(formula.totals(pixels))
            return found

        results = threads.ordered_map(work, range(len(cuts)), self.threads)
        for k, (i, formula) in enumerate(zip(group.members, group.formulas, strict=True)):
            if not formula.mapped:
                totals[i] = self._add_up(group, formula, cuts, [one[k] for one in results])

    def _add_up(
        self,
        group: _Group,
        formula: Formula,
        cuts: list[tuple[slice, ...]],
        pieces: list[Totals],
    ) -> Totals:
        """Return the totals of all blocks, added in the widest dtype."""
        xp = self.xp
        rows = group.shape[0] if formula.per_image else 1
        sums = [
            xp.zeros((rows, one.shape[1]), dtype=self.wide, device=self.device) for one in pieces[0]
        ]
        for cut, piece in zip(cuts, pieces, strict=True):
            where = cut[0] if formula.per_image else slice(None)
            for total, one in zip(sums, piece, strict=True):
                total[where, :] = total[where, :] + xp.astype(one, self.wide)
        return tuple(sums)

    def _second_pass(
        self,
        group: _Group,
        cuts: list[tuple[slice, ...]],
        gradient: Array,
        d: Array | None,
        state: State,
        *,
        add: bool,
    ) -> None:
        xp = self.xp
        axis = group.formulas[0].class_axis % gradient.ndim
        out = classes_second(xp, gradient, axis)
        rates = {i: self._rates(i, d, state) for i in group.members}

        def work(number: int) -> None:
            cut = cuts[number]
            seen = self._pixels(group, number, cut, keep=False)
            slope = None
            for i, formula in zip(group.members, group.formulas, strict=True):
                pixels = seen[formula.view]
                mine = tuple(self._of_block(one, cut, formula, pixels) for one in rates[i])
                if formula.additive:
                    each = formula.slope(pixels, mine)
                else:
                    where = (cut[0], slice(None), *cut[1:])
                    d_errors = self._together(group, self.sorted[i][where])
                    each = formula.error_slope(pixels, d_errors * mine[0][:, :, None])
                slope = each if slope is None else slope + each
            self._write(group, cut, out, slope, add=add)

        threads.ordered_map(work, range(len(cuts)), self.threads)

    def _sort(
        self, group: _Group, cuts: list[tuple[slice, ...]], gradient: Array | None
    ) -> dict[int, Totals]:
        """Take the errors of each block, then sort those of each class, several side by side.

        What stays is d loss / d errors of each pixel and class, in `self.sorted`. The first loss
        keeps it in the gradient, which is as large.
        """
        xp = self.xp
        buffers: dict[int, Array] = {}
        for i in group.members:
            if not self.sorted and gradient is not None and gradient.dtype == self.dtype:
                axis = group.formulas[0].class_axis % gradient.ndim
                buffers[i] = classes_second(xp, gradient, axis)
            else:
                shape = group.batch.logits.shape
                buffers[i] = xp.empty(shape, dtype=self.dtype, device=self.device)
            self.sorted[i] = buffers[i]

        def measure(number: int) -> None:
            cut = cuts[number]
            seen = self._pixels(group, number, cut, keep=False)
            for i, formula in zip(group.members, group.formulas, strict=True):
                self._write(group, cut, buffers[i], formula.errors(seen[formula.view]), add=False)

        threads.ordered_map(measure, range(len(cuts)), self.threads)
        block = self._block(group, group.everything)
        views = dict.fromkeys(formula.view for formula in group.formulas)
        every = {view: Pixels(block, view, look=self.look, traced=False) for view in views}
        totals: dict[int, Totals] = {}
        for i, formula in zip(group.members, group.formulas, strict=True):
            totals[i] = self._sort_classes(group, formula, every[formula.view], buffers[i])
        return totals

    def _sort_classes(
        self, group: _Group, formula: Formula, pixels: Pixels, errors: Array
    ) -> Totals:
        """Return loss and mass of each class; leave d loss / d errors in place of the errors."""
        xp = self.xp
        rows = group.shape[0] if formula.per_image else 1
        tasks = [(row, c) for row in range(rows) for c in range(group.classes)]

        def sort(task: tuple[int, int]) -> tuple[Array, Array]:
            row, c = task
            of_row = slice(row, row + 1) if formula.per_image else slice(None)
            where = (of_row, c, *(slice(None) for _ in group.shape[1:]))
            mine = errors[where]
            counts = pixels.counts_of_class(c)
            if formula.per_image:
                counts = (counts[0][of_row, :, :], counts[1][of_row, :, :])
            flat = [xp.reshape(x, (1, 1, math.prod(x.shape))) for x in (mine, *counts)]
            loss, mass, slope = formula.one_class(xp, *flat)
            errors[where] = xp.reshape(slope, mine.shape)
            return loss, mass

        found = threads.ordered_map(sort, tasks, self.threads)
        shape = (rows, group.classes)
        totals = [xp.zeros(shape, dtype=self.wide, device=self.device) for _ in range(2)]
        for (row, c), parts in zip(tasks, found, strict=True):
            for total, part in zip(totals, parts, strict=True):
                total[row, c] = xp.astype(part[0, 0], self.wide)
        return tuple(totals)

    def _only_pass(
        self,
        group: _Group,
        cuts: list[tuple[slice, ...]],
        gradient: Array,
        totals: dict[int, Totals],
        *,
        add: bool,
    ) -> None:
        """Take totals and slope of each block at once, with a divisor known from the target."""

        def divide_by(number: int) -> list[Totals]:
            seen = self._pixels(group, number, cuts[number], keep=False)
            return [(formula.divisor(seen[formula.view]),) for formula in group.formulas]

        def work(number: int) -> list[Totals]:
            cut = cuts[number]
            seen = self._pixels(group, number, cut, keep=False)
            slope, found = None, []
            for rate, formula in zip(rates, group.formulas, strict=True):
                pixels = seen[formula.view]
                found.append(formula.totals(pixels))
                each = formula.slope(pixels, (rate,))
                slope = each if slope is None else slope + each
            self._write(group, cut, out, slope, add=add)
            return found

        xp = self.xp
        out = classes_second(xp, gradient, group.formulas[0].class_axis % gradient.ndim)
        results = threads.ordered_map(divide_by, range(len(cuts)), self.threads)
        rates = []
        for k, (i, formula) in enumerate(zip(group.members, group.formulas, strict=True)):
            (divisor,) = self._add_up(group, formula, cuts, [one[k] for one in results])
            weight = xp.full((), self.terms[i][0], dtype=self.wide, device=self.device)
            if formula.reduction == "mean":
                weight = divide(xp, weight, divisor[0, 0])
            rates.append(xp.astype(weight, self.dtype))
        results = threads.ordered_map(work, range(len(cuts)), self.threads)
        for k, (i, formula) in enumerate(zip(group.members, group.formulas, strict=True)):
            totals[i] = self._add_up(group, formula, cuts, [one[k] for one in results])

    def _write(
        self, group: _Group, cut: tuple[slice, ...], out: Array, slope: Array, *, add: bool
    ) -> None:
        """Write, or add, the slope of a block to its place in the gradient."""
        where = (cut[0], slice(None), *cut[1:])
        piece = self._apart(group, slope, out[where].shape)
        piece = self.xp.astype(piece, out.dtype, copy=False)
        out[where] = out[where] + piece if add else piece

    def _rates(self, i: int, d: Array | None, state: State) -> Totals:
        """Return d loss / d totals of one loss; for a map, d loss / d map."""
        xp = self.xp
        weight, formula = self.terms[i]
        d = xp.ones((), dtype=self.wide, device=self.device) if d is None else d
        d = weight * xp.astype(d, self.wide)
        if formula.mapped:
            return (xp.astype(d, self.dtype),)
        divisor = state.divisors[i]
        if divisor is not None:
            d = divide(xp, d, divisor)
        rates = formula.rates(xp, state.totals[i], d)
        return tuple(xp.astype(rate, self.dtype) for rate in rates)

    def _of_block(
        self, rate: Array, cut: tuple[slice, ...], formula: Formula, pixels: Pixels
    ) -> Array:
        """Return the part of a rate that belongs to a block."""
        if formula.mapped:
            images, _, count = pixels.shape
            return self.xp.reshape(rate[cut], (images, 1, count))
        return rate[cut[0], :] if formula.per_image else rate

    # Blocks.

    def _pixels(
        self, group: _Group, number: int, cut: tuple[slice, ...], *, keep: bool
    ) -> dict[View, Pixels]:
        """Return a block as each loss of the group sees it."""
        if number in group.kept:
            return group.kept.pop(number)
        block = self._block(group, cut)
        views = dict.fromkeys(formula.view for formula in group.formulas)
        seen = {view: Pixels(block, view, look=self.look, traced=False) for view in views}
        if keep:
            group.kept[number] = seen
        return seen

    def _block(self, group: _Group, cut: tuple[slice, ...]) -> Block:
        batch = group.batch
        by_class = (cut[0], slice(None), *cut[1:])
        weights = batch.pixel_weights
        logits = batch.logits[by_class]
        images = 1 if group.merge else logits.shape[0]
        count = math.prod(logits.shape) // max(1, images * group.classes)
        return Block(
            self.xp,
            (images, group.classes, count),
            logits.dtype,
            lambda: self._together(group, logits),
            self._together(group, batch.target[cut if batch.labelled else by_class]),
            None if weights is None else self._together(group, weights[cut]),
        )

    def _together(self, group: _Group, x: Array) -> Array:
        """Return a piece with its pixels on one axis, and all images as one if none is apart."""
        xp = self.xp
        by_class = x.ndim == len(group.shape) + 1
        images, count = x.shape[0], math.prod(x.shape)
        if group.merge:
            if by_class and images != 1:
                x = xp.permute_dims(x, (1, 0, *range(2, x.ndim)))
            images = 1
        # By way of one axis, which makes a view of other strides contiguous.
        flat = xp.reshape(x, (-1,)) if count else x
        classes = group.classes if by_class else 1
        shape = (images, classes) if by_class else (images,)
        return xp.reshape(flat, (*shape, count // max(1, images * classes)))

    def _apart(self, group: _Group, x: Array, shape: tuple[int, ...]) -> Array:
        """Return the inverse of `_together` for an array with classes."""
        xp = self.xp
        if not group.merge:
            return xp.reshape(x, shape)
        x = xp.reshape(x, (shape[1], shape[0], *shape[2:]))
        return xp.permute_dims(x, (1, 0, *range(2, x.ndim)))

    def _state(self, order: list[int], totals: list[Totals], fractions: list[Fraction]) -> State:
        many: list[Totals] = [()] * len(self.terms)
        divisors: list[Array | None] = [None] * len(self.terms)
        for i, found, (_, divisor) in zip(order, totals, fractions, strict=True):
            many[i], divisors[i] = found, divisor
        return State(tuple(many), tuple(divisors))
