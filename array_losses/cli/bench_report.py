"""What `array-losses bench` shows: tables on the terminal, and the same in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from array_losses.cli.bench_goals import LINES, Verdict, verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from array_losses.cli.bench_results import Results
    from array_losses.cli.bench_time import Group, Row, Seconds

__all__ = ["show_group", "show_start", "show_summary", "write_files"]


def show_start(console: Console, results: Results) -> None:
    """Print the machine, the versions, and who is missing."""
    about = ", ".join(f"{name} {value}" for name, value in results.about.items())
    console.print(Text(about, style="dim"))
    for name, how in results.missing.items():
        console.print(Text(f"{name}: {how}", style="yellow"))


def show_group(console: Console, results: Results, group: Group) -> None:
    """Print the rows of one group, the fastest first."""
    rows = [
        row
        for row in results.times
        if (row.mode, row.workload, row.loss, row.threads)
        == (group.mode, group.workload.name, group.loss, group.threads)
    ]
    of_row = {id(one.row): one for one in verdicts(results.times)}
    floor = results.floors[group.threads]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), title_justify="left", title_style="bold")
    table.title = (
        f"{group.workload.title()} · {group.loss} · {group.mode}, {_threads(group.threads)}"
    )
    table.add_column(f"{max((row.rounds for row in rows), default=0)} rounds; ms", no_wrap=True)
    for heading in ("forward", "median", "+ gradient", "median", "× floor", "/ best peer", "goal"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in sorted(rows, key=_speed):
        if row.problem is not None:
            continue
        verdict = of_row.get(id(row))
        table.add_row(
            Text(row.contender, style="bold" if row.ours else ""),
            *_milliseconds(row.forward),
            *_milliseconds(row.gradient),
            _times_floor(row, floor.gradient(group.workload)),
            *_ratio(verdict),
        )
    console.print(table)
    for row in rows:
        if row.problem is not None:
            console.print(Text(f"  {row.contender}: {row.problem}", style="yellow"))


def _speed(row: Row) -> float:
    return float("inf") if row.gradient is None else row.gradient.minimum


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def _milliseconds(seconds: Seconds | None) -> tuple[str, str]:
    if seconds is None:
        return "-", "-"
    return _ms(seconds.minimum), _ms(seconds.median)


def _ms(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    if milliseconds < 10:
        return f"{milliseconds:.2f}"
    return f"{milliseconds:.1f}" if milliseconds < 100 else f"{milliseconds:,.0f}"


def _times_floor(row: Row, floor: float) -> str:
    return "-" if row.gradient is None else f"{row.gradient.minimum / floor:.1f}"


def _ratio(verdict: Verdict | None) -> tuple[Text, str]:
    if verdict is None:
        return Text(""), ""
    style = {True: "bold green", False: "bold red", None: ""}[verdict.met]
    goal = "" if verdict.goal is None else f"{verdict.goal:g}"
    return Text(f"{verdict.ratio:.2f}", style=style), goal


def show_summary(console: Console, results: Results) -> None:
    """Print the table of goals."""
    found = [one for one in verdicts(results.times) if one.goal is not None]
    if not found:
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), title_justify="left", title_style="bold")
    table.title = "Forward + gradient over the best peer's (goal)"
    workloads = list(dict.fromkeys(one.row.workload for one in found))
    table.add_column("", no_wrap=True)
    for name in workloads:
        table.add_column(name, justify="right", no_wrap=True)
    lines = dict.fromkeys((one.line, one.row.mode, one.row.contender) for one in found)
    for line, mode, contender in lines:
        cells = []
        for name in workloads:
            here = [
                one
                for one in found
                if (one.line, one.row.mode, one.row.contender, one.row.workload)
                == (line, mode, contender, name)
            ]
            cells.append(
                Text.assemble(_ratio(here[0])[0], f" ({here[0].goal:g})") if here else Text("")
            )
        table.add_row(f"{LINES[line]}: {contender}, {mode}", *cells)
    console.print(table)
    met = sum(one.met is True for one in found)
    console.print(Text(f"{met} of {len(found)} goals are met."))


def write_files(results: Results, folder: Path) -> None:
    """Write the tables in Markdown."""
