"""The classifier that `compare` trains: a linear softmax model, and Adam."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import array_losses as al
from array_losses.cli.features import describe
from array_losses.cli.masks import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from array_losses.cli.images import Scene
    from array_losses.testing import Framework

__all__ = ["BATCH", "RATE", "Classifier", "Run"]

BATCH = 16_384  # pixels per step
# Adam's steps do not depend on the scale of a loss, so one rate is fair to all of them. On the
# brain data, with 300 steps, none gains more than 0.2 points of mean IoU at rates from 0.15 to 0.4.
RATE = 0.3
_POINTS = 20  # of each learning curve


@dataclass
class Run:
    """The result of training with one loss, measured on the held-out pixels.

    Attributes
    ----------
    name
        The loss.
    steps, curve
        The learning curve: mean IoU of the classes after each of these steps.
    loss
        The final value of the loss.
    dice, iou
        The final scores of each class.
    accuracy
        The final fraction of correct pixels.
    milliseconds
        Time of one call of the loss with its gradient, on one batch.
    picture
        The predicted class of each pixel of the slice in the picture.
    """

    name: str
    steps: list[int] = field(default_factory=list)
    curve: list[float] = field(default_factory=list)
    loss: float = math.nan
    dice: list[float] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)
    accuracy: float = math.nan
    milliseconds: float = math.nan
    picture: NDArray[np.intp] | None = None

    @property
    def mean_iou(self) -> float:
        """Return the mean IoU of the classes."""
        return sum(self.iou) / len(self.iou)


class Classifier:
    """Trains a linear model with each loss: same start, same pixels in the same order."""

    def __init__(self, scene: Scene, framework: Framework, device: str, seed: int) -> None:
        self.scene = scene
        self.framework = framework
        self.features = describe(scene)
        generator = np.random.default_rng(seed)
        counted = scene.labels != IGNORED
        held_out = np.flatnonzero(counted & scene.held_out)
        training = generator.permutation(np.flatnonzero(counted & ~scene.held_out))
        size = min(BATCH, len(training))
        count = len(training) // size

        self._device = device
        self._held_out = self._pixels(held_out)
        self._truth = scene.labels.ravel()[held_out].astype(np.intp)
        # All batches have one size, so that JAX compiles once.
        self._batches = [
            self._pixels(part) for part in training[: count * size].reshape(count, size)
        ]

    def train(self, name: str, loss: al.Loss, steps: int, on_step: Callable[[], None]) -> Run:
        """Train with one loss and evaluate on the held-out pixels."""
        run = Run(name)
        watched = set(np.linspace(1, steps, _POINTS).round().astype(int).tolist())
        weights = self._place(
            np.zeros((self.scene.num_classes, len(self.features)), dtype=np.float32)
        )
        mean = square = weights
        seconds = []
        for step in range(1, steps + 1):
            pixels, labels = self._batches[step % len(self._batches)]
            logits = (weights @ pixels)[None]
            float(logits[0, 0, 0])  # wait for a device that computes asynchronously
            start = time.perf_counter()
            value, gradient = loss.value_and_grad(logits, labels)
            float(value)
            seconds.append(time.perf_counter() - start)
            gradient = gradient[0] @ pixels.T
            # Adam with a cosine schedule, down to 0
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient * gradient
            rate = RATE * (1 + math.cos(math.pi * (step - 1) / steps)) / 2
            spread = (square / (1 - 0.999**step)) ** 0.5
            weights = weights - rate / (1 - 0.9**step) * mean / (spread + 1e-8)
            if step in watched:
                run.steps.append(step)
                iou = self._scores(al.jaccard_index, self._counts(weights @ self._held_out[0]))
                run.curve.append(sum(iou) / len(iou))
            on_step()
        # The fastest call, since other processes can only slow a call down. The first half is left
        # out: JAX compiles, and the logits give a Lovász loss little to sort.
        run.milliseconds = 1e3 * min(seconds[steps // 2 :])
        self._report(run, weights, loss)
        return run

    def _report(self, run: Run, weights: Any, loss: al.Loss) -> None:
        pixels, labels = self._held_out
        logits = weights @ pixels
        counts = self._counts(logits)
        run.loss = float(loss(logits[None], labels))
        run.dice = self._scores(al.dice_coefficient, counts)
        run.iou = self._scores(al.jaccard_index, counts)
        run.accuracy = float(counts.trace() / counts.sum())
        shown = self.features[:, self.scene.shown]
        run.picture = np.tensordot(self.framework.to_numpy(weights), shown, axes=1).argmax(0)

    def _counts(self, logits: Any) -> NDArray[np.float64]:
        """Count the held-out pixels of each predicted (rows) and true class (columns)."""
        classes = self.scene.num_classes
        predicted = self.framework.to_numpy(logits).argmax(0)
        pairs = np.bincount(predicted * classes + self._truth, minlength=classes * classes)
        return pairs.reshape(classes, classes).astype(np.float64)

    def _scores(self, coefficient: Callable[..., Any], counts: NDArray[np.float64]) -> list[float]:
        """Score each class, from one pixel per pair of predicted and true class with its count."""
        predicted, truth = np.indices(counts.shape).reshape(2, 1, -1)
        options = {"num_classes": len(counts), "reduction": "none"}
        scores = coefficient(predicted, truth, pixel_weights=counts.reshape(1, -1), **options)
        return [float(score) for score in scores]

    def _pixels(self, chosen: NDArray[np.intp]) -> tuple[Any, Any]:
        """Copy features (features, pixels) and labels (1, pixels) to the device."""
        features = self.features.reshape(len(self.features), -1)[:, chosen]
        return self._place(features), self._place(self.scene.labels.ravel()[None, chosen])

    def _place(self, array: NDArray[Any]) -> Any:
        return self.framework.asarray(array, device=self._device)
