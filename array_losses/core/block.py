"""A block: the arrays of some pixels, and how a loss looks at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, Namespace

__all__ = ["Block", "View"]


@dataclass(frozen=True)
class Block:
    """The arrays of a block: (images, classes, pixels), labels and weights without the classes.

    The logits are read when they are first asked for: what depends on the target alone does not.
    `dtype` is the one to compute in, `hard` whether the target is integer or bool. From an earlier
    pass there may be `kept`, which serves in place of the logits, and the knowledge that the target
    is `plain`: no label is ignored or outside the classes.
    """

    lib: Library
    shape: tuple[int, int, int]
    dtype: DType
    device: Any
    hard: bool
    logits: Callable[[], Array]
    target: Array
    pixel_weights: Array | None
    kept: Callable[[], Array] | None = None
    plain: bool = False

    @property
    def xp(self) -> Namespace:
        """The namespace of the arrays."""
        return self.lib.xp

    @property
    def labelled(self) -> bool:
        """Whether the target holds labels, without a class axis."""
        return bool(self.target.ndim == 2)


@dataclass(frozen=True)
class View:
    """How a loss looks at pixels: losses with the same view share the `Pixels` of a block."""

    activation: str | None
    ignore_index: tuple[int, ...]
    bounded: bool = True  # a floating target holds probabilities, not any numbers

    def multiclass(self, num_classes: int) -> bool:
        """Return whether a pixel has exactly one class; else (multilabel) any number of them."""
        if self.activation is None:
            return num_classes > 1
        return self.activation == "softmax"
