"""Features of a pixel for the classifier of `compare`: its neighbourhood and its position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from array_losses.cli.images import Scene

__all__ = ["describe"]

# Widths of the Gaussians, in pixels
_SMOOTHINGS = (0.0, 1.0, 2.0, 4.0, 8.0)
_GRADIENTS = (1.0, 2.0, 4.0)
_LAPLACIANS = (1.0, 2.0)


def describe(scene: Scene) -> NDArray[np.float32]:
    """Return the features of every pixel, (features, slices, height, width), the last one 1.

    They are whitened over the training pixels. Without that, smoothed intensities are so similar
    that a linear model needs thousands of steps, and losses would be compared by their speed of
    learning, not by their results.
    """
    planes = [_describe_slice(scene, index) for index in range(len(scene.labels))]
    features = np.stack(planes, axis=1)
    shape = (-1, 1, 1, 1)
    training = features[:, ~scene.held_out].astype(np.float64)
    mean, spread = training.mean(1), training.std(1)
    # A constant feature (the height in a single slice) has no spread and becomes 0.
    scale = np.where(spread > 1e-6, spread, np.inf)
    features -= mean.reshape(shape).astype(np.float32)
    features /= scale.reshape(shape).astype(np.float32)
    training = (training - mean[:, None]) / scale[:, None]
    variances, axes = np.linalg.eigh(training @ training.T / training.shape[1])
    kept = variances > 1e-6 * variances.max()
    whiten = (axes[:, kept] / np.sqrt(variances[kept])).T.astype(np.float32)
    white = np.tensordot(whiten, features, axes=1)
    return np.concatenate([white, np.ones_like(white[:1])])


def _describe_slice(scene: Scene, index: int) -> NDArray[np.float32]:
    """Return intensities at several scales, edges, position, and products of these."""
    height, width = scene.labels.shape[1:]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    place = [y, x, np.full_like(y, 2 * scene.heights[index] - 1)]
    features: list[NDArray[Any]] = [*place, *(axis * axis for axis in place)]
    for image in scene.image[:, index]:
        smooth = [ndimage.gaussian_filter(image, width) for width in _SMOOTHINGS]
        edges = [ndimage.gaussian_gradient_magnitude(image, width) for width in _GRADIENTS]
        ridges = [ndimage.gaussian_laplace(image, width) for width in _LAPLACIANS]
        features += [*smooth, *edges, *ridges, *(level * level for level in smooth)]
        features += [smooth[1] * other for other in (*smooth[3:], *edges, *place)]
    return np.stack(features).astype(np.float32)
