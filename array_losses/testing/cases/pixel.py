"""Cross entropy, Poly-1 and focal loss: their options."""

from __future__ import annotations

from collections.abc import Iterator

from array_losses.testing.cases.recipe import PIXEL_LOSSES, Case, make_case

__all__ = ["pixel_losses"]


def pixel_losses() -> Iterator[Case]:
    """The options of cross entropy, Poly-1 and focal loss."""
    yield from _divisors()
    yield from _own_options()
    yield from _normalized_and_reduced()
    yield from _soft_focal()
    yield from _positives()


def _divisors() -> Iterator[Case]:
    """What the mean divides by, for all three."""
    for name in PIXEL_LOSSES:
        for activation in ("softmax", "sigmoid"):
            for normalize in ("weights", "valid", "all"):
                yield make_case(
                    f"{name}-{activation}-normalize-{normalize}",
                    name,
                    {
                        "activation": activation,
                        "normalize": normalize,
                        "class_weights": (0.3, 1.0, 2.0),
                        "ignore_index": 255,
                    },
                    ignore=(255,),
                    weights="float",
                )
                yield make_case(
                    f"{name}-{activation}-no-background-{normalize}",
                    name,
                    {
                        "activation": activation,
                        "normalize": normalize,
                        "include_background": False,
                        "ignore_index": -1,
                    },
                    target="one-hot",
                    target_dtype="int32",
                    ignore=(-1,),
                    weights="float",
                )
            yield make_case(
                f"{name}-{activation}-none-ignored",
                name,
                {"activation": activation, "reduction": "none", "ignore_index": 7},
                ignore=(7,),
                weights="float",
            )


def _own_options() -> Iterator[Case]:
    """The options of each: divisors in pixels or elements, smoothing, epsilon, gamma, alpha."""
    for activation in ("softmax", "sigmoid"):
        for normalize in ("valid_pixels", "all_pixels", "valid_elements", "all_elements"):
            yield make_case(
                f"cross_entropy-{activation}-{normalize}",
                "cross_entropy",
                {
                    "activation": activation,
                    "normalize": normalize,
                    "class_weights": (0.3, 1.0, 2.0),
                    "include_background": normalize.startswith("all"),
                    "ignore_index": -1,
                },
                target="multi-hot",
                target_dtype="int32",
                ignore=(-1,),
                ignored=0.5,
                weights="float",
            )
        for epsilon in (-1.0, 2.5):
            yield make_case(
                f"poly-{activation}-{epsilon}",
                "poly",
                {"activation": activation, "epsilon": epsilon, "label_smoothing": 0.2},
                target="soft",
                weights="float",
            )
        smoothed = {"activation": activation, "label_smoothing": 0.1}
        yield make_case(f"cross_entropy-{activation}-smoothing", "cross_entropy", smoothed)
        yield make_case(
            f"cross_entropy-{activation}-smoothing-weights",
            "cross_entropy",
            {**smoothed, "class_weights": (1.0, 0.0, 3.0), "include_background": False},
            target="soft",
            weights="float",
        )
        for gamma in (0.0, 0.5, 1.0, 3.5):
            yield make_case(
                f"focal-{activation}-gamma-{gamma}",
                "focal",
                {"activation": activation, "gamma": gamma},
            )
        yield make_case(
            f"focal-{activation}-alpha", "focal", {"activation": activation, "alpha": 0.25}
        )
        yield make_case(
            f"focal-{activation}-per-class",
            "focal",
            {"activation": activation, "alpha": (0.2, 0.5, 0.9), "gamma": (0.0, 1.5, 2.0)},
            target="soft",
            weights="float",
        )
    yield make_case(
        "cross_entropy-pos-weight",
        "cross_entropy",
        {"activation": "sigmoid", "pos_weight": 3.0, "label_smoothing": 0.2},
        target="multi-hot",
    )


def _normalized_and_reduced() -> Iterator[Case]:
    """Focal loss divided by its modulating factors, or with a threshold."""
    for activation in ("softmax", "sigmoid"):
        for gamma in (0.5, 2.0):
            for target in ("labels", "soft"):
                yield make_case(
                    f"focal-{activation}-normalized-{gamma}-{target}",
                    "focal",
                    {
                        "activation": activation,
                        "normalize": "focal",
                        "gamma": gamma,
                        "alpha": (0.2, 0.5, 0.9),
                        "class_weights": (0.3, 1.0, 2.0),
                    },
                    target=target,
                    weights="float",
                )
            yield make_case(
                f"focal-{activation}-normalized-{gamma}-ignored-elements",
                "focal",
                {
                    "activation": activation,
                    "normalize": "focal",
                    "gamma": gamma,
                    "include_background": False,
                    "ignore_index": -1,
                },
                target="multi-hot",
                target_dtype="int32",
                ignore=(-1,),
            )
            yield make_case(
                f"focal-{activation}-reduced-{gamma}",
                "focal",
                {"activation": activation, "threshold": 0.4, "gamma": gamma},
                weights="float",
            )
        yield make_case(
            f"focal-{activation}-reduced-normalized",
            "focal",
            {
                "activation": activation,
                "threshold": 0.5,
                "gamma": (0.0, 1.5, 2.0),
                "normalize": "focal",
            },
            target="soft",
        )
        for reduction in ("sum", "none"):
            yield make_case(
                f"focal-{activation}-normalized-{reduction}",
                "focal",
                {"activation": activation, "normalize": "focal", "reduction": reduction},
            )


def _soft_focal() -> Iterator[Case]:
    """The ways in which focal loss takes a soft target."""
    for soft in ("arithmetic", "geometric", "log_odds"):
        for target in ("labels", "soft"):
            yield make_case(
                f"focal-joint-{soft}-{target}",
                "focal",
                {
                    "activation": "sigmoid",
                    "soft": soft,
                    "gamma": (0.5, 1.5, 2.0),
                    "alpha": (0.2, 0.5, 0.9),
                    "pos_weight": 2.0,
                    "class_weights": (0.3, 1.0, 2.0),
                },
                target=target,
                weights="float",
            )
        for normalize in ("focal", "all_elements"):
            yield make_case(
                f"focal-joint-{soft}-{normalize}",
                "focal",
                {
                    "activation": "sigmoid",
                    "soft": soft,
                    "gamma": 1.0,
                    "normalize": normalize,
                    "include_background": False,
                    "threshold": (0.3, 0.7),
                },
                target="soft",
            )
        yield make_case(
            f"focal-joint-{soft}-none",
            "focal",
            {"activation": "sigmoid", "soft": soft, "gamma": 0.0, "reduction": "none"},
            target="soft",
        )
        if soft != "log_odds":
            yield make_case(
                f"focal-joint-{soft}-probabilities",
                "focal",
                {"activation": None, "soft": soft, "alpha": 0.25},
                target="soft",
                classes=1,
                probabilities=True,
            )


def _positives() -> Iterator[Case]:
    """Factors of the positive term, and probabilities of one class."""
    yield make_case(
        "focal-softmax-reduced-pair",
        "focal",
        {"threshold": (0.3, 0.7), "gamma": 0.5, "normalize": "focal"},
        weights="float",
    )
    yield make_case(
        "poly-pos-weight",
        "poly",
        {"activation": "sigmoid", "pos_weight": (0.5, 2.0, 4.0), "epsilon": 0.5},
        target="multi-hot",
    )
    yield make_case(
        "focal-pos-weight",
        "focal",
        {"activation": "sigmoid", "pos_weight": (0.5, 2.0, 4.0), "alpha": 0.3},
        target="soft",
    )
    yield make_case(
        "focal-pos-weight-mask",
        "focal",
        {"activation": "sigmoid", "pos_weight": 3.0},
        classes=1,
    )
    yield make_case(
        "cross_entropy-pos-weight-per-class",
        "cross_entropy",
        {"activation": "sigmoid", "pos_weight": (0.5, 2.0, 4.0)},
        weights="mask",
    )
    yield make_case(
        "cross_entropy-pos-weight-one-class",
        "cross_entropy",
        {"activation": None, "pos_weight": 2.5},
        classes=1,
        probabilities=True,
        target="soft",
    )
    yield make_case(
        "focal-one-class-alpha-probabilities",
        "focal",
        {"activation": None, "alpha": 0.3, "gamma": 1.5},
        classes=1,
        probabilities=True,
    )
