"""What a training step with one loss launches and moves on a GPU, and which line asks for it.

    python -m tests.devices.count --loss ce --trace
    python -m tests.devices.count --loss "al.DiceLoss(pool='image')" --shape 2,2,64,64

Counted on a fake device: eager PyTorch, forward and backward. Bytes and peak are multiples of the
logits' bytes.
"""

import argparse
import sys
from collections import Counter

import torch
from rich.console import Console
from rich.table import Table

import array_losses as al
from tests.devices.workloads import LOSSES, SHAPE, count


def main():
    """Print what one loss takes."""
    options = _options()
    loss = LOSSES.get(options.loss) or eval(options.loss, {"al": al})
    dtype = getattr(torch, options.dtype)
    found = count(loss, options.shape, dtype, weights=options.weights, backward=not options.forward)
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    if options.trace:
        console.print(_by_place(found, options.callers))
    console.print(
        f"{options.loss}: {found.kernels} launches, {found.moved:.2f} × bytes, "
        f"peak {found.peak:.2f}"
    )
    for (operator, *places), times in found.counted.waits.items():
        console.print(f"  waits {times} ×: {operator} at {_line(places)}", style="red")
    for places, times in found.copies.items():
        console.print(f"  copies to the device {times} ×: at {_line(places)}", style="red")


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loss", default="ce", help=f"{', '.join(LOSSES)}, or an expression of al")
    parser.add_argument("--shape", default=SHAPE, type=_shape, help="of the logits: 2,19,64,64")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--weights", action="store_true", help="with pixel weights")
    parser.add_argument("--forward", action="store_true", help="the value alone")
    parser.add_argument("--trace", action="store_true", help="the launches of each line")
    parser.add_argument("--callers", type=int, default=0, help="so many lines that called it too")
    return parser.parse_args()


def _shape(text):
    return tuple(map(int, text.split(",")))


def _by_place(found, callers):
    """Return the launches of each line, in the order in which lines first launch one."""
    lines = {}
    for one in found.counted.launches:
        lines.setdefault(_line(one.places[: 1 + callers]), []).append(one)
    table = Table("line", "launches", "bytes ×", "operators")
    for line, launches in lines.items():
        operators = Counter(one.operator for one in launches)
        table.add_row(
            line,
            str(sum(one.kernels for one in launches)),
            f"{sum(one.moved for one in launches) / found.logits_bytes:.3f}",
            ", ".join(f"{n} {name}" if n > 1 else name for name, n in operators.items()),
        )
    return table


def _line(places):
    return " < ".join(places) or "PyTorch's autograd"


if __name__ == "__main__":
    main()
