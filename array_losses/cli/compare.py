"""`array-losses compare`: train a small pixel classifier with each loss, and compare."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from array_losses.cli.extras import require
from array_losses.cli.values import at_least_0, positive, writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import array_losses as al
    from array_losses.cli.compare_report import Comparison
    from array_losses.cli.images import Scene

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
_PACKAGES = ("numpy", "scipy", "matplotlib", "rich")
_PICTURES = (".png", ".jpg", ".jpeg", ".pdf", ".svg")
_READERS = {".nii": "nibabel", ".gz": "nibabel", ".png": "PIL", ".tif": "tifffile"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the subcommand takes."""
    parser.epilog = (
        "Without IMAGE and MASK: the MNI152 brain template, with noise, and its tissues. Of a "
        "volume, 14 evenly spaced slices are taken, and every other one is held out; a single "
        "image is cut into 8 × 8 tiles, and every other one is held out. The model is linear, on "
        "smoothed intensities, edges and place, trained by Adam from the same start with the same "
        "pixels for every loss. Everything that is reported comes from held-out pixels. Exit "
        "status: 0, or 2 if something cannot be read or is not installed."
    )
    parser.add_argument(
        "image", nargs="?", type=Path, metavar="IMAGE", help="PNG, TIFF, NPY or NIfTI; 2-D or 3-D"
    )
    parser.add_argument(
        "mask", nargs="?", type=Path, metavar="MASK", help="integer labels, shaped like the image"
    )
    training = parser.add_argument_group("training")
    training.add_argument(
        "--losses",
        type=_losses,
        default=list(_DEFAULT),
        metavar="NAMES",
        help=f"with commas between them: {', '.join(_LOSSES)}, or sums like ce+0.5*hinge",
    )
    training.add_argument(
        "--framework",
        default="numpy",
        choices=("numpy", "torch", "jax", "cupy"),
        help="default: %(default)s",
    )
    training.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: the first the framework has"
    )
    training.add_argument(
        "--steps", type=positive, default=300, help="for each loss; default: %(default)s"
    )
    training.add_argument(
        "--seed",
        type=at_least_0,
        default=0,
        help="of the noise and the batches; default: %(default)s",
    )
    training.add_argument(
        "--ignore",
        type=_labels,
        default=[],
        metavar="LABELS",
        help="labels of MASK whose pixels are left out, with commas between them",
    )
    output = parser.add_argument_group("what to write")
    output.add_argument(
        "--output",
        type=_picture,
        default=Path("compare.png"),
        metavar="FILE",
        help="the picture: PNG, JPEG, PDF or SVG, by its ending; default: %(default)s",
    )
    output.add_argument("--json", type=writable, metavar="FILE", help="write the numbers as well")
    output.add_argument("--markdown", action="store_true", help="print the table in Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the table, write the picture, and return the exit status."""
    for package in _PACKAGES:
        require(package, "compare")
    _require_readers(arguments)
    from array_losses.cli.images import ImageError
    from array_losses.testing.framework import UnavailableError

    try:
        comparison = _compare(arguments)
    except (ImageError, UnavailableError) as error:
        print(f"array-losses compare: {error}", file=sys.stderr)
        return 2
    _write(comparison, arguments)
    return 0


def _compare(arguments: argparse.Namespace) -> Comparison:
    from array_losses.cli.classifier import Classifier
    from array_losses.cli.compare_report import Comparison
    from array_losses.testing.framework import UnavailableError, named

    start = time.perf_counter()
    framework = named(arguments.framework)
    device = arguments.device or framework.devices[0]
    if device not in framework.devices:
        msg = f"{framework.name} {framework.version} finds no {device} here"
        raise UnavailableError(msg)
    with _progress(len(arguments.losses) * arguments.steps) as show:
        show("reading the data", 0)
        scene = _scene(arguments)
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
    from array_losses.cli.images import ImageError, read_scene

    if arguments.image is None:
        from array_losses.cli.brain import brain_scene

        return brain_scene(arguments.seed)
    if arguments.mask is None:
        msg = "IMAGE and MASK go together, only one of them was given"
        raise ImageError(msg)
    return read_scene(arguments.image, arguments.mask, ignore=arguments.ignore)


def _require_readers(arguments: argparse.Namespace) -> None:
    if arguments.image is None:
        require("nilearn", "compare")
    for path in (arguments.image, arguments.mask):
        suffix = "" if path is None else path.suffix.lower().replace(".tiff", ".tif")
        if suffix in _READERS:
            require(_READERS[suffix], "compare")


def _loss(text: str) -> tuple[str, al.Loss]:
    """Return the name and the loss that an expression like ``ce+0.5*hinge`` means."""
    import array_losses as al

    made: dict[str, Any] = {
        "ce": al.CrossEntropyLoss,
        "focal": al.FocalLoss,
        "dice": al.DiceLoss,
        "jaccard": al.JaccardLoss,
        # Salehi et al. 2017: a missed pixel weighs more than a false one.
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
    if match is None or match[2] not in _LOSSES or float(match[1] or 1) == 0:
        msg = f"{term!r} is no loss: expected {', '.join(_LOSSES)}, or sums like ce+0.5*hinge"
        raise argparse.ArgumentTypeError(msg)
    return float(match[1] or 1), match[2]


def _losses(text: str) -> list[str]:
    expressions = re.sub(r"\s", "", text).split(",")
    for expression in expressions:
        for term in expression.split("+"):
            _parsed(term)
    return list(dict.fromkeys(expressions))


def _labels(text: str) -> list[int]:
    try:
        return [int(label) for label in text.split(",")]
    except ValueError:
        msg = f"expected integers with commas between them, got {text!r}"
        raise argparse.ArgumentTypeError(msg) from None


def _picture(text: str) -> Path:
    path = writable(text)
    if path.suffix.lower() not in _PICTURES:
        msg = f"expected a file name that ends in {', '.join(_PICTURES)}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return path


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str, int], None]]:
    """Draw a progress bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("of about"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=total)

        def show(what: str, steps: int) -> None:
            progress.update(task, advance=steps, description=what)

        yield show


def _write(comparison: Comparison, arguments: argparse.Namespace) -> None:
    from array_losses.cli import compare_report
    from array_losses.cli.figures import draw

    draw(comparison, arguments.output)
    if arguments.markdown:
        print(compare_report.markdown(comparison))
    else:
        compare_report.show(comparison)
        print(f"Picture: {arguments.output}")
    if arguments.json is not None:
        arguments.json.write_text(compare_report.as_json(comparison), encoding="utf-8")
