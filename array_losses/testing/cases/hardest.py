"""Cross entropy of the hardest pixels alone."""

from __future__ import annotations

from collections.abc import Iterator

from array_losses.testing.cases.recipe import Case, Data, make_case

__all__ = ["hardest_pixels"]


def hardest_pixels() -> Iterator[Case]:
    """Cross entropy of the hardest pixels alone."""
    name = "cross_entropy"
    kept = {
        "top-k": {"top_k": 0.3},
        "ohem": {"ohem_threshold": 0.5},
        "ohem-at-least": {"ohem_threshold": 0.05, "min_kept": 9},
    }
    for label, options in kept.items():
        for activation in ("softmax", "sigmoid"):
            chosen = {**options, "activation": activation}
            prefix = f"hardest-{label}-{activation}"
            yield make_case(f"{prefix}-labels", name, chosen)
            for normalize in ("weights", "valid", "all"):
                yield make_case(
                    f"{prefix}-{normalize}",
                    name,
                    {
                        **chosen,
                        "normalize": normalize,
                        "class_weights": (0.5, 2.0, 1.0),
                        "ignore_index": 255,
                    },
                    target_dtype="uint8",
                    ignore=(255,),
                    weights="float",
                )
            yield make_case(
                f"{prefix}-soft",
                name,
                {**chosen, "label_smoothing": 0.1, "class_axis": -1},
                target="soft",
                weights="mask",
                class_axis=-1,
            )
            yield make_case(
                f"{prefix}-multi-hot-ignored-elements",
                name,
                {**chosen, "ignore_index": -1, "include_background": False},
                target="multi-hot",
                target_dtype="int8",
                ignore=(-1,),
                ignored=0.6,
            )
        for normalize in ("valid_pixels", "all_pixels", "valid_elements", "all_elements"):
            yield make_case(
                f"hardest-{label}-{normalize}",
                name,
                {
                    **options,
                    "normalize": normalize,
                    "activation": "sigmoid",
                    "include_background": normalize.startswith("all"),
                    "ignore_index": -1,
                },
                target="multi-hot",
                target_dtype="int32",
                ignore=(-1,),
                ignored=0.6,
                weights="float",
            )
        for reduction in ("sum", "none"):
            yield make_case(
                f"hardest-{label}-{reduction}",
                name,
                {**options, "reduction": reduction, "ignore_index": 255, "class_axis": 0},
                ignore=(255,),
                spatial=(2, 3, 2),
                class_axis=0,
            )
        given = {**options, "activation": None}
        yield make_case(f"hardest-{label}-probabilities", name, given, probabilities=True)
        yield make_case(
            f"hardest-{label}-mask",
            name,
            {**options, "activation": "sigmoid", "pos_weight": 3.0},
            classes=1,
            target_dtype="bool",
        )
        yield make_case(f"hardest-{label}-no-spatial-axes", name, options, spatial=(), batch=7)
        yield make_case(f"hardest-{label}-one-pixel", name, options, batch=1, spatial=(1, 1))
        for normalize in ("weights", "all"):
            yield make_case(
                f"hardest-{label}-{normalize}-all-ignored",
                name,
                {**options, "ignore_index": 9, "normalize": normalize},
                ignore=(9,),
                ignored=2.0,
            )
        yield make_case(f"hardest-{label}-empty-batch", name, options, batch=0)
    for number, terms in enumerate(
        (
            ((1.0, name, {"top_k": 0.2}), (0.5, "dice", {})),
            ((1.0, name, {"ohem_threshold": 0.7, "min_kept": 4}), (0.5, name, {"top_k": 0.5})),
            ((1.0, name, {"top_k": 0.6}), (0.5, "lovasz_softmax", {}), (2.0, "focal", {})),
        )
    ):
        data = Data(spatial=(2, 3), ignore=(255,), weights="float", seed=80 + number)
        summed = tuple((w, loss, {**o, "ignore_index": 255}) for w, loss, o in terms)
        yield Case(f"hardest-sum-{number}", summed, data)
