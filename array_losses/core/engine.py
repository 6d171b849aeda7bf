"""The engine: totals over blocks of pixels, the value, then the slope of each block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from array_losses.core import memory, threads
from array_losses.core import plan as plans
from array_losses.core.block import View
from array_losses.core.formula import (
    AllReduce,
    Formula,
    Terms,
    Totals,
    divide,
    finish,
    prepare,
    weighted_sum,
)
from array_losses.core.groups import Cut, Group, grouped
from array_losses.core.halves import Conversion, conversion
from array_losses.core.namespace import (
    Array,
    Namespace,
    compute_dtype,
    device,
    is_numpy_namespace,
    wide_dtype,
)
from array_losses.core.pixels import Pixels
from array_losses.core.ranges import rows_of

__all__ = ["Evaluation", "State"]


@dataclass(frozen=True)
class State:
    """What the backward pass needs of the forward pass, by place in the sum.

    Small arrays only; and a bool a pixel for a loss that chooses its pixels.
    """

    totals: dict[int, Totals]
    divisors: dict[int, Array | None]
    chosen: dict[int, Array]


class Evaluation:
    """One evaluation of a weighted sum of losses on eager arrays.

    Parameters
    ----------
    look : bool
        Whether values may be looked at: arrays in the memory of the CPU.
    halves : Conversion, optional
        How logits of half precision are read and gradients written; by default as `astype` does.
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
        halves: Conversion | None = None,
    ) -> None:
        batches = prepare(terms, logits, target, pixel_weights, all_reduce)
        self.xp: Namespace = batches[0].xp
        self.terms = terms
        self.logits = logits
        self.all_reduce = all_reduce
        self.dtype = compute_dtype(self.xp, logits.dtype)
        self.device = device(logits)
        self.wide = wide_dtype(self.xp, self.dtype, self.device)
        self.look = look
        self.views = [formula.view for _, formula in terms]
        halves = halves or conversion(self.xp, logits.dtype, self.dtype)
        self.groups = grouped(terms, batches, halves, look=look)
        plan = plans.current()
        self.threads = 1
        if is_numpy_namespace(self.xp):  # NumPy releases the interpreter lock.
            self.threads = plan.threads or threads.available()
            memory.keep_freed_blocks(self.xp, self.device)
        itemsize = self.xp.finfo(self.dtype).bits // 8
        self.cuts = [group.cuts(plan, itemsize) for group in self.groups]
        # d loss / d errors of each pixel and class, for losses taken class by class.
        self.d_errors: dict[int, Array] = {}
        # Which pixels count, for losses that choose them.
        self.chosen: dict[int, Array] = {}
        self._each: list[Array] = []

    # What is asked for.

    def value(self) -> tuple[Array, State]:
        """Return the value, and what the gradient needs of it."""
        self._choose()
        value, state = self._value(scratch=None)
        self.d_errors.clear()
        return value, state

    def gradient(self, state: State, d: Array | None = None) -> Array:
        """Return d loss / d logits times `d`, from the state that the value left."""
        gradient = self._new_gradient()
        self.chosen = state.chosen
        for group, cuts in zip(self.groups, self.cuts, strict=True):
            if group.by_class and not (group.additive and self.all_reduce):
                self._by_class(group, cuts, gradient)
        return self._gradient(gradient, state, d)

    def value_and_gradient(self) -> tuple[Array, Array]:
        """Return both, in one pass where the loss is a sum over pixels."""
        gradient = self._new_gradient()
        self._choose()
        if not self.in_one_pass:
            value, state = self._value(scratch=gradient)
            return value, self._gradient(gradient, state, None)
        totals: dict[int, Totals] = {}
        for n, (group, cuts) in enumerate(zip(self.groups, self.cuts, strict=True)):
            totals |= self._only_pass(group, cuts, gradient, add=n > 0)
        return self._finished(totals, {})[0], gradient

    @property
    def each_value(self) -> tuple[Array, ...]:
        """The values of the losses without their weights, once the value was asked for."""
        return tuple(self.xp.astype(one, self.dtype, copy=False) for one in self._each)

    @property
    def better_at_once(self) -> bool:
        """Whether value and gradient together cost less than one after the other.

        A gradient in half precision cannot hold what another pass would use.
        """
        whole = bool(self.logits.dtype == self.dtype)
        scalar = all(formula.reduction != "none" for _, formula in self.terms)
        return scalar and (whole or self.in_one_pass)

    @property
    def in_one_pass(self) -> bool:
        """Whether value and gradient come from one pass over the logits."""
        return self.all_reduce is None and all(formula.pixelwise for _, formula in self.terms)

    def _new_gradient(self) -> Array:
        gradient = self.xp.empty_like(self.logits)
        if is_numpy_namespace(self.xp):
            memory.touch(gradient, self.threads)
        return gradient

    def _value(self, scratch: Array | None) -> tuple[Array, State]:
        totals: dict[int, Totals] = {}
        maps: dict[int, Array] = {}
        for group, cuts in zip(self.groups, self.cuts, strict=True):
            # Sums by class and bin are large: they are made only to be exchanged.
            if group.additive and (not group.by_class or self.all_reduce):
                totals |= self._first_pass(group, cuts, maps, scratch)
            else:
                totals |= self._by_class(group, cuts, scratch)
        return self._finished(totals, maps)

    def _finished(self, totals: dict[int, Totals], maps: dict[int, Array]) -> tuple[Array, State]:
        """Return the value from the totals and the maps of the losses, and the state."""
        xp = self.xp
        order = sorted(totals)
        formulas = [self.terms[i][1] for i in order]
        reduced, fractions = finish(xp, formulas, [totals[i] for i in order], self.all_reduce)
        values = {i: self._divide(*one) for i, one in zip(order, fractions, strict=True)} | maps
        self._each = [values[i] for i in range(len(self.terms))]
        value = weighted_sum(self.terms, self._each)
        state = State(
            dict(zip(order, reduced, strict=True)),
            {i: divisor for i, (_, divisor) in zip(order, fractions, strict=True)},
            self.chosen,
        )
        return xp.astype(value, self.dtype, copy=False), state

    def _gradient(self, gradient: Array, state: State, d: Array | None) -> Array:
        # Those derivatives may lie in the gradient itself, which is replaced block by block: the
        # groups that have them come first.
        for n, (group, cuts) in enumerate(zip(self.groups, self.cuts, strict=True)):
            self._second_pass(group, cuts, gradient, state, d, add=n > 0)
        self.d_errors.clear()
        return gradient

    # Passes over the blocks of a group.

    def _choose(self) -> None:
        """Find the pixels that count, for the losses that compare all of them."""
        xp = self.xp
        for group, cuts in zip(self.groups, self.cuts, strict=True):
            places = [i for i in group.members if self.terms[i][1].selects]
            if not places:
                continue
            every = {i: xp.empty(group.shape, dtype=self.dtype, device=self.device) for i in places}

            def measure(cut: Cut, group: Group = group, every: dict[int, Array] = every) -> None:
                seen = group.pixels(cut)
                for i, hardness in every.items():
                    formula = self.terms[i][1]
                    piece = formula.hardness(seen[formula.view])
                    hardness[cut] = xp.reshape(piece, hardness[cut].shape)

            threads.ordered_map(measure, cuts, self.threads)
            for i, hardness in every.items():
                chosen = self.terms[i][1].choose(xp, xp.reshape(hardness, (1, 1, -1)))
                self.chosen[i] = xp.reshape(chosen, group.shape)

    def _pixels(self, i: int, cut: Cut, seen: dict[View, Pixels]) -> Pixels:
        """Return a block as the loss at a place of the sum sees it."""
        pixels = seen[self.views[i]]
        if i not in self.chosen:
            return pixels
        images, _, count = pixels.shape
        return pixels.only(self.xp.reshape(self.chosen[i][cut], (images, 1, count)))

    def _first_pass(
        self, group: Group, cuts: list[Cut], maps: dict[int, Array], scratch: Array | None
    ) -> dict[int, Totals]:
        """Return the totals; fill the maps of the losses that have a value a pixel.

        What the second pass can have in place of the logits is kept in `scratch`.
        """
        room = None
        if scratch is not None and scratch.dtype == self.dtype and len(self.groups) == 1:
            room = group.view_of(scratch)
        for i, formula in zip(group.members, group.formulas, strict=True):
            if formula.mapped:
                maps[i] = self.xp.empty(group.shape, dtype=self.dtype, device=self.device)

        def work(cut: Cut) -> list[Totals]:
            seen = group.pixels(cut)
            found = []
            for i, formula in zip(group.members, group.formulas, strict=True):
                pixels = self._pixels(i, cut, seen)
                if formula.mapped:
                    piece = formula.pixel_losses(pixels)
                    maps[i][cut] = self.xp.reshape(piece, maps[i][cut].shape)
                    found.append(())
                else:
                    found.append(formula.totals(pixels))
            if len(cuts) == 1 and cut == group.everything:
                group.keep_only(seen)
            elif room is not None:
                group.keep(cut, seen, room)
            return found

        return self._add_up(group, cuts, threads.ordered_map(work, cuts, self.threads))

    def _second_pass(
        self,
        group: Group,
        cuts: list[Cut],
        gradient: Array,
        state: State,
        d: Array | None,
        *,
        add: bool,
    ) -> None:
        """Write, or add, the slope of each block."""
        out = group.view_of(gradient)
        rates = {i: self._rates(i, state, d) for i in group.members}

        def work(cut: Cut) -> None:
            seen = group.pixels(cut)
            slope = None
            for i, formula in zip(group.members, group.formulas, strict=True):
                pixels = self._pixels(i, cut, seen)
                mine = tuple(self._of_block(one, cut, formula, pixels) for one in rates[i])
                if i not in self.d_errors:
                    each = formula.slope(pixels, mine)
                else:
                    d_errors = group.read(self.d_errors[i], cut) * mine[0][:, :, None]
                    each = formula.error_slope(pixels, d_errors)
                slope = each if slope is None else slope + each
            group.write(out, cut, slope, add=add)

        threads.ordered_map(work, cuts, self.threads)

    def _only_pass(
        self, group: Group, cuts: list[Cut], gradient: Array, *, add: bool
    ) -> dict[int, Totals]:
        """Return the totals and write the slopes, with divisors that the targets alone tell."""
        xp = self.xp
        out = group.view_of(gradient)

        divisors = self._divisors(group, cuts)
        rates = []
        for i, formula in zip(group.members, group.formulas, strict=True):
            rate = self._weight(i)
            if formula.reduction == "mean":
                rate = self._divide(rate, divisors[i][0][0, 0])
            rates.append(xp.astype(rate, self.dtype))

        def work(cut: Cut) -> list[Totals]:
            seen = group.pixels(cut)
            slope, found = None, []
            for i, rate, formula in zip(group.members, rates, group.formulas, strict=True):
                pixels = self._pixels(i, cut, seen)
                found.append((formula.summed(pixels),))
                each = formula.slope(pixels, (rate,))
                slope = each if slope is None else slope + each
            group.write(out, cut, slope, add=add)
            return found

        sums = self._add_up(group, cuts, threads.ordered_map(work, cuts, self.threads))
        return {i: (*sums[i], *divisors[i]) for i in sums}

    def _divisors(self, group: Group, cuts: list[Cut]) -> dict[int, Totals]:
        """Return the divisors of the means, which the targets alone tell.

        Blocks of one size have the same ones if it took no look at the target to find them.
        """
        known: dict[int, list[Totals]] = {}

        def divide_by(cut: Cut) -> list[Totals]:
            size = group.size(cut)
            if size in known:
                return known[size]
            seen = group.pixels(cut)
            if len(cuts) == 1:
                group.keep_only(seen)
            found: list[Totals] = [
                (formula.divisor(self._pixels(i, cut, seen)),)
                for i, formula in zip(group.members, group.formulas, strict=True)
            ]
            if not self.chosen and not any(pixels.looked_at for pixels in seen.values()):
                known[size] = found
            return found

        return self._add_up(group, cuts, threads.ordered_map(divide_by, cuts, self.threads))

    def _by_class(self, group: Group, cuts: list[Cut], scratch: Array | None) -> dict[int, Totals]:
        """Take the errors of each block, then all of each class, several classes side by side.

        What stays in `self.d_errors` is d loss / d errors, the first loss's in `scratch`.
        """
        for i in group.members:
            self.d_errors[i] = self._room_for_errors(group, scratch)

        def measure(cut: Cut) -> None:
            seen = group.pixels(cut)
            for i, formula in zip(group.members, group.formulas, strict=True):
                group.write(self.d_errors[i], cut, formula.errors(seen[formula.view]))

        threads.ordered_map(measure, cuts, self.threads)
        every = group.pixels(group.everything)
        return {
            i: self._each_class(group, formula, every[formula.view], self.d_errors[i])
            for i, formula in zip(group.members, group.formulas, strict=True)
        }

    def _room_for_errors(self, group: Group, scratch: Array | None) -> Array:
        if scratch is not None and scratch.dtype == self.dtype and not self.d_errors:
            return group.view_of(scratch)
        shape = group.batch.logits.shape
        return self.xp.empty(shape, dtype=self.dtype, device=self.device)

    def _each_class(self, group: Group, formula: Formula, pixels: Pixels, errors: Array) -> Totals:
        """Return loss and mass of each class; put d loss / d errors in place of the errors."""
        xp = self.xp
        rows = [slice(i, i + 1) for i in range(group.shape[0])]
        rows = rows if formula.per_image else [slice(None)]
        tasks = [(n, row, c) for n, row in enumerate(rows) for c in range(group.classes)]

        # Many classes side by side, each by one thread; of few classes all threads work on one:
        # what is kept of a class while it is sorted is large then. With weights it is sorted whole.
        whole = not (pixels.hard and pixels.counted.unit_weights)
        within = 1 if whole or len(tasks) >= 4 * self.threads else self.threads

        def each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
            return threads.ordered_map(function, items, within)

        def one(task: tuple[int, slice, int]) -> tuple[Array, Array]:
            _, row, c = task
            where = (row, c, *(slice(None) for _ in group.shape[1:]))
            shape = rows_of(errors[where])
            mine = xp.reshape(errors[where], shape)
            inside, outside = (xp.reshape(x, shape) for x in pixels.counts_of_class(c, row))
            loss, mass, slope = formula.one_class(xp, mine, inside, outside, each)
            errors[where] = xp.reshape(slope, errors[where].shape)
            return loss, mass

        shape = (len(rows), group.classes)
        totals = tuple(xp.zeros(shape, dtype=self.wide, device=self.device) for _ in range(2))
        found = threads.ordered_map(one, tasks, 1 if within > 1 else self.threads)
        for (n, _, c), parts in zip(tasks, found, strict=True):
            for total, part in zip(totals, parts, strict=True):
                total[n, c] = xp.astype(part[0, 0], self.wide)
        return totals

    # Totals and rates.

    def _add_up(
        self, group: Group, cuts: list[Cut], found: list[list[Totals]]
    ) -> dict[int, Totals]:
        """Return the totals of all blocks, added in the widest dtype; none for a map."""
        xp = self.xp
        result: dict[int, Totals] = {}
        for k, (i, formula) in enumerate(zip(group.members, group.formulas, strict=True)):
            if formula.mapped:
                continue
            if len(cuts) == 1:
                result[i] = tuple(xp.astype(one, self.wide) for one in found[0][k])
            elif formula.per_image:
                result[i] = self._of_images(group, cuts, [pieces[k] for pieces in found])
            else:
                every = (
                    xp.concat(many, axis=0)
                    for many in zip(*(pieces[k] for pieces in found), strict=True)
                )
                result[i] = tuple(
                    xp.sum(many, axis=0, keepdims=True, dtype=self.wide) for many in every
                )
        return result

    def _of_images(self, group: Group, cuts: list[Cut], found: list[Totals]) -> Totals:
        """Return the totals of each image, added up over its blocks."""
        xp, images = self.xp, group.shape[0]
        totals = tuple(
            xp.zeros((images, one.shape[1]), dtype=self.wide, device=self.device)
            for one in found[0]
        )
        for cut, pieces in zip(cuts, found, strict=True):
            for total, one in zip(totals, pieces, strict=True):
                total[cut[0], :] = total[cut[0], :] + xp.astype(one, self.wide)
        return totals

    def _rates(self, i: int, state: State, d: Array | None) -> Totals:
        """Return d loss / d totals of one loss; for a map, d loss / d map."""
        xp = self.xp
        weight, formula = self.terms[i]
        d = self._weight(i) if d is None else weight * xp.astype(d, self.wide)
        if formula.mapped:
            return (xp.astype(d, self.dtype),)
        rates = formula.rates(xp, state.totals[i], self._divide(d, state.divisors[i]))
        return tuple(self._narrowed(rate) for rate in rates)

    def _narrowed(self, rate: Array) -> Array:
        """Return a derivative in the compute dtype, the largest for one that this cannot hold.

        What it multiplies is as small: the probabilities of a class that no pixel may have.
        """
        xp = self.xp
        limit = 2.0**-16 * xp.finfo(self.dtype).max  # with room for what is computed from it
        if self.wide != self.dtype:
            large = xp.abs(rate) > limit
            if not self.look or xp.any(large):
                rate = xp.where(large & xp.isfinite(rate), limit * xp.sign(rate), rate)
        return xp.astype(rate, self.dtype)

    def _weight(self, i: int) -> Array:
        """Return the weight of a loss in the sum."""
        return self.xp.full((), self.terms[i][0], dtype=self.wide, device=self.device)

    def _divide(self, numerator: Array, divisor: Array | None) -> Array:
        """Return `divide` of both, at once where a look tells that the divisor is not 0."""
        if self.look and divisor is not None and divisor.shape == () and divisor != 0.0:
            return numerator / divisor
        return divide(self.xp, numerator, divisor)

    def _of_block(self, rate: Array, cut: Cut, formula: Formula, pixels: Pixels) -> Array:
        """Return the part of a rate that belongs to a block."""
        if formula.mapped:
            images, _, count = pixels.shape
            return self.xp.reshape(rate[cut], (images, 1, count))
        return rate[cut[0], :] if formula.per_image else rate
