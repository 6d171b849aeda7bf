"""What a type checker says of calls; mypy reads it, in strict mode, and nothing runs it.

An error that mypy does not find is an error itself: a comment of "type: ignore" without use.
"""

from __future__ import annotations

from typing import Any, assert_type

import array_losses as al


class Image:
    """An array of some library: the type of the result."""


def right(logits: Image, target: Any) -> None:
    """Every function takes its class's options, and returns an array of the logits' library."""
    assert_type(al.boundary_loss(logits, target, normalize="all"), Image)
    assert_type(al.cross_entropy_loss(logits, target, ignore_index=(0, 255), top_k=0.1), Image)
    assert_type(al.dice_loss(logits, target, pixel_weights=target, smooth=(0.0, 1.0)), Image)
    assert_type(al.focal_loss(logits, target, gamma=(1.0, 2.0), soft="geometric"), Image)
    assert_type(al.generalized_dice_loss(logits, target, weighting="simple"), Image)
    assert_type(al.jaccard_loss(logits, target, power=2, reduction="none"), Image)
    assert_type(al.lovasz_hinge_loss(logits, target, absent="skip"), Image)
    assert_type(al.lovasz_softmax_loss(logits, target, bins=None, activation=None), Image)
    assert_type(al.mcc_loss(logits, target, intersection="product"), Image)
    assert_type(al.poly_loss(logits, target, epsilon=2), Image)
    assert_type(al.tversky_loss(logits, target, fp_weight=0.3, pool="image+class"), Image)
    assert_type(al.unified_focal_loss(logits, target, symmetry="symmetric"), Image)


def wrong(logits: Image, target: Any) -> None:
    """A wrong name, a wrong type, a wrong text, and arrays by their names."""
    al.dice_loss(logits, target, smoth=1.0)  # type: ignore[call-arg]
    al.dice_loss(logits, target, smooth="1")  # type: ignore[arg-type]
    al.dice_loss(logits, target, weighting="simple")  # type: ignore[call-arg]
    al.dice_loss(logits, target, 1.0)  # type: ignore[call-arg]
    al.dice_loss(logits)  # type: ignore[call-arg]
    al.dice_loss(logits=logits, target=target)  # type: ignore[call-arg]
    al.focal_loss(logits, target, soft="mixed")  # type: ignore[arg-type]
    al.mcc_loss(logits, target, pool="batch+class")  # type: ignore[arg-type]
    al.mcc_loss(logits, target, smooth=1.0)  # type: ignore[call-arg]
    al.lovasz_hinge_loss(logits, target, activation="sigmoid")  # type: ignore[call-arg]
    al.DiceLoss(pixel_weights=target)  # type: ignore[call-arg]
