"""`array-losses crosscheck`: compare every loss with its float64 reference on all backends."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from array_losses.cli.files import saving, writable
from array_losses.cli.problems import CommandError, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from array_losses.cli.crosscheck_report import Report
    from array_losses.testing.backends import Backend

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.epilog = (
        "Exit status: 0 if everything agrees, 1 if anything disagrees, 2 if something that you "
        "named is missing."
    )
    where = parser.add_argument_group("what to check (default: everything that is installed)")
    for option, example in (
        ("frameworks", "numpy,strict,torch,jax,cupy"),
        ("devices", "cpu,cuda"),
        ("dtypes", "float64,float32,float16,bfloat16"),
        ("losses", "CrossEntropyLoss,DiceLoss"),
    ):
        help_text = f"names separated by commas, such as {example}"
        where.add_argument(f"--{option}", metavar="NAMES", type=_names, help=help_text)
    output = parser.add_argument_group("what to write")
    output.add_argument(
        "--all-rows", action="store_true", help="one section per option set instead of one per loss"
    )
    output.add_argument(
        "--markdown", action="store_true", help="print Markdown instead of a table for terminals"
    )
    output.add_argument(
        "--json", metavar="FILE", type=writable, help="also write every row to a file"
    )


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        msg = f"expected names separated by commas, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return names


def run(arguments: argparse.Namespace) -> int:
    """Check, print the table; return the exit status."""
    require("numpy", "crosscheck")
    require("rich", "crosscheck")
    from array_losses.testing.backends import find_backends
    from array_losses.testing.framework import UnavailableError

    # Else JAX takes most of a GPU's memory, which PyTorch and CuPy want too.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        losses = _known_losses(arguments.losses)
        backends = find_backends(arguments.frameworks, arguments.devices, arguments.dtypes)
    except UnavailableError as error:
        raise CommandError(str(error)) from error
    report = _check(losses, backends)
    _write(report, arguments)
    return 0 if report.agrees else 1


def _known_losses(names: Sequence[str] | None) -> tuple[str, ...]:
    from array_losses.testing.cases.crosscheck import LOSSES
    from array_losses.testing.framework import UnavailableError

    for name in names or ():
        if name not in LOSSES:
            msg = f"`losses` must be among {', '.join(LOSSES)}; got {name!r}."
            raise UnavailableError(msg)
    return LOSSES if names is None else tuple(names)


def _check(losses: tuple[str, ...], backends: Sequence[Backend]) -> Report:
    from array_losses.cli.crosscheck_report import Checked, Report
    from array_losses.cli.progress import progress
    from array_losses.testing.agreement import Limits
    from array_losses.testing.cases.crosscheck import crosscheck_cases
    from array_losses.testing.eps import HALF
    from array_losses.testing.judge import agreement_at

    limits = Limits()
    checked: list[Checked] = []
    start = time.perf_counter()
    cases = crosscheck_cases(losses)
    with progress("crosscheck", "option sets", len(cases)) as show:
        for case in cases:
            show(case.kind, 0)
            loss, inputs = case.loss(), case.inputs()
            here = [backend for backend in backends if case.half or backend.dtype not in HALF]
            _compile(loss, inputs, here)
            rows = agreement_at(here, loss, inputs, limits)
            checked += [Checked(case.kind, case.options, case.about, row) for row in rows]
            show(case.kind, 1)
    versions = {backend.framework.name: backend.framework.version for backend in backends}
    return Report(checked, versions, limits, time.perf_counter() - start)


def _compile(loss: Any, inputs: Sequence[np.ndarray], backends: Sequence[Backend]) -> None:
    """Call a loss once wherever that compiles it, on several backends side by side."""
    from array_losses.testing.evaluation import evaluate

    def first_call(backend: Backend) -> None:
        with contextlib.suppress(Exception):  # the check itself will meet it again
            evaluate(loss, inputs, backend)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pool.map(first_call, [backend for backend in backends if backend.framework.compiles])


def _write(report: Report, arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from array_losses.cli import crosscheck_report

    if arguments.markdown:
        print(crosscheck_report.markdown(report, all_rows=arguments.all_rows))
    else:
        console = Console(highlight=False)
        crosscheck_report.draw(console, report, all_rows=arguments.all_rows)
    if arguments.json is not None:
        with saving(arguments.json):
            arguments.json.write_text(crosscheck_report.as_json(report), encoding="utf-8")
