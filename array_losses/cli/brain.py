"""Default data of `compare`: the MNI152 brain template of nilearn, with noise and a bias field."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from array_losses.cli.images import SLICES, Scene, hold_out
from array_losses.cli.readers import axial_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["brain_scene"]

_CLASS_NAMES = ("outside", "CSF", "grey", "white")
_LOWEST, _HIGHEST = 22, 148  # the range of slices (1 mm each, from below) that contain brain
# Without these two every loss segments the averaged template equally well.
_NOISE = 0.10  # standard deviation; the brightest tissue has about 0.9
_BIAS = 0.25  # the largest deviation of the coil's sensitivity from 1


def brain_scene(seed: int) -> Scene:
    """Return axial slices of the T1 template with noise and bias, and their tissue classes."""
    template, labels = _load_template()
    places = np.linspace(_LOWEST, _HIGHEST, SLICES).round().astype(int)
    generator = np.random.default_rng(seed)
    image = template[places] * _bias_field(template.shape, generator)[places]
    held_out, split = hold_out((SLICES, *labels.shape[1:]))
    return Scene(
        title="MNI152 T1 template with noise and a bias field",
        image=_with_noise(image, generator)[None],
        labels=labels[places],
        held_out=held_out,
        heights=(places / (len(labels) - 1)).astype(np.float32),
        class_names=_CLASS_NAMES,
        split=split,
        keys=tuple(map(str, range(len(_CLASS_NAMES)))),
    )


def _load_template() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Read the template and its tissue classes from files in nilearn; nothing is downloaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nilearn's are for its developers
        from nilearn import datasets

        template, brain, grey, white = (
            axial_slices(load(resolution=1).get_fdata(dtype=np.float32))
            for load in (
                datasets.load_mni152_template,
                datasets.load_mni152_brain_mask,
                datasets.load_mni152_gm_template,
                datasets.load_mni152_wm_template,
            )
        )
    inside = brain >= 0.5
    labels = inside.astype(np.uint8)
    labels[inside & (grey >= 0.5)] = 2
    labels[inside & (white >= 0.5)] = 3
    return template, labels


def _bias_field(shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a smooth field around 1, like the uneven sensitivity of a receive coil."""
    axes = [np.linspace(-1, 1, length, dtype=np.float32) for length in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    field = np.zeros(shape, dtype=np.float32)
    for term in (x, y, z, x * y, x * z, y * z, x * x, y * y, z * z):
        field += np.float32(generator.normal()) * term
    field -= field.mean()
    return 1 + _BIAS * field / np.abs(field).max()


def _with_noise(image: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Add Rician noise: the magnitude of a complex signal with Gaussian noise in both parts."""
    real, imaginary = (
        _NOISE * generator.standard_normal(image.shape, dtype=np.float32) for _ in range(2)
    )
    return np.hypot(image + real, imaginary).astype(np.float32)
