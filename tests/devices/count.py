"""What a training step with one loss launches and moves on a GPU, and which line asks for it.

    python -m tests.devices.count --loss ce --trace
    python -m tests.devices.count --loss "al.DiceLoss(pool='image')" --shape 2,2,64,64
    python -m tests.devices.count --budgets

Counted on a fake device: eager PyTorch, forward and backward. Bytes and peak are multiples of the
logits' bytes.
"""

import argparse
import sys
from collections import Counter

from rich.console import Console
from rich.table import Table

import array_losses as al
from tests.devices.budgets import measured
from tests.devices.training_step import count
from tests.devices.workloads import WORKLOADS, Workload


def main():
    """Print what one loss takes, or what all do."""
    options = _options()
    if options.budgets:
        for name, workload in WORKLOADS.items():
            print(f'    "{name}": {_written(measured(workload))},', flush=True)
        return
    found = count(_workload(options), backward=not options.forward)
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    if options.trace:
        console.print(_by_line(found, options.callers))
    console.print(
        f"{options.loss}: {found.launches} launches, {found.moved:.2f} × bytes, "
        f"peak {found.peak:.2f}"
    )
    for (operator, *places), times in found.counted.waits.items():
        console.print(f"  waits {times} ×: {operator} at {_line(places)}", style="red")
    for places, times in found.copies.items():
        console.print(f"  copies to the device {times} ×: at {_line(places)}", style="red")


def _options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    named = "; ".join(WORKLOADS)
    parser.add_argument("--loss", default="ce", help=f"one of {named}; or an expression with al")
    parser.add_argument("--shape", type=_shape, help="of the logits: 2,19,64,64")
    parser.add_argument("--dtype", help="of the logits: float16")
    parser.add_argument("--weights", action="store_true", help="give pixel weights")
    parser.add_argument("--forward", action="store_true", help="count the value alone")
    parser.add_argument("--trace", action="store_true", help="show the launches of each line")
    parser.add_argument("--callers", type=int, default=0, help="so many lines that called it too")
    parser.add_argument("--budgets", action="store_true", help="print the table of budgets.py")
    return parser.parse_args()


def _written(budget):
    """Return a budget as it stands in the table, without the columns that are 0."""
    rest = "".join(f", {name}={n}" for name, n in budget._asdict().items() if name in _RARE and n)
    return f"Budget({budget.launches}, {budget.moved:.2f}, {budget.peak:.2f}{rest})"


_RARE = ("waits", "copies")


def _shape(text):
    return tuple(map(int, text.split(",")))


def _workload(options):
    workload = WORKLOADS.get(options.loss) or Workload(eval(options.loss, {"al": al}))
    given = {name: getattr(options, name) for name in ("shape", "dtype", "weights")}
    return workload._replace(**{name: value for name, value in given.items() if value})


def _by_line(found, callers):
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
