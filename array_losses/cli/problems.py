"""Errors that the user can fix: one line on stderr, exit status 2."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from array_losses.cli.terminal import displayable
from array_losses.core import plan

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CommandError", "exit_status", "require"]


class CommandError(Exception):
    """An error that the user can fix; its message is one line."""


def require(module: str, extra: str) -> None:
    """Import `module`, or name the extra of array-losses that installs it."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        msg = (
            f'{module} is not installed; run, in a clone of array_losses: pip install ".[{extra}]"'
        )
        raise CommandError(msg) from error


def exit_status(command: str, work: Callable[[], int]) -> int:
    """Do a command's work and return its exit status.

    Parameters
    ----------
    command : str
        Its name, at the beginning of an error message.
    work : callable
        Called without arguments, once the environment variables have been checked.

    Returns
    -------
    int
        What `work` returns, 2 after a CommandError, or as a shell reports SIGINT and SIGPIPE.
    """
    try:
        _check_environment()
        status = work()
        sys.stdout.flush()
    except CommandError as error:
        print(f"{command}: {displayable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def _check_environment() -> None:
    try:
        plan.current()
    except ValueError as error:
        raise CommandError(str(error)) from error
