"""The classifier that `compare` trains: a linear model on a pixel's neighbourhood, and Adam."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import array_losses as al

from .images import IGNORED, Scene

FRAMEWORKS = ("numpy", "torch", "jax", "cupy")
BATCH = 32_768  # pixels a step
LEARNING_RATE = 0.05
EVALUATIONS = 24  # points of a learning curve

SMOOTHINGS = (0.0, 1.0, 2.0, 4.0, 8.0)
GRADIENTS = (1.0, 2.0, 4.0)
LAPLACIANS = (1.0, 2.0)


@dataclass
class Run:
    """What training with one loss gave, measured on the held-out pixels."""

    name: str
    steps: list[int] = field(default_factory=list)
    iou_curve: list[NDArray[np.float64]] = field(default_factory=list)
    loss: float = np.nan
    dice: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    iou: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    accuracy: float = np.nan
    milliseconds: float = np.nan
    prediction: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    @property
    def mean_iou(self) -> float:
        """IoU, mean over the classes."""
        return float(self.iou.mean())


def describe(scene: Scene) -> NDArray[np.float32]:
    """Return features (feature, slice, height, width), standardised over the training pixels."""
    slices, height, width = scene.labels.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    features = np.stack(
        [
            np.stack(describe_slice(scene.image[:, index], y, x, 2 * scene.heights[index] - 1))
            for index in range(slices)
        ],
        axis=1,
    ).astype(np.float32)
    training = features[:, ~scene.held_out]
    mean, spread = training.mean(1, dtype=np.float64), training.std(1, dtype=np.float64)
    shape = (-1, 1, 1, 1)
    # A feature that never changes (the height, in a single slice) becomes 0; the last one, 1.
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    features -= mean.reshape(shape).astype(np.float32)
    features *= scale.reshape(shape).astype(np.float32)
    return np.concatenate([features, np.ones_like(features[:1])])


def describe_slice(
    channels: NDArray[np.float32], y: NDArray[Any], x: NDArray[Any], z: float
) -> list[NDArray[Any]]:
    """Intensities at several scales, edges, place, and the products that let a plane bend."""
    place = [y, x, np.full_like(y, z)]
    features = [*place, *(axis * axis for axis in place)]
    for image in channels:
        smooth = [ndimage.gaussian_filter(image, sigma) for sigma in SMOOTHINGS]
        edges = [ndimage.gaussian_gradient_magnitude(image, sigma) for sigma in GRADIENTS]
        ridges = [ndimage.gaussian_laplace(image, sigma) for sigma in LAPLACIANS]
        features += smooth + edges + ridges
        features += [value * value for value in smooth]
        features += [smooth[1] * other for other in (smooth[3], smooth[4], *edges, *place)]
    return features


class Classifier:
    """Train linear models, one a loss, from the same start on the same pixels in the same order."""

    def __init__(self, scene: Scene, *, framework: str, device: str | None, seed: int) -> None:
        self.scene = scene
        self.features = describe(scene)
        self.place = placer(framework, device)
        counted = scene.labels != IGNORED
        training = counted & ~scene.held_out
        self.counted_held_out = counted & scene.held_out
        self.truth = scene.labels[self.counted_held_out]
        self.held_out_pixels = self.place(self.features[:, self.counted_held_out])
        self.held_out_labels = self.place(self.truth[None])
        self.batches = self.make_batches(training, np.random.default_rng(seed))

    def make_batches(
        self, training: NDArray[np.bool_], generator: np.random.Generator
    ) -> list[tuple[Any, Any]]:
        """Shuffle the training pixels and cut them into batches of one size."""
        order = generator.permutation(np.flatnonzero(training))
        count = max(len(order) // BATCH, 1)
        pixels = self.features.reshape(len(self.features), -1)
        labels = self.scene.labels.ravel()
        size = len(order) // count
        parts = (order[part * size : (part + 1) * size] for part in range(count))
        return [
            (self.place(np.ascontiguousarray(pixels[:, part])), self.place(labels[part][None]))
            for part in parts
        ]

    def train(
        self, name: str, loss: Any, *, steps: int, rate: float, on_step: Callable[[], None]
    ) -> Run:
        """Train with one loss; return its scores, its learning curve and its prediction."""
        run = Run(name)
        classes = self.scene.num_classes
        weights = self.place(np.zeros((classes, len(self.features)), dtype=np.float32))
        mean = square = weights
        watched = np.unique(np.linspace(1, steps, EVALUATIONS).round().astype(int))
        seconds = []
        for step in range(1, steps + 1):
            pixels, labels = self.batches[(step - 1) % len(self.batches)]
            start = time.perf_counter()
            value, slope = loss.value_and_grad((weights @ pixels)[None], labels)
            slope = slope[0] @ pixels.T
            # Adam, its rate falling to 0 along half a cosine
            mean = 0.9 * mean + 0.1 * slope
            square = 0.999 * square + 0.001 * slope * slope
            size = rate * (1 + np.cos(np.pi * (step - 1) / steps)) / 2 / (1 - 0.9**step)
            weights = weights - float(size) * mean / ((square / (1 - 0.999**step)) ** 0.5 + 1e-12)
            float(weights[0, 0])  # waits for a device that works behind our back
            seconds.append(time.perf_counter() - start)
            if step in watched:
                run.steps.append(step)
                run.iou_curve.append(self.scores(self.classify(weights))[1])
            on_step()
        self.finish(run, weights, loss)
        run.milliseconds = 1e3 * float(np.median(seconds))
        return run
    def classify(self, weights: Any) -> NDArray[np.uint8]:
        """Return the class of each held-out pixel."""
        return fetch(weights @ self.held_out_pixels).argmax(0).astype(np.uint8)

    def scores(self, prediction):
        """Return Dice and IoU per class over the held-out pixels."""
        options = {"num_classes": self.scene.num_classes, "reduction": "none"}
        arrays = prediction[None], self.truth[None]
        return al.dice_coefficient(*arrays, **options), al.jaccard_index(*arrays, **options)

    def finish(self, run: Run, weights: Any, loss: Any) -> None:
        """Fill in what is measured once, at the end."""
        prediction = self.classify(weights)
        run.loss = float(loss((weights @ self.held_out_pixels)[None], self.held_out_labels))
        run.dice, run.iou = self.scores(prediction)
        run.accuracy = float((prediction == self.truth).mean())
        plain = fetch(weights)
        run.prediction = np.tensordot(plain, self.features, axes=1).argmax(0).astype(np.uint8)

def placer(framework: str, device: str | None):
    if framework == "numpy":
        return lambda a: a
    if framework == "torch":
        import torch
        return lambda a: torch.from_numpy(a).to(device)
    if framework == "jax":
        import jax
        return lambda a: jax.device_put(a, jax.devices(device)[0])
def fetch(a):
    if hasattr(a, "get"): return a.get()
    if hasattr(a, "cpu"): return a.cpu().numpy()
    return np.asarray(a)
