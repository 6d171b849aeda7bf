"""Weighted sums, also of losses that share no option."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from array_losses.testing.cases.recipe import CLASSES, Case, Data

__all__ = ["sums"]


def sums() -> Iterator[Case]:
    """Weighted sums, also of losses that share no option."""
    several = {
        "dice-ce": ((1.0, "dice", {}), (1.0, "cross_entropy", {})),
        "ce-lovasz": ((1.0, "cross_entropy", {}), (0.5, "lovasz_softmax", {})),
        "ce-binned": (
            (1.0, "cross_entropy", {}),
            (0.5, "lovasz_softmax", {"bins": 16}),
            (0.5, "lovasz_softmax", {}),
        ),
        "ce-hinge": (
            (1.0, "cross_entropy", {"ignore_index": 255}),
            (0.3, "lovasz_hinge", {"ignore_index": 255}),
        ),
        "focal-dice": (
            (2.0, "focal", {"gamma": 1.5, "alpha": (0.2, 0.3, 0.5), "ignore_index": 255}),
            (0.7, "dice", {"include_background": False, "ignore_index": 255}),
        ),
        "everything": tuple(
            (0.25 * i + 0.5, name, {"ignore_index": 255}) for i, name in enumerate(CLASSES)
        ),
        "softmax-and-sigmoid": (
            (1.0, "cross_entropy", {"activation": "sigmoid", "reduction": "sum"}),
            (-0.5, "tversky", {"pool": "image"}),
        ),
        "different-ignore": (
            (1.0, "cross_entropy", {"ignore_index": 255}),
            (1.0, "jaccard", {"ignore_index": (0, 255), "absent": "keep"}),
        ),
        "weight-0": ((0.0, "cross_entropy", {}), (1.5, "dice", {"smooth": 1.0})),
        "one-term": ((3.0, "focal", {}),),
        "none": (
            (1.0, "cross_entropy", {"reduction": "none"}),
            (2.0, "focal", {"reduction": "none"}),
        ),
        "none-per-class": (
            (1.0, "dice", {"reduction": "none", "pool": "image"}),
            (2.0, "lovasz_softmax", {"reduction": "none", "pool": "image", "absent": "keep"}),
        ),
    }
    for label, terms in several.items():
        with_ignore = any("ignore_index" in options for _, _, options in terms)
        yield Case(
            f"sum-{label}",
            terms,
            Data(
                spatial=(2, 3),
                ignore=(255,) if with_ignore else (),
                weights="float",
                seed=crc32(label.encode()),
            ),
        )
    # The same array read with its classes on two different axes.
    yield Case(
        "sum-two-class-axes",
        (
            (1.0, "cross_entropy", {"class_axis": 1}),
            (1.0, "dice", {"class_axis": -1, "absent": "keep"}),
        ),
        Data(classes=3, spatial=(3, 3), seed=1),
    )
