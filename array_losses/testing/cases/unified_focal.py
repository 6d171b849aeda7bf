"""Unified focal, a sum of two losses by itself, on what the others are computed on."""

from __future__ import annotations

from collections.abc import Iterator

from array_losses.testing.cases.recipe import Case, Data, make_case

__all__ = ["unified_focal"]


def unified_focal() -> Iterator[Case]:
    """The losses that are sums of two, on what the others are computed on."""
    for activation in ("softmax", "sigmoid"):
        for symmetry in ("asymmetric", "symmetric"):
            options = {"activation": activation, "symmetry": symmetry}
            prefix = f"unified_focal-{activation}-{symmetry}"
            yield make_case(f"{prefix}-labels", "unified_focal", options)
            yield make_case(f"{prefix}-soft", "unified_focal", options, target="soft")
            yield make_case(
                f"{prefix}-weights",
                "unified_focal",
                {
                    **options,
                    "class_weights": (0.5, 2.0, 1.0),
                    "ignore_index": 255,
                    "delta": 0.3,
                    "gamma": 0.2,
                    "balance": 0.9,
                    "pool": "image",
                },
                ignore=(255,),
                weights="float",
            )
            yield make_case(
                f"{prefix}-multi-hot",
                "unified_focal",
                {
                    **options,
                    "ignore_index": -1,
                    "include_background": False,
                    "class_axis": -1,
                    "reduction": "sum",
                    "absent": "keep",
                },
                target="multi-hot",
                target_dtype="int8",
                ignore=(-1,),
                class_axis=-1,
            )
    for balance in (0.0, 1.0):
        yield make_case(f"unified_focal-balance-{balance}", "unified_focal", {"balance": balance})
    yield make_case("unified_focal-gamma-0", "unified_focal", {"gamma": 0.0, "absent": "zero"})
    yield make_case("unified_focal-mask", "unified_focal", {"activation": "sigmoid"}, classes=1)
    yield make_case(
        "unified_focal-one-class-probabilities",
        "unified_focal",
        {"activation": None},
        classes=1,
        probabilities=True,
    )
    yield make_case(
        "unified_focal-all-ignored", "unified_focal", {"ignore_index": 9}, ignore=(9,), ignored=2.0
    )
    yield Case(
        "sum-with-unified-focal",
        ((1.0, "lovasz_softmax", {}), (0.5, "unified_focal", {"pool": "image"})),
        Data(spatial=(2, 3), weights="float", seed=5),
    )
