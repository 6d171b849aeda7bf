"""What losses launch and move on a GPU, beside other packages' losses, as a table.

    python -m tests.devices.launches
    python -m tests.devices.launches --markdown docs/performance/launches.md

All are counted in this process on the fake device: eager PyTorch, forward and backward.
"""

import argparse
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from tests.benchmarks.peers import missing, torch_losses
from tests.benchmarks.tables import TITLES
from tests.devices.plain import PLAIN
from tests.devices.training_step import count
from tests.devices.workloads import WORKLOADS, Workload

OURS = "array_losses"
SHAPES = ((2, 19, 64, 64), (2, 2, 64, 64))
NAMED = {"torch": "PyTorch", "monai": "MONAI", "monai DiceCELoss": "MONAI", "kornia": "kornia"}
COLUMNS = ("Loss", "Package", "Launches", "Bytes", "Peak", "Waits")


class Row(NamedTuple):
    """What one contender takes for a loss."""

    loss: str
    package: str
    launches: int
    moved: float
    peak: float
    waits: int

    @property
    def cells(self):
        """The texts of the row."""
        numbers = (str(self.launches), f"{self.moved:.1f}", f"{self.peak:.1f}", str(self.waits))
        return (self.loss, self.package, *numbers)


def main():
    """Count, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", type=Path, help="a file to write the tables to")
    options = parser.parse_args()
    console = Console()
    pages = []
    for shape in SHAPES:
        rows = [row for loss in TITLES for row in _rows(loss, shape)]
        title = f"Logits {' × '.join(map(str, shape))}, float32"
        console.print(_table(title, rows))
        pages.append(_markdown(title, rows))
    for name, why in missing().items():
        if name in NAMED:
            console.print(f"without {name}: {why}")
    if options.markdown:
        options.markdown.write_text("\n".join(pages), encoding="utf-8")


def _rows(loss, shape):
    """Count this library and the others, in the order of their launches."""
    rows = [
        _row(loss, name, WORKLOADS[key].loss, shape)
        for key, name in ((loss, OURS), (f"{loss} bins", f"{OURS}, 4,096 bins"))
        if key in WORKLOADS
    ]
    for name, make in torch_losses(loss, binary=False).items():
        if name in NAMED:
            rows.append(_row(loss, NAMED[name], make().function, shape))
    if loss in PLAIN:
        rows.append(_row(loss, "by hand with PyTorch", PLAIN[loss], shape))
    return rows


def _row(loss, package, function, shape):
    with patch.object(torch, "arange", _arange):
        step = count(Workload(function, shape))
    waits = sum(step.counted.waits.values()) + sum(step.copies.values())
    return Row(TITLES[loss], package, step.launches, step.moved, step.peak, waits)


def _arange(*bounds, device=None, **named):
    """torch.arange, with values where it is for the CPU: MONAI makes a list of axes by it."""
    if device is None and not named:
        return np.arange(*bounds)
    return _torch_arange(*bounds, device=device, **named)


_torch_arange = torch.arange


def _table(title, rows):
    table = Table(title=title)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    for before, row in zip([None, *rows], rows, strict=False):
        if before and before.loss != row.loss:
            table.add_section()
        cells = row.cells if before is None or before.loss != row.loss else ("", *row.cells[1:])
        table.add_row(*cells, style="bold" if _is_ours(row) else None)
    return table


def _markdown(title, rows):
    lines = [f"**{title}**", "", f"| {' | '.join(COLUMNS)} |", "|---|---|---:|---:|---:|---:|"]
    for row in rows:
        cells = [f"**{cell}**" for cell in row.cells[1:]] if _is_ours(row) else row.cells[1:]
        lines.append(f"| {' | '.join((row.loss, *cells))} |")
    return "\n".join([*lines, ""])


def _is_ours(row):
    return row.package.startswith(OURS)


if __name__ == "__main__":
    main()
