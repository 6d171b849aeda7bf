"""What is measured: the shapes of issue and plot, and the logits and labels that fill them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["WORKLOADS", "Inputs", "Workload", "make_inputs", "of_pixels", "tiny"]

_CELL = 16  # pixels along the side of the squares that share a label


@dataclass(frozen=True)
class Workload:
    """A shape (images, classes, ...) of logits, and how they lie in memory."""

    name: str
    shape: tuple[int, ...]
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    classes_last: bool = False  # in memory; the classes are axis 1 all the same
    label_dtype: str = "int64"

    @property
    def binary(self) -> bool:
        """Whether it is one class against the rest, with a sigmoid."""
        return self.shape[1] == 1

    @property
    def elements(self) -> int:
        """How many logits there are."""
        return math.prod(self.shape)

    @property
    def pixels(self) -> int:
        """How many labels there are."""
        return self.elements // self.shape[1]

    @property
    def logits_bytes(self) -> int:
        """The size of the logits."""
        return self.elements * (4 if self.dtype == "float32" else 2)

    def title(self) -> str:
        """Return the name and what it means."""
        notes: list[str] = [] if self.dtype == "float32" else [self.dtype]
        notes += ["sigmoid"] if self.binary else []
        notes += ["channels last"] if self.classes_last else []
        return ", ".join([f"{self.name}: {'×'.join(map(str, self.shape))}", *notes])


_A = Workload("a", (4, 19, 512, 512))
WORKLOADS = {
    one.name: one
    for one in (
        _A,
        Workload("b", (2, 4, 96, 96, 96)),
        Workload("c", (2, 150, 256, 256)),
        Workload("d", (8, 1, 512, 512)),
        Workload("e", (2, 4, 64, 64)),
        replace(_A, name="a-float16", dtype="float16"),
        replace(_A, name="a-bfloat16", dtype="bfloat16"),
        replace(_A, name="a-last", classes_last=True),
        # For memory only: 1 GiB of logits, and 0.125 GiB of labels.
        Workload("huge", (1, 2, 512, 512, 512), label_dtype="uint8"),
    )
}


def tiny(workload: Workload) -> Workload:
    """Return a workload that is like this one in all but its size."""
    images, classes, *spatial = workload.shape
    return replace(workload, shape=(images, classes, *(8 for _ in spatial)))


def of_pixels(pixels: int, classes: int) -> Workload:
    """Return a workload of one image with so many pixels, a power of two."""
    height = 1 << (pixels.bit_length() // 2)
    return Workload(f"2^{pixels.bit_length() - 1}", (1, classes, height, pixels // height))


@dataclass(frozen=True)
class Inputs:
    """NumPy arrays: logits (float32 if the workload's are bfloat16) and labels, and of what.

    And the device, "cpu" or "cuda", that calls are to copy them to.
    """

    workload: Workload
    logits: NDArray[np.floating]
    labels: NDArray[np.integer]
    device: Literal["cpu", "cuda"] = "cpu"


def make_inputs(workload: Workload) -> Inputs:
    """Return logits and labels that look like those of a half-trained model.

    The labels are constant on squares of 16 pixels (an eighth of the extent, if that is less); the
    frequency of class k is proportional to 1 / (k + 1), one class has a fifth of the pixels, and
    every class occurs as long as there are as many squares. The logits are 2 times normal numbers,
    plus 2 on the labelled class (for one class: plus or minus 2) at seven pixels of ten.
    """
    rng = np.random.default_rng(20250407)
    labels = _labels(rng, workload)
    logits = _normals(rng, workload)
    sure = rng.integers(0, 10, size=labels.shape, dtype=np.uint8) < 7
    if workload.binary:
        signs = labels.astype(logits.dtype) * 2 - 1
        logits[:, 0] += 2 * signs * sure
    else:
        for k in range(workload.shape[1]):
            logits[:, k] += np.multiply((labels == k) & sure, 2, dtype=logits.dtype)
    return Inputs(workload, logits, labels)


def _labels(rng: np.random.Generator, workload: Workload) -> NDArray[np.integer]:
    images, classes, *spatial = workload.shape
    sides = [max(1, min(_CELL, extent // 8)) for extent in spatial]
    cells = [math.ceil(extent / side) for extent, side in zip(spatial, sides, strict=True)]
    count = images * math.prod(cells)
    if workload.binary:
        few = (rng.random(count) < 0.2).astype(workload.label_dtype)
    else:
        frequency = 1 / np.arange(1, classes + 1)
        few = rng.choice(classes, size=count, p=frequency / frequency.sum())
        few[: min(classes, count)] = np.arange(min(classes, count))
        few = rng.permutation(few).astype(workload.label_dtype)
    return _magnified(few.reshape(images, *cells), sides, spatial)


def _magnified(
    cells: NDArray[np.integer], sides: Sequence[int], spatial: Sequence[int]
) -> NDArray[np.integer]:
    for axis, (side, extent) in enumerate(zip(sides, spatial, strict=True), start=1):
        cells = np.repeat(cells, side, axis=axis)
        cells = cells[(*(slice(None),) * axis, slice(extent))]
    return np.ascontiguousarray(cells)


def _normals(rng: np.random.Generator, workload: Workload) -> NDArray[np.floating]:
    """Return the workload's shape of normal numbers times 2, laid out as the workload says."""
    images, classes, *spatial = workload.shape
    shape = (images, *spatial, classes) if workload.classes_last else workload.shape
    logits = rng.standard_normal(size=shape, dtype=np.float32)
    logits *= 2
    if workload.dtype == "float16":
        logits = logits.astype(np.float16)
    return np.moveaxis(logits, -1, 1) if workload.classes_last else logits
