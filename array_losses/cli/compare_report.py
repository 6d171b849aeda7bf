"""The results of `compare`: tables for a terminal, Markdown, JSON."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import array_losses
from array_losses.cli.classifier import BATCH, RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from array_losses.cli.classifier import Run
    from array_losses.cli.images import Scene

__all__ = ["Comparison", "as_json", "markdown", "show"]

_FILE_WIDTH = 120  # of a table that is written to a file or pipe
_FEW_CLASSES = 16  # at most; more classes are rows of a second table instead of columns
_LEGEND = (
    "Scores in %, on held-out pixels; * marks the best. ms per call: the loss with its gradient on "
    "one batch, the fastest call in the second half of the training."
)
_NAME = 30  # characters of a loss's name; longer sums are folded
_CLASS = "Class"
_NUMBER = 6  # characters of a number with the mark of the best
_HEADING = 9  # characters per line of the second table's headings


@dataclass(frozen=True)
class Comparison:
    """A run for each loss, with the data, the device, and the seconds of all runs together."""

    scene: Scene
    runs: list[Run]
    steps: int
    place: str
    seconds: float

    def summary(self) -> list[str]:
        """Return the best losses for this data, and how they were trained, in sentences."""
        scene, rarest = self.scene, self.scene.rarest
        best = max(self.runs, key=lambda run: run.mean_iou)
        best_rare = max(self.runs, key=lambda run: run.iou[rarest])
        worst_rare = min(self.runs, key=lambda run: run.iou[rarest])
        sizes = scene.class_sizes(held_out=True)
        fraction = sizes[rarest] / sizes.sum()
        name = scene.class_names[rarest]
        rare = (
            f"Highest IoU of the rarest class, {name} ({_percent(fraction)} % of the pixels): "
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
    """A column of numbers: heading, value, format, and the best value (max, min or none)."""

    heading: tuple[str, str]
    value: Callable[[Run], float]
    form: Callable[[float], str]
    best: Callable[[Sequence[float]], float] | None

    def cells(self, runs: Sequence[Run]) -> list[tuple[str, bool]]:
        """Return the number of each run as text, and whether it is the best, as rounded there."""
        values = [self.value(run) for run in runs]
        texts = [self.form(value) for value in values]
        best = None if self.best is None else self.form(self.best(values))
        return [(text, text == best) for text in texts]

    def width(self, runs: Sequence[Run]) -> int:
        """Return the column's width in characters, with the gap and the mark of the best."""
        numbers = max(len(text) for text, _ in self.cells(runs)) + 1
        return max(numbers, *map(len, self.heading)) + 1


def show(comparison: Comparison) -> None:
    """Print the tables on stdout, in parts if the terminal is narrow."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_FILE_WIDTH)
    for columns in _fitting(comparison, console.width):
        console.print(_table(comparison, columns, console.width))
    if _has_class_table(comparison):
        for table in _class_tables(comparison, console.width):
            console.print(table)
    for sentence in (_LEGEND, *comparison.summary()):
        console.print(Text(sentence))


def markdown(comparison: Comparison) -> str:
    """Return the tables and the sentences as Markdown."""
    columns = [column for group in _columns(comparison) for column in group]
    head = ["Loss", *(" ".join(column.heading).strip() for column in columns)]
    cells = zip(*(column.cells(comparison.runs) for column in columns), strict=True)
    rows = [
        [run.name, *(_bold(text, best=best) for text, best in row)]
        for run, row in zip(comparison.runs, cells, strict=True)
    ]
    tables = [_markdown_table(head, rows, left=1)]
    if _has_class_table(comparison):
        texts, scores = _class_columns(comparison), _class_scores(comparison)
        head = [*(heading for heading, _ in texts), *(f"{run.name} IoU" for run, _ in scores)]
        rows = [
            [
                *(column[index] for _, column in texts),
                *(_bold(text, best=best) for text, best in (cells[index] for _, cells in scores)),
            ]
            for index in range(comparison.scene.num_classes)
        ]
        tables.append(_markdown_table(head, rows, left=len(texts) - 1))
    return "\n\n".join([*tables, "\n".join(f"* {one}" for one in comparison.summary())])


def _markdown_table(head: list[str], rows: list[list[str]], left: int) -> str:
    """Return a table whose first `left` columns are text and the others numbers."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    lines.insert(1, rule)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bold(text: str, *, best: bool) -> str:
    return f"**{text}**" if best else text


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
        "classes": dict(zip(scene.class_names, scene.keys, strict=True)),
        "held_out_pixels": dict(zip(scene.class_names, sizes, strict=True)),
        "losses": [
            {
                "name": run.name,
                "loss": run.loss,
                "dice": dict(zip(scene.class_names, run.dice, strict=True)),
                "iou": dict(zip(scene.class_names, run.iou, strict=True)),
                "mean_iou": run.mean_iou,
                "accuracy": run.accuracy,
                "ms_per_call": run.milliseconds,
                "curve": {"steps": run.steps, "mean_iou": run.curve},
            }
            for run in comparison.runs
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _columns(comparison: Comparison) -> tuple[list[_Column], ...]:
    """Return the columns in groups: the loss, Dice, IoU, and the rest."""
    names = comparison.scene.class_names

    def of_class(scores: str, index: int) -> Callable[[Run], float]:
        return lambda run: float(getattr(run, scores)[index])

    def score(heading: tuple[str, str], value: Callable[[Run], float]) -> _Column:
        return _Column(heading, value, _percent, max)

    names = names if len(names) <= _FEW_CLASSES else ()
    dice = [score((name, "Dice"), of_class("dice", index)) for index, name in enumerate(names)]
    iou = [score((name, "IoU"), of_class("iou", index)) for index, name in enumerate(names)]
    rest = [
        score(("mean", "IoU"), lambda run: run.mean_iou),
        score(("pixel", "acc."), lambda run: run.accuracy),
        _Column(("ms per", "call"), lambda run: run.milliseconds, "{:.1f}".format, min),
    ]
    # Values of different losses cannot be compared, so none is the best.
    loss = _Column(("loss at", "the end"), lambda run: run.loss, "{:.4f}".format, None)
    return [loss], dice, iou, rest


def _fitting(comparison: Comparison, width: int) -> list[list[_Column]]:
    """Put all columns into one table if they fit, otherwise into several."""
    groups = _columns(comparison)
    whole = [column for group in groups for column in group]
    widths = {column.heading: column.width(comparison.runs) for column in whole}
    room = width - _name_width(comparison.runs, width) - 2  # the edges
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


def _name_width(runs: Sequence[Run], width: int) -> int:
    """Return the width of the column of losses; the names of long sums are folded."""
    return min(max(len(run.name) for run in runs), _NAME, width // 2)


def _table(comparison: Comparison, columns: Sequence[_Column], width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("Loss\n", max_width=_name_width(comparison.runs, width))
    for column in columns:
        table.add_column(Text("\n".join(column.heading)), justify="right", no_wrap=True)
    cells = zip(*(column.cells(comparison.runs) for column in columns), strict=True)
    for run, row in zip(comparison.runs, cells, strict=True):
        table.add_row(run.name, *(_marked(*cell) for cell in row))
    return table


def _has_class_table(comparison: Comparison) -> bool:
    """Return whether the classes need a table, as colours or because there are many."""
    return comparison.scene.coloured or _many_classes(comparison)


def _many_classes(comparison: Comparison) -> bool:
    return comparison.scene.num_classes > _FEW_CLASSES


def _class_columns(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return heading and texts of the columns that describe the classes."""
    scene = comparison.scene
    sizes = scene.class_sizes(held_out=True)
    columns = [(_CLASS, list(scene.class_names))]
    if scene.coloured and scene.class_names != scene.keys:
        columns.append(("Colour", list(scene.keys)))
    return [*columns, ("% of pixels", [f"{100 * size / sizes.sum():.2f}" for size in sizes])]


def _class_scores(comparison: Comparison) -> list[tuple[Run, list[tuple[str, bool]]]]:
    """Return each loss with the IoU of the classes, if the first table does not have them."""
    if not _many_classes(comparison):
        return []
    best = [
        _percent(max(scores)) for scores in zip(*(run.iou for run in comparison.runs), strict=True)
    ]
    texts = [[_percent(score) for score in run.iou] for run in comparison.runs]
    return [
        (run, [(text, text == top) for text, top in zip(column, best, strict=True)])
        for run, column in zip(comparison.runs, texts, strict=True)
    ]


def _class_tables(comparison: Comparison, width: int) -> Iterator[Table]:
    """Yield the table of classes, in parts if it is too wide."""
    columns, scores = _class_columns(comparison), _class_scores(comparison)
    headings = [textwrap.wrap(run.name, _HEADING) for run, _ in scores]
    room = width - 8 - sum(1 + max(map(len, texts)) for _, texts in columns)
    parts: list[list[int]] = [[]]
    left = room
    for place, lines in enumerate(headings):
        needed = max(_NUMBER, *map(len, lines)) + 1
        if needed > left and parts[-1]:
            parts.append([])
            left = room
        parts[-1].append(place)
        left -= needed
    for part in parts:
        chosen = [("\n".join(headings[place]), scores[place][1]) for place in part]
        yield _class_table(comparison.scene, columns, chosen)


def _class_table(
    scene: Scene,
    columns: list[tuple[str, list[str]]],
    scores: list[tuple[str, list[tuple[str, bool]]]],
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    for heading, _ in columns:
        indent = "   " if heading == _CLASS and scene.coloured else ""  # the swatches
        justify: Literal["left", "right"] = "right" if heading.startswith("%") else "left"
        table.add_column(indent + heading.replace("of ", "of\n"), justify=justify)
    for heading, _ in scores:
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for index, key in enumerate(scene.keys):
        name, *others = (texts[index] for _, texts in columns)
        swatch: list[str | tuple[str, str]] = []
        if scene.coloured:
            swatch = [("  ", f"on {key}"), " "]
        cells = (_marked(*cells[index]) for _, cells in scores)
        table.add_row(Text.assemble(*swatch, name), *others, *cells)
    return table


def _marked(text: str, best: bool) -> Text:
    return Text(f"{text}*", style="bold green") if best else Text(f"{text} ")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
