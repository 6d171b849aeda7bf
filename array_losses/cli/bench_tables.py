"""The tables of `array-losses bench` in Markdown, one file for each page section that needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from array_losses.cli.bench_goals import LINES, line_of, memory_goals, verdicts
from array_losses.cli.bench_workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from array_losses.cli.bench_goals import Verdict
    from array_losses.cli.bench_memory import MemoryRow
    from array_losses.cli.bench_results import Results
    from array_losses.cli.bench_time import Row, Seconds

__all__ = [
    "TITLES",
    "goal_lines",
    "goals_title",
    "memory_cell",
    "milliseconds",
    "sorted_rows",
    "threads_title",
    "write_tables",
]

TITLES = {
    "ce": "Cross entropy",
    "focal": "Focal",
    "dice": "Dice",
    "jaccard": "Jaccard",
    "lovasz": "Lovász",
    "ce+dice": "CE + Dice",
}
_NOTHING = "*Not measured in this run.*"


def write_tables(results: Results, folder: Path) -> None:
    """Write machine.md, goals.md, time.md, compiled.md and memory.md."""
    eager = [row for row in results.times if row.mode == "eager"]
    compiled = [row for row in results.times if row.mode != "eager"]
    contents = {
        "machine": _machine(results),
        "goals": _goals(results),
        "time": _times(results, eager),
        "compiled": _times(results, compiled),
        "memory": _memory(results),
    }
    for name, lines in contents.items():
        text = "\n".join(lines or [_NOTHING]) + "\n"
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def sorted_rows(rows: Iterable[Row]) -> list[Row]:
    """Return the rows, the fastest first."""
    return sorted(
        rows, key=lambda row: float("inf") if row.gradient is None else row.gradient.minimum
    )


def threads_title(number: int) -> str:
    """Return the number with its noun."""
    return "1 thread" if number == 1 else f"{number} threads"


def milliseconds(seconds: Seconds | None) -> tuple[str, str]:
    """Return minimum and median, with three digits."""
    if seconds is None:
        return "-", "-"
    return _ms(seconds.minimum), _ms(seconds.median)


def _ms(seconds: float) -> str:
    number = 1e3 * seconds
    if number < 10:
        return f"{number:.2f}"
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def memory_cell(peak: int, logits_bytes: int) -> str:
    """Return a peak in MB and as a multiple of the logits."""
    megabytes = peak / 1e6
    number = f"{megabytes:.1f}" if megabytes < 100 else f"{megabytes:,.0f}"
    return f"{number} ({peak / logits_bytes:.2f})"


def goals_title(mode: str) -> str:
    """Return what the table of a mode shows."""
    if mode == "eager":
        return "Forward + gradient, eager: ratio to the best peer (goal)"
    kind = {"compile": "torch.compile", "jit": "jax.jit"}[mode]
    return f"Forward + gradient, {kind}: ratio to the best peer there (goal)"


def goal_lines(
    found: Sequence[Verdict],
) -> tuple[list[str], list[tuple[str, list[Verdict | None]]]]:
    """Return the workloads, and lines of a title and a verdict for each workload."""
    workloads = [name for name in WORKLOADS if any(one.row.workload == name for one in found)]
    keys = dict.fromkeys(
        (line, one.row.contender) for line in LINES for one in found if one.line == line
    )
    by_key = {(one.line, one.row.contender, one.row.workload): one for one in found}
    lines = [
        (
            f"{LINES[line]}: {_place(contender)}",
            [by_key.get((line, contender, name)) for name in workloads],
        )
        for line, contender in keys
    ]
    return workloads, lines


def _place(contender: str) -> str:
    """Return NumPy, torch or JAX of one of our contenders."""
    return contender.split(", ")[1]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(first: str, others: Sequence[str]) -> list[str]:
    return [_row([first, *others]), _row(["---", *["---:" for _ in others]])]


def _machine(results: Results) -> list[str]:
    about = dict(results.about)
    packages = [
        f"{name} {value}"
        for name, value in about.items()
        if value[:1].isdigit() and name not in {"date", "cores", "load before"}
    ]
    where = f"{about.get('processor')}, {about.get('cores')} cores, {about.get('system')}"
    when = f"{about.get('date')}: {where}; load before: {about.get('load before')}"
    lines = [f"Measured on {when}. {', '.join(packages)}.", ""]
    lines += [f"Missing: {name}, {how}." for name, how in results.missing.items()]
    lines += [""] if results.missing else []
    if not results.floors:
        return lines
    lines += _head("", ["copy, GB/s", "exp, billions/s", "fresh memory, GB/s"])
    for threads, floor in sorted(results.floors.items()):
        rates = (
            floor.copy_bytes_per_second,
            floor.exp_per_second,
            floor.fresh_bytes_per_second,
        )
        lines.append(_row([threads_title(threads), *(f"{rate / 1e9:.2f}" for rate in rates)]))
    names = [one for one in WORKLOADS if any(row.workload == one for row in results.times)]
    if names:
        lines += ["", *_head("floor, ms", [WORKLOADS[one].title() for one in names])]
    for threads, floor in sorted(results.floors.items()) if names else ():
        for what, of in (("forward", floor.forward), ("+ gradient", floor.gradient)):
            cells = [_ms(of(WORKLOADS[one])) for one in names]
            lines.append(_row([f"{what}, {threads_title(threads)}", *cells]))
    return lines


def _goals(results: Results) -> list[str]:
    found = [one for one in verdicts(results.times) if one.goal is not None]
    lines = []
    for mode in dict.fromkeys(one.row.mode for one in found):
        of_mode = [one for one in found if one.row.mode == mode]
        workloads, goals = goal_lines(of_mode)
        lines += [f"**{goals_title(mode)}**", "", *_head("", workloads)]
        for title, cells in goals:
            lines.append(_row([title, *("" if one is None else _goal(one) for one in cells)]))
        met = sum(one.met is True for one in of_mode)
        lines += ["", f"{met} of {len(of_mode)} goals are met (bold).", ""]
    return lines


def _goal(one: Verdict) -> str:
    ratio = f"**{one.ratio:.2f}**" if one.met else f"{one.ratio:.2f}"
    return f"{ratio} ({one.goal:g})"


def _times(results: Results, rows: Sequence[Row]) -> list[str]:
    """Return a table for each workload and mode: all threads, and 1 thread if it was measured."""
    lines: list[str] = []
    found = {id(one.row): one for one in verdicts(results.times)}
    tables = dict.fromkeys(
        (name, row.mode) for name in WORKLOADS for row in rows if row.workload == name
    )
    for name, mode in tables:
        here = [row for row in rows if (row.workload, row.mode) == (name, mode)]
        most = max(row.threads for row in here)
        alone = {(row.loss, row.contender): row for row in here if row.threads == 1 < most}
        floor = results.floors[most].gradient(WORKLOADS[name])
        kind = {"eager": "", "compile": ", torch.compile", "jit": ", jax.jit"}[mode]
        heads = ["forward", "(median)", "+ gradient", "(median)", "× floor", "/ best peer"]
        heads += ["forward, 1 thread", "+ gradient, 1 thread"] if alone else []
        lines += [f"### {WORKLOADS[name].title()}{kind}", ""]
        lines += _head(f"ms, {threads_title(most)}", heads)
        problems = []
        for loss, title in TITLES.items():
            of_loss = [row for row in here if (row.loss, row.threads) == (loss, most)]
            for row in sorted_rows(of_loss):
                if row.gradient is None:
                    problems.append(f"* {title}, {row.contender}: {row.problem}")
                    continue
                one = found.get(id(row))
                cells = [
                    f"{LINES[line_of(row)]}: {_bold(row.contender, bold=row.ours)}",
                    *milliseconds(row.forward),
                    *milliseconds(row.gradient),
                    f"{row.gradient.minimum / floor:.1f}",
                    "" if one is None else f"{one.ratio:.2f}",
                ]
                if alone:
                    single = alone.get((loss, row.contender))
                    cells += [
                        "-" if single is None else milliseconds(single.forward)[0],
                        "-" if single is None else milliseconds(single.gradient)[0],
                    ]
                lines.append(_row(cells))
        lines += ["", *problems, ""] if problems else [""]
    return lines


def _bold(text: str, *, bold: bool) -> str:
    return f"**{text}**" if bold else text


def _memory(results: Results) -> list[str]:
    lines: list[str] = []
    workloads = [name for name in WORKLOADS if any(r.workload == name for r in results.memory)]
    for name in workloads:
        size = WORKLOADS[name].logits_bytes / 1e6
        lines += [f"### {WORKLOADS[name].title()}: logits of {size:,.1f} MB", ""]
        lines += _head("MB beyond the inputs (× logits)", ["forward", "forward + gradient"])
        problems = []
        for loss, title in TITLES.items():
            for row in results.memory:
                if (row.workload, row.loss) != (name, loss):
                    continue
                if row.forward is None or row.gradient is None:
                    problems.append(f"* {title}, {row.contender}: {row.problem}")
                    continue
                label = f"{LINES[line_of(row)]}: {_bold(row.contender, bold=row.ours)}"
                lines.append(_row([label, *_peaks(row)]))
        lines += ["", *problems, ""] if problems else [""]
    return lines


def _peaks(row: MemoryRow) -> list[str]:
    """Return both peaks; one of ours that is over its goal is marked."""
    cells = []
    for peak, goal in zip((row.forward, row.gradient), memory_goals(row), strict=True):
        cell = memory_cell(peak or 0, row.logits_bytes)
        cells.append(f"{cell} > goal" if row.ours and (peak or 0) > goal else cell)
    return cells
