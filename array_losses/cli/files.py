"""The files that a command writes: tried before the work, so that none of it is lost."""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from array_losses.cli.problems import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["saving", "try_to_write", "writable"]


def writable(text: str) -> Path:
    """Return the path of a file, for argparse, if it can be written."""
    path = Path(text)
    try:
        try_to_write(path)
    except CommandError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def try_to_write(path: Path) -> None:
    """Open a file for writing, and leave everything as it was.

    Nothing else tells for sure: permissions, quotas, file systems and names all have a say.
    """
    with saving(path):
        if path.is_dir():
            msg = f"{path} is a folder, expected a file"
            raise CommandError(msg)
        if not path.parent.is_dir():
            msg = f"the folder {path.parent} does not exist"
            raise CommandError(msg)
        if path.exists() and not path.is_file():
            return  # a pipe or a terminal: to open it is to use it
        target = path.resolve()  # where a link points that leads nowhere yet
        new = not target.exists()
        with target.open("ab"):
            pass
        if new:
            target.unlink()


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Say in one line why a file cannot be written."""
    try:
        yield
    except OSError as error:
        msg = f"{os.fspath(path)} cannot be written: {error.strerror or error}"
        raise CommandError(msg) from error
