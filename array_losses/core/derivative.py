"""The derivative of a loss with respect to what it reads of a block, in forms that add.

A loss gives the cheapest exact form; the forms of all losses of a sum are added, and the activation
is gone through once, from there to the logits (`backward` in `probability`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from array_losses.core.namespace import Array

__all__ = ["Derivative"]

PerClass: TypeAlias = tuple[Array, Array]


@dataclass(eq=False, slots=True)
class Derivative:
    """d loss / d each of the following; None where the loss does not read it.

    The arrays are the block's own, made for it: on the way to the logits they may change.

    Attributes
    ----------
    by_class : pair of arrays (images or 1, classes, 1)
        d loss / d p where a hard target has the class, and where not, without the pixel's weight:
        `backward` multiplies by it. All other forms hold it already.
    log_p_t : array (images, 1, pixels), or (images, classes, pixels) if multilabel
        d loss / d log p_t, of a hard target.
    error : array (images, classes, pixels)
        d loss / d |target - p|, of a hard target.
    p, log_p, log_one_minus_p : arrays (images, classes, pixels)
        d loss / d the probability of each class, its logarithm, and that of 1 - p.
    logits : array (images, classes, pixels)
        d loss / d logits that go through no activation.
    """

    by_class: PerClass | None = None
    log_p_t: Array | None = None
    error: Array | None = None
    p: Array | None = None
    log_p: Array | None = None
    log_one_minus_p: Array | None = None
    logits: Array | None = None

    def __add__(self, other: Derivative) -> Derivative:
        """Return the derivative of the sum of two losses."""
        by_class = self.by_class or other.by_class
        if self.by_class is not None and other.by_class is not None:
            (present, absent), (more, others) = self.by_class, other.by_class
            by_class = present + more, absent + others
        return Derivative(
            by_class,
            _sum(self.log_p_t, other.log_p_t),
            _sum(self.error, other.error),
            _sum(self.p, other.p),
            _sum(self.log_p, other.log_p),
            _sum(self.log_one_minus_p, other.log_one_minus_p),
            _sum(self.logits, other.logits),
        )


def _sum(x: Array | None, y: Array | None) -> Array | None:
    if x is None or y is None:
        return y if x is None else x
    return x + y
