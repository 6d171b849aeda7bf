"""The plots: time over floor, memory over logits, time against pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from array_losses.cli.style import FAINT, STYLE
from tests.benchmarks.comparison import LINES, line_of
from tests.benchmarks.tables import TITLES, threads_title
from tests.benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from tests.benchmarks.memory import MemoryRow
    from tests.benchmarks.results import Results
    from tests.benchmarks.scaling import ScalingRow
    from tests.benchmarks.timing import Row

__all__ = ["draw"]

_GRID, _RANGE, _NOTE = "#e6e9ed", "#ccd2d9", "#5a616b"
# Ours are large diamonds in blue, peers are small and round. The last name that occurs counts:
# "torch + kornia" is kornia's.
_COLOURS = {
    "torch": "#e07b39",
    "monai": "#5f9e5f",
    "smp": "#8e6bb0",
    "kornia": "#d1495b",
    "keras": "#b59b2a",
    "original style": "#6f7680",
}
_OURS = {"NumPy": "#0b4f8a", "torch": "#4aa3df"}
_COLUMNS = 3


def draw(results: Results, folder: Path) -> None:
    """Write time.png, memory.png and scaling.png: those for which there are results."""
    eager = [row for row in results.times if row.mode == "eager" and row.gradient is not None]
    most = max((row.threads for row in eager), default=0)
    times = [row for row in eager if row.threads == most]
    memory = [row for row in results.memory if row.gradient is not None]
    with rc_context(STYLE | {"axes.titleweight": "bold"}):
        if times:
            _draw_times(results, times).savefig(folder / "time.png", facecolor="white")
        if memory:
            _draw_memory(memory).savefig(folder / "memory.png", facecolor="white")
        if results.scaling:
            _draw_scaling(results.scaling).savefig(folder / "scaling.png", facecolor="white")


def _panels(
    count: int, title: str, note: str, heights: Sequence[float], *, left: float, header: float
) -> tuple[Any, list[Any]]:
    """Return a figure with a title, a note and so many panels; `heights` are inches a row."""
    columns = min(_COLUMNS, count)
    used, footer = 4.6 * columns + 0.6, 0.4
    width = max(used, 10.2)  # the note's
    total = header + footer + sum(heights) + 0.75 * (len(heights) - 1)
    figure: Any = Figure(figsize=(width, total), dpi=110)
    figure.text(0.15 / width, 1 - 0.12 / total, title, fontsize=15, fontweight="bold", va="top")
    figure.text(0.15 / width, 1 - 0.46 / total, note, va="top", color=_NOTE)
    grid = figure.add_gridspec(
        len(heights),
        columns,
        height_ratios=heights,
        left=left / width,
        right=(used - 0.2) / width,
        bottom=footer / total,
        top=1 - header / total,
        hspace=0.75 / (sum(heights) / len(heights)),
        wspace=0.12 if left > 1 else 0.22,
    )
    axes = [figure.add_subplot(grid[i // columns, i % columns]) for i in range(count)]
    return figure, axes


def _draw_times(results: Results, rows: Sequence[Row]) -> Any:
    threads = rows[0].threads
    floor = results.floors[threads]
    names = [name for name in WORKLOADS if any(row.workload == name for row in rows)]
    lines = [line for line in LINES if any(line_of(row) == line for row in rows)]
    figure, axes = _panels(
        len(names),
        "Time over the machine's floor",
        f"Value and gradient, eager, {threads_title(threads)}; minimum of interleaved rounds. "
        "Floor: read the logits or take their exponentials, write the gradient.",
        [0.36 * len(lines) + 0.2] * math.ceil(len(names) / _COLUMNS),
        left=1.95,
        header=1.4,
    )
    for position, (axis, name) in enumerate(zip(axes, names, strict=True)):
        here = [row for row in rows if row.workload == name]
        least = floor.gradient(WORKLOADS[name])
        points = [
            (line_of(row), row.contender, row.gradient.minimum / least)
            for row in here
            if row.gradient is not None
        ]
        _draw_dots(axis, lines, points, named=position % _COLUMNS == 0)
        axis.set_xscale("log")
        axis.axvline(1, color=FAINT, lw=1, ls=(0, (4, 3)), zorder=1)
        _number_log_axis(axis.xaxis, axis.get_xlim())
        axis.set_title(WORKLOADS[name].title(), pad=8)
        axis.text(1, 0.015, " floor", transform=axis.get_xaxis_transform(), **_SMALL)
    _draw_legend(figure, [row.contender for row in rows])
    return figure


_SMALL: dict[str, Any] = {"fontsize": 8, "color": "#5a616b", "va": "bottom", "ha": "left"}


def _draw_memory(rows: Sequence[MemoryRow]) -> Any:
    names = [name for name in WORKLOADS if any(row.workload == name for row in rows)]
    # At a few kilobytes of logits what Python needs would be all that shows.
    names = [name for name in names if WORKLOADS[name].logits_bytes > 4 << 20] or names
    lines = [line for line in LINES if any(line_of(row) == line for row in rows)]
    figure, axes = _panels(
        len(names),
        "Memory beyond the inputs, as a multiple of the logits",
        "Value and gradient, eager: how far the resident set of a fresh process grows. "
        "The gradient itself is 1.",
        [0.36 * len(lines) + 0.2] * math.ceil(len(names) / _COLUMNS),
        left=1.95,
        header=1.4,
    )
    for position, (axis, name) in enumerate(zip(axes, names, strict=True)):
        points = [
            (line_of(row), row.contender, row.gradient / row.logits_bytes)
            for row in rows
            if row.workload == name and row.gradient is not None
        ]
        _draw_dots(axis, lines, points, named=position % _COLUMNS == 0)
        axis.set_xlim(0, 1.06 * max(value for _, _, value in points))
        axis.axvline(1, color=FAINT, lw=1, ls=(0, (4, 3)), zorder=1)
        axis.set_title(WORKLOADS[name].title(), pad=8)
        axis.text(1, 0.015, " the gradient", transform=axis.get_xaxis_transform(), **_SMALL)
    _draw_legend(figure, [row.contender for row in rows])
    return figure


def _draw_dots(
    axis: Any, lines: Sequence[str], points: Sequence[tuple[str, str, float]], *, named: bool
) -> None:
    """Draw a row for each line with a dot for each contender, ours on top."""
    for height, line in enumerate(reversed(lines)):
        values = [value for one, _, value in points if one == line]
        if values:
            axis.plot([min(values), max(values)], [height] * 2, color=_RANGE, lw=2.2, zorder=2)
        for one, contender, value in points:
            if one == line:
                axis.plot([value], [height + _shift(contender)], **_mark(contender))
    axis.set_ylim(-0.9, len(lines) - 0.5)
    labels = [LINES[line].replace("Lovász-Softmax, 4,096", "Lovász, 4,096") for line in lines]
    axis.set_yticks(range(len(lines)), labels[::-1] if named else [""] * len(lines))
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=_GRID, lw=0.8)
    axis.set_axisbelow(True)


def _shift(contender: str) -> float:
    """Return by how much a dot is above its line: NumPy and torch are often equally fast."""
    if not _is_ours(contender):
        return 0.0
    return 0.14 if "NumPy" in contender else -0.14


def _is_ours(contender: str) -> bool:
    return contender.startswith("array_losses")


def _mark(contender: str) -> dict[str, Any]:
    if _is_ours(contender):
        framework = contender.split(", ")[1]
        hollow = contender.endswith("float32")
        colour = _OURS.get(framework, "#4aa3df")
        face = "white" if hollow else colour
        edge = colour if hollow else "white"
        return {"marker": "D", "ms": 8, "mfc": face, "mec": edge, "zorder": 4}
    colour = _colour(contender)
    return {"marker": "o", "ms": 7, "mfc": colour, "mec": "white", "mew": 0.8, "zorder": 3}


def _colour(contender: str) -> str:
    known = [name for name in _COLOURS if name in contender]
    return _COLOURS[max(known, key=contender.rfind)] if known else "#6f7680"


def _draw_legend(figure: Any, contenders: Iterable[str]) -> None:
    there = set(contenders)
    entries: list[tuple[str, dict[str, Any]]] = [
        (f"array_losses, {framework}", _mark(f"array_losses, {framework}"))
        for framework in _OURS
        if any(one.startswith(f"array_losses, {framework}") for one in there)
    ]
    if any(one.endswith("float32") for one in there):
        entries.append(("the same in float32", _mark("array_losses, torch, float32")))
    peers = [name for name in _COLOURS if any(name in one for one in there if not _is_ours(one))]
    entries += [(name, _mark(name)) for name in peers]
    handles = [Line2D([], [], ls="", label=label, **mark) for label, mark in entries]
    height = figure.get_figheight()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.05 / figure.get_figwidth(), 1 - 0.62 / height),
        ncols=len(handles),
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.3,
    )


def _number_log_axis(axis: Any, limits: tuple[float, float]) -> None:
    """Put 1, 2, 5, 10, ... on a logarithmic axis, or only powers of ten on a long one."""
    low, high = limits
    digits = (1,) if high / low > 1e3 else (1, 3) if high / low > 60 else (1, 2, 5)
    ticks = [
        digit * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digit in digits
    ]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _draw_scaling(rows: Sequence[ScalingRow]) -> Any:
    losses = [loss for loss in TITLES if any(row.loss == loss for row in rows)]
    figure, axes = _panels(
        len(losses),
        "Time against pixels",
        "Value and gradient, eager, all threads, 4 classes. Dashed: in proportion to the pixels.",
        [2.7] * math.ceil(len(losses) / _COLUMNS),
        left=0.75,
        header=1.05,
    )
    low = min(row.seconds for row in rows)
    high = max(row.seconds for row in rows)
    powers = [power for power in range(10, 27, 4) if any(row.pixels >= 1 << power for row in rows)]
    for position, (axis, loss) in enumerate(zip(axes, losses, strict=True)):
        here = [row for row in rows if row.loss == loss]
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        _draw_guide(axis, here)
        for name in dict.fromkeys(row.contender for row in here):
            _draw_line(axis, [row for row in here if row.contender == name])
        axis.set_ylim(low / 2, high * 2)
        axis.set_xticks([1 << power for power in powers], [f"$2^{{{p}}}$" for p in powers])
        axis.yaxis.set_major_formatter(FuncFormatter(_duration))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.grid(color=_GRID, lw=0.8)
        axis.set_axisbelow(True)
        axis.set_title(TITLES[loss])
        if position % _COLUMNS:
            axis.tick_params(axis="y", length=0, labelleft=False)
        axis.legend(loc="upper left", frameon=False, fontsize=8.5, handlelength=1.6)
    return figure


def _draw_guide(axis: Any, rows: Sequence[ScalingRow]) -> None:
    ours = [row for row in rows if row.ours and not row.binned] or list(rows)
    last = max(ours, key=lambda row: (row.pixels, -row.seconds))
    pixels = sorted({row.pixels for row in rows})
    ends = [pixels[0], pixels[-1]]
    per_pixel = last.seconds / last.pixels
    axis.plot(
        ends, [per_pixel * end for end in ends], color="#b8bfc8", lw=1, ls=(0, (4, 3)), zorder=1
    )


def _draw_line(axis: Any, rows: Sequence[ScalingRow]) -> None:
    contender = rows[0].contender
    mark = _mark(contender) | {"ms": 5}
    colour = mark["mfc"]
    axis.plot(
        [row.pixels for row in rows],
        [row.seconds for row in rows],
        color=colour,
        lw=1.8,
        ls=":" if rows[0].binned else "-",
        label=contender,
        **mark,
    )


_UNITS: tuple[tuple[float, str], ...] = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def _duration(seconds: float, _: Callable[..., Any] | int | None) -> str:
    for unit, name in _UNITS:
        if seconds >= 0.999 * unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds / 1e-9:g} ns"
