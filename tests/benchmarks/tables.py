"""The tables in Markdown: a file for each that a page includes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tests.benchmarks.comparison import LINES, comparisons, line_of
from tests.benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.benchmarks.comparison import Comparison
    from tests.benchmarks.results import Results
    from tests.benchmarks.timing import Row, Seconds

__all__ = [
    "TITLES",
    "memory_cell",
    "milliseconds",
    "mode_title",
    "sorted_rows",
    "table_of",
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
_Found = TypeVar("_Found", bound="Comparison")


def write_tables(results: Results, folder: Path) -> None:
    """Write machine.md, ratios.md, time.md, compiled.md and memory.md.

    A file of an earlier run is kept if its part was not measured.
    """
    eager = [row for row in results.times if row.mode == "eager"]
    compiled = [row for row in results.times if row.mode != "eager"]
    contents = {
        "machine": _machine(results),
        "ratios": _ratios(results),
        "time": _times(results, eager),
        "compiled": _times(results, compiled),
        "memory": _memory(results),
    }
    for name, lines in contents.items():
        path = folder / f"{name}.md"
        if lines or not path.exists():
            path.write_text("\n".join(lines or [_NOTHING]) + "\n", encoding="utf-8")


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


def mode_title(mode: str) -> str:
    """Return how the functions of a mode are called."""
    return {"eager": "eager", "compile": "torch.compile", "jit": "jax.jit"}[mode]


def table_of(found: Sequence[_Found]) -> tuple[list[str], list[tuple[str, list[_Found | None]]]]:
    """Return the workloads, and lines of a title and a comparison for each workload."""
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


def _ratios(results: Results) -> list[str]:
    """Return a table for each mode: our times as multiples of the fastest other package's."""
    most = max((row.threads for row in results.times), default=1)
    found = [one for one in comparisons(results.times) if one.row.threads == most]
    lines = []
    for mode in dict.fromkeys(one.row.mode for one in found):
        workloads, rows = table_of([one for one in found if one.row.mode == mode])
        lines += _head(f"{mode_title(mode)}, {threads_title(most)}", workloads)
        for title, cells in rows:
            lines.append(_row([title, *("" if one is None else _ratio(one) for one in cells)]))
        lines += [""]
    return lines


def _ratio(one: Comparison) -> str:
    return f"{_bold(f'{one.ratio:.2f}', bold=round(one.ratio, 2) < 1)} {one.peer}"


def _times(results: Results, rows: Sequence[Row]) -> list[str]:
    """Return a table for each workload and mode: all threads, and 1 thread if it was measured."""
    lines: list[str] = []
    found = {id(one.row): one for one in comparisons(results.times)}
    tables = dict.fromkeys(
        (name, row.mode) for name in WORKLOADS for row in rows if row.workload == name
    )
    for name, mode in tables:
        here = [row for row in rows if (row.workload, row.mode) == (name, mode)]
        most = max(row.threads for row in here)
        alone = {(row.loss, row.contender): row for row in here if row.threads == 1 < most}
        floor = results.floors[most].gradient(WORKLOADS[name])
        kind = {"eager": "", "compile": ", torch.compile", "jit": ", jax.jit"}[mode]
        heads = ["forward", "(median)", "+ gradient", "(median)", "× floor", "÷ fastest other"]
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
                peaks = (
                    memory_cell(peak, row.logits_bytes) for peak in (row.forward, row.gradient)
                )
                lines.append(_row([label, *peaks]))
        lines += ["", *problems, ""] if problems else [""]
    return lines
