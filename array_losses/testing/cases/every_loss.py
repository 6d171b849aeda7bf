"""The axes that every loss has: shapes, targets, weights, ignored pixels, class axes."""

from __future__ import annotations

from collections.abc import Iterator

from array_losses.testing.cases.recipe import CLASSES, OF_LOGITS, Case, make_case

__all__ = ["every_loss"]


def every_loss() -> Iterator[Case]:
    """The axes that every loss has: shapes, targets, weights, ignored pixels, class axes."""
    for name in CLASSES:
        losses = {"softmax": {}, "sigmoid": {"activation": "sigmoid"}}
        if name in OF_LOGITS:
            losses = {"hinge": {}}
        for label, options in losses.items():
            prefix = f"{name}-{label}"
            yield make_case(f"{prefix}-labels", name, options)
            yield make_case(f"{prefix}-soft", name, options, target="soft")
            yield make_case(
                f"{prefix}-weights",
                name,
                {**options, "class_weights": (0.5, 2.0, 1.0), "ignore_index": 255},
                target_dtype="uint8",
                ignore=(255,),
                weights="float",
            )
            yield make_case(
                f"{prefix}-multi-hot-ignored-elements",
                name,
                {**options, "ignore_index": -1, "include_background": False},
                target="multi-hot",
                target_dtype="int8",
                ignore=(-1,),
                weights="mask",
            )
        if name in ("jaccard", "tversky"):  # the rest they share with Dice
            continue
        plain = losses.get("softmax", {})
        yield make_case(f"{name}-sum", name, {**plain, "reduction": "sum"})
        yield make_case(f"{name}-none", name, {**plain, "reduction": "none"})
        yield make_case(f"{name}-no-spatial-axes", name, plain, spatial=(), batch=7)
        yield make_case(
            f"{name}-1d-classes-last",
            name,
            {**plain, "class_axis": -1, "ignore_index": (-100, 255)},
            spatial=(6,),
            class_axis=-1,
            ignore=(-100, 255),
        )
        yield make_case(
            f"{name}-3d-classes-first",
            name,
            {**plain, "class_axis": 0},
            spatial=(2, 3, 2),
            class_axis=0,
            target="one-hot",
            target_dtype="bool",
        )
        yield make_case(
            f"{name}-classes-before-last",
            name,
            {**plain, "class_axis": -2},
            class_axis=-2,
            target="soft",
            weights="float",
        )
        yield make_case(f"{name}-absent-class", name, plain, absent=(1,))
        one = {} if name in OF_LOGITS else {"activation": "sigmoid"}
        yield make_case(
            f"{name}-mask",
            name,
            {**one, "ignore_index": 255},
            classes=1,
            target_dtype="uint8",
            ignore=(255,),
        )
        yield make_case(f"{name}-bool-mask", name, one, classes=1, target_dtype="bool")
        yield make_case(f"{name}-empty-mask", name, one, classes=1, absent=(1,))
        yield make_case(f"{name}-one-class-soft", name, one, classes=1, target="soft")
        yield make_case(f"{name}-one-pixel", name, plain, batch=1, spatial=(1, 1))
        yield make_case(
            f"{name}-all-ignored",
            name,
            {**plain, "ignore_index": 9},
            ignore=(9,),
            ignored=2.0,
        )
        yield make_case(f"{name}-empty-batch", name, plain, batch=0)
        yield make_case(f"{name}-no-pixels", name, plain, spatial=(0, 3))
        if name not in OF_LOGITS:
            given = {"activation": None}
            yield make_case(f"{name}-probabilities", name, given, probabilities=True)
            yield make_case(
                f"{name}-one-class-probabilities", name, given, classes=1, probabilities=True
            )
