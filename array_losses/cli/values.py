"""Types of the options of commands, for argparse."""

from __future__ import annotations

import argparse
import reprlib
from collections.abc import Callable

__all__ = ["whole"]


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a function that reads an integer from `lowest` to `highest`."""

    def read(text: str) -> int:
        digits = text.lstrip("0") or "0"
        short = text.isdecimal() and len(digits) <= len(str(highest))
        if not short or not lowest <= int(digits) <= highest:
            msg = f"expected an integer from {lowest} to {highest}, got {reprlib.repr(text)}"
            raise argparse.ArgumentTypeError(msg)
        return int(digits)

    return read
