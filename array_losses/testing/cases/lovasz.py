"""Lovász losses that tell errors apart in bins only; the exact ones have the class means' cases."""

from __future__ import annotations

from collections.abc import Iterator

from array_losses.testing.cases.recipe import LOVASZ_LOSSES, Case, make_case

__all__ = ["binned_losses"]


def binned_losses() -> Iterator[Case]:
    """Lovász losses that tell errors apart in bins only."""
    for name in LOVASZ_LOSSES:
        for bins in (1, 16, 4096):
            yield make_case(f"{name}-bins-{bins}", name, {"bins": bins})
            yield make_case(
                f"{name}-bins-{bins}-weights",
                name,
                {
                    "bins": bins,
                    "class_weights": (0.5, 2.0, 1.0),
                    "ignore_index": 255,
                    "pool": "image",
                    "absent": "keep",
                },
                ignore=(255,),
                weights="float",
                absent_in_first=(1,),
            )
        yield make_case(f"{name}-bins-soft", name, {"bins": 4}, target="soft", weights="float")
        if name == "lovasz_softmax":  # All errors of the hinge would be 1, at an edge of bins.
            yield make_case(f"{name}-bins-tied", name, {"bins": 4, "absent": "zero"}, scale=0.0)
        yield make_case(
            f"{name}-bins-none",
            name,
            {"bins": 4, "pool": "image", "reduction": "none", "class_axis": -1},
            class_axis=-1,
            absent=(1,),
        )
        one = {} if name == "lovasz_hinge" else {"activation": "sigmoid"}
        for label, data in {"mask": {}, "empty-mask": {"absent": (1,)}}.items():
            options = {**one, "bins": 4, "absent": "keep"}
            yield make_case(f"{name}-bins-{label}", name, options, classes=1, **data)
        yield make_case(
            f"{name}-bins-all-ignored",
            name,
            {"bins": 4, "ignore_index": 9},
            ignore=(9,),
            ignored=2.0,
        )
        yield make_case(f"{name}-bins-empty-batch", name, {"bins": 4}, batch=0)
