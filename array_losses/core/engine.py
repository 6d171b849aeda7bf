"""The evaluation of a sum of losses, block by block: sums, the value, then the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from array_losses.core import plan as plans
from array_losses.core import threads
from array_losses.core.blocks import Cut, Group, grouped
from array_losses.core.derivative import Derivative
from array_losses.core.library import Library
from array_losses.core.low_precision import Conversion, conversion
from array_losses.core.namespace import (
    Array,
    Namespace,
    compute_dtype,
    device,
    times,
    wide_dtype,
)
from array_losses.core.pixels import Mode, Pixels
from array_losses.core.protocol import (
    Call,
    Sums,
    finish,
    is_map,
    prepare,
    weighted_sum,
)
from array_losses.core.side_by_side import side_by_side
from array_losses.core.sorted_pass import each_class

__all__ = ["Evaluation", "State"]


@dataclass(frozen=True)
class State:
    """What the backward pass needs of the forward pass, by place in the sum.

    Small arrays only; and a bool per pixel for a loss that mines hard pixels.
    """

    kept: dict[int, tuple[Any, ...]]
    divisors: dict[int, Array | float | None]
    chosen: dict[int, Array]


class Evaluation:
    """One evaluation of a weighted sum of losses on eager arrays.

    Parameters
    ----------
    can_inspect : bool
        Whether values can be inspected: arrays in the memory of the CPU.
    low_precision : Conversion, optional
        How logits of half precision are read and gradients written; by default as `astype` does.
    """

    def __init__(
        self,
        lib: Library,
        call: Call,
        *,
        can_inspect: bool,
        low_precision: Conversion | None = None,
    ) -> None:
        batches = prepare(lib, call)
        self.lib = lib
        self.xp: Namespace = lib.xp
        self.terms = terms = call.terms
        self.logits = logits = call.logits
        self.all_reduce = all_reduce = call.all_reduce
        self.dtype = compute_dtype(self.xp, logits.dtype)
        self.device = device(logits)
        # In what sums are added and the loss is computed from them. On a device in the dtype of the
        # pixels, which few blocks do not exhaust: each conversion would be an operation.
        self.wide = self.dtype
        if can_inspect:
            self.wide = wide_dtype(self.xp, self.dtype, self.device)
        self.can_inspect = can_inspect
        converted = low_precision or conversion(lib, logits.dtype, self.dtype)
        self.groups = grouped(lib, terms, batches, converted, Mode(can_inspect=can_inspect))
        plan = plans.current()
        most = lib.threads()
        self.threads = 1 if most == 1 else plan.threads or most
        itemsize = self.xp.finfo(self.dtype).bits // 8
        self.cuts = [group.cuts(plan, itemsize) for group in self.groups]
        # Whether all is done on the whole batch, where nothing need be computed or written twice.
        self.whole = not can_inspect and all(len(cuts) == 1 for cuts in self.cuts)
        if self.whole:
            for group in self.groups:
                group.keep_whole()
        self.maps = {i for i, (_, formula) in enumerate(terms) if is_map(formula)}
        # The losses whose classes are taken one by one, from all their pixels. Not where sums by
        # class and step are wanted: these are large, and made only to be exchanged.
        strategies = {"sorted"} if all_reduce else {"sorted", "histogram"}
        self.by_class = {i for i, (_, one) in enumerate(terms) if one.strategy in strategies}
        # d loss / d errors of each pixel and class, for those.
        self.by_error: dict[int, Array] = {}
        # Which pixels count, for losses that mine hard pixels.
        self.chosen: dict[int, Array] = {}
        self._summed = False
        self._each: list[Array] = []

    # What is asked for.

    def value(self) -> tuple[Array, State]:
        """Return the value, and what the gradient needs of it."""
        self._choose()
        value, state = self._finished(*self._sums(scratch=None))
        if not self.whole:
            self.by_error.clear()
        return value, state

    def gradient(self, state: State, d: Array | None = None) -> Array:
        """Return d loss / d logits times `d`, from the state that the value left.

        On the whole batch in the way of the value, for the same bits, if that was not asked for.
        """
        if self.whole and not self._summed:
            self._choose()
            self._sums(scratch=None)
        gradient = self._new_gradient()
        self.chosen = state.chosen
        for group, cuts in zip(self.groups, self.cuts, strict=True):
            members = [i for i in group.members if i in self.by_class and i not in self.by_error]
            if members:
                self._by_class(group, cuts, members, gradient)
        return self._gradient(gradient, state, d)

    def value_and_gradient(self) -> tuple[Array, Array]:
        """Return both, in one pass where the loss is a sum over pixels."""
        self._choose()
        gradient = self._new_gradient()
        if gradient is None or not self.in_one_pass:
            value, state = self._finished(*self._sums(scratch=gradient))
            return value, self._gradient(gradient, state, None)
        sums: dict[int, Sums] = {}
        for n, (group, cuts) in enumerate(zip(self.groups, self.cuts, strict=True)):
            sums |= self._only_pass(group, cuts, gradient, add=n > 0)
        return self._finished(sums, {})[0], gradient

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
        one_pass = all(formula.strategy == "pixel" for _, formula in self.terms)
        return self.all_reduce is None and one_pass

    def _new_gradient(self) -> Array | None:
        """Return room for the gradient, None where it is made as a whole."""
        return None if self.whole else self.lib.new_gradient(self.logits, self.threads)

    def _sums(self, scratch: Array | None) -> tuple[dict[int, Sums], dict[int, Array]]:
        """Return the sums and the maps of the losses."""
        self._summed = True
        sums: dict[int, Sums] = {}
        maps: dict[int, Array] = {}
        for group, cuts in zip(self.groups, self.cuts, strict=True):
            by_class = [i for i in group.members if i in self.by_class]
            others = [i for i in group.members if i not in self.by_class]
            if by_class:
                sums |= self._by_class(group, cuts, by_class, scratch)
            if others:
                room = None if by_class else scratch
                sums |= self._first_pass(group, cuts, others, maps, room)
        return sums, maps

    def _finished(self, sums: dict[int, Sums], maps: dict[int, Array]) -> tuple[Array, State]:
        """Return the value from the sums and the maps of the losses, and the state."""
        xp = self.xp
        order = sorted(sums)
        formulas = [self.terms[i][1] for i in order]
        found = finish(xp, formulas, [sums[i] for i in order], self.all_reduce)
        fractions = dict(zip(order, found, strict=True))
        divisors = {i: self._divisor(one.divisor) for i, one in fractions.items()}
        values = {i: _over(one.numerator, divisors[i]) for i, one in fractions.items()} | maps
        self._each = [values[i] for i in range(len(self.terms))]
        value = weighted_sum(self.terms, self._each)
        state = State({i: one.kept for i, one in fractions.items()}, divisors, self.chosen)
        return xp.astype(value, self.dtype, copy=False), state

    def _gradient(self, room: Array | None, state: State, d: Array | None) -> Array:
        """Return the gradient, in `room` if there is one."""
        gradient = room
        for n, (group, cuts) in enumerate(zip(self.groups, self.cuts, strict=True)):
            grad_sums = {i: self._grad_sums(i, state, d) for i in group.members}
            if room is not None:
                self._second_pass(group, cuts, room, grad_sums, add=n > 0)
            else:
                mine = group.as_gradient(self._of_pixels(group, group.everything, grad_sums))
                gradient = mine if n == 0 else gradient + mine
        self.by_error.clear()
        return gradient

    # Passes over the blocks of a group.

    def _choose(self) -> None:
        """Find the pixels that count, for the losses that compare all of them."""
        xp = self.xp
        for group, cuts in zip(self.groups, self.cuts, strict=True):
            places = [i for i in group.members if self.terms[i][1].mines]
            if not places:
                continue
            every = {i: xp.empty(group.shape, dtype=self.dtype, device=self.device) for i in places}

            def measure(cut: Cut, group: Group = group, every: dict[int, Array] = every) -> None:
                seen = group.pixels(cut)
                for i, hardness in every.items():
                    piece = self.terms[i][1].hardness(seen[group.view_of[i]])
                    hardness[cut] = xp.reshape(piece, hardness[cut].shape)

            threads.ordered_map(measure, cuts, self.threads)
            for i, hardness in every.items():
                chosen = self.terms[i][1].hardest(self.lib, xp.reshape(hardness, (1, 1, -1)))
                self.chosen[i] = xp.reshape(chosen, group.shape)

    def _pixels(self, group: Group, i: int, cut: Cut, seen: list[Pixels]) -> Pixels:
        """Return a block as the loss at a place of the sum sees it."""
        pixels = seen[group.view_of[i]]
        if i not in self.chosen:
            return pixels
        images, _, count = pixels.shape
        return pixels.only(self.xp.reshape(self.chosen[i][cut], (images, 1, count)))

    def _first_pass(
        self,
        group: Group,
        cuts: list[Cut],
        members: list[int],
        maps: dict[int, Array],
        scratch: Array | None,
    ) -> dict[int, Sums]:
        """Return the sums; fill the maps of the losses that have a value per pixel.

        What the second pass can have in place of the logits is kept in `scratch`.
        """
        room = None
        if scratch is not None and scratch.dtype == self.dtype and len(self.groups) == 1:
            room = group.classes_second(scratch)
        for i in members:
            if i in self.maps:
                maps[i] = self.xp.empty(group.shape, dtype=self.dtype, device=self.device)

        def work(cut: Cut) -> list[Sums]:
            seen = group.pixels(cut)
            found = []
            for i in members:
                formula, pixels = self.terms[i][1], self._pixels(group, i, cut, seen)
                if i in maps:
                    piece = formula.pixel_losses(pixels)
                    maps[i][cut] = self.xp.reshape(piece, maps[i][cut].shape)
                    found.append(())
                else:
                    found.append(formula.sums_of(pixels))
            if len(cuts) == 1 and cut == group.everything:
                group.keep_only(seen)
            elif room is not None:
                group.keep(cut, seen, room)
            return found

        found = threads.ordered_map(work, cuts, self.threads)
        return self._add_up(group, cuts, members, found)

    def _second_pass(
        self,
        group: Group,
        cuts: list[Cut],
        gradient: Array,
        grad_sums: dict[int, Sums],
        *,
        add: bool,
    ) -> None:
        """Write, or add, the gradient of each block."""
        out = group.classes_second(gradient)

        def work(cut: Cut) -> None:
            group.write(out, cut, self._of_pixels(group, cut, grad_sums), add=add)

        threads.ordered_map(work, cuts, self.threads)

    def _of_pixels(self, group: Group, cut: Cut, grad_sums: dict[int, Sums]) -> Array:
        """Return the gradient of a block: the derivatives of all losses, added."""
        seen = group.last_pixels(cut)
        derivatives: list[Derivative | None] = [None] * len(seen)
        for i in group.members:
            formula, pixels = self.terms[i][1], self._pixels(group, i, cut, seen)
            mine = tuple(self._of_block(i, one, cut, pixels) for one in grad_sums[i])
            if i in self.by_error:
                by_error = self.by_error[i] if self.whole else group.read(self.by_error[i], cut)
                by_error = self.lib.times(by_error, mine[0][:, :, None])
                derivative = formula.error_derivative(pixels, by_error)
            else:
                derivative = formula.derivative(pixels, mine)
            _add(derivatives, group.view_of[i], derivative)
        return _backward(seen, derivatives)

    def _only_pass(
        self, group: Group, cuts: list[Cut], gradient: Array, *, add: bool
    ) -> dict[int, Sums]:
        """Return the sums and write the gradient, with divisors that the targets alone tell."""
        xp = self.xp
        out = group.classes_second(gradient)
        divisors = self._divisors(group, cuts)
        grad_sums = {}
        for i in group.members:
            divisor = None
            if self.terms[i][1].reduction == "mean":
                divisor = self._divisor(divisors[i][0])
            grad_sums[i] = xp.astype(self._rate(i, None, divisor), self.dtype, copy=False)

        def work(cut: Cut) -> list[Sums]:
            seen = group.pixels(cut)
            derivatives: list[Derivative | None] = [None] * len(seen)
            found = []
            for i in group.members:
                formula, pixels = self.terms[i][1], self._pixels(group, i, cut, seen)
                found.append((xp.sum(formula.pixel_losses(pixels))[None, None],))
                derivative = formula.derivative(pixels, (grad_sums[i],))
                _add(derivatives, group.view_of[i], derivative)
            group.write(out, cut, _backward(seen, derivatives), add=add)
            return found

        found = threads.ordered_map(work, cuts, self.threads)
        sums = self._add_up(group, cuts, group.members, found)
        return {i: (*sums[i], *divisors[i]) for i in sums}

    def _divisors(self, group: Group, cuts: list[Cut]) -> dict[int, Sums]:
        """Return the divisors of the means, which the targets alone tell.

        Blocks of one size have the same ones if the target was not read to find them.
        """
        known: dict[int, list[Sums]] = {}

        def divide_by(cut: Cut) -> list[Sums]:
            size = group.size(cut)
            if size in known:
                return known[size]
            seen = group.pixels(cut)
            if len(cuts) == 1:
                group.keep_only(seen)
            found: list[Sums] = [
                (self.terms[i][1].divisor(self._pixels(group, i, cut, seen)),)
                for i in group.members
            ]
            if not self.chosen and not any(pixels.was_read for pixels in seen):
                known[size] = found
            return found

        found = threads.ordered_map(divide_by, cuts, self.threads)
        return self._add_up(group, cuts, group.members, found)

    def _by_class(
        self, group: Group, cuts: list[Cut], members: list[int], scratch: Array | None
    ) -> dict[int, Sums]:
        """Return loss and support of each class; keep d loss / d errors."""
        if not self.whole:
            self._measure(group, cuts, members, scratch)
        every = group.pixels(group.everything)
        sums: dict[int, Sums] = {}
        for i in members:
            formula, pixels = self.terms[i][1], every[group.view_of[i]]
            errors = formula.errors(pixels) if self.whole else self.by_error[i]
            if self.can_inspect and self.lib.works_in_pieces:
                sums[i] = each_class(
                    self.lib, formula, pixels, errors, wide=self.wide, workers=self.threads
                )
            else:
                room = None if self.whole else errors
                sums[i], self.by_error[i] = side_by_side(
                    self.lib, formula, pixels, errors, wide=self.wide, room=room
                )
        return sums

    def _measure(
        self, group: Group, cuts: list[Cut], members: list[int], scratch: Array | None
    ) -> None:
        """Put the errors where d loss / d errors will be, those of one loss in `scratch`."""
        for i in members:
            self.by_error[i] = self._room_for_errors(group, scratch)

        def measure(cut: Cut) -> None:
            seen = group.pixels(cut)
            for i in members:
                errors = self.terms[i][1].errors(seen[group.view_of[i]])
                group.write(self.by_error[i], cut, errors)

        threads.ordered_map(measure, cuts, self.threads)

    def _room_for_errors(self, group: Group, scratch: Array | None) -> Array:
        if scratch is not None and scratch.dtype == self.dtype and not self.by_error:
            return group.classes_second(scratch)
        shape = group.batch.logits.shape
        return self.xp.empty(shape, dtype=self.dtype, device=self.device)

    # Sums, and the derivatives by them.

    def _add_up(
        self, group: Group, cuts: list[Cut], members: list[int], found: list[list[Sums]]
    ) -> dict[int, Sums]:
        """Return the sums of all blocks, added in the widest dtype; none for a map."""
        result: dict[int, Sums] = {}
        for k, i in enumerate(members):
            if i in self.maps:
                continue
            if len(cuts) == 1:
                result[i] = tuple(self._widened(one) for one in found[0][k])
            elif self.terms[i][1].per_image:
                result[i] = self._of_images(group, cuts, [pieces[k] for pieces in found])
            else:
                every = zip(*(pieces[k] for pieces in found), strict=True)
                result[i] = tuple(self._total(many) for many in every)
        return result

    def _widened(self, x: Array | float) -> Array | float:
        if not isinstance(x, float):
            return self.xp.astype(x, self.wide, copy=False)
        # What is exchanged is an array.
        return x if self.all_reduce is None else self._number(x)[None, None]

    def _total(self, parts: tuple[Array | float, ...]) -> Array | float:
        """Return the sum of the blocks' parts: sizes tell that of a block where all counts."""
        if all(isinstance(part, float) for part in parts):
            return self._widened(sum(parts))
        xp = self.xp
        arrays = [self._number(x)[None, None] if isinstance(x, float) else x for x in parts]
        return xp.sum(xp.concat(arrays, axis=0), axis=0, keepdims=True, dtype=self.wide)

    def _number(self, x: float) -> Array:
        return self.xp.full((), x, dtype=self.wide, device=self.device)

    def _of_images(self, group: Group, cuts: list[Cut], found: list[Sums]) -> Sums:
        """Return the sums of each image, added up over its blocks."""
        xp, images = self.xp, group.shape[0]
        sums = tuple(
            xp.zeros((images, one.shape[1]), dtype=self.wide, device=self.device)
            for one in found[0]
        )
        for cut, pieces in zip(cuts, found, strict=True):
            for total, one in zip(sums, pieces, strict=True):
                total[cut[0], :] = total[cut[0], :] + xp.astype(one, self.wide)
        return sums

    def _grad_sums(self, i: int, state: State, d: Array | None) -> Sums:
        """Return d loss / d sums of one loss; for a map, d loss / d map."""
        formula = self.terms[i][1]
        rate = self._rate(i, d, None if i in self.maps else state.divisors[i])
        if i in self.maps:
            return (self.xp.astype(rate, self.dtype, copy=False),)
        grad_sums = formula.grad_sums(self.xp, state.kept[i], rate)
        return tuple(self._narrowed(one) for one in grad_sums)

    def _rate(self, i: int, d: Array | None, divisor: Array | float | None) -> Array:
        """Return the weight of a loss in the sum, times `d`, over the divisor of its mean."""
        rate = self.terms[i][0]
        if isinstance(divisor, float):
            rate, divisor = rate / divisor, None
        rate = self._number(rate) if d is None else times(rate, self._widened(d))
        return rate if divisor is None else rate / divisor

    def _narrowed(self, x: Array) -> Array:
        """Return a derivative in the compute dtype, the largest for one that this cannot hold.

        What it multiplies is as small: the probabilities of a class that no pixel may have.
        """
        xp = self.xp
        if self.wide != self.dtype:
            limit = 2.0**-16 * xp.finfo(self.dtype).max  # with room for what is computed from it
            large = xp.abs(x) > limit
            if xp.any(large):
                x = xp.where(large & xp.isfinite(x), limit * xp.sign(x), x)
        return xp.astype(x, self.dtype, copy=False)

    def _divisor(self, x: Array | float | None) -> Array | float | None:
        """Return a divisor such that a quotient is 0 where it is 0: nothing is counted there.

        But NaN where the numerator is NaN, which must not be hidden.
        """
        if x is None:
            return None
        if isinstance(x, float):  # maybe NumPy's
            return x or float("inf")
        x = self.xp.reshape(x, ())
        if self.can_inspect and x != 0.0:
            return x
        return self.xp.where(x == 0.0, float("inf"), x)

    def _of_block(self, i: int, x: Array, cut: Cut, pixels: Pixels) -> Array:
        """Return the part of d loss / d sums, or d loss / d map, that belongs to a block."""
        if i in self.maps:
            images, _, count = pixels.shape
            return self.xp.reshape(x[cut], (images, 1, count))
        return x[cut[0], :] if self.terms[i][1].per_image else x


def _over(numerator: Array, divisor: Array | float | None) -> Array:
    return numerator if divisor is None else numerator / divisor


def _add(derivatives: list[Derivative | None], view: int, more: Derivative) -> None:
    before = derivatives[view]
    derivatives[view] = more if before is None else before + more


def _backward(seen: list[Pixels], derivatives: list[Derivative | None]) -> Array:
    """Return d loss / d logits of a block, each activation gone through once."""
    total = None
    for pixels, derivative in zip(seen, derivatives, strict=True):
        if derivative is not None:
            each = pixels.backward(derivative)
            total = each if total is None else total + each
    return total
