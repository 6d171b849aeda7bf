"""Entry point of the command `array-losses`: parses the arguments and runs a subcommand."""

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

# Each subcommand has a module of the same name with `add_arguments(parser)` and
# `run(arguments) -> int`. It is imported only when chosen, so `--help` needs no extra.
_SUBCOMMANDS = {
    "compare": "train a small pixel classifier with every loss and compare the results",
    "crosscheck": "check every loss on every framework, device and dtype found on this machine",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments after the command's name; default: those of the process.

    Returns
    -------
    int
        The exit status: 0 for success, 1 for a check that failed, 2 for an error that the user can
        fix. Wrong arguments and ``--help`` raise SystemExit, as in argparse.
    """
    print_anywhere()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(given)
    parsed = parser.parse_args(given)
    if parsed.subcommand is None:
        # Not a success: a script that lost its arguments must notice.
        parser.print_help(sys.stderr)
        return 2
    module = _module(parsed.subcommand)
    return exit_status(f"array-losses {parsed.subcommand}", lambda: int(module.run(parsed)))


def _parser(given: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="array-losses",
        description="Segmentation losses for NumPy, CuPy, PyTorch and JAX arrays.",
        epilog="`array-losses SUBCOMMAND --help` describes a subcommand and its options.",
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
