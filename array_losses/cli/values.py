"""What an option of a command may be: whole numbers, numbers, files that can be written."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

__all__ = ["at_least_0", "positive", "seconds", "writable"]


def positive(text: str) -> int:
    """Return a whole number of at least 1."""
    return _integer(text, 1)


def at_least_0(text: str) -> int:
    """Return a whole number of at least 0."""
    return _integer(text, 0)


def _integer(text: str, lowest: int) -> int:
    if not text.isdecimal() or int(text) < lowest:
        msg = f"expected an integer, {lowest} or more, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def seconds(text: str) -> float:
    """Return a finite number of at least 0."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        msg = f"expected a number of seconds, 0 or more, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return found


def writable(text: str) -> Path:
    """Return the path of a file in a folder that exists."""
    path = Path(text)
    if not path.parent.is_dir():
        msg = f"the folder {path.parent} does not exist"
        raise argparse.ArgumentTypeError(msg)
    return path
