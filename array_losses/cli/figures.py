"""The picture of `compare`: image, truth, prediction of each loss, learning curves, scores."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import hsv_to_rgb, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from array_losses.cli.masks import IGNORED
from array_losses.cli.style import FAINT, STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from array_losses.cli.classifier import Run
    from array_losses.cli.compare_report import Comparison
    from array_losses.cli.images import Scene

__all__ = ["draw"]

# The first four suit the brain: background, the rare class in the most striking colour, two calm
# ones. More than 16 classes get further hues.
_CLASS_COLOURS = (
    *("#1b1f27", "#f5a623", "#4f8fc0", "#dfe7ee", "#c8553d", "#6aa56a", "#8e6bb0", "#d98cb3"),
    *("#b59b7a", "#3fb0ac", "#9aa83a", "#7a4b3a", "#4f5fa8", "#e07b39", "#8f969e", "#c23b75"),
)
_LINE_COLOURS = (
    *("#4d5562", "#8e6bb0", "#2f7fb8", "#2aa198", "#6a9a2d", "#d1495b", "#b5741a"),
    *("#1d4e79", "#5b3a86", "#8f1d3f", "#7d4a0c"),
)
_UNCOLOURED = "#9aa0a8"  # pixels without a label
_WIDTH, _HEADER, _CHARTS, _SIDE = 16.0, 0.75, 4.8, 4.5  # inches; the last: a panel, at most
_LEGEND_ROW, _LEGEND_ROWS = 0.28, 3  # height of a row in inches, and the largest number of rows
_LONGEST_TITLE = 90  # characters
_MARGIN = 4  # pixels around the visible part


def draw(comparison: Comparison, path: Path) -> None:
    """Draw the picture and write it to a file, in the format of the file extension."""
    runs, scene = comparison.runs, comparison.scene
    window = _window(scene.labels[scene.shown])
    rows = 1 if len(runs) <= 3 else 2
    columns = 2 // rows + math.ceil(len(runs) / rows)
    height, width = scene.labels[scene.shown][window].shape
    side = min((_WIDTH - 0.4) / columns, _SIDE)
    panels = rows * (side * min(height / width, 1.4) + 0.4)
    legend = _Legend.of(scene)
    header = _HEADER + legend.height
    # A `$` in a file name does not start a formula; a missing glyph needs no warning.
    with rc_context({**STYLE, "text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure: Any = Figure(figsize=(_WIDTH, header + panels + _CHARTS), dpi=110)
        parts = figure.subfigures(3, 1, height_ratios=[header, panels, _CHARTS])
        _draw_header(parts[0], scene, legend, header)
        _draw_panels(parts[1], comparison, window, rows, columns)
        left, right = parts[2].subfigures(1, 2, width_ratios=[1.25, 1])
        _draw_curves(left, runs)
        _draw_scores(right, comparison)
        figure.savefig(path, facecolor="white")


def _window(labels: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Return the rows and columns that contain more than background."""
    kept = (labels != 0) & (labels != IGNORED)
    rows, columns = (np.flatnonzero(kept.any(axis)) for axis in (1, 0))
    return (
        slice(max(rows[0] - _MARGIN, 0), rows[-1] + 1 + _MARGIN),
        slice(max(columns[0] - _MARGIN, 0), columns[-1] + 1 + _MARGIN),
    )


@dataclass(frozen=True)
class _Legend:
    """The classes that are named, in how many columns, and the height of the rows below the title.

    If the height is 0, the legend is beside the title.
    """

    classes: list[int]
    columns: int
    height: float

    @classmethod
    def of(cls, scene: Scene) -> _Legend:
        """Name all classes, or those with the most pixels in the visible slice."""
        entry = 0.55 + 0.1 * max(map(len, scene.class_names))  # inches
        count = scene.num_classes
        title = 0.8 + 0.13 * len(scene.title)
        if title + count * entry < _WIDTH:
            return cls(list(range(count)), count, 0.0)
        columns = int((_WIDTH - 0.4) / entry)
        rows = min(math.ceil(count / columns), _LEGEND_ROWS)
        most = rows * columns - (count > rows * columns)  # one entry is for "and 9 more"
        labels = scene.labels[scene.shown]
        sizes = np.bincount(labels[labels != IGNORED], minlength=count)
        largest = np.argsort(-sizes, kind="stable")[:most]
        return cls(sorted(largest.tolist()), columns, _LEGEND_ROW * rows)


def _draw_header(figure: Any, scene: Scene, legend: _Legend, height: float) -> None:
    """Write the title and the legend of the classes."""
    note = "" if scene.held_out[scene.shown].all() else " (training tiles are paler)"
    text = f"{scene.split}{note}; predictions with each loss, and their mean IoU in %"
    title = _shortened(scene.title, _LONGEST_TITLE)
    figure.text(0.012, 1 - 0.13 / height, title, fontsize=15, fontweight="bold", va="top")
    figure.text(0.012, 1 - 0.55 / height, text, va="center", color="#5a616b")
    colours = _class_colours(scene)
    handles = [_square(colours[index], scene.class_names[index]) for index in legend.classes]
    left_out = scene.num_classes - len(handles)
    if left_out:
        handles.append(Line2D([], [], ls="", label=f"and {left_out} more"))
    figure.legend(
        handles=handles,
        loc="lower left" if legend.height else "upper right",
        bbox_to_anchor=(0.004, 0.0) if legend.height else (0.988, 0.95),
        ncols=legend.columns,
        frameon=False,
        fontsize=11,
        handletextpad=0.2,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _square(colour: str, name: str) -> Line2D:
    return Line2D([], [], marker="s", ls="", ms=11, mfc=colour, mec=FAINT, mew=0.6, label=name)


def _class_colours(scene: Scene) -> list[str]:
    """Return the mask's own colours, or one of our colours for each class."""
    if scene.coloured:
        return list(scene.keys)
    hues = (
        to_hex(
            hsv_to_rgb((0.618 * index % 1, (0.45, 0.9, 0.65)[index % 3], (0.95, 0.6)[index % 2]))
        )
        for index in range(scene.num_classes - len(_CLASS_COLOURS))
    )
    return [*_CLASS_COLOURS[: scene.num_classes], *hues]


def _draw_panels(
    figure: Any, comparison: Comparison, window: tuple[slice, slice], rows: int, columns: int
) -> None:
    """Draw image and truth first, above or beside each other, then the prediction of each loss."""
    scene = comparison.scene
    title = 0.3 / (figure.bbox.height / figure.dpi)  # inches, as a fraction of the height
    figure.subplots_adjust(0.012, 0.02, 0.988, 1 - title, wspace=0.05, hspace=0.16)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
        axis.set_anchor("N")
    letters = int((min(_WIDTH / columns, _SIDE) - 0.6) / 0.09)  # of a title, beside the mean IoU
    image, truth = axes[:, : 2 // rows].flat
    image.imshow(_as_picture(scene)[window], interpolation="nearest")
    image.set_title("Image", fontweight="bold")
    colours = _class_colours(scene)
    truth.imshow(_coloured(scene.labels[scene.shown], colours)[window], interpolation="nearest")
    truth.set_title("Truth", fontweight="bold")
    for axis, run in zip(axes[:, 2 // rows :].flat, comparison.runs, strict=False):
        axis.imshow(_coloured(run.picture, colours)[window], interpolation="nearest")
        axis.set_title(_shortened(run.name, letters))
        axis.set_title(f"{100 * run.mean_iou:.1f}", loc="right", fontsize=9.5, color="#5a616b")


def _as_picture(scene: Scene) -> NDArray[np.floating[Any]]:
    """Return the visible slice in grey or colours, paler where the pixels were for training."""
    channels = (
        scene.image[:3, scene.shown] if len(scene.image) >= 3 else scene.image[:1, scene.shown]
    )
    picture = np.repeat(channels, 3 // len(channels), axis=0)
    picture = np.moveaxis(picture / np.percentile(picture, 99.8), 0, -1).clip(0, 1)
    held_out = scene.held_out[scene.shown]
    return picture if held_out.all() else np.where(held_out[..., None], picture, 0.5 + picture / 2)


def _coloured(classes: Any, colours: Sequence[str]) -> NDArray[np.floating[Any]]:
    rgb = np.asarray([to_rgb(colour) for colour in (*colours, _UNCOLOURED)])
    return rgb[np.minimum(classes, len(colours))]


def _draw_curves(figure: Any, runs: Sequence[Run]) -> None:
    """Draw the learning curves, with names at their ends."""
    figure.subplots_adjust(left=0.09, right=0.76, top=0.88, bottom=0.13)
    axis = figure.subplots()
    axis.set_title("Mean IoU of held-out pixels during training", fontweight="bold", pad=10)
    curves = [[100 * iou for iou in run.curve] for run in runs]
    ends = [curve[-1] for curve in curves]
    span = max(max(ends) - min(ends), 2.0)
    low, high = min(ends) - 0.9 * span, min(max(ends) + 0.25 * span, 100.2)
    axis.set_ylim(low, high)
    axis.grid(axis="y", color="#e6e9ed", lw=0.8)
    last = max(runs[0].steps[-1], 2)
    axis.set_xlim(1, last)
    axis.set_xlabel("step")
    axis.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axis.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    places = _spread(ends, 0.052 * (high - low))
    for run, curve, place, colour, dashes in zip(runs, curves, places, *_lines(runs), strict=True):
        axis.plot(run.steps, curve, color=colour, lw=1.8, ls=dashes)
        axis.annotate(
            f"{_shortened(run.name, 18)}  {curve[-1]:.1f}",
            (last, curve[-1]),
            (last + 0.05 * (last - 1), place),
            color=colour,
            va="center",
            fontsize=9.5,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "lw": 0.7,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 0,
            },
        )


def _lines(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """Return the colours and the styles of the lines; sums are dashed."""
    colours = [_LINE_COLOURS[index % len(_LINE_COLOURS)] for index in range(len(runs))]
    return colours, ["--" if "+" in run.name else "-" for run in runs]


def _spread(values: Sequence[float], gap: float) -> list[float]:
    """Return positions for labels near the values, in the same order, at least `gap` apart."""
    order = np.argsort(values)
    places = np.asarray(values, dtype=float)[order]
    for _ in range(200):
        overlap = gap - np.diff(places)
        if (overlap <= 1e-9).all():
            break
        push = np.maximum(overlap, 0) / 2
        places[:-1] -= push
        places[1:] += push
    spread = np.empty_like(places)
    spread[order] = places
    return spread.tolist()


def _draw_scores(figure: Any, comparison: Comparison) -> None:
    """Draw the IoU of each class as dots, one line per loss, the best mean at the top."""
    scene = comparison.scene
    runs = sorted(comparison.runs, key=lambda run: run.mean_iou)
    figure.subplots_adjust(left=0.22, right=0.97, top=0.88, bottom=0.13)
    axis = figure.subplots()
    axis.set_title("IoU per class (bar: mean; number: lowest)", fontweight="bold", pad=10)
    rows = range(len(runs))
    axis.set_yticks(rows, [_shortened(run.name, 17) for run in runs])
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_ylim(-0.6, len(runs) - 0.4)
    axis.hlines(rows, 0, 100, color="#e6e9ed", lw=1, zorder=1)
    for row, run in enumerate(runs):
        mean = 100 * run.mean_iou
        axis.plot([mean, mean], [row - 0.3, row + 0.3], color="#1b1f27", lw=2, zorder=2)
        worst = 100 * min(run.iou)
        axis.annotate(
            f"{worst:.1f}",
            (worst, row),
            (-8, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8.5,
        )
    size = 62 if scene.num_classes <= len(_CLASS_COLOURS) else 20
    axis.scatter(
        100 * np.asarray([run.iou for run in runs]).T.ravel(),
        np.tile(rows, scene.num_classes),
        s=size,
        color=np.repeat(_class_colours(scene), len(runs)).tolist(),
        edgecolor="#5a616b",
        lw=0.8,
        zorder=3,
    )
    lowest = 100 * min(min(run.iou) for run in runs)
    span = max(100 - lowest, 2.0)
    axis.set_xticks(
        [
            tick
            for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(100 - span, 100)
            if tick <= 100
        ]
    )
    axis.set_xlim(100 - 1.2 * span, 100 + 0.03 * span)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
