"""Readers of images and volumes: PNG, JPEG, TIFF, NPY and NIfTI."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import numpy as np

from array_losses.cli.problems import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["JPEG", "axial_slices", "read"]

JPEG = (".jpg", ".jpeg")
_NIFTI = (".nii", ".nii.gz")
_READ_AS_IT_IS = {"1", "L", "RGB", "I", "F", "I;16", "I;16B", "I;16L"}  # modes of PIL
_FORMATS = (".png", *JPEG, ".tif", ".tiff", ".npy", *_NIFTI)


def read(path: Path, *, indices: bool = False) -> NDArray[Any]:
    """Read an image, with colours along the last axis, or a volume, with slices along the first.

    With `indices`, an indexed image is returned as its indices, otherwise as colours.
    """
    name = path.name.lower()
    if not name.endswith(_FORMATS):
        msg = f"{path}: unknown file format; expected one of {', '.join(_FORMATS)}"
        raise CommandError(msg)
    try:
        problem = _problem(path)
        if problem is None:
            return _read(path, name, indices=indices)
    except Exception as error:
        # Each reader raises errors of its own.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        msg = f"{path}: cannot be read: {reason}"
        raise CommandError(msg) from error
    msg = f"{path}: {problem}"
    raise CommandError(msg)


def _problem(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "no such file"
    return "expected a file, got a folder" if stat.S_ISDIR(mode) else None


def _read(path: Path, name: str, *, indices: bool) -> NDArray[Any]:
    if name.endswith(_NIFTI):
        return _read_nifti(path)
    if name.endswith((".png", *JPEG)):
        return _read_picture(path, indices=indices)
    if name.endswith(".npy"):
        return np.asarray(np.load(path, allow_pickle=False))
    import tifffile

    return np.asarray(tifffile.imread(path))


def _read_nifti(path: Path) -> NDArray[Any]:
    import nibabel

    volume = nibabel.as_closest_canonical(nibabel.load(path))
    array = np.squeeze(np.asanyarray(volume.dataobj))
    return axial_slices(array) if array.ndim == 3 else array


def axial_slices(volume: NDArray[Any]) -> NDArray[Any]:
    """Turn axes (right, anterior, superior) into axial slices, lowest first, anterior up."""
    return np.transpose(volume, (2, 1, 0))[:, ::-1, :]


def _read_picture(path: Path, *, indices: bool) -> NDArray[Any]:
    """Read a PNG or JPEG, rotated by its EXIF tag as viewers and annotation tools do."""
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened)
        mode = picture.mode
        if mode == "LA":  # opacity is not used
            picture = picture.convert("L")
        elif not (mode in _READ_AS_IT_IS or (mode == "P" and indices)):
            picture = picture.convert("RGB")
        return np.asarray(picture)
