"""A user's image and mask: read from files, checked, and split into training and held-out pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_CLASSES = 16
SLICES = 14  # of a volume: seven to learn from, seven in between to report on
LONGEST_SIDE = 768  # a longer image is read at every second, third, ... pixel
TILES = 8  # along each side of a 2-D image: a chequerboard of training and held-out tiles
IGNORED = 255  # the label of pixels that neither teach nor count

VOLUME_FORMATS = (".nii", ".nii.gz")
PICTURE_FORMATS = (".png",)
TIFF_FORMATS = (".tif", ".tiff")
ARRAY_FORMATS = (".npy",)
FORMATS = PICTURE_FORMATS + TIFF_FORMATS + ARRAY_FORMATS + VOLUME_FORMATS


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
        """Number of classes."""
        return len(self.class_names)

    def class_sizes(self, *, held_out: bool) -> NDArray[np.int64]:
        """Count the pixels of each class among the held-out or the training pixels."""
        chosen = self.labels[(self.held_out == held_out) & (self.labels != IGNORED)]
        return np.bincount(chosen, minlength=self.num_classes)


def read_scene(image_path: str, mask_path: str, *, ignore: int | None = None) -> Scene:
    """Read an image and its mask from files."""
    image, mask = read_array(Path(image_path)), read_array(Path(mask_path))
    channels = as_channels(image, mask, image_path, mask_path)
    labels, values = as_labels(mask, mask_path, ignore=ignore)
    channels, labels, heights = choose_pixels(channels, labels)
    held_out, split = hold_out(labels.shape)
    scene = Scene(
        title=Path(image_path).name,
        image=unit_range(channels),
        labels=labels,
        held_out=held_out,
        heights=heights,
        class_names=tuple(f"label {value}" for value in values),
        split=split,
    )
    check_split(scene, mask_path)
    return scene


def read_array(path: Path) -> NDArray[Any]:
    """Read a file of any of the `FORMATS`; a volume comes with its slices along the first axis."""
    name = path.name.lower()
    if not name.endswith(FORMATS):
        message = f"{path}: not a format that is read here ({', '.join(FORMATS)})"
        raise ImageError(message)
    if not path.is_file():
        message = f"{path}: no such file"
        raise ImageError(message)
    try:
        if name.endswith(VOLUME_FORMATS):
            return read_nifti(path)
        if name.endswith(PICTURE_FORMATS):
            return read_png(path)
        if name.endswith(TIFF_FORMATS):
            import tifffile

            return np.asarray(tifffile.imread(path))
        return np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:  # every reader has errors of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"{path}: cannot be read ({reason})"
        raise ImageError(message) from error


def read_nifti(path: Path) -> NDArray[Any]:
    """Read a volume with axial slices first, the front of the head up."""
    import nibabel

    volume = nibabel.as_closest_canonical(nibabel.load(path))
    array = np.squeeze(np.asanyarray(volume.dataobj))
    return axial_slices(array) if array.ndim == 3 else array


def axial_slices(volume: NDArray[Any]) -> NDArray[Any]:
    """Turn axes (right, anterior, superior) into slices from below, as one looks at them."""
    return np.transpose(volume, (2, 1, 0))[:, ::-1, :]


def read_png(path: Path) -> NDArray[Any]:
    """Read a PNG as it is stored; an indexed one as its indices, which are the labels of a mask."""
    from PIL import Image

    with Image.open(path) as picture:
        if picture.mode in {"LA", "RGBA"}:
            return np.asarray(picture)[..., :-1].squeeze()
        return np.asarray(picture)


def as_channels(
    image: NDArray[Any], mask: NDArray[Any], image_path: str, mask_path: str
) -> NDArray[np.float32]:
    """Bring an image to (channels, slices, height, width), where its mask says what is an axis."""
    if image.dtype.kind not in "biuf":
        message = f"{image_path}: holds {image.dtype}, not numbers"
        raise ImageError(message)
    if mask.ndim not in {2, 3}:
        message = f"{mask_path}: a mask has two or three axes, this one has shape {mask.shape}"
        raise ImageError(message)
    if image.shape == mask.shape:
        channels = image[None]
    elif image.shape[:-1] == mask.shape and image.shape[-1] <= 4:
        channels = np.moveaxis(image, -1, 0)
    else:
        message = (
            f"shapes differ: {image_path} has {image.shape}, {mask_path} has {mask.shape} "
            "(the mask needs the image's shape, without the colour axis)"
        )
        raise ImageError(message)
    channels = channels.astype(np.float32)
    if not np.isfinite(channels).all():
        message = f"{image_path}: holds NaN or infinity"
        raise ImageError(message)
    return channels[:, None] if mask.ndim == 2 else channels


def as_labels(
    mask: NDArray[Any], path: str, *, ignore: int | None
) -> tuple[NDArray[np.uint8], list[int]]:
    """Number the mask's values 0, 1, ... in their order; return the slices and the values."""
    if mask.dtype.kind not in "biuf":
        message = f"{path}: holds {mask.dtype}, not integer labels"
        raise ImageError(message)
    if mask.dtype.kind == "f" and not (np.isfinite(mask) & (mask == np.floor(mask))).all():
        message = f"{path}: holds fractions ({mask.dtype}); a mask needs integer labels: round it"
        raise ImageError(message)
    values = [int(value) for value in np.unique(mask) if ignore is None or value != ignore]
    if len(values) > MOST_CLASSES:
        message = (
            f"{path}: {len(values)} different labels, at most {MOST_CLASSES} are compared "
            "(is this the mask, and not the image?)"
        )
        raise ImageError(message)
    if len(values) < 2:
        message = f"{path}: two classes or more are needed, this mask holds only {values}"
        raise ImageError(message)
    labels = np.searchsorted(np.asarray(values), mask).astype(np.uint8)
    if ignore is not None:
        labels[mask == ignore] = IGNORED
    return (labels[None] if labels.ndim == 2 else labels), values


def choose_pixels(
    image: NDArray[np.float32], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    """Take evenly spaced slices that hold more than one class, and thin out very large ones."""
    places = np.arange(labels.shape[0])
    if len(places) > 1:
        varied = [np.unique(plane[plane != IGNORED]).size > 1 for plane in labels]
        places = np.flatnonzero(varied) if any(varied) else places
        places = places[np.unique(np.linspace(0, len(places) - 1, SLICES).round().astype(int))]
    stride = math.ceil(max(labels.shape[1:]) / LONGEST_SIDE)
    heights = (places / max(labels.shape[0] - 1, 1)).astype(np.float32)
    return (
        image[:, places, ::stride, ::stride],
        labels[places, ::stride, ::stride],
        heights,
    )


def hold_out(shape: Sequence[int]) -> tuple[NDArray[np.bool_], str]:
    """Hold out every other slice, or every other tile of a single one."""
    slices, height, width = shape
    held_out = np.zeros(shape, dtype=bool)
    if slices > 1:
        held_out[1::2] = True
        return held_out, f"{held_out.any((1, 2)).sum()} of {slices} slices held out"
    row = np.arange(height)[:, None] * TILES // height
    column = np.arange(width)[None, :] * TILES // width
    held_out[:] = (row + column) % 2 == 1
    return held_out, f"every other tile of {TILES} × {TILES} held out"


def check_split(scene: Scene, path: str) -> None:
    """Refuse a mask with a class that cannot be learnt or is nowhere to be reported on."""
    for held_out, part in ((False, "training"), (True, "held-out")):
        missing = np.flatnonzero(scene.class_sizes(held_out=held_out) == 0)
        if missing.size:
            names = ", ".join(scene.class_names[index] for index in missing)
            message = f"{path}: no {part} pixel has {names} ({scene.split})"
            raise ImageError(message)


def unit_range(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each channel so that all but its extremes lie between 0 and 1."""
    flat = channels.reshape(channels.shape[0], -1)
    low, high = np.percentile(flat, (0.5, 99.5), axis=1)
    span = np.where(high > low, high - low, 1.0)
    shape = (-1, 1, 1, 1)
    return ((channels - low.reshape(shape)) / span.reshape(shape)).astype(np.float32)
