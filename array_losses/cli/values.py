"""What an option of a command may be: whole numbers, numbers of seconds."""

from __future__ import annotations

import argparse
import math
import reprlib
from collections.abc import Callable

__all__ = ["seconds", "whole"]


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a function, for argparse, that reads a whole number from `lowest` to `highest`."""

    def read(text: str) -> int:
        digits = text.lstrip("0") or "0"
        short = text.isdecimal() and len(digits) <= len(str(highest))
        if not short or not lowest <= int(digits) <= highest:
            msg = f"expected an integer from {lowest} to {highest}, got {reprlib.repr(text)}"
            raise argparse.ArgumentTypeError(msg)
        return int(digits)

    return read


def seconds(text: str) -> float:
    """Return a finite number of at least 0."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        msg = f"expected a number of seconds, 0 or more, got {reprlib.repr(text)}"
        raise argparse.ArgumentTypeError(msg)
    return found
