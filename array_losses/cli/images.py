"""A user's image and mask: read, checked, and split into training and held-out pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["IGNORED", "SLICES", "ImageError", "Scene", "axial_slices", "hold_out", "read_scene"]

SLICES = 14  # of a volume: seven to learn from, seven in between to report on
IGNORED = 255  # the label of pixels that neither teach nor count

_MOST_CLASSES = 16
_MOST_PIXELS = 1_500_000  # a larger scene is read at every second, third, ... pixel: memory
_TILES = 8  # along each side of a 2-D image: a chequerboard of training and held-out tiles
_FORMATS = (".png", ".tif", ".tiff", ".npy", ".nii", ".nii.gz")


class ImageError(ValueError):
    """An image or mask that `compare` cannot use; the message is one line for the user."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Slices with labels, and which of their pixels are held out.

    Attributes
    ----------
    title
        What is shown, for headings.
    image
        Intensities, (channels, slices, height, width), about 0 to 1.
    labels
        Class of each pixel, (slices, height, width); `IGNORED` where there is none.
    held_out
        True where a pixel is reported on, False where it is learnt from.
    heights
        Place of each slice in the volume, 0 to 1.
    class_names
        One name a class.
    split
        How the held-out pixels were chosen, in words.
    """

    title: str
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    held_out: NDArray[np.bool_]
    heights: NDArray[np.float32]
    class_names: tuple[str, ...]
    split: str

    @property
    def num_classes(self) -> int:
        """Return the number of classes."""
        return len(self.class_names)

    @property
    def rarest(self) -> int:
        """Return the class with the fewest held-out pixels."""
        return int(self.class_sizes(held_out=True).argmin())

    @property
    def shown(self) -> int:
        """Return the slice for pictures: the held-out one that says most (highest entropy)."""
        entropies = []
        for labels, held_out in zip(self.labels, self.held_out, strict=True):
            sizes = np.bincount(labels[held_out & (labels != IGNORED)], minlength=self.num_classes)
            shares = sizes[sizes > 0] / max(sizes.sum(), 1)
            entropies.append(-(shares * np.log(shares)).sum())
        return int(np.argmax(entropies))

    def class_sizes(self, *, held_out: bool) -> NDArray[np.int64]:
        """Count the pixels of each class among the held-out or the training pixels."""
        chosen = self.labels[(self.held_out == held_out) & (self.labels != IGNORED)]
        return np.bincount(chosen, minlength=self.num_classes)


def read_scene(image_path: Path, mask_path: Path, *, ignore: Sequence[int] = ()) -> Scene:
    """Read an image and its mask from files.

    Parameters
    ----------
    image_path, mask_path
        PNG, TIFF, NPY or NIfTI; a picture, grey or colour, or a volume. The mask holds integer
        labels and has the image's shape, without its colour axis.
    ignore
        Labels whose pixels are left out.

    Returns
    -------
    Scene
        The picture, or evenly spaced slices of the volume.

    Raises
    ------
    ImageError
        If a file cannot be read, or what it holds cannot be used.
    """
    image = _read(image_path)
    mask = _one_channel(_read(mask_path, indices=True), mask_path)
    channels = _as_channels(image, mask, image_path, mask_path)
    labels, values = _as_labels(mask, mask_path, ignore)
    channels, labels, heights, stride = _choose_pixels(channels, labels)
    held_out, split = hold_out(labels.shape)
    if stride > 1:
        split += f", only 1 in {stride} pixels along each side is read"
    scene = Scene(
        title=image_path.name,
        image=_unit_range(channels),
        labels=labels,
        held_out=held_out,
        heights=heights,
        class_names=tuple(f"label {value}" for value in values),
        split=split,
    )
    _check_split(scene, mask_path)
    return scene


def hold_out(shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], str]:
    """Hold out every other slice, or every other tile of a single one; say so in words."""
    slices, height, width = shape
    held_out = np.zeros(shape, dtype=bool)
    if slices > 1:
        held_out[1::2] = True
        return held_out, f"every other one of {slices} slices held out"
    row = np.arange(height)[:, None] * _TILES // height
    column = np.arange(width)[None, :] * _TILES // width
    held_out[:] = (row + column) % 2 == 1
    return held_out, f"every other one of {_TILES} × {_TILES} tiles held out"


def axial_slices(volume: NDArray[Any]) -> NDArray[Any]:
    """Turn axes (right, anterior, superior) into slices, the lowest first, the front up."""
    return np.transpose(volume, (2, 1, 0))[:, ::-1, :]


def _read(path: Path, *, indices: bool = False) -> NDArray[Any]:
    """Read a file of any of the formats; a volume comes with its slices along the first axis."""
    name = path.name.lower()
    if not name.endswith(_FORMATS):
        msg = f"{path}: is none of the formats that are read: {', '.join(_FORMATS)}"
        raise ImageError(msg)
    if not path.is_file():
        msg = f"{path}: there is no such file"
        raise ImageError(msg)
    try:
        if name.endswith((".nii", ".nii.gz")):
            return _read_nifti(path)
        if name.endswith(".png"):
            return _read_png(path, indices=indices)
        if name.endswith(".npy"):
            return np.asarray(np.load(path, allow_pickle=False))
        import tifffile

        return np.asarray(tifffile.imread(path))
    except Exception as error:
        # Every reader has errors of its own, and all of them mean this.
        msg = f"{path}: cannot be read: {' '.join(str(error).split())}"
        raise ImageError(msg) from error


def _read_nifti(path: Path) -> NDArray[Any]:
    import nibabel

    volume = nibabel.as_closest_canonical(nibabel.load(path))
    array = np.squeeze(np.asanyarray(volume.dataobj))
    return axial_slices(array) if array.ndim == 3 else array


def _read_png(path: Path, *, indices: bool) -> NDArray[Any]:
    """Read a PNG; of an indexed one the indices, which are labels, or the colours."""
    from PIL import Image

    with Image.open(path) as picture:
        if picture.mode == "P" and not indices:
            return np.asarray(picture.convert("RGB"))
        if picture.mode in {"LA", "RGBA"}:  # opacity says nothing
            return np.asarray(picture.convert(picture.mode[:-1]))
        return np.asarray(picture)


def _one_channel(mask: NDArray[Any], path: Path) -> NDArray[Any]:
    """Take a grey mask out of a colour picture."""
    if mask.ndim == 3 and mask.shape[-1] in {3, 4}:
        if not (mask[..., :3] == mask[..., :1]).all():
            msg = f"{path}: is a colour picture; a mask has one integer label a pixel"
            raise ImageError(msg)
        return mask[..., 0]
    return mask


def _as_channels(
    image: NDArray[Any], mask: NDArray[Any], image_path: Path, mask_path: Path
) -> NDArray[np.float32]:
    """Bring an image to (channels, slices, height, width); the mask tells which axis is what."""
    if image.dtype.kind not in "biuf":
        msg = f"{image_path}: holds {image.dtype}, an image holds real numbers"
        raise ImageError(msg)
    if mask.ndim not in {2, 3}:
        msg = f"{mask_path}: a mask has two or three axes, this one has shape {mask.shape}"
        raise ImageError(msg)
    if image.shape == mask.shape:
        channels = image[None]
    elif image.shape[:-1] == mask.shape and image.shape[-1] <= 4:
        channels = np.moveaxis(image, -1, 0)
    else:
        msg = (
            f"image and mask differ in shape: {image_path} has {image.shape}, {mask_path} has "
            f"{mask.shape}"
        )
        raise ImageError(msg)
    channels = channels.astype(np.float32)
    if not np.isfinite(channels).all():
        msg = f"{image_path}: holds NaN or infinity"
        raise ImageError(msg)
    return channels[:, None] if mask.ndim == 2 else channels


def _as_labels(
    mask: NDArray[Any], path: Path, ignore: Sequence[int]
) -> tuple[NDArray[np.uint8], list[int]]:
    """Number the mask's values 0, 1, ... in their order; return the slices and the values."""
    if mask.dtype.kind not in "biuf":
        msg = f"{path}: holds {mask.dtype}, a mask holds integer labels"
        raise ImageError(msg)
    # Whole numbers stored as floats are labels: many NIfTI files are written like that.
    if not (np.isfinite(mask) & (mask == np.floor(mask))).all():
        msg = f"{path}: holds fractions; a mask holds integer labels"
        raise ImageError(msg)
    values = [int(value) for value in np.unique(mask) if value not in ignore]
    if len(values) > _MOST_CLASSES:
        msg = (
            f"{path}: holds {len(values)} different labels, more than {_MOST_CLASSES}; "
            "is it the mask, and not the image?"
        )
        raise ImageError(msg)
    if len(values) < 2:
        msg = f"{path}: holds fewer than two classes: {values}"
        raise ImageError(msg)
    labels = np.searchsorted(values, mask).astype(np.uint8)
    labels[np.isin(mask, ignore)] = IGNORED
    return (labels[None] if labels.ndim == 2 else labels), values


def _choose_pixels(
    image: NDArray[np.float32], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32], int]:
    """Take evenly spaced slices that hold more than one class, thinned out if they are large.

    Returns image, labels, the places of the slices from 0 to 1, and 1 in how many pixels is taken.
    """
    last = len(labels) - 1
    varied = [np.unique(plane[plane != IGNORED]).size > 1 for plane in labels]
    places = np.flatnonzero(varied) if any(varied) else np.arange(last + 1)
    places = places[np.unique(np.linspace(0, len(places) - 1, SLICES).round().astype(int))]
    stride = math.ceil(math.sqrt(labels[places].size / _MOST_PIXELS))
    heights = (places / max(last, 1)).astype(np.float32)
    thinned = (slice(None, None, stride),) * 2
    return image[:, places, *thinned], labels[places, *thinned], heights, stride


def _check_split(scene: Scene, path: Path) -> None:
    """Refuse a mask with a class that cannot be learnt, or is nowhere to be reported on."""
    for part, held_out in (("training", False), ("held-out", True)):
        missing = np.flatnonzero(scene.class_sizes(held_out=held_out) == 0)
        if missing.size:
            name = scene.class_names[missing[0]]
            value = name.removeprefix("label ")
            msg = (
                f"{path}: {name} is in none of the {part} pixels ({scene.split}); leave it out "
                f"with --ignore {value}"
            )
            raise ImageError(msg)


def _unit_range(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each channel so that all but its extremes lie between 0 and 1."""
    low, high = np.percentile(channels, (0.5, 99.5), axis=(1, 2, 3), keepdims=True)
    return ((channels - low) / np.where(high > low, high - low, 1.0)).astype(np.float32)
