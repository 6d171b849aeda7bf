"""What is printed on a terminal: a table for each group, and the goals at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from tests.benchmarks.goals import memory_goals, verdicts
from tests.benchmarks.tables import (
    TITLES,
    memory_cell,
    milliseconds,
    mode_title,
    sorted_rows,
    table_of,
    threads_title,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from tests.benchmarks.goals import Verdict
    from tests.benchmarks.memory import MemoryRow
    from tests.benchmarks.results import Results
    from tests.benchmarks.timing import Group, Row
    from tests.benchmarks.workloads import Workload

__all__ = ["show_group", "show_memory", "show_start", "show_summary"]

_SUMMARY = "Value and gradient, {}: time ÷ the fastest other package's (goal)"
_MET = {True: "bold green", False: "bold red", None: ""}


def show_start(console: Console, results: Results) -> None:
    """Print the machine, the versions, and what is not installed."""
    about = ", ".join(f"{name} {value}" for name, value in results.about.items())
    console.print(Text(about, style="dim"))
    for name, how in results.missing.items():
        console.print(Text(f"{name}: {how}", style="yellow"))


def show_group(console: Console, results: Results, group: Group) -> None:
    """Print the rows of one group, the fastest first."""
    key = (group.mode, group.workload.name, group.loss, group.threads)
    rows = [row for row in results.times if row.group == key]
    of_row = {id(one.row): one for one in verdicts(results.times)}
    floor = results.floors[group.threads].gradient(group.workload)
    how = f"{group.mode}, {threads_title(group.threads)}"
    table = _table(f"{group.workload.title()} · {TITLES[group.loss]} · {how}")
    table.add_column(f"ms, of {max((row.rounds for row in rows), default=0)} rounds", no_wrap=True)
    for heading in ("forward", "median", "+ gradient", "median", "× floor", "/ best", "goal"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in sorted_rows(rows):
        if row.problem is None:
            table.add_row(*_cells(row, floor, of_row.get(id(row))))
    console.print(table)
    _show_problems(console, rows)


def _table(title: str) -> Table:
    return Table(
        title=title,
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        title_justify="left",
        title_style="bold",
        header_style="",
    )


def _cells(row: Row, floor: float, verdict: Verdict | None) -> list[str | Text]:
    over = "-" if row.gradient is None else f"{row.gradient.minimum / floor:.1f}"
    ratio, goal = Text(""), ""
    if verdict is not None:
        ratio = Text(f"{verdict.ratio:.2f}", style=_MET[verdict.met])
        goal = "" if verdict.goal is None else f"{verdict.goal:g}"
    name = Text(row.contender, style="bold" if row.ours else "")
    return [name, *milliseconds(row.forward), *milliseconds(row.gradient), over, ratio, goal]


def _show_problems(console: Console, rows: Sequence[Row | MemoryRow]) -> None:
    for row in rows:
        if row.problem is not None:
            console.print(Text(f"  {row.contender}: {row.problem}", style="yellow"))


def show_memory(console: Console, results: Results, workload: Workload, loss: str) -> None:
    """Print the peaks of one workload and loss."""
    rows = [row for row in results.memory if (row.workload, row.loss) == (workload.name, loss)]
    table = _table(f"{workload.title()} · {TITLES[loss]} · memory")
    table.add_column("MB beyond the inputs (× logits)", no_wrap=True)
    for heading in ("forward", "forward + gradient"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        if row.forward is None or row.gradient is None:
            continue
        cells = []
        for peak, goal in zip((row.forward, row.gradient), memory_goals(row), strict=True):
            style = _MET[peak <= goal] if row.ours else ""
            cells.append(Text(memory_cell(peak, row.logits_bytes), style=style))
        table.add_row(Text(row.contender, style="bold" if row.ours else ""), *cells)
    console.print(table)
    _show_problems(console, rows)


def show_summary(console: Console, results: Results) -> None:
    """Print the table of goals."""
    found = [one for one in verdicts(results.times) if one.goal is not None]
    for mode in dict.fromkeys(one.row.mode for one in found):
        of_mode = [one for one in found if one.row.mode == mode]
        workloads, lines = table_of(of_mode)
        table = _table(_SUMMARY.format(mode_title(mode)))
        table.add_column("", no_wrap=True)
        for name in workloads:
            table.add_column(name, justify="right", no_wrap=True)
        for title, cells in lines:
            table.add_row(Text(title), *(_goal_cell(one) for one in cells))
        console.print(table)
        met = sum(one.met is True for one in of_mode)
        console.print(Text(f"{met} of {len(of_mode)} goals are met."))


def _goal_cell(one: Verdict | None) -> Text:
    if one is None:
        return Text("")
    return Text.assemble((f"{one.ratio:.2f}", _MET[one.met]), (f" ({one.goal:g})", "dim"))
