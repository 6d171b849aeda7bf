"""A function for every loss: `dice_loss(logits, target, smooth=1.0)` calls `DiceLoss(smooth=1.0)`.

Options, defaults and formulas stand in the class alone; `function_of` makes the function from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, Signature, cleandoc, signature
from typing import Any, ParamSpec, Protocol, get_type_hints

from array_losses.core.foreign_names import with_answers
from array_losses.core.namespace import ArrayT
from array_losses.losses.base import Loss
from array_losses.losses.boundary import BoundaryLoss
from array_losses.losses.correlation import MCCLoss
from array_losses.losses.cross_entropy import CrossEntropyLoss, PolyLoss
from array_losses.losses.focal import FocalLoss
from array_losses.losses.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss
from array_losses.losses.overlap import DiceLoss, GeneralizedDiceLoss, JaccardLoss, TverskyLoss
from array_losses.losses.unified_focal import UnifiedFocalLoss

__all__ = [
    "boundary_loss",
    "cross_entropy_loss",
    "dice_loss",
    "focal_loss",
    "generalized_dice_loss",
    "jaccard_loss",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "mcc_loss",
    "poly_loss",
    "tversky_loss",
    "unified_focal_loss",
]

P = ParamSpec("P")


class LossFunction(Protocol[P]):
    """A loss as a function of its arrays and, by their names, of its options P."""

    def __call__(
        self, logits: ArrayT, target: Any, /, *no_more: P.args, **options: P.kwargs
    ) -> ArrayT:
        """Return the loss."""


@dataclass(frozen=True, kw_only=True)
class _PixelWeights:
    """The keyword of a function that is not an option of its class."""

    pixel_weights: Any = None


def function_of(
    loss: type[Loss], keywords: Callable[P, Loss]
) -> Callable[[Callable[[], None]], LossFunction[P]]:
    """Return a decorator that makes the function of a loss from a name and a docstring.

    Parameters
    ----------
    loss : class
        What is called.
    keywords : class
        The same with the field `pixel_weights`. Its constructor has the function's keywords, where
        `inspect` and type checkers read them; no object of it is made.
    """
    arrays = [
        Parameter("logits", Parameter.POSITIONAL_ONLY, annotation="ArrayT"),
        Parameter("target", Parameter.POSITIONAL_ONLY, annotation="Any"),
    ]
    hints = {"logits": ArrayT, "target": Any, **get_type_hints(keywords), "return": ArrayT}

    def decorate(named: Callable[[], None]) -> LossFunction[P]:
        def call(logits: Any, target: Any, /, *, pixel_weights: Any = None, **options: Any) -> Any:
            return loss(**options)(logits, target, pixel_weights=pixel_weights)

        function: Any = call
        function.__name__ = function.__qualname__ = named.__name__
        function.__doc__ = _docstring(named, loss)
        function.__annotations__ = hints
        function.__signature__ = Signature(
            [*arrays, *signature(keywords).parameters.values()], return_annotation="ArrayT"
        )
        return with_answers(named.__name__)(function)

    return decorate


def _docstring(named: Callable[[], None], loss: type[Loss]) -> str:
    """Return the docstring of a class with the arrays of a call, and the function's own example."""
    mine, call, its = map(_sections, (named.__doc__, loss.__call__.__doc__, loss.__doc__))
    arrays, _, _ = call.get("Parameters", "").partition("\nall_reduce :")
    return "\n\n".join(
        [
            mine[""],
            its[""],
            _section("Parameters", arrays, its),
            _section("Returns", call.get("Returns", ""), {}),
            _section("Raises", call.get("Raises", ""), its),
            _section("See Also", f"{loss.__name__} : as an object, for gradients and sums.", its),
            *(_section(title, "", its) for title in ("Notes", "References") if title in its),
            _section("Examples", "", mine),
        ]
    )


def _sections(text: str | None) -> dict[str, str]:
    """Return the sections of a docstring by their titles; what stands above them by ""."""
    above, *rest = re.split(r"(?m)^([A-Z][A-Za-z ]+)\n-+\n", cleandoc(text or ""))
    pairs = [("", above), *zip(rest[::2], rest[1::2], strict=True)]
    return {title: body.strip("\n") for title, body in pairs}


def _section(title: str, first: str, more: dict[str, str]) -> str:
    """Return a section: a first text, and what `more` has by this title."""
    text = "\n".join(filter(None, (first, more.get(title))))
    return f"{title}\n{'-' * len(title)}\n{text}"


@dataclass(frozen=True, kw_only=True)
class _CrossEntropy(CrossEntropyLoss, _PixelWeights): ...


@function_of(CrossEntropyLoss, _CrossEntropy)
def cross_entropy_loss() -> None:
    """Return the cross entropy of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 3)), np.asarray([[0, 1, 255]])
    >>> round(float(al.cross_entropy_loss(logits, target, ignore_index=255)), 6)
    0.693147
    """


@dataclass(frozen=True, kw_only=True)
class _Poly(PolyLoss, _PixelWeights): ...


@function_of(PolyLoss, _Poly)
def poly_loss() -> None:
    """Return the Poly-1 loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 3)), np.asarray([[0, 1, 1]])
    >>> round(float(al.poly_loss(logits, target, epsilon=2.0)), 6)  # log(2) + 2 / 2
    1.693147
    """


@dataclass(frozen=True, kw_only=True)
class _Focal(FocalLoss, _PixelWeights): ...


@function_of(FocalLoss, _Focal)
def focal_loss() -> None:
    """Return the focal loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 3)), np.asarray([[0, 1, 1]])
    >>> round(float(al.focal_loss(logits, target, gamma=2.0)), 6)  # log(2) / 4
    0.173287
    """


@dataclass(frozen=True, kw_only=True)
class _UnifiedFocal(UnifiedFocalLoss, _PixelWeights): ...


@function_of(UnifiedFocalLoss, _UnifiedFocal)
def unified_focal_loss() -> None:
    """Return the unified focal loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
    >>> round(float(al.unified_focal_loss(logits, target, gamma=0.2)), 6)
    0.423831
    """


@dataclass(frozen=True, kw_only=True)
class _Dice(DiceLoss, _PixelWeights): ...


@function_of(DiceLoss, _Dice)
def dice_loss() -> None:
    """Return the Dice loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p, target = np.asarray([[[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]]), np.asarray([[0, 0, 1]])
    >>> round(float(al.dice_loss(p, target, activation=None)), 6)  # (1 / 7 + 1 / 5) / 2
    0.171429
    """


@dataclass(frozen=True, kw_only=True)
class _Jaccard(JaccardLoss, _PixelWeights): ...


@function_of(JaccardLoss, _Jaccard)
def jaccard_loss() -> None:
    """Return the Jaccard loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p, target = np.asarray([[[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]]), np.asarray([[0, 0, 1]])
    >>> round(float(al.jaccard_loss(p, target, activation=None)), 6)  # (1 / 4 + 1 / 3) / 2
    0.291667
    """


@dataclass(frozen=True, kw_only=True)
class _Tversky(TverskyLoss, _PixelWeights): ...


@function_of(TverskyLoss, _Tversky)
def tversky_loss() -> None:
    """Return the Tversky loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
    >>> round(float(al.tversky_loss(logits, target, fp_weight=0.3, fn_weight=0.7)), 6)
    0.529915
    """


@dataclass(frozen=True, kw_only=True)
class _GeneralizedDice(GeneralizedDiceLoss, _PixelWeights): ...


@function_of(GeneralizedDiceLoss, _GeneralizedDice)
def generalized_dice_loss() -> None:
    """Return the generalised Dice loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p, target = np.asarray([[[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]]), np.asarray([[0, 0, 1]])
    >>> round(float(al.generalized_dice_loss(p, target, activation=None)), 6)
    0.185185
    """


@dataclass(frozen=True, kw_only=True)
class _MCC(MCCLoss, _PixelWeights): ...


@function_of(MCCLoss, _MCC)
def mcc_loss() -> None:
    """Return the Matthews correlation loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p, target = np.asarray([[[1.0, 1.0, 0.0, 0.0]]]), np.asarray([[1, 0, 1, 0]])
    >>> round(float(al.mcc_loss(p, target, activation=None)), 6)  # TP = FP = FN = TN
    1.0
    """


@dataclass(frozen=True, kw_only=True)
class _Boundary(BoundaryLoss, _PixelWeights): ...


@function_of(BoundaryLoss, _Boundary)
def boundary_loss() -> None:
    """Return the boundary loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p, maps = np.asarray([[[0.0, 0.2, 0.9, 1.0]]]), np.asarray([[[2.0, 1.0, -1.0, -2.0]]])
    >>> round(float(al.boundary_loss(p, maps, activation=None)), 6)  # (0.2 - 0.9 - 2) / 4
    -0.675
    """


@dataclass(frozen=True, kw_only=True)
class _LovaszSoftmax(LovaszSoftmaxLoss, _PixelWeights): ...


@function_of(LovaszSoftmaxLoss, _LovaszSoftmax)
def lovasz_softmax_loss() -> None:
    """Return the Lovász-Softmax loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
    >>> round(float(al.lovasz_softmax_loss(logits, target)), 6)
    0.5
    """


@dataclass(frozen=True, kw_only=True)
class _LovaszHinge(LovaszHingeLoss, _PixelWeights): ...


@function_of(LovaszHingeLoss, _LovaszHinge)
def lovasz_hinge_loss() -> None:
    """Return the Lovász hinge loss of `logits` for `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 1, 4)), np.asarray([[0, 0, 0, 1]])
    >>> round(float(al.lovasz_hinge_loss(logits, target)), 6)
    1.0
    """
