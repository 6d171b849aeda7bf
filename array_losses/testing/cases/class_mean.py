"""Losses with one number a class: pooling, absent classes, reductions; MCC, generalised Dice."""

from __future__ import annotations

from collections.abc import Iterator

from array_losses.testing.cases.recipe import LOVASZ_LOSSES, Case, make_case

__all__ = ["class_losses"]


def class_losses() -> Iterator[Case]:
    """Pooling, absent classes and reductions of the losses with one number a class."""
    yield from _pools()
    yield from _pools_of_classes()
    yield from _pooled_losses()
    yield from _absent_classes()


def _pools() -> Iterator[Case]:
    """Sums over the batch or over images; absent classes; the divisor of the mean."""
    for name in ("dice", *LOVASZ_LOSSES):
        for pool in ("batch", "image"):
            for absent in ("skip", "keep", "zero"):
                for reduction in ("mean", "sum", "none") if name == "dice" else ("mean",):
                    yield make_case(
                        f"{name}-{pool}-{absent}-{reduction}",
                        name,
                        {
                            "pool": pool,
                            "absent": absent,
                            "reduction": reduction,
                            "class_weights": (1.0, 2.0, 0.5, 1.5),
                        },
                        classes=4,
                        spatial=(2, 3),
                        absent=(3,),
                        absent_in_first=(1,),
                    )
    for name in ("dice", *LOVASZ_LOSSES):
        for pool in ("batch", "image"):
            yield make_case(
                f"{name}-{pool}-normalize-classes",
                name,
                {
                    "pool": pool,
                    "normalize": "classes",
                    "absent": "skip" if pool == "image" else "zero",
                    "include_background": pool == "image",
                    "class_weights": (1.0, 2.0, 0.5, 1.5),
                },
                classes=4,
                spatial=(2, 3),
                absent=(3,),
            )


def _pools_of_classes() -> Iterator[Case]:
    """Sums over the classes too."""
    for pool in ("batch+class", "image+class"):
        for reduction in ("mean", "sum", "none"):
            yield make_case(
                f"dice-{pool}-{reduction}",
                "dice",
                {
                    "pool": pool,
                    "reduction": reduction,
                    "class_weights": (1.0, 0.0, 0.5, 1.5),
                    "ignore_index": 255,
                },
                classes=4,
                ignore=(255,),
                absent=(3,),
                weights="float",
            )
        for absent in ("skip", "keep", "zero"):
            yield make_case(
                f"dice-{pool}-{absent}",
                "dice",
                {
                    "pool": pool,
                    "absent": absent,
                    "include_background": False,
                    "smooth": (0.0, 0.1),
                },
                absent_in_first=(1, 2),
            )


def _pooled_losses() -> Iterator[Case]:
    """MCC, and generalised Dice loss."""
    for name in ("generalized_dice", "mcc"):
        for pool in ("batch", "image"):
            for absent in ("skip", "keep"):
                for reduction in ("mean", "sum", "none"):
                    yield make_case(
                        f"{name}-{pool}-{absent}-{reduction}",
                        name,
                        {
                            "pool": pool,
                            "absent": absent,
                            "reduction": reduction,
                            "class_weights": (1.0, 2.0, 0.5, 1.5),
                        },
                        classes=4,
                        absent=(3,),
                        absent_in_first=(1,),
                    )
        yield make_case(
            f"{name}-product-soft",
            name,
            {"intersection": "product", "pool": "image", "include_background": False},
            target="soft",
            weights="float",
        )
        yield make_case(
            f"{name}-one-class-everywhere",
            name,
            {"absent": "keep", "pool": "image", "activation": "sigmoid"},
            absent_in_first=(1, 2),
        )
    yield make_case("mcc-zero", "mcc", {"absent": "zero", "normalize": "classes"}, absent=(1, 2))
    for weighting in ("square", "simple", "uniform"):
        for absent in ("skip", "keep"):
            yield make_case(
                f"generalized_dice-{weighting}-{absent}",
                "generalized_dice",
                {"weighting": weighting, "absent": absent, "smooth": (0.0, 0.1)},
                absent=(2,),
                weights="float",
            )
        yield make_case(
            f"generalized_dice-{weighting}-power-log",
            "generalized_dice",
            {"weighting": weighting, "power": 2, "form": "log", "pool": "image"},
            target="soft",
            weights="float",
        )


def _absent_classes() -> Iterator[Case]:
    """Classes that an image, or the batch, has not."""
    for name in ("jaccard", "tversky"):
        yield make_case(
            f"{name}-image+class-soft",
            name,
            {"pool": "image+class", "activation": "sigmoid", "smooth": 1.0, "form": "log"},
            target="soft",
            weights="float",
        )
        for absent in ("skip", "keep", "zero"):
            yield make_case(
                f"{name}-image-{absent}",
                name,
                {"pool": "image", "absent": absent, "include_background": False},
                absent=(2,),
                absent_in_first=(1,),
                weights="float",
            )
    for name in ("dice", "lovasz_softmax"):
        yield make_case(
            f"{name}-image-nothing-in-first",
            name,
            {"pool": "image", "include_background": False, "ignore_index": 255},
            absent_in_first=(1, 2),
            ignore=(255,),
        )
        yield make_case(
            f"{name}-weight-of-present-class-is-0",
            name,
            {"class_weights": (0.0, 1.0, 1.0)},
            absent=(1, 2),
        )
