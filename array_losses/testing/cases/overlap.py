"""Dice, Jaccard and Tversky: their options."""

from __future__ import annotations

from collections.abc import Iterator

from array_losses.testing.cases.recipe import OVERLAP_LOSSES, Case, make_case

__all__ = ["overlap_losses"]


def overlap_losses() -> Iterator[Case]:
    """The options of Dice, Jaccard and Tversky."""
    for name in OVERLAP_LOSSES:
        for target in ("labels", "soft"):
            yield make_case(f"{name}-smooth-{target}", name, {"smooth": 1.0}, target=target)
            yield make_case(f"{name}-power-{target}", name, {"power": 2}, target=target)
            yield make_case(
                f"{name}-product-{target}", name, {"intersection": "product"}, target=target
            )
        yield make_case(
            f"{name}-smooth-pair",
            name,
            {"smooth": (0.0, 1e-2), "absent": "keep", "activation": "sigmoid"},
            target="multi-hot",
            absent=(2,),
        )
        yield make_case(
            f"{name}-power-product-image",
            name,
            {"power": 2, "intersection": "product", "pool": "image", "smooth": (1.0, 2.0)},
            target="soft",
            weights="float",
        )
        for form in ("log", "log_cosh"):
            yield make_case(f"{name}-{form}", name, {"form": form})
            yield make_case(
                f"{name}-{form}-absent",
                name,
                {"form": form, "absent": "keep", "smooth": (0.0, 0.5), "pool": "image"},
                absent=(1,),
                weights="float",
            )
            yield make_case(
                f"{name}-{form}-soft",
                name,
                {"form": form, "activation": "sigmoid", "smooth": (1.0, 0.5)},
                target="soft",
            )
    yield make_case(
        "tversky-gamma-per-class",
        "tversky",
        {"gamma": (0.5, 1.0, 2.0), "pool": "image", "activation": "sigmoid"},
        weights="float",
    )
    for gamma in (0.75, 2.0):
        for form in ("linear", "log"):
            yield make_case(
                f"tversky-gamma-{gamma}-{form}",
                "tversky",
                {"gamma": gamma, "form": form, "fp_weight": 0.3, "fn_weight": 0.7},
                weights="float",
            )
    yield make_case(
        "tversky-gamma-power-soft",
        "tversky",
        {"gamma": 0.5, "power": 2, "pool": "image", "fp_weight": 2.0, "absent": "keep"},
        target="soft",
    )
    yield make_case(
        "tversky-log_cosh-gamma",
        "tversky",
        {"gamma": 1.5, "form": "log_cosh", "pool": "image"},
    )
    for fp_weight, fn_weight in ((0.3, 0.7), (1.0, 1.0), (0.0, 2.0)):
        yield make_case(
            f"tversky-{fp_weight}-{fn_weight}",
            "tversky",
            {"fp_weight": fp_weight, "fn_weight": fn_weight},
        )
    yield make_case(
        "tversky-power-soft-unequal",
        "tversky",
        {"fp_weight": 0.3, "fn_weight": 0.7, "power": 2, "smooth": 0.5},
        target="soft",
        weights="float",
    )
