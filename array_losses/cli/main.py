"""The command `array-losses`: its subcommands, and what it says when it cannot run one."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import array_losses
from array_losses.cli.problems import exit_status
from array_losses.cli.terminal import print_anywhere

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# The module of a subcommand has its name, and in it `add_arguments(parser)` and
# `run(arguments) -> int`. It is imported when it is chosen, so `--help` needs no extra.
_SUBCOMMANDS = {
    "compare": "train a small pixel classifier with every loss, and compare",
    "crosscheck": "check every loss on every framework, device and dtype found here",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the command's name; by default what the user typed.

    Returns
    -------
    int
        The exit status: 0 for success, 1 for a negative result, 2 for a mistake of the user or
        something that is missing. A mistake in the arguments, and ``--help``, raise SystemExit as
        argparse does.
    """
    print_anywhere()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(given)
    parsed = parser.parse_args(given)
    if parsed.subcommand is None:
        # Nothing was asked for and nothing done: a script that lost its arguments must notice.
        parser.print_help(sys.stderr)
        return 2
    module = _module(parsed.subcommand)
    return exit_status(f"array-losses {parsed.subcommand}", lambda: int(module.run(parsed)))


def _parser(given: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="array-losses",
        description="Segmentation losses for NumPy, CuPy, PyTorch and JAX arrays.",
        epilog="`array-losses SUBCOMMAND --help` says what a subcommand does and takes.",
    )
    version = f"array_losses {array_losses.__version__}"
    parser.add_argument("--version", action="version", version=version)
    subparsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND")
    for name, summary in _SUBCOMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if name in given:
            _module(name).add_arguments(subparser)
    return parser


def _module(name: str) -> Any:
    return import_module(f"array_losses.cli.{name}")
