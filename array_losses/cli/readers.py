"""Pictures and volumes, read from files of any of the formats."""

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
    """Read a file; a volume comes with its slices along the first axis, colours along the last.

    An indexed picture comes as its indices, if they are asked for, or as colours.
    """
    name = path.name.lower()
    if not name.endswith(_FORMATS):
        msg = f"{path}: cannot read this format; expected one of {', '.join(_FORMATS)}"
        raise CommandError(msg)
    try:
        problem = _problem(path)
        if problem is None:
            return _read(path, name, indices=indices)
    except Exception as error:
        # Every reader has errors of its own, and all of them mean this.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        msg = f"{path}: cannot be read: {reason}"
        raise CommandError(msg) from error
    msg = f"{path}: {problem}"
    raise CommandError(msg)


def _problem(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "there is no such file"
    return "is a folder, expected a file" if stat.S_ISDIR(mode) else None


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
    """Turn axes (right, anterior, superior) into slices, the lowest first, the front up."""
    return np.transpose(volume, (2, 1, 0))[:, ::-1, :]


def _read_picture(path: Path, *, indices: bool) -> NDArray[Any]:
    """Read a PNG or a JPEG, turned as cameras ask for and viewers and annotation tools show it."""
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened)
        mode = picture.mode
        if mode == "LA":  # opacity says nothing
            picture = picture.convert("L")
        elif not (mode in _READ_AS_IT_IS or (mode == "P" and indices)):
            picture = picture.convert("RGB")
        return np.asarray(picture)
