"""The default data of `compare`: the MNI152 brain that nilearn carries, made as noisy as a scan."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from .images import SLICES, Scene, axial_slices, hold_out

CLASS_NAMES = ("outside", "CSF", "grey", "white")
LOWEST, HIGHEST = 22, 148  # the axial slices (mm from below) between which there is brain
NOISE = 0.07  # of the brightest tissue
BIAS = 0.25  # how far the coil's sensitivity departs from 1


def brain_scene(seed: int) -> Scene:
    """Return axial slices of the T1 template with noise and bias, and their tissue classes."""
    template, labels = load_template()
    places = np.linspace(LOWEST, HIGHEST, SLICES).round().astype(int)
    labels = labels[places]
    held_out, split = hold_out(labels.shape)
    generator = np.random.default_rng(seed)
    image = add_noise(template * bias_field(template.shape, generator), generator)[places]
    return Scene(
        title="MNI152 T1 template with noise and bias field",
        image=image[None].astype(np.float32),
        labels=labels,
        held_out=held_out,
        heights=(places / (template.shape[0] - 1)).astype(np.float32),
        class_names=CLASS_NAMES,
        split=split,
    )


def load_template() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Read the template and its tissue classes from nilearn's own files (nothing is downloaded)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what nilearn says while it starts is not for our users
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
    labels = np.where(brain >= 0.5, 1, 0).astype(np.uint8)
    labels[(labels == 1) & (grey >= 0.5)] = 2
    labels[(labels == 1) & (white >= 0.5)] = 3
    return template, labels


def bias_field(
    shape: tuple[int, ...], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return a smooth field around 1: the uneven sensitivity of a receive coil."""
    field = np.zeros(shape, dtype=np.float32)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    for term in (x, y, z, x * y, x * z, y * z, x * x, y * y, z * z):
        field += np.float32(generator.normal()) * term
    field -= field.mean()
    return 1 + BIAS * field / np.abs(field).max()


def add_noise(image: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Add Rician noise: the magnitude of a signal with Gaussian noise in both its parts."""
    real, imaginary = (
        NOISE * generator.standard_normal(image.shape, dtype=np.float32) for _ in range(2)
    )
    return np.hypot(image + real, imaginary)
