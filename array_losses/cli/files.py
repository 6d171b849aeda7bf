"""Output files. They are opened before the work starts, so that no result is lost at the end."""

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
    """Return a path if a file can be written there; a type for argparse."""
    path = Path(text)
    try:
        try_to_write(path)
    except CommandError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def try_to_write(path: Path) -> None:
    """Open a file for writing and leave everything as it was; raise CommandError if that fails.

    Nothing less is certain: permissions, quotas, file systems and names all matter.
    """
    with saving(path):
        if path.is_dir():
            msg = f"{path} is a folder, expected a file"
            raise CommandError(msg)
        if not path.parent.is_dir():
            msg = f"the folder {path.parent} does not exist"
            raise CommandError(msg)
        if path.exists() and not path.is_file():
            return  # a pipe or a terminal: opening it is using it
        target = (
            path.resolve()
        )  # of a symbolic link, which may point to a file that is yet to be made
        new = not target.exists()
        with target.open("ab"):
            pass
        if new:
            target.unlink()


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn an OSError into a one-line message that the file cannot be written."""
    try:
        yield
    except OSError as error:
        msg = f"{os.fspath(path)} cannot be written: {error.strerror or error}"
        raise CommandError(msg) from error
