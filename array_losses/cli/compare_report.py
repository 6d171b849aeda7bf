"""What `array-losses compare` found, as a terminal's table, as Markdown, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import array_losses
from array_losses.cli.classifier import BATCH, RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from array_losses.cli.classifier import Run
    from array_losses.cli.images import Scene

__all__ = ["Comparison", "as_json", "markdown", "show"]

_FILE_WIDTH = 120  # of a table that is not for a terminal


@dataclass(frozen=True)
class Comparison:
    """A run for each loss, on which data, where, and how many seconds all of it took."""

    scene: Scene
    runs: list[Run]
    steps: int
    place: str
    seconds: float

    def summary(self) -> list[str]:
        """Return what was done, and which losses serve this data, in sentences."""
        scene, rarest = self.scene, self.scene.rarest
        best = max(self.runs, key=lambda run: run.mean_iou)
        best_rare = max(self.runs, key=lambda run: run.iou[rarest])
        worst_rare = min(self.runs, key=lambda run: run.iou[rarest])
        sizes = scene.class_sizes(held_out=True)
        share = sizes[rarest] / sizes.sum()
        name = scene.class_names[rarest]
        rare = (
            f"Highest IoU of the rarest class, {name} ({_percent(share)} % of the pixels): "
            f"{best_rare.name} ({_percent(best_rare.iou[rarest])} %; lowest: "
            f"{worst_rare.name}, {_percent(worst_rare.iou[rarest])} %)."
        )
        how = (
            f"{scene.title}: {scene.split}. {self.steps} steps of Adam (rate {RATE}) on batches "
            f"of up to {BATCH:,} pixels; {self.place}; {self.seconds:.0f} s in all."
        )
        return [f"Highest mean IoU: {best.name} ({_percent(best.mean_iou)} %).", rare, how]


@dataclass(frozen=True)
class _Column:
    """A column of numbers: heading, value, form, and which value is the best (max, min or none)."""

    heading: tuple[str, str]
    value: Callable[[Run], float]
    form: Callable[[float], str]
    best: Callable[[Sequence[float]], float] | None

    def cells(self, runs: Sequence[Run]) -> list[tuple[str, bool]]:
        """Return the number of each run, and whether none is better as far as it is printed."""
        values = [self.value(run) for run in runs]
        texts = [self.form(value) for value in values]
        best = None if self.best is None else self.form(self.best(values))
        return [(text, text == best) for text in texts]

    def width(self, runs: Sequence[Run]) -> int:
        """Return how many characters the column takes, with the gap and the mark of the best."""
        numbers = max(len(text) for text, _ in self.cells(runs)) + 1
        return max(numbers, *map(len, self.heading)) + 1


def show(comparison: Comparison) -> None:
    """Print the table to stdout; to a narrow terminal in parts."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_FILE_WIDTH)
    for columns in _fitting(comparison, console.width):
        console.print(_table(comparison, columns))
    for sentence in ("Scores in %, of held-out pixels; * the best.", *comparison.summary()):
        console.print(Text(sentence))


def markdown(comparison: Comparison) -> str:
    """Return the table and the sentences as Markdown."""
    columns = [column for group in _columns(comparison) for column in group]
    headings = " | ".join(" ".join(column.heading).strip() for column in columns)
    lines = [f"| Loss | {headings} |", "|---|" + "---:|" * len(columns)]
    cells = zip(*(column.cells(comparison.runs) for column in columns), strict=True)
    for run, row in zip(comparison.runs, cells, strict=True):
        numbers = " | ".join(f"**{text}**" if best else text for text, best in row)
        lines.append(f"| {run.name} | {numbers} |")
    return "\n".join([*lines, "", *(f"* {sentence}" for sentence in comparison.summary())])


def as_json(comparison: Comparison) -> str:
    """Return every number as JSON."""
    scene = comparison.scene
    sizes = scene.class_sizes(held_out=True).tolist()
    content = {
        "array_losses": array_losses.__version__,
        "data": scene.title,
        "split": scene.split,
        "place": comparison.place,
        "steps": comparison.steps,
        "batch": BATCH,
        "rate": RATE,
        "seconds": comparison.seconds,
        "held_out_pixels": dict(zip(scene.class_names, sizes, strict=True)),
        "losses": [
            {
                "name": run.name,
                "loss": run.loss,
                "dice": dict(zip(scene.class_names, run.dice, strict=True)),
                "iou": dict(zip(scene.class_names, run.iou, strict=True)),
                "mean_iou": run.mean_iou,
                "accuracy": run.accuracy,
                "ms_per_step": run.milliseconds,
                "curve": {"steps": run.steps, "mean_iou": run.curve},
            }
            for run in comparison.runs
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _columns(comparison: Comparison) -> tuple[list[_Column], ...]:
    """Return the columns: the loss, Dice, IoU, and the rest."""
    names = comparison.scene.class_names

    def of_class(scores: str, index: int) -> Callable[[Run], float]:
        return lambda run: float(getattr(run, scores)[index])

    def score(heading: tuple[str, str], value: Callable[[Run], float]) -> _Column:
        return _Column(heading, value, _percent, max)

    dice = [score((name, "Dice"), of_class("dice", index)) for index, name in enumerate(names)]
    iou = [score((name, "IoU"), of_class("iou", index)) for index, name in enumerate(names)]
    rest = [
        score(("mean", "IoU"), lambda run: run.mean_iou),
        score(("pixel", "acc."), lambda run: run.accuracy),
        _Column(("ms a", "step"), lambda run: run.milliseconds, "{:.1f}".format, min),
    ]
    # What different losses say of themselves has no best.
    loss = _Column(("loss at", "the end"), lambda run: run.loss, "{:.4f}".format, None)
    return [loss], dice, iou, rest


def _fitting(comparison: Comparison, width: int) -> list[list[_Column]]:
    """Put all columns into one table if they fit, else groups or parts of groups into several."""
    groups = _columns(comparison)
    whole = [column for group in groups for column in group]
    widths = {column.heading: column.width(comparison.runs) for column in whole}
    room = width - max(len(run.name) for run in comparison.runs) - 2  # the edges
    if sum(widths.values()) <= room:
        return [whole]
    tables: list[list[_Column]] = []
    for group in groups:
        together = sum(widths[column.heading] for column in group)
        for position, column in enumerate(group):
            used = sum(widths[other.heading] for other in tables[-1]) if tables else room
            needed = together if position == 0 and together <= room else widths[column.heading]
            if used + needed > room:
                tables.append([])
            tables[-1].append(column)
    return tables


def _table(comparison: Comparison, columns: Sequence[_Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("Loss\n", no_wrap=True)
    for column in columns:
        table.add_column("\n".join(column.heading), justify="right", no_wrap=True)
    cells = zip(*(column.cells(comparison.runs) for column in columns), strict=True)
    for run, row in zip(comparison.runs, cells, strict=True):
        table.add_row(run.name, *(_marked(text, best=best) for text, best in row))
    return table


def _marked(text: str, *, best: bool) -> Text:
    return Text(f"{text}*", style="bold green") if best else Text(f"{text} ")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
