"""Reads a mask: numbers and names its labels or colours, and leaves some of them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from array_losses.cli.problems import CommandError
from array_losses.cli.readers import JPEG, read

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["IGNORED", "OTHERS", "Key", "Mask", "read_mask"]

IGNORED = 255  # the label of pixels without a class
_MOST_CLASSES = 255  # 0 to 254
# A class as the mask has it: a label such as "7", or a colour such as "#ff8000".
Key: TypeAlias = str
OTHERS = "others"  # all labels or colours that are not among the given classes


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask whose classes are numbered 0, 1, ...

    Attributes
    ----------
    labels
        The class of each pixel; `IGNORED` where there is none.
    keys, names
        The label or colour of each class in the file, and its name.
    notes
        Remarks for the user, in sentences.
    """

    labels: NDArray[np.uint8]
    keys: tuple[Key, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def read_mask(
    path: Path, wanted: Mapping[Key, str] | None = None, ignore: Collection[Key] = ()
) -> Mask:
    """Read a mask of labels or of colours.

    Parameters
    ----------
    path
        The file.
    wanted
        The classes in order, with their names; default: all that occur.
    ignore
        Labels or colours to leave out.

    Raises
    ------
    CommandError
        If the file cannot be read or is not a mask.
    """
    if path.suffix.lower() in JPEG:
        msg = f"{path}: a JPEG does not keep labels exactly; save the mask as PNG"
        raise CommandError(msg)
    asked = [*(wanted or ()), *ignore]
    coloured = any(_is_colour(key) for key in asked)
    array = read(path, indices=not coloured)
    if not coloured and array.ndim > 2 and array.shape[-1] in {3, 4}:
        coloured = not bool((array[..., :3] == array[..., :1]).all())
        array = array if coloured else array[..., 0]
    codes = _colour_codes(array, path) if coloured else _label_codes(array, path)
    for key in asked:
        if key != OTHERS and _is_colour(key) != coloured:
            kind = "a colour such as #ff8000" if coloured else "an integer label"
            msg = f"{path}: expected {kind} in --classes and --ignore, got {key}"
            raise CommandError(msg)
    return _numbered(codes, _Naming(path, coloured=coloured), wanted, ignore)


def _is_colour(key: Key) -> bool:
    return key.startswith("#")


@dataclass(frozen=True)
class _Naming:
    """Names for the values of a mask."""

    path: Path
    coloured: bool

    def key(self, code: Any) -> Key:
        return f"#{int(code):06x}" if self.coloured else str(int(code))

    def name(self, key: Key) -> str:
        return key if self.coloured else f"label {key}"


def _label_codes(array: NDArray[Any], path: Path) -> NDArray[Any]:
    if array.dtype.kind not in "biuf":
        msg = f"{path}: expected a mask of integer labels or colours, got {array.dtype}"
        raise CommandError(msg)
    # Integers stored as floats are accepted: many NIfTI files have them.
    if not (np.isfinite(array) & (array == np.floor(array))).all():
        msg = f"{path}: expected a mask of integer labels, got fractions"
        raise CommandError(msg)
    return array


def _colour_codes(array: NDArray[Any], path: Path) -> NDArray[np.int32]:
    """Return a number for each pixel, red · 65536 + green · 256 + blue; greys count as colours."""
    if array.dtype.kind == "b":
        array = array * np.uint8(255)
    if array.ndim == 2:
        array = np.stack([array] * 3, axis=-1)
    if array.dtype.kind not in "iu" or array.shape[-1] not in {3, 4}:
        msg = f"{path}: expected 8-bit colours, got shape {array.shape} and {array.dtype}"
        raise CommandError(msg)
    if array.size and not 0 <= array.min() <= array.max() <= 255:
        msg = f"{path}: expected 8-bit colours, got values from {array.min()} to {array.max()}"
        raise CommandError(msg)
    red, green, blue = np.moveaxis(array[..., :3].astype(np.int32), -1, 0)
    return (red << 16) + (green << 8) + blue


def _numbered(
    codes: NDArray[Any], naming: _Naming, wanted: Mapping[Key, str] | None, ignore: Collection[Key]
) -> Mask:
    """Number the classes in the given order, or by their values."""
    values = np.unique(codes)
    found = {naming.key(value): place for place, value in enumerate(values)}
    chosen = [key for key in wanted or found if key in found and key not in ignore]
    rest = [key for key in found if key not in chosen and key not in ignore]
    _check(naming, chosen, [] if OTHERS in ignore else rest)
    numbers = np.full(len(values), IGNORED, dtype=np.uint8)
    for number, key in enumerate(chosen):
        numbers[found[key]] = number
    names = [(wanted or {}).get(key) or naming.name(key) for key in chosen]
    if len({*names}) < len(names):
        msg = f"{naming.path}: two classes have the same name: {_listed(_repeated(names))}"
        raise CommandError(msg)
    notes = []
    if not naming.coloured and "255" in chosen and len(chosen) > 2:
        notes.append(
            f"{naming.path}: label 255 is treated as a class; if it marks pixels without a label, "
            "leave it out with --ignore 255"
        )
    labels = numbers[np.searchsorted(values, codes)]
    return Mask(labels, tuple(chosen), tuple(names), tuple(notes))


def _check(naming: _Naming, chosen: Sequence[Key], rest: Sequence[Key]) -> None:
    path, what = naming.path, "colours" if naming.coloured else "labels"
    if len(chosen) + len(rest) > _MOST_CLASSES:
        msg = (
            f"{path}: expected at most {_MOST_CLASSES} different {what}, got "
            f"{len(chosen) + len(rest):,}; is this really the mask? If so, list its classes with "
            f"--classes and leave out the others with --ignore {OTHERS}"
        )
        raise CommandError(msg)
    if rest:
        msg = (
            f"{path}: {what} that are not among --classes: {_listed(rest)}; leave them out with "
            f"--ignore {OTHERS}"
        )
        raise CommandError(msg)
    if len(chosen) < 2:
        msg = f"{path}: expected at least two classes, got {_listed(chosen) or 'none'}"
        raise CommandError(msg)


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _listed(keys: Sequence[Key], most: int = 6) -> str:
    more = f" and {len(keys) - most:,} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more
