"""`array-losses compare`: train a small pixel classifier with each loss and compare the results."""

from __future__ import annotations

import argparse
import os
import re
import reprlib
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from array_losses.cli.files import saving, writable
from array_losses.cli.problems import CommandError, require
from array_losses.cli.terminal import displayable
from array_losses.cli.values import whole

if TYPE_CHECKING:
    import array_losses as al
    from array_losses.cli.compare_report import Comparison
    from array_losses.cli.images import Scene
    from array_losses.cli.masks import Key

__all__ = ["add_arguments", "run"]

_LOSSES = {
    "ce": "Cross entropy",
    "focal": "Focal",
    "dice": "Dice",
    "jaccard": "Jaccard",
    "tversky": "Tversky .3/.7",
    "lovasz": "Lovász-Softmax",
    "hinge": "Lovász hinge",
}
_SHORT = {"ce": "CE", "lovasz": "Lovász", "hinge": "hinge"}  # in sums
_DEFAULT = (*_LOSSES, "ce+dice", "focal+dice", "ce+lovasz", "ce+0.5*hinge")
_TERM = re.compile(r"(?:([0-9]*\.?[0-9]+)\*)?([a-z]+)")
_LEAST_WEIGHT = 1e-6  # float32 allows little below this, or above its inverse
_LONGEST_NAME = 24  # of a class, in characters: it is in columns of a table and in a legend
_PACKAGES = ("numpy", "scipy", "matplotlib", "rich")
_PICTURES = (".png", ".jpg", ".jpeg", ".pdf", ".svg")
_READERS = {
    **dict.fromkeys((".nii", ".gz"), "nibabel"),
    **dict.fromkeys((".png", ".jpg", ".jpeg"), "PIL"),
    **dict.fromkeys((".tif", ".tiff"), "tifffile"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.epilog = (
        "Without IMAGE and MASK, the data are the MNI152 brain template, with noise, and its "
        "tissues. From a volume, 14 evenly spaced slices are taken, and every other one is held "
        "out; a single image is cut into 8 × 8 tiles, and every other tile is held out. The model "
        "is linear, with smoothed intensities, edges and position as features, and is trained with "
        "Adam from the same start on the same pixels for every loss. All scores are computed on "
        "held-out pixels. Exit status: 0, or 2 if something cannot be read or written, or is not "
        "installed."
    )
    parser.add_argument(
        "image",
        nargs="?",
        type=Path,
        metavar="IMAGE",
        help="PNG, JPEG, TIFF, NPY or NIfTI; 2-D or 3-D",
    )
    parser.add_argument(
        "mask",
        nargs="?",
        type=Path,
        metavar="MASK",
        help="integer labels, or colours, shaped like the image; not JPEG",
    )
    parser.add_argument(
        "--classes",
        type=_classes,
        metavar="TABLE",
        help="the classes of MASK in order, separated by commas or line ends, with or without "
        "names: 0=background,7=tumour or '#000000=background,#ff0000=tumour'; default: all labels "
        "or colours of MASK",
    )
    parser.add_argument(
        "--ignore",
        type=_ignored,
        default=(),
        metavar="NAMES",
        help="labels or colours of MASK whose pixels are left out, separated by commas, such as "
        "255 or '#ffffff'; others means all that are not among --classes",
    )
    training = parser.add_argument_group("training")
    training.add_argument(
        "--losses",
        type=_losses,
        default=list(_DEFAULT),
        metavar="NAMES",
        help=f"separated by commas: any of {', '.join(_LOSSES)}, and sums such as ce+0.5*hinge",
    )
    training.add_argument(
        "--framework",
        default="numpy",
        choices=("numpy", "torch", "jax", "cupy"),
        help="default: %(default)s",
    )
    training.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: the framework's first device"
    )
    training.add_argument(
        "--steps",
        type=whole(1, 1_000_000),
        default=300,
        help="for each loss; default: %(default)s",
    )
    training.add_argument(
        "--seed",
        type=whole(0, 2**64 - 1),
        default=0,
        help="random seed of the noise and the batches; default: %(default)s",
    )
    output = parser.add_argument_group("what to write")
    output.add_argument(
        "--output",
        type=_picture,
        default=Path("compare.png"),
        metavar="FILE",
        help="the picture: PNG, JPEG, PDF or SVG, by the file extension; default: %(default)s",
    )
    output.add_argument("--json", type=writable, metavar="FILE", help="also write all numbers")
    output.add_argument("--markdown", action="store_true", help="print the table in Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the table, write the picture; return the exit status."""
    _use_one_blas_thread()
    _keep_inputs(arguments)
    for package in _PACKAGES:
        require(package, "compare")
    _require_readers(arguments)
    from array_losses.testing.framework import UnavailableError

    try:
        comparison = _compare(arguments)
    except UnavailableError as error:
        raise CommandError(str(error)) from error
    _write(comparison, arguments)
    return 0


def _use_one_blas_thread() -> None:
    """Make NumPy multiply matrices in one thread, if it is not imported yet.

    The model's matrices are small, and OpenBLAS's threads spin while they wait: with another
    process running, a step took 24 ms instead of 4.
    """
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _keep_inputs(arguments: argparse.Namespace) -> None:
    """Raise CommandError if an output file is an input file or the other output file."""
    taken = {
        path.resolve(): name
        for name, path in (("IMAGE", arguments.image), ("MASK", arguments.mask))
        if path is not None
    }
    for name in ("output", "json"):
        path = getattr(arguments, name)
        if path is not None and taken.setdefault(path.resolve(), f"--{name}") != f"--{name}":
            msg = f"--{name} would overwrite {taken[path.resolve()]}, {path}"
            raise CommandError(msg)


def _compare(arguments: argparse.Namespace) -> Comparison:
    from array_losses.cli.classifier import Classifier
    from array_losses.cli.compare_report import Comparison
    from array_losses.cli.progress import progress
    from array_losses.testing.framework import UnavailableError, named

    start = time.perf_counter()
    framework = named(arguments.framework)
    device = arguments.device or framework.devices[0]
    if device not in framework.devices:
        msg = f"{framework.name} {framework.version} finds no {device} device"
        raise UnavailableError(msg)
    with progress("compare", "steps", len(arguments.losses) * arguments.steps) as show:
        show("reading the data", 0)
        scene = _scene(arguments)
        for note in scene.notes:
            print(f"array-losses compare: {displayable(note)}", file=sys.stderr)
        show("computing features", 0)
        classifier = Classifier(scene, framework, device, arguments.seed)
        runs = []
        for text in arguments.losses:
            name, loss = _loss(text)
            runs.append(classifier.train(name, loss, arguments.steps, partial(show, name, 1)))
    return Comparison(
        scene=scene,
        runs=runs,
        steps=arguments.steps,
        place=f"{framework.name} {framework.version}, {device}",
        seconds=time.perf_counter() - start,
    )


def _scene(arguments: argparse.Namespace) -> Scene:
    from array_losses.cli.images import read_scene

    if arguments.image is None:
        if arguments.classes or arguments.ignore:
            msg = "--classes and --ignore need a MASK, and none was given"
            raise CommandError(msg)
        from array_losses.cli.brain import brain_scene

        return brain_scene(arguments.seed)
    if arguments.mask is None:
        msg = "expected both IMAGE and MASK, or neither; got IMAGE only"
        raise CommandError(msg)
    return read_scene(
        arguments.image, arguments.mask, classes=arguments.classes, ignore=arguments.ignore
    )


def _require_readers(arguments: argparse.Namespace) -> None:
    if arguments.image is None:
        require("nilearn", "compare")
    for path in (arguments.image, arguments.mask):
        suffix = "" if path is None else path.suffix.lower()
        if suffix in _READERS:
            require(_READERS[suffix], "compare")


def _loss(text: str) -> tuple[str, al.Loss]:
    """Return the name and the loss of an expression such as ``ce+0.5*hinge``."""
    import array_losses as al

    made: dict[str, Any] = {
        "ce": al.CrossEntropyLoss,
        "focal": al.FocalLoss,
        "dice": al.DiceLoss,
        "jaccard": al.JaccardLoss,
        # As in Salehi et al. 2017: a false negative weighs more than a false positive.
        "tversky": lambda: al.TverskyLoss(fp_weight=0.3, fn_weight=0.7),
        "lovasz": al.LovaszSoftmaxLoss,
        "hinge": al.LovaszHingeLoss,
    }
    terms = [_parsed(term) for term in text.split("+")]
    if len(terms) == 1 and terms[0][0] == 1:
        name = terms[0][1]
        return _LOSSES[name], made[name]()
    names = [
        f"{'' if weight == 1 else f'{weight:g} '}{_SHORT.get(name, _LOSSES[name])}"
        for weight, name in terms
    ]
    return " + ".join(names), sum(weight * made[name]() for weight, name in terms)


def _parsed(term: str) -> tuple[float, str]:
    match = _TERM.fullmatch(term)
    if match is None or match[2] not in _LOSSES:
        msg = (
            f"expected {', '.join(_LOSSES)}, or sums such as ce+0.5*hinge, got {reprlib.repr(term)}"
        )
        raise argparse.ArgumentTypeError(msg)
    weight = float(match[1] or 1)
    if not _LEAST_WEIGHT <= weight <= 1 / _LEAST_WEIGHT:
        msg = (
            f"a weight must be from {_LEAST_WEIGHT:g} to {1 / _LEAST_WEIGHT:g}, "
            f"got {reprlib.repr(term)}"
        )
        raise argparse.ArgumentTypeError(msg)
    return weight, match[2]


def _losses(text: str) -> list[str]:
    expressions = re.sub(r"\s", "", text).split(",")
    for expression in expressions:
        for term in expression.split("+"):
            _parsed(term)
    return list(dict.fromkeys(expressions))


def _classes(text: str) -> dict[Key, str]:
    """Read a table such as ``0=background,7=tumour``, with or without names."""
    classes: dict[Key, str] = {}
    for entry in re.split(r"[,\n]", text.strip()):
        key, equals, name = (displayable(part.strip()) for part in entry.partition("="))
        if equals and not 0 < len(name) <= _LONGEST_NAME:
            msg = f"a name must have 1 to {_LONGEST_NAME} characters, got {reprlib.repr(entry)}"
            raise argparse.ArgumentTypeError(msg)
        if _key(key) in classes or (name and name in classes.values()):
            msg = f"each class and each name may occur only once, got {reprlib.repr(entry)} again"
            raise argparse.ArgumentTypeError(msg)
        classes[_key(key)] = name
    return classes


def _ignored(text: str) -> tuple[Key, ...]:
    return tuple(
        one if one == "others" else _key(one) for one in re.split(r"\s*,\s*", text.strip())
    )


def _key(text: str) -> Key:
    """Return a label or colour in the form of `array_losses.cli.masks`."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return text.lower()
    if re.fullmatch(r"-?[0-9]{1,20}", text):
        return str(int(text))
    msg = f"expected a label such as 7, or a colour such as '#ff8000', got {reprlib.repr(text)}"
    raise argparse.ArgumentTypeError(msg)


def _picture(text: str) -> Path:
    if Path(text).suffix.lower() not in _PICTURES:
        msg = f"expected a file name that ends in {', '.join(_PICTURES)}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return writable(text)


def _write(comparison: Comparison, arguments: argparse.Namespace) -> None:
    from array_losses.cli import compare_report
    from array_losses.cli.figures import draw

    if arguments.markdown:
        print(compare_report.markdown(comparison))
    else:
        compare_report.show(comparison)
    if arguments.json is not None:
        with saving(arguments.json):
            arguments.json.write_text(compare_report.as_json(comparison), encoding="utf-8")
    with saving(arguments.output):
        draw(comparison, arguments.output)
    if not arguments.markdown:
        print(f"Picture: {displayable(str(arguments.output))}")
