"""The case table: what every loss is computed on, the same for every test and every backend."""

from dataclasses import dataclass, field, fields
from functools import cache
from zlib import crc32

import numpy as np

import array_losses as al
from tests import oracle

CLASSES = {
    "cross_entropy": "CrossEntropyLoss",
    "poly": "PolyLoss",
    "focal": "FocalLoss",
    "dice": "DiceLoss",
    "jaccard": "JaccardLoss",
    "tversky": "TverskyLoss",
    "generalized_dice": "GeneralizedDiceLoss",
    "mcc": "MCCLoss",
    "lovasz_softmax": "LovaszSoftmaxLoss",
    "lovasz_hinge": "LovaszHingeLoss",
}
MAPPED = {"boundary": "BoundaryLoss"}  # the target is a map of distances
COMPOSED = {"unified_focal": "UnifiedFocalLoss"}  # a sum of its own: no value a pixel or class
ALL_CLASSES = CLASSES | COMPOSED | MAPPED
PIXEL_LOSSES = ("cross_entropy", "poly", "focal")
OVERLAP_LOSSES = ("dice", "jaccard", "tversky")
POOLING_LOSSES = ("generalized_dice",)  # one loss for all classes
LOVASZ_LOSSES = ("lovasz_softmax", "lovasz_hinge")


@dataclass(frozen=True)
class Data:
    """A recipe for logits, target and pixel weights; drawn in float64, the same at every call."""

    batch: int = 2
    classes: int = 3
    spatial: tuple[int, ...] = (3, 4)
    class_axis: int = 1
    target: str = "labels"  # or "one-hot", "multi-hot", "soft", "distances"
    target_dtype: str = "int64"
    ignore: tuple[int, ...] = ()  # values put at `ignored` of the target
    ignored: float = 0.25
    weights: str | None = None  # or "float" (some of them 0), "mask"
    absent: tuple[int, ...] = ()  # classes that no pixel has
    absent_in_first: tuple[int, ...] = ()  # classes that no pixel of the first image has
    probabilities: bool = False  # the logits are probabilities
    scale: float = 2.0
    seed: int = 0

    def build(self, dtype="float64"):
        """Return logits, target and pixel weights, what is floating in this precision."""
        rng = np.random.default_rng(self.seed)
        pixels = (self.batch, *self.spatial)
        logits = rng.normal(scale=self.scale, size=(*pixels, self.classes))
        if self.probabilities:
            logits = oracle.probabilities(
                logits.reshape(-1, self.classes), "sigmoid" if self.classes == 1 else "softmax"
            ).reshape(logits.shape)

        if self.target in {"labels", "one-hot"}:
            target = self._labels(rng, pixels)
            if self.target == "one-hot":
                target = np.stack([target == c for c in range(self.classes)], axis=-1)
        elif self.target == "multi-hot":
            target = rng.random((*pixels, self.classes)) < 0.4
        elif self.target == "distances":
            target = rng.normal(4.0, 3.0, size=(*pixels, self.classes))
        else:
            target = rng.dirichlet(np.ones(max(self.classes, 2)), size=pixels)
            target = target[..., : self.classes]
        if target.ndim == logits.ndim:
            target[..., list(self.absent)] = 0
        is_soft = target.dtype == np.float64
        if not is_soft:
            target = target.astype(self.target_dtype)
        if self.ignore:
            values = rng.choice(self.ignore, size=target.shape).astype(self.target_dtype)
            target = np.where(rng.random(target.shape) < self.ignored, values, target)

        weights = None
        if self.weights == "mask":
            weights = rng.random(pixels) < 0.7
        elif self.weights == "float":
            weights = rng.uniform(0.5, 2.0, size=pixels) * (rng.random(pixels) < 0.8)
            weights = weights.astype(dtype)

        logits = np.moveaxis(logits, -1, self.class_axis).astype(dtype, order="C")
        if target.ndim == logits.ndim:
            target = np.moveaxis(target, -1, self.class_axis)
        return logits, target.astype(dtype if is_soft else target.dtype, order="C"), weights

    def _labels(self, rng, pixels):
        count = max(self.classes, 2)  # one class: a mask
        allowed = [c for c in range(count) if c not in self.absent]
        labels = rng.choice(allowed, size=pixels)
        if self.absent_in_first:
            others = [c for c in allowed if c not in self.absent_in_first]
            labels[:1] = rng.choice(others, size=labels[:1].shape)
        return labels


@dataclass(frozen=True, eq=False)
class Case:
    """A loss, or a weighted sum, with its options, and what it is computed on."""

    name: str
    terms: tuple  # of (weight, name of the loss, options)
    data: Data = field(default_factory=Data)

    def loss(self):
        """Make the library's loss."""
        if len(self.terms) == 1 and self.terms[0][0] == 1.0:
            _, name, options = self.terms[0]
            return getattr(al, ALL_CLASSES[name])(**options)
        return sum(
            weight * getattr(al, ALL_CLASSES[name])(**options)
            for weight, name, options in self.terms
        )

    def reference(self, logits, target, weights):
        """Return the oracle's value."""
        return oracle.weighted_sum(self.terms, logits, target, weights)

    @property
    def sorts(self):
        """Whether a loss in it sorts."""
        return any(name in LOVASZ_LOSSES for _, name, _ in self.terms)

    @property
    def is_scalar(self):
        """Whether the result is one number."""
        return all(options.get("reduction") != "none" for _, _, options in self.terms)


@cache
def reference_of(case, dtype):
    """Return the oracle's value on the inputs rounded to `dtype`, once for all backends."""
    return np.asarray(case.reference(*case.data.build(dtype)), dtype=np.float64)


def _case(case_id, name, options=None, **data):
    if data.get("probabilities"):  # of size, so that differences by small steps tell slopes
        data.setdefault("scale", 1.0)
    if name in LOVASZ_LOSSES:  # the oracle's Lovász losses are the slow ones
        data.setdefault("spatial", (2, 3))
    data.setdefault("seed", crc32(case_id.encode()))  # random numbers of its own
    return Case(case_id, ((1.0, name, options or {}),), Data(**data))


def _every_loss():
    """The axes that every loss has: shapes, targets, weights, ignored pixels, class axes."""
    for name in CLASSES:
        losses = {"softmax": {}, "sigmoid": {"activation": "sigmoid"}}
        if name == "lovasz_hinge":
            losses = {"hinge": {}}
        for label, options in losses.items():
            prefix = f"{name}-{label}"
            yield _case(f"{prefix}-labels", name, options)
            yield _case(f"{prefix}-soft", name, options, target="soft")
            yield _case(
                f"{prefix}-weights",
                name,
                {**options, "class_weights": (0.5, 2.0, 1.0), "ignore_index": 255},
                target_dtype="uint8",
                ignore=(255,),
                weights="float",
            )
            yield _case(
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
        yield _case(f"{name}-sum", name, {**plain, "reduction": "sum"})
        yield _case(f"{name}-none", name, {**plain, "reduction": "none"})
        yield _case(f"{name}-no-spatial-axes", name, plain, spatial=(), batch=7)
        yield _case(
            f"{name}-1d-classes-last",
            name,
            {**plain, "class_axis": -1, "ignore_index": (-100, 255)},
            spatial=(6,),
            class_axis=-1,
            ignore=(-100, 255),
        )
        yield _case(
            f"{name}-3d-classes-first",
            name,
            {**plain, "class_axis": 0},
            spatial=(2, 3, 2),
            class_axis=0,
            target="one-hot",
            target_dtype="bool",
        )
        yield _case(
            f"{name}-classes-before-last",
            name,
            {**plain, "class_axis": -2},
            class_axis=-2,
            target="soft",
            weights="float",
        )
        yield _case(f"{name}-absent-class", name, plain, absent=(1,))
        one = {} if name == "lovasz_hinge" else {"activation": "sigmoid"}
        yield _case(
            f"{name}-mask",
            name,
            {**one, "ignore_index": 255},
            classes=1,
            target_dtype="uint8",
            ignore=(255,),
        )
        yield _case(f"{name}-bool-mask", name, one, classes=1, target_dtype="bool")
        yield _case(f"{name}-empty-mask", name, one, classes=1, absent=(1,))
        yield _case(f"{name}-one-class-soft", name, one, classes=1, target="soft")
        yield _case(f"{name}-one-pixel", name, plain, batch=1, spatial=(1, 1))
        yield _case(
            f"{name}-all-ignored",
            name,
            {**plain, "ignore_index": 9},
            ignore=(9,),
            ignored=2.0,
        )
        yield _case(f"{name}-empty-batch", name, plain, batch=0)
        yield _case(f"{name}-no-pixels", name, plain, spatial=(0, 3))
        if name != "lovasz_hinge":
            given = {"activation": None}
            yield _case(f"{name}-probabilities", name, given, probabilities=True)
            yield _case(
                f"{name}-one-class-probabilities", name, given, classes=1, probabilities=True
            )


def _pixel_losses():
    """The options of cross entropy and focal loss."""
    for name in PIXEL_LOSSES:
        for activation in ("softmax", "sigmoid"):
            for normalize in ("weights", "valid", "all"):
                yield _case(
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
                yield _case(
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
            yield _case(
                f"{name}-{activation}-none-ignored",
                name,
                {"activation": activation, "reduction": "none", "ignore_index": 7},
                ignore=(7,),
                weights="float",
            )
    for activation in ("softmax", "sigmoid"):
        for normalize in ("valid_pixels", "all_pixels", "valid_elements", "all_elements"):
            yield _case(
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
            yield _case(
                f"poly-{activation}-{epsilon}",
                "poly",
                {"activation": activation, "epsilon": epsilon, "label_smoothing": 0.2},
                target="soft",
                weights="float",
            )
        smoothed = {"activation": activation, "label_smoothing": 0.1}
        yield _case(f"cross_entropy-{activation}-smoothing", "cross_entropy", smoothed)
        yield _case(
            f"cross_entropy-{activation}-smoothing-weights",
            "cross_entropy",
            {**smoothed, "class_weights": (1.0, 0.0, 3.0), "include_background": False},
            target="soft",
            weights="float",
        )
        for gamma in (0.0, 0.5, 1.0, 3.5):
            yield _case(
                f"focal-{activation}-gamma-{gamma}",
                "focal",
                {"activation": activation, "gamma": gamma},
            )
        yield _case(f"focal-{activation}-alpha", "focal", {"activation": activation, "alpha": 0.25})
        yield _case(
            f"focal-{activation}-per-class",
            "focal",
            {"activation": activation, "alpha": (0.2, 0.5, 0.9), "gamma": (0.0, 1.5, 2.0)},
            target="soft",
            weights="float",
        )
    yield _case(
        "cross_entropy-pos-weight",
        "cross_entropy",
        {"activation": "sigmoid", "pos_weight": 3.0, "label_smoothing": 0.2},
        target="multi-hot",
    )
    for activation in ("softmax", "sigmoid"):
        for gamma in (0.5, 2.0):
            for target in ("labels", "soft"):
                yield _case(
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
            yield _case(
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
            yield _case(
                f"focal-{activation}-reduced-{gamma}",
                "focal",
                {"activation": activation, "threshold": 0.4, "gamma": gamma},
                weights="float",
            )
        yield _case(
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
            yield _case(
                f"focal-{activation}-normalized-{reduction}",
                "focal",
                {"activation": activation, "normalize": "focal", "reduction": reduction},
            )
    for soft in ("arithmetic", "geometric", "log_odds"):
        for target in ("labels", "soft"):
            yield _case(
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
            yield _case(
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
        yield _case(
            f"focal-joint-{soft}-none",
            "focal",
            {"activation": "sigmoid", "soft": soft, "gamma": 0.0, "reduction": "none"},
            target="soft",
        )
        if soft != "log_odds":
            yield _case(
                f"focal-joint-{soft}-probabilities",
                "focal",
                {"activation": None, "soft": soft, "alpha": 0.25},
                target="soft",
                classes=1,
                probabilities=True,
            )
    yield _case(
        "focal-softmax-reduced-pair",
        "focal",
        {"threshold": (0.3, 0.7), "gamma": 0.5, "normalize": "focal"},
        weights="float",
    )
    yield _case(
        "poly-pos-weight",
        "poly",
        {"activation": "sigmoid", "pos_weight": (0.5, 2.0, 4.0), "epsilon": 0.5},
        target="multi-hot",
    )
    yield _case(
        "focal-pos-weight",
        "focal",
        {"activation": "sigmoid", "pos_weight": (0.5, 2.0, 4.0), "alpha": 0.3},
        target="soft",
    )
    yield _case(
        "focal-pos-weight-mask",
        "focal",
        {"activation": "sigmoid", "pos_weight": 3.0},
        classes=1,
    )
    yield _case(
        "cross_entropy-pos-weight-per-class",
        "cross_entropy",
        {"activation": "sigmoid", "pos_weight": (0.5, 2.0, 4.0)},
        weights="mask",
    )
    yield _case(
        "cross_entropy-pos-weight-one-class",
        "cross_entropy",
        {"activation": None, "pos_weight": 2.5},
        classes=1,
        probabilities=True,
        target="soft",
    )
    yield _case(
        "focal-one-class-alpha-probabilities",
        "focal",
        {"activation": None, "alpha": 0.3, "gamma": 1.5},
        classes=1,
        probabilities=True,
    )


def _class_losses():
    """Pooling, absent classes and reductions of the losses with one number a class."""
    for name in ("dice", *LOVASZ_LOSSES):
        for pool in ("batch", "image"):
            for absent in ("skip", "keep", "zero"):
                for reduction in ("mean", "sum", "none") if name == "dice" else ("mean",):
                    yield _case(
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
            yield _case(
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
    for pool in ("batch+class", "image+class"):
        for reduction in ("mean", "sum", "none"):
            yield _case(
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
            yield _case(
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
    for name in ("generalized_dice", "mcc"):
        for pool in ("batch", "image"):
            for absent in ("skip", "keep"):
                for reduction in ("mean", "sum", "none"):
                    yield _case(
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
        yield _case(
            f"{name}-product-soft",
            name,
            {"intersection": "product", "pool": "image", "include_background": False},
            target="soft",
            weights="float",
        )
        yield _case(
            f"{name}-one-class-everywhere",
            name,
            {"absent": "keep", "pool": "image", "activation": "sigmoid"},
            absent_in_first=(1, 2),
        )
    yield _case("mcc-zero", "mcc", {"absent": "zero", "normalize": "classes"}, absent=(1, 2))
    for weighting in ("square", "simple", "uniform"):
        for absent in ("skip", "keep"):
            yield _case(
                f"generalized_dice-{weighting}-{absent}",
                "generalized_dice",
                {"weighting": weighting, "absent": absent, "smooth": (0.0, 0.1)},
                absent=(2,),
                weights="float",
            )
        yield _case(
            f"generalized_dice-{weighting}-power-log",
            "generalized_dice",
            {"weighting": weighting, "power": 2, "form": "log", "pool": "image"},
            target="soft",
            weights="float",
        )
    for name in ("jaccard", "tversky"):
        yield _case(
            f"{name}-image+class-soft",
            name,
            {"pool": "image+class", "activation": "sigmoid", "smooth": 1.0, "form": "log"},
            target="soft",
            weights="float",
        )
        for absent in ("skip", "keep", "zero"):
            yield _case(
                f"{name}-image-{absent}",
                name,
                {"pool": "image", "absent": absent, "include_background": False},
                absent=(2,),
                absent_in_first=(1,),
                weights="float",
            )
    for name in ("dice", "lovasz_softmax"):
        yield _case(
            f"{name}-image-nothing-in-first",
            name,
            {"pool": "image", "include_background": False, "ignore_index": 255},
            absent_in_first=(1, 2),
            ignore=(255,),
        )
        yield _case(
            f"{name}-weight-of-present-class-is-0",
            name,
            {"class_weights": (0.0, 1.0, 1.0)},
            absent=(1, 2),
        )


def _overlap_losses():
    """The options of Dice, Jaccard and Tversky."""
    for name in OVERLAP_LOSSES:
        for target in ("labels", "soft"):
            yield _case(f"{name}-smooth-{target}", name, {"smooth": 1.0}, target=target)
            yield _case(f"{name}-power-{target}", name, {"power": 2}, target=target)
            yield _case(
                f"{name}-product-{target}", name, {"intersection": "product"}, target=target
            )
        yield _case(
            f"{name}-smooth-pair",
            name,
            {"smooth": (0.0, 1e-2), "absent": "keep", "activation": "sigmoid"},
            target="multi-hot",
            absent=(2,),
        )
        yield _case(
            f"{name}-power-product-image",
            name,
            {"power": 2, "intersection": "product", "pool": "image", "smooth": (1.0, 2.0)},
            target="soft",
            weights="float",
        )
        for form in ("log", "log_cosh"):
            yield _case(f"{name}-{form}", name, {"form": form})
            yield _case(
                f"{name}-{form}-absent",
                name,
                {"form": form, "absent": "keep", "smooth": (0.0, 0.5), "pool": "image"},
                absent=(1,),
                weights="float",
            )
            yield _case(
                f"{name}-{form}-soft",
                name,
                {"form": form, "activation": "sigmoid", "smooth": (1.0, 0.5)},
                target="soft",
            )
    yield _case(
        "tversky-gamma-per-class",
        "tversky",
        {"gamma": (0.5, 1.0, 2.0), "pool": "image", "activation": "sigmoid"},
        weights="float",
    )
    for gamma in (0.75, 2.0):
        for form in ("linear", "log"):
            yield _case(
                f"tversky-gamma-{gamma}-{form}",
                "tversky",
                {"gamma": gamma, "form": form, "fp_weight": 0.3, "fn_weight": 0.7},
                weights="float",
            )
    yield _case(
        "tversky-gamma-power-soft",
        "tversky",
        {"gamma": 0.5, "power": 2, "pool": "image", "fp_weight": 2.0, "absent": "keep"},
        target="soft",
    )
    yield _case(
        "tversky-log_cosh-gamma",
        "tversky",
        {"gamma": 1.5, "form": "log_cosh", "pool": "image"},
    )
    for fp_weight, fn_weight in ((0.3, 0.7), (1.0, 1.0), (0.0, 2.0)):
        yield _case(
            f"tversky-{fp_weight}-{fn_weight}",
            "tversky",
            {"fp_weight": fp_weight, "fn_weight": fn_weight},
        )
    yield _case(
        "tversky-power-soft-unequal",
        "tversky",
        {"fp_weight": 0.3, "fn_weight": 0.7, "power": 2, "smooth": 0.5},
        target="soft",
        weights="float",
    )


def _composed():
    """The losses that are sums of two, on what the others are computed on."""
    for activation in ("softmax", "sigmoid"):
        for symmetry in ("asymmetric", "symmetric"):
            options = {"activation": activation, "symmetry": symmetry}
            prefix = f"unified_focal-{activation}-{symmetry}"
            yield _case(f"{prefix}-labels", "unified_focal", options)
            yield _case(f"{prefix}-soft", "unified_focal", options, target="soft")
            yield _case(
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
            yield _case(
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
        yield _case(f"unified_focal-balance-{balance}", "unified_focal", {"balance": balance})
    yield _case("unified_focal-gamma-0", "unified_focal", {"gamma": 0.0, "absent": "zero"})
    yield _case("unified_focal-mask", "unified_focal", {"activation": "sigmoid"}, classes=1)
    yield _case(
        "unified_focal-one-class-probabilities",
        "unified_focal",
        {"activation": None},
        classes=1,
        probabilities=True,
    )
    yield _case(
        "unified_focal-all-ignored", "unified_focal", {"ignore_index": 9}, ignore=(9,), ignored=2.0
    )
    yield Case(
        "sum-with-unified-focal",
        ((1.0, "lovasz_softmax", {}), (0.5, "unified_focal", {"pool": "image"})),
        Data(spatial=(2, 3), weights="float", seed=5),
    )


def _boundary_losses():
    """The boundary loss on maps of distances."""
    for activation in ("softmax", "sigmoid"):
        options = {"activation": activation}
        prefix = f"boundary-{activation}"
        data = {"target": "distances"}
        yield _case(prefix, "boundary", options, **data)
        for reduction in ("mean", "sum", "none"):
            yield _case(
                f"{prefix}-{reduction}-weights",
                "boundary",
                {**options, "reduction": reduction, "class_weights": (0.5, 2.0, 1.0)},
                weights="float",
                **data,
            )
        for normalize in ("valid", "all", "valid_pixels", "all_pixels", "all_elements"):
            yield _case(
                f"{prefix}-{normalize}",
                "boundary",
                {**options, "normalize": normalize, "include_background": False, "class_axis": -1},
                weights="mask",
                class_axis=-1,
                **data,
            )
        yield _case(f"{prefix}-empty-batch", "boundary", options, batch=0, **data)
    yield _case(
        "boundary-one-class", "boundary", {"activation": "sigmoid"}, classes=1, target="distances"
    )
    yield _case(
        "boundary-probabilities",
        "boundary",
        {"activation": None},
        probabilities=True,
        target="distances",
    )


def _binned_losses():
    """Lovász losses that tell errors apart in bins only."""
    for name in LOVASZ_LOSSES:
        for bins in (1, 16, 4096):
            yield _case(f"{name}-bins-{bins}", name, {"bins": bins})
            yield _case(
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
        yield _case(f"{name}-bins-soft", name, {"bins": 4}, target="soft", weights="float")
        if name == "lovasz_softmax":  # All errors of the hinge would be 1, at an edge of bins.
            yield _case(f"{name}-bins-tied", name, {"bins": 4, "absent": "zero"}, scale=0.0)
        yield _case(
            f"{name}-bins-none",
            name,
            {"bins": 4, "pool": "image", "reduction": "none", "class_axis": -1},
            class_axis=-1,
            absent=(1,),
        )
        one = {} if name == "lovasz_hinge" else {"activation": "sigmoid"}
        for label, data in {"mask": {}, "empty-mask": {"absent": (1,)}}.items():
            options = {**one, "bins": 4, "absent": "keep"}
            yield _case(f"{name}-bins-{label}", name, options, classes=1, **data)
        yield _case(
            f"{name}-bins-all-ignored",
            name,
            {"bins": 4, "ignore_index": 9},
            ignore=(9,),
            ignored=2.0,
        )
        yield _case(f"{name}-bins-empty-batch", name, {"bins": 4}, batch=0)


def _sums():
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


CASES = [
    *_every_loss(),
    *_pixel_losses(),
    *_class_losses(),
    *_overlap_losses(),
    *_composed(),
    *_boundary_losses(),
    *_binned_losses(),
    *_sums(),
]


def _features(case):
    """What a case is the test of: options of its losses, and the kind of its data."""
    for _, name, options in case.terms:
        yield name, len(case.terms) > 1
        for option, value in options.items():
            yield name, option, value
    for one in fields(case.data):
        if one.name != "seed":
            yield one.name, getattr(case.data, one.name)


def _cover(cases):
    """Choose fewer cases that still have every feature: greedily, those with most new ones."""
    left = {feature for case in cases for feature in _features(case)}
    chosen = []
    while left:
        best = max(cases, key=lambda case: len(left.intersection(_features(case))))
        left.difference_update(_features(best))
        chosen.append(best)
    return [case for case in cases if case in chosen]


# For backends that compile every case anew.
COVER = _cover(CASES)
NONE = ()
SCALAR_CASES = [case for case in CASES if case.is_scalar]
