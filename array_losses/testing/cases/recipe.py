"""What a case is: losses by name, with their options, and a recipe for their inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

import array_losses as al

__all__ = [
    "ALL_CLASSES",
    "CLASSES",
    "COMPOSED",
    "LOVASZ_LOSSES",
    "MAPPED",
    "OF_LOGITS",
    "OVERLAP_LOSSES",
    "PIXEL_LOSSES",
    "POOLING_LOSSES",
    "Case",
    "Data",
    "Term",
    "make_case",
]

Term = tuple[float, str, dict[str, Any]]  # the weight, the name of the loss and its options

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
OF_LOGITS = ("lovasz_hinge",)  # without an activation, each class against the rest


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
    nan_ignored: bool = False  # labels: the logits of ignored pixels are NaN
    weights: str | None = None  # or "float" (some of them 0), "mask"
    absent: tuple[int, ...] = ()  # classes that no pixel has
    absent_in_first: tuple[int, ...] = ()  # classes that no pixel of the first image has
    probabilities: bool = False  # the logits are probabilities
    scale: float = 2.0
    seed: int = 0

    def build(self, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return logits, target and pixel weights, what is floating in this precision."""
        rng = np.random.default_rng(self.seed)
        pixels = (self.batch, *self.spatial)
        logits = rng.normal(scale=self.scale, size=(*pixels, self.classes))
        if self.probabilities:
            logits = _probabilities(logits)
        target = self._target(rng, pixels)
        if self.ignore:
            values = rng.choice(self.ignore, size=target.shape).astype(self.target_dtype)
            hidden = rng.random(target.shape) < self.ignored
            target = np.where(hidden, values, target)
            if self.nan_ignored:
                logits[hidden] = np.nan
        weights = self._weights(rng, pixels, dtype)

        logits = np.moveaxis(logits, -1, self.class_axis).astype(dtype, order="C")
        if target.ndim == logits.ndim:
            target = np.moveaxis(target, -1, self.class_axis)
        is_soft = target.dtype == np.float64
        return logits, target.astype(dtype if is_soft else target.dtype, order="C"), weights

    def _target(self, rng: np.random.Generator, pixels: tuple[int, ...]) -> np.ndarray:
        shape = (*pixels, self.classes)
        if self.target in {"labels", "one-hot"}:
            target = self._labels(rng, pixels)
            if self.target == "one-hot":
                target = np.stack([target == c for c in range(self.classes)], axis=-1)
        elif self.target == "multi-hot":
            target = rng.random(shape) < 0.4
        elif self.target == "distances":
            target = rng.normal(4.0, 3.0, size=shape)
        else:
            target = rng.dirichlet(np.ones(max(self.classes, 2)), size=pixels)
            target = target[..., : self.classes]
        if target.ndim == len(shape):
            target[..., list(self.absent)] = 0
        return target if target.dtype == np.float64 else target.astype(self.target_dtype)

    def _labels(self, rng: np.random.Generator, pixels: tuple[int, ...]) -> np.ndarray:
        count = max(self.classes, 2)  # one class: a mask
        allowed = [c for c in range(count) if c not in self.absent]
        labels = rng.choice(allowed, size=pixels)
        if self.absent_in_first:
            others = [c for c in allowed if c not in self.absent_in_first]
            labels[:1] = rng.choice(others, size=labels[:1].shape)
        return labels

    def _weights(
        self, rng: np.random.Generator, pixels: tuple[int, ...], dtype: str
    ) -> np.ndarray | None:
        if self.weights is None:
            return None
        if self.weights == "mask":
            return rng.random(pixels) < 0.7
        weights = rng.uniform(0.5, 2.0, size=pixels) * (rng.random(pixels) < 0.8)
        return weights.astype(dtype)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis, or the sigmoid of one class."""
    if logits.shape[-1] == 1:
        return 1.0 / (1.0 + np.exp(-logits))
    exp = np.exp(logits)
    return exp / np.sum(exp, axis=-1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Case:
    """A loss, or a weighted sum, with its options, and what it is computed on."""

    name: str
    terms: tuple[Term, ...]
    data: Data = field(default_factory=Data)

    def loss(self) -> Any:
        """Make the library's loss."""
        losses = [
            (weight, getattr(al, ALL_CLASSES[name])(**options))
            for weight, name, options in self.terms
        ]
        if len(losses) == 1 and losses[0][0] == 1.0:
            return losses[0][1]
        return sum(weight * loss for weight, loss in losses)

    @property
    def sorts(self) -> bool:
        """Whether a loss in it sorts some pixels."""
        some = 0 not in (self.data.batch, *self.data.spatial)
        return some and any(name in LOVASZ_LOSSES for _, name, _ in self.terms)

    @property
    def is_scalar(self) -> bool:
        """Whether the result is one number."""
        return all(options.get("reduction") != "none" for _, _, options in self.terms)


def make_case(case_id: str, name: str, options: dict[str, Any] | None = None, **data: Any) -> Case:
    """Return a case of one loss, with random numbers of its own."""
    if data.get("probabilities"):  # of size, so that differences by small steps tell slopes
        data.setdefault("scale", 1.0)
    if name in LOVASZ_LOSSES:  # the oracle's Lovász losses are the slow ones
        data.setdefault("spatial", (2, 3))
    data.setdefault("seed", crc32(case_id.encode()))  # random numbers of its own
    return Case(case_id, ((1.0, name, options or {}),), Data(**data))
