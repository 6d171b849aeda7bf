"""What every loss is: a frozen set of options that can be called, added and differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeAlias, cast

from array_losses import frameworks
from array_losses.core import foreign_names, options
from array_losses.core.block import View
from array_losses.core.derivative import Derivative
from array_losses.core.namespace import Array, ArrayT, Namespace, is_array_api_obj
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Call, Fraction, Strategy, Sums, Terms
from array_losses.losses.loss_object import LossObject

__all__ = ["Activation", "Criterion", "Loss", "PerClass", "Reduction", "WeightedSum"]

Activation: TypeAlias = Literal["softmax", "sigmoid"] | None
Reduction: TypeAlias = Literal["mean", "sum", "none"]
PerClass: TypeAlias = float | Sequence[float]


class Criterion(LossObject):
    """What can be called as a loss: one loss, or a weighted sum of several."""

    # NumPy leaves `array * loss` to `__rmul__`; it would make an array of losses.
    __array_ufunc__ = None

    if not TYPE_CHECKING:  # The dataclass's `__init__` has the signature.

        def __new__(cls, *arrays: Any, **given: Any) -> Self:
            """Answer an option that the class lacks, and arrays, which are for the call."""
            if arrays:
                msg = (
                    f"`{cls.__name__}` takes options by name, got {len(arrays)} positional; arrays "
                    f"are for the call: `{cls.__name__}()(logits, target)`."
                )
                raise TypeError(msg)
            known = cls.__dataclass_fields__
            for name in given:
                if name not in known and name not in signature(cls.__init__).parameters:
                    raise TypeError(foreign_names.answer(name, cls.__name__, known))
            return super().__new__(cls)

    def terms(self) -> Terms:
        """Return the losses in it with their weights."""
        raise NotImplementedError

    @foreign_names.with_answers("a loss's call")
    def __call__(
        self,
        logits: ArrayT,
        target: Any,
        /,
        *,
        pixel_weights: Any = None,
        all_reduce: Callable[[Any], Any] | None = None,
    ) -> ArrayT:
        """Return the loss.

        Parameters
        ----------
        logits : array, real floating
            Classes along `class_axis`, images along the first of the other axes.
        target : array
            Integer or bool labels of the logits' shape without the class axis; or, of the logits'
            shape, an integer or bool one- or multi-hot target or floating probabilities.
        pixel_weights : array, optional
            Floating weights or a bool mask, of the logits' shape without the class axis.
        all_reduce : callable, optional
            Sums a 1-D array over devices.

        Returns
        -------
        array
            Of the same library and device; float32 for half-precision logits, else their dtype.

        Raises
        ------
        TypeError
            If an argument is not an array, of another library or of a wrong kind of dtype.
        ValueError
            If shapes, devices or options do not fit, a label lies outside the classes, or a soft
            target or given probability far from [0, 1] (arrays in CPU memory; on a GPU, and where
            arrays are traced, the loss is NaN then).
        """
        call = Call(self.terms(), logits, target, pixel_weights, all_reduce)
        return frameworks.value(call)

    @foreign_names.with_answers("`value_and_grad`")
    def value_and_grad(
        self,
        logits: ArrayT,
        target: Any,
        /,
        *,
        pixel_weights: Any = None,
        all_reduce: Callable[[Any], Any] | None = None,
    ) -> tuple[ArrayT, ArrayT]:
        """Return the loss and its gradient with respect to the logits, on any framework.

        Parameters
        ----------
        logits, target : array
            As for a call.
        pixel_weights, all_reduce : optional
            As for a call.

        Returns
        -------
        value : array, 0-D
        grad : array
            Of the shape and dtype of the logits; outside any autograd graph.

        Raises
        ------
        TypeError, ValueError
            As for a call, and if `reduction` is "none".
        """
        terms = self.terms()
        if any(formula.reduction == "none" for _, formula in terms):
            msg = '`reduction` must be "mean" or "sum" for a gradient, got "none".'
            raise ValueError(msg)
        return frameworks.value_and_grad(Call(terms, logits, target, pixel_weights, all_reduce))

    @foreign_names.with_answers("`value_and_terms`")
    def value_and_terms(
        self,
        logits: ArrayT,
        target: Any,
        /,
        *,
        pixel_weights: Any = None,
        all_reduce: Callable[[Any], Any] | None = None,
    ) -> tuple[ArrayT, tuple[ArrayT, ...]]:
        """Return the loss and the values of the losses in it, for a log, from one evaluation.

        Parameters
        ----------
        logits, target : array
            As for a call.
        pixel_weights, all_reduce : optional
            As for a call.

        Returns
        -------
        value : array
            As from a call, and differentiable as that.
        terms : tuple of arrays
            The value of each of `losses`, before it is multiplied by its weight; for a loss that is
            no sum, its value. No gradient flows through them. NaN for a loss of weight 0, which is
            not evaluated.

        Raises
        ------
        TypeError, ValueError
            As for a call.

        Examples
        --------
        >>> import numpy as np
        >>> import array_losses as al
        >>> criterion = al.CrossEntropyLoss() + 0.5 * al.DiceLoss()
        >>> logits, target = np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
        >>> value, terms = criterion.value_and_terms(logits, target)
        >>> for loss, term in zip(criterion.losses, terms, strict=True):
        ...     print(type(loss).__name__, round(float(term), 4))
        CrossEntropyLoss 0.6931
        DiceLoss 0.5333
        """
        call = Call(self.terms(), logits, target, pixel_weights, all_reduce)
        value, found = frameworks.value_and_terms(call)
        return value, self._every_term(found)

    def _every_term(self, found: tuple[ArrayT, ...]) -> tuple[ArrayT, ...]:
        """Return the values of all losses, given those of the terms that were evaluated."""
        return (_own_value(self, iter(found)),)

    def __mul__(self, weight: object) -> WeightedSum:
        """Return the loss times a number."""
        if not (isinstance(weight, Real) or is_array_api_obj(weight)):
            return NotImplemented
        return WeightedSum(losses=(self,), weights=(options.number("weights", weight),))

    __rmul__ = __mul__

    def __truediv__(self, divisor: object) -> WeightedSum:
        """Return the loss divided by a number."""
        if not (isinstance(divisor, Real) or is_array_api_obj(divisor)):
            return NotImplemented
        return WeightedSum(losses=(self,), weights=(1.0 / options.number("divisor", divisor),))

    def __neg__(self) -> WeightedSum:
        """Return the loss times -1."""
        return WeightedSum(losses=(self,), weights=(-1.0,))

    def __sub__(self, other: Criterion) -> WeightedSum:
        """Return the difference of two losses."""
        if not isinstance(other, Criterion):
            return NotImplemented
        return WeightedSum(losses=(self, other), weights=(1.0, -1.0))

    def __add__(self, other: Criterion) -> WeightedSum:
        """Return the sum of two losses."""
        if not isinstance(other, Criterion):
            return NotImplemented
        return WeightedSum(losses=(self, other), weights=(1.0, 1.0))

    def __radd__(self, other: object) -> Criterion:
        """Return the loss itself: `sum` starts at 0."""
        if isinstance(other, int) and other == 0:
            return self
        return NotImplemented


@dataclass(frozen=True, kw_only=True)
class Loss(Criterion):
    """A loss by its options; one file in `losses` holds the formulas of a family."""

    class_axis: int = 1
    ignore_index: int | Sequence[int] | None = None
    class_weights: Sequence[float] | None = None
    include_background: bool = True
    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        """Check the options."""
        self._set(class_axis=options.integer("class_axis", self.class_axis))
        self._set(ignore_index=options.index(self.ignore_index))
        self._set(class_weights=options.class_weights(self.class_weights))
        options.true_or_false("include_background", self.include_background)
        options.choice("reduction", self.reduction, ("mean", "sum", "none"))
        activation = getattr(self, "activation", None)
        options.choice("activation", activation, ("softmax", "sigmoid", None))

    def _set(self, **checked: Any) -> None:
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def terms(self) -> Terms:
        """Return this loss alone, with weight 1."""
        return ((1.0, self),)  # type: ignore[return-value]

    # What the core asks of every loss (`core.protocol` has the whole of it).

    @property
    def strategy(self) -> Strategy:
        """How value and derivative are found.

        "pixel": one pass, a sum over pixels whose divisor does not depend on the logits. "sums":
        two passes, with sums over pixels in between. "sorted", "histogram": each class from all its
        pixels.
        """
        return "sums"

    @property
    def per_image(self) -> bool:
        """Whether there are sums of each image: (images, n) in place of (1, n)."""
        return False

    @property
    def mines(self) -> bool:
        """Whether only the hardest pixels count, chosen by comparing those of the whole batch."""
        return False

    def sums_of(self, pixels: Pixels) -> Sums:
        """Return what must be summed over pixels; the sums of two blocks add up to those of both.

        Not so for "sorted", which must see the whole batch.
        """
        _raise_missing(self, "sums_of")

    def value_of(self, xp: Namespace, sums: Sums) -> tuple[Array, Array | float | None]:
        """Return the loss as a numerator and a divisor (None for 1) constant in the logits."""
        _raise_missing(self, "value_of")

    def fraction(self, xp: Namespace, sums: Sums, *, autodiff: bool) -> Fraction:
        """Return the same, and what `grad_sums` needs: here the sums.

        With `autodiff` the framework will differentiate it, and nothing is kept for `grad_sums`.
        """
        return Fraction(*self.value_of(xp, sums), sums)

    def grad_sums(self, xp: Namespace, kept: tuple[Any, ...], d: Array) -> Sums:
        """Return d loss / d sums, given what `fraction` kept and `d` = d loss / d numerator."""
        _raise_missing(self, "grad_sums")

    def derivative(self, pixels: Pixels, grad_sums: Sums) -> Derivative:
        """Return d loss / d what it reads of a block, given d loss / d sums."""
        _raise_missing(self, "derivative")

    @property
    def view(self) -> View:
        """How it sees pixels: losses with one view share their probabilities."""
        ignore = self.ignore_index
        values = () if ignore is None else (ignore,) if isinstance(ignore, int) else tuple(ignore)
        return View(getattr(self, "activation", "sigmoid"), values)

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise a ValueError if the options do not fit the number of classes or the target."""
        if num_classes == 1 and self.view.activation == "softmax":
            msg = (
                '`activation` must not be "softmax" with one class, whose probability would always '
                'be 1; use activation="sigmoid".'
            )
            raise ValueError(msg)
        if num_classes == 1 and not self.include_background:
            msg = "`include_background` must be True with one class: nothing would be left."
            raise ValueError(msg)
        if soft and self.ignore_index is not None:
            by_class = (
                "; to leave out one class at a pixel, give a multi-hot target of an integer dtype "
                "that holds `ignore_index` there"
            )
            msg = (
                f"`ignore_index` must be None for a floating target, got {self.ignore_index}; use "
                "`pixel_weights`, which leave out whole pixels"
                f"{by_class if self.view.bounded and num_classes > 1 else ''}."
            )
            raise ValueError(msg)
        for name in ("class_weights", *self.per_class_options()):
            value = getattr(self, name)
            if value is not None:
                options.for_classes(name, value, num_classes)

    def per_class_options(self) -> tuple[str, ...]:
        """Return the names of further options that may hold one number per class."""
        return ()

    def class_factors(self, num_classes: int) -> tuple[float, ...] | float:
        """Return the class weights, 0 for a background left out; 1.0 if all count alike."""
        if self.class_weights is None and self.include_background:
            return 1.0
        weights = options.for_classes("class_weights", self.class_weights or 1.0, num_classes)
        return weights if self.include_background else (0.0, *weights[1:])


@dataclass(frozen=True, kw_only=True)
class WeightedSum(Criterion):
    """A weighted sum of losses, made by ``a * loss + other / b``; itself a loss.

    The losses may differ in every option. Those with the same `activation`,
    `ignore_index` and `class_axis` share the probabilities of each block. A loss of weight 0 is not
    evaluated; if all weights are 0, so are value and gradient, whatever the logits hold.

    Parameters
    ----------
    losses : sequence of losses
    weights : sequence of finite numbers, one per loss

    Raises
    ------
    TypeError, ValueError
        If a loss is none, a weight is no finite number, `reduction` is "none" in some only, or
        only some take a map of distances as their target, as `BoundaryLoss` does.

    Examples
    --------
    >>> import array_losses as al
    >>> criterion = al.CrossEntropyLoss() + 0.5 * al.DiceLoss()
    >>> criterion.weights
    (1.0, 0.5)
    >>> (criterion / 2).weights
    (0.5, 0.25)
    """

    losses: tuple[Criterion, ...]
    weights: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Flatten sums in the sum, and check."""
        if len(self.losses) != len(self.weights) or not self.losses:
            msg = (
                f"`weights` must hold one number per loss ({len(self.losses)}), got {self.weights}."
            )
            raise ValueError(msg)
        flat: list[tuple[float, Criterion]] = []
        for weight, loss in zip(self.weights, self.losses, strict=True):
            factor = options.number("weights", weight)
            if isinstance(loss, WeightedSum):
                inner = zip(loss.weights, loss.losses, strict=True)
                flat += [(options.number("weights", factor * own), one) for own, one in inner]
            elif isinstance(loss, Loss):
                flat.append((factor, loss))
            else:
                msg = f"`losses` must hold losses, got {loss!r}."
                raise TypeError(msg)
        object.__setattr__(self, "losses", tuple(loss for _, loss in flat))
        object.__setattr__(self, "weights", tuple(weight for weight, _ in flat))
        formulas = [formula for loss in self.losses for _, formula in loss.terms()]
        if len({formula.view.bounded for formula in formulas}) > 1:
            msg = (
                "`losses` of a sum share one target, but some take labels or probabilities and "
                "some a map of distances; call them one by one, each with its own target, and add "
                "the values, and the gradients of `value_and_grad`."
            )
            raise ValueError(msg)
        if any(formula.reduction == "none" for formula in formulas):
            kinds = {(one.reduction, one.strategy == "pixel", one.per_image) for one in formulas}
            if len(kinds) > 1:
                msg = (
                    '`reduction` must be "none" in all losses of a sum or in none, and then all '
                    "must give a value per pixel, or per class, or per image and class."
                )
                raise ValueError(msg)

    def _every_term(self, found: tuple[ArrayT, ...]) -> tuple[ArrayT, ...]:
        nan, evaluated = cast("Any", found[0]) * float("nan"), iter(found)
        pairs = zip(self.weights, self.losses, strict=True)
        return tuple(
            _own_value(loss, evaluated) if weight != 0.0 else nan for weight, loss in pairs
        )

    def terms(self) -> Terms:
        """Return the losses with their weights, those of weight 0 left out; one at least."""
        pairs = [
            (weight * own, formula)
            for weight, loss in zip(self.weights, self.losses, strict=True)
            for own, formula in loss.terms()
        ]
        return tuple(pair for pair in pairs if pair[0] != 0.0) or tuple(pairs[:1])


def _raise_missing(loss: Loss, name: str) -> NoReturn:
    msg = f"`{type(loss).__name__}` has no method `{name}`."
    raise NotImplementedError(msg)


def _own_value(loss: Criterion, evaluated: Iterator[Any]) -> Any:
    """Return the value of a loss by its terms, the next of the evaluated ones."""
    pairs = [(weight, next(evaluated)) for weight, _ in loss.terms() if weight != 0.0]
    weight, value = pairs[0]
    value = value if weight == 1.0 else weight * value
    for weight, more in pairs[1:]:
        value = value + weight * more
    return value
