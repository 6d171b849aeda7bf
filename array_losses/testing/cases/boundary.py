"""Boundary loss, on maps of distances."""

from __future__ import annotations

from collections.abc import Iterator

from array_losses.testing.cases.recipe import Case, make_case

__all__ = ["boundary_losses"]


def boundary_losses() -> Iterator[Case]:
    """The boundary loss on maps of distances."""
    for activation in ("softmax", "sigmoid"):
        options = {"activation": activation}
        prefix = f"boundary-{activation}"
        data = {"target": "distances"}
        yield make_case(prefix, "boundary", options, **data)
        for reduction in ("mean", "sum", "none"):
            yield make_case(
                f"{prefix}-{reduction}-weights",
                "boundary",
                {**options, "reduction": reduction, "class_weights": (0.5, 2.0, 1.0)},
                weights="float",
                **data,
            )
        for normalize in ("valid", "all", "valid_pixels", "all_pixels", "all_elements"):
            yield make_case(
                f"{prefix}-{normalize}",
                "boundary",
                {**options, "normalize": normalize, "include_background": False, "class_axis": -1},
                weights="mask",
                class_axis=-1,
                **data,
            )
        yield make_case(f"{prefix}-empty-batch", "boundary", options, batch=0, **data)
    yield make_case(
        "boundary-one-class", "boundary", {"activation": "sigmoid"}, classes=1, target="distances"
    )
    yield make_case(
        "boundary-probabilities",
        "boundary",
        {"activation": None},
        probabilities=True,
        target="distances",
    )
