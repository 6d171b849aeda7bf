"""The report of `crosscheck`: a table for a terminal, Markdown, JSON."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

import array_losses
from array_losses.testing.agreement import Agreement, Limits, describe
from array_losses.testing.framework import KNOWN_DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console

__all__ = ["Checked", "Report", "as_json", "draw", "markdown"]


@dataclass(frozen=True)
class Checked:
    """One row: a loss with its options and data, and how it agrees on one backend."""

    loss: str
    options: str
    data: str
    row: Agreement


@dataclass(frozen=True)
class Report:
    """All rows, with the versions, the limits, and the seconds that the check took."""

    checked: list[Checked]
    versions: dict[str, str]
    limits: Limits
    seconds: float

    @cached_property
    def failed(self) -> list[Checked]:
        """The rows that disagree."""
        return [one for one in self.checked if not one.row.ok]

    @property
    def agrees(self) -> bool:
        """Whether every row agrees."""
        return not self.failed

    @cached_property
    def dtypes(self) -> list[str]:
        """The dtypes that occur, the widest first."""
        return [name for name in KNOWN_DTYPES if any(one.row.dtype == name for one in self.checked)]

    def sections(self, *, all_rows: bool) -> dict[str, list[Checked]]:
        """Return the rows by heading: one per loss, or one per option set."""
        if all_rows:
            return _grouped(self.checked, lambda one: f"{one.loss}: {one.options} ({one.data})")
        groups = _grouped(self.checked, lambda one: one.loss)
        return {f"{loss}: {_sets(rows)} option sets": rows for loss, rows in groups.items()}

    def title(self) -> str:
        """Return the versions of array_losses and of the frameworks."""
        versions = [f"{name} {version}" for name, version in self.versions.items()]
        return ", ".join([f"array_losses {array_losses.__version__}", *versions])

    def verdict(self) -> str:
        """Return the result in one sentence."""
        total = f"{len(self.checked):,} checks"
        took = f"({self.seconds:.0f} s)"
        if self.agrees:
            return f"All {total} agree {took}."
        return f"{len(self.failed):,} of {total} disagree {took}."

    def extremes(self) -> list[str]:
        """Return the largest errors and where they occur, in sentences."""
        return [
            self._extreme("value", self.limits.value, lambda row: row.value_error, KNOWN_DTYPES),
            self._extreme("gradient", self.limits.gradient, _gradient_error, KNOWN_DTYPES[:2]),
            self._extreme(
                "gradient in half precision",
                self.limits.half_gradient,
                _gradient_error,
                KNOWN_DTYPES[2:],
            ),
        ]

    def _extreme(
        self, what: str, limit: float, error: Callable[[Agreement], float], dtypes: tuple[str, ...]
    ) -> str:
        rows = [
            one
            for one in self.checked
            if one.row.dtype in dtypes and not math.isnan(error(one.row))
        ]
        if not rows:
            return f"Largest error of a {what}: none was compared."
        worst = max(rows, key=lambda one: error(one.row))
        return (
            f"Largest error of a {what}: {_eps(error(worst.row))} eps (limit {limit:g}), "
            f"{worst.loss} ({worst.options}; {worst.data}), {_backend(worst.row)}."
        )

    def legend(self) -> str:
        """Return the explanation of the numbers."""
        return (
            "Errors are in eps of the dtype, relative to the reference, NumPy in float64. Half "
            "precision is compared with NumPy in float32: errors of its values are in eps of "
            "float32, errors of its gradients in eps of their own dtype. ms: the median time of "
            "one call with its gradient, on these few pixels."
        )

    def failures(self) -> list[tuple[str, str]]:
        """Return a heading and a text for each option set that disagrees somewhere."""
        groups = _grouped(self.failed, lambda one: f"{one.loss}: {one.options} ({one.data})")
        return [(name, describe(one.row for one in rows)) for name, rows in groups.items()]


def _grouped(rows: Iterable[Checked], key: Callable[[Checked], str]) -> dict[str, list[Checked]]:
    groups: dict[str, list[Checked]] = {}
    for one in rows:
        groups.setdefault(key(one), []).append(one)
    return groups


def _sets(rows: list[Checked]) -> int:
    return len({(one.options, one.data) for one in rows})


def _backend(row: Agreement) -> str:
    return f"{row.framework} {row.device} {row.dtype}"


def _gradient_error(row: Agreement) -> float:
    return math.nan if row.gradient_error is None else row.gradient_error


@dataclass(frozen=True)
class _Cell:
    """An error to print, and whether all rows that it summarises agree."""

    text: str
    ok: bool

    @property
    def style(self) -> str:
        """The style on a terminal."""
        if not self.ok:
            return "bold red"
        return "dim" if self.text in {"-", "0"} else ""

    @property
    def markdown(self) -> str:
        """The text in Markdown."""
        return self.text if self.ok else f"**{self.text}**"


def _cells(rows: list[Checked], dtypes: list[str]) -> list[_Cell]:
    """Return the value's and the gradient's largest error for each dtype."""
    cells = []
    for dtype in dtypes:
        of_dtype = [one.row for one in rows if one.row.dtype == dtype]
        if any(row.problem is not None for row in of_dtype):
            cells += [_Cell("error", ok=False)] * 2
            continue
        values = [(row.value_error, row.value_limit) for row in of_dtype]
        gradients = [(_gradient_error(row), row.gradient_limit) for row in of_dtype]
        cells += [_cell(values), _cell(gradients)]
    return cells


def _cell(pairs: list[tuple[float, float]]) -> _Cell:
    known = [(error, limit) for error, limit in pairs if not math.isnan(error)]
    if not known:
        return _Cell("-", ok=True)
    return _Cell(_eps(max(known)[0]), ok=all(error <= limit for error, limit in known))


def _eps(error: float) -> str:
    if error == 0.0 or 10.0 <= error < 10_000.0:
        return f"{error:.0f}"
    return f"{error:.2f}" if error < 10.0 else f"{error:.0e}"


def _milliseconds(rows: list[Checked]) -> str:
    times = sorted(one.row.milliseconds for one in rows if not math.isnan(one.row.milliseconds))
    return f"{times[len(times) // 2]:.3g}" if times else "-"


def draw(console: Console, report: Report, *, all_rows: bool) -> None:
    """Print the report on a terminal; it fits into 80 columns."""
    console.print(Text(report.title(), style="bold"), "", _table(report.dtypes), sep="\n")
    for heading, rows in report.sections(all_rows=all_rows).items():
        console.print(Text(heading, style="bold cyan"))
        console.print(_table(report.dtypes, rows))
    console.print()
    for heading, text in report.failures():
        console.print(Text(heading, style="bold red"))
        console.print(Text(text + "\n"))
    console.print(Text(report.verdict(), style="bold green" if report.agrees else "bold red"))
    for line in report.extremes():
        console.print(Text(line))
    console.print(Text(report.legend(), style="dim"))


def _table(dtypes: list[str], rows: list[Checked] | None = None) -> Table:
    """Return one section or, without rows, the header of all; their columns have equal widths."""
    table = Table(box=None, show_header=rows is None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True, width=13)
    for dtype in dtypes:
        table.add_column(f"{dtype}\nvalue", justify="right", no_wrap=True, width=8)
        table.add_column("\ngrad", justify="right", no_wrap=True, width=5)
    table.add_column("\nms", justify="right", no_wrap=True, style="dim", width=5)
    for framework, there in _grouped(rows or [], _framework).items():
        cells = [Text(cell.text, style=cell.style) for cell in _cells(there, dtypes)]
        table.add_row(f"  {framework}", *cells, _milliseconds(there))
    return table


def _framework(one: Checked) -> str:
    return f"{one.row.framework} {one.row.device}"


def markdown(report: Report, *, all_rows: bool) -> str:
    """Return the report as Markdown."""
    columns = [f"{dtype} {what}" for dtype in report.dtypes for what in ("value", "gradient")]
    head = ["loss", "framework", *columns, "ms"]
    lines = ["## array-losses crosscheck", "", f"**{report.verdict()}** {report.title()}.", ""]
    lines += [_row(head), _row(["---", "---", *["---:"] * (len(columns) + 1)])]
    for heading, rows in report.sections(all_rows=all_rows).items():
        for framework, there in _grouped(rows, _framework).items():
            cells = [cell.markdown for cell in _cells(there, report.dtypes)]
            lines.append(_row([heading, framework, *cells, _milliseconds(there)]))
    for heading, text in report.failures():
        lines += ["", f"Disagrees: {heading}", "", "```text", text, "```"]
    return "\n".join(
        [*lines, "", *[f"* {line}" for line in report.extremes()], "", report.legend()]
    )


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_json(report: Report) -> str:
    """Return the report as JSON; a number that is not finite becomes a string."""
    rows = [
        {"loss": one.loss, "options": one.options, "data": one.data, "ok": one.row.ok}
        | {name: _finite(value) for name, value in asdict(one.row).items()}
        for one in report.checked
    ]
    content = {
        "array_losses": array_losses.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "frameworks": report.versions,
        "limits": asdict(report.limits),
        "seconds": report.seconds,
        "agrees": report.agrees,
        "rows": rows,
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
