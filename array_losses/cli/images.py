"""The image and mask of `compare`: read, checked, split into training and held-out pixels."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from array_losses.cli.masks import IGNORED, Key, read_mask
from array_losses.cli.problems import CommandError
from array_losses.cli.readers import read
from array_losses.cli.terminal import displayable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["SLICES", "Scene", "hold_out", "read_scene"]

SLICES = 14  # of a volume: seven for training, the seven in between held out
_MOST_PIXELS = 1_500_000  # of a larger scene, every second, third, ... pixel is read
_MOST_LOGITS = 64_000_000  # pixels times classes, likewise
_MANY = 16  # more classes than this that cannot be learnt: the file is probably not a mask
_TILES = 8  # along each side of a 2-D image: a chequerboard of training and held-out tiles


@dataclass(frozen=True, eq=False)
class Scene:
    """Slices with labels, and which of their pixels are held out.

    Attributes
    ----------
    title
        A heading for pictures and tables.
    image
        Intensities, (channels, slices, height, width), about 0 to 1.
    labels
        Class of each pixel, (slices, height, width); `IGNORED` where there is none.
    held_out
        True where a pixel is for the scores, False where it is for training.
    heights
        Place of each slice in the volume, 0 to 1.
    class_names
        The name of each class.
    split
        How the held-out pixels were chosen, in words.
    keys
        The label of each class in the mask, or its colour such as "#ff8000".
    notes
        Remarks about the data for the user, in sentences.
    """

    title: str
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    held_out: NDArray[np.bool_]
    heights: NDArray[np.float32]
    class_names: tuple[str, ...]
    split: str
    keys: tuple[Key, ...]
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """Return the number of classes."""
        return len(self.class_names)

    @property
    def coloured(self) -> bool:
        """Return whether the mask contains colours."""
        return self.keys[0].startswith("#")

    @property
    def rarest(self) -> int:
        """Return the class with the fewest held-out pixels."""
        return int(self.class_sizes(held_out=True).argmin())

    @property
    def shown(self) -> int:
        """Return the slice for pictures: the one with the highest entropy of held-out labels."""
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


def read_scene(
    image_path: Path,
    mask_path: Path,
    *,
    classes: Mapping[Key, str] | None = None,
    ignore: Collection[Key] = (),
) -> Scene:
    """Read an image and its mask from two files.

    Parameters
    ----------
    image_path, mask_path
        PNG, JPEG (image only), TIFF, NPY or NIfTI; an image, grey or colour, or a volume. The mask
        contains integer labels or colours and has the image's shape, without its colour axis.
    classes
        The classes of the mask in order, with their names; default: all that occur.
    ignore
        Labels or colours whose pixels are left out.

    Returns
    -------
    Scene
        The image, or evenly spaced slices of the volume.

    Raises
    ------
    CommandError
        If a file cannot be read or its content cannot be used.
    """
    mask = read_mask(mask_path, classes, ignore)
    image = read(image_path)
    channels = _as_channels(image, mask.labels, image_path, mask_path)
    labels = mask.labels if mask.labels.ndim == 3 else mask.labels[None]
    channels, labels, heights, stride = _choose_pixels(channels, labels, len(mask.keys))
    held_out, split = hold_out(labels.shape)
    if stride > 1:
        split += f", only 1 in {stride} pixels along each side is used"
    scene = Scene(
        title=displayable(image_path.name),
        image=_unit_range(channels),
        labels=labels,
        held_out=held_out,
        heights=heights,
        class_names=mask.names,
        split=split,
        keys=mask.keys,
        notes=mask.notes,
    )
    _check_split(scene, mask_path)
    return scene


def hold_out(shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], str]:
    """Hold out every other slice, or every other tile of a single one; describe it in words."""
    slices, height, width = shape
    held_out = np.zeros(shape, dtype=bool)
    if slices > 1:
        held_out[1::2] = True
        return held_out, f"every other one of {slices} slices held out"
    row = np.arange(height)[:, None] * _TILES // height
    column = np.arange(width)[None, :] * _TILES // width
    held_out[:] = (row + column) % 2 == 1
    return held_out, f"every other one of {_TILES} × {_TILES} tiles held out"


def _as_channels(
    image: NDArray[Any], mask: NDArray[Any], image_path: Path, mask_path: Path
) -> NDArray[np.float32]:
    """Bring an image to (channels, slices, height, width), guided by the mask's shape."""
    if image.dtype.kind not in "biuf":
        msg = f"{image_path}: expected an image of real numbers, got {image.dtype}"
        raise CommandError(msg)
    if mask.ndim not in {2, 3}:
        msg = f"{mask_path}: expected a mask with two or three axes, got shape {mask.shape}"
        raise CommandError(msg)
    if image.shape == mask.shape:
        channels = image[None]
    elif image.shape[:-1] == mask.shape and image.shape[-1] <= 4:
        channels = np.moveaxis(image, -1, 0)
    else:
        msg = (
            f"image and mask differ in shape: {image_path} has {image.shape}, {mask_path} has "
            f"{mask.shape}"
        )
        raise CommandError(msg)
    channels = channels.astype(np.float32)
    if not np.isfinite(channels).all():
        msg = f"{image_path}: expected finite numbers, got NaN or infinity"
        raise CommandError(msg)
    return channels[:, None] if mask.ndim == 2 else channels


def _choose_pixels(
    image: NDArray[np.float32], labels: NDArray[np.uint8], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32], int]:
    """Take evenly spaced slices that contain more than one class, thinned out if they are large.

    Returns image, labels, the positions of the slices from 0 to 1, and the stride of the pixels.
    """
    last = len(labels) - 1
    varied = [np.unique(plane[plane != IGNORED]).size > 1 for plane in labels]
    places = np.flatnonzero(varied) if any(varied) else np.arange(last + 1)
    places = places[np.unique(np.linspace(0, len(places) - 1, SLICES).round().astype(int))]
    most = min(_MOST_PIXELS, _MOST_LOGITS // classes)
    stride = math.ceil(math.sqrt(labels[places].size / most))
    heights = (places / max(last, 1)).astype(np.float32)
    thinned = (slice(None, None, stride),) * 2
    return image[:, places, *thinned], labels[places, *thinned], heights, stride


def _check_split(scene: Scene, path: Path) -> None:
    """Raise CommandError if a class has no training or no held-out pixels."""
    training, held_out = (scene.class_sizes(held_out=part) for part in (False, True))
    missing = np.flatnonzero((training == 0) | (held_out == 0))
    if missing.size:
        part = "training" if training[missing[0]] == 0 else "held-out"
        others = f", nor of {missing.size - 1} other classes" if missing.size > 1 else ""
        doubt = "is this really the mask? If so, " if missing.size > _MANY else ""
        them = "them" if missing.size > 1 else "it"
        keys = shlex.quote(",".join(scene.keys[index] for index in missing))
        msg = (
            f"{path}: no {part} pixel of {scene.class_names[missing[0]]}{others} "
            f"({scene.split}); {doubt}leave {them} out with --ignore {keys}"
        )
        raise CommandError(msg)


def _unit_range(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each channel so that its 0.5 and 99.5 percentiles become 0 and 1."""
    low, high = np.percentile(channels, (0.5, 99.5), axis=(1, 2, 3), keepdims=True)
    return ((channels - low) / np.where(high > low, high - low, 1.0)).astype(np.float32)
