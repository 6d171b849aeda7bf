"""The command: what to measure, in which order, and where the results go."""

from __future__ import annotations

import argparse
import contextlib
import math
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from array_losses.cli.files import saving, try_to_write
from array_losses.cli.problems import CommandError, exit_status, require
from array_losses.cli.terminal import displayable, print_anywhere
from array_losses.cli.values import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.results import Results
    from tests.benchmarks.scaling import ScalingRow
    from tests.benchmarks.timing import Effort, Group
    from tests.benchmarks.workloads import Workload

__all__ = ["main"]

_NAME = "python -m tests.benchmarks"
_PARTS = ("time", "memory", "compiled", "scaling")
_LOSSES = ("ce", "focal", "dice", "jaccard", "lovasz", "ce+dice")
_WORKLOADS = ("a", "b", "c", "d", "e", "a-half", "a-last", "huge")
_PACKAGES = ("numpy", "torch", "rich", "matplotlib")
_EXTRA = "bench"
_FILE_WIDTH = 140  # of a table that is not for a terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 after an error of the user."""
    print_anywhere()
    parsed = _parser().parse_args(arguments)
    return exit_status(_NAME, lambda: _run(parsed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_NAME,
        description="Measure time and memory of the losses beside other packages, and beside the "
        "time that the machine needs to read the logits and to write the gradient.",
        epilog="Workloads (logits, float32): a 4×19×512×512, b 2×4×96×96×96, c 2×150×256×256, "
        "d 8×1×512×512 with a sigmoid, e 2×4×64×64. a-half is a in float16 and in bfloat16, a-last "
        "is a with the channels last in memory, huge is 512×512×512 voxels, for memory only. "
        "Measuring everything takes several hours; results are written after each step. Packages "
        "that are not installed are listed and left out. Exit status: 0, or 2 if something is not "
        "installed or cannot be written.",
    )
    what = parser.add_argument_group("what to measure (default: everything)")
    what.add_argument(
        "--parts", nargs="+", choices=_PARTS, metavar="PART", help=f"any of {', '.join(_PARTS)}"
    )
    what.add_argument(
        "--workloads",
        nargs="+",
        choices=_WORKLOADS,
        metavar="NAME",
        help=f"any of {', '.join(_WORKLOADS)}; see below",
    )
    what.add_argument(
        "--losses",
        nargs="+",
        choices=_LOSSES,
        default=list(_LOSSES),
        metavar="LOSS",
        help=f"any of {', '.join(_LOSSES)}",
    )
    what.add_argument(
        "--threads",
        nargs="+",
        type=whole(1, 1024),
        metavar="N",
        help="numbers of threads for the parts time and compiled; default: all cores, for time "
        "also 1",
    )
    what.add_argument(
        "--seconds",
        type=_seconds,
        default=2.0,
        help="approximate time spent on each function at each workload and loss; "
        "default: %(default)s",
    )
    what.add_argument(
        "--quick",
        action="store_true",
        help="a minute: few rounds; unless parts or workloads are given, times at d and e, and "
        "scaling up to 2^14 pixels",
    )
    output = parser.add_argument_group("what to write")
    output.add_argument(
        "--output-dir",
        type=Path,
        default=Path("bench"),
        metavar="DIR",
        help="folder for bench.json, tables in Markdown and plots; default: %(default)s",
    )
    output.add_argument(
        "--add",
        action="store_true",
        help="keep the earlier results in bench.json that are not measured again",
    )
    output.add_argument(
        "--report",
        action="store_true",
        help="measure nothing: write tables and plots from bench.json",
    )
    return parser


def _seconds(text: str) -> float:
    """Read a finite number of at least 0, for argparse."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        msg = f"expected a number of seconds, 0 or more, got {reprlib.repr(text)}"
        raise argparse.ArgumentTypeError(msg)
    return found


def _run(arguments: argparse.Namespace) -> int:
    """Measure, print each table once it is complete, write the files; return the exit status."""
    for package in _PACKAGES:
        require(package, _EXTRA)
    from tests.benchmarks.figures import draw
    from tests.benchmarks.report import show_summary
    from tests.benchmarks.results import Results, about_this_machine
    from tests.benchmarks.tables import write_tables

    folder: Path = arguments.output_dir
    path = folder / "bench.json"
    if arguments.report and not path.is_file():
        msg = f"there is no {path}"
        raise CommandError(msg)
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try_to_write(path)
    kept = (arguments.report or arguments.add) and path.is_file()
    results = _earlier(path) if kept else Results()
    if not arguments.report:
        results.about = about_this_machine()
        _measure(arguments, results, path)
    show_summary(_console(), results)
    with saving(folder):
        write_tables(results, folder)
        draw(results, folder)
    print(f"Written: {displayable(str(folder))}")
    return 0


def _earlier(path: Path) -> Results:
    from tests.benchmarks.results import Results

    try:
        return Results.read(path)
    except (ValueError, KeyError, TypeError, OSError) as error:
        msg = f"{path} was not written by this command ({type(error).__name__}: {error})"
        raise CommandError(msg) from error


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_FILE_WIDTH)


@dataclass(frozen=True)
class _Session:
    """What is done with each result: kept, written to the file, printed, counted."""

    results: Results
    path: Path
    console: Any
    advance: Callable[[int, str], None]

    def times(self, mode: str, threads: int, groups: Sequence[Group], effort: Effort) -> None:
        """Time all groups of one mode and number of threads in a process of their own."""
        from tests.benchmarks.floor import measure_floor
        from tests.benchmarks.report import show_group
        from tests.benchmarks.timing import measure, worker

        with worker(threads, confined=mode == "jit") as process:
            if mode == "eager" or threads not in self.results.floors:
                self.results.floors[threads] = process.submit(measure_floor, threads).result()
            for group in groups:
                self.advance(0, f"{group.workload.name} {group.loss}, {mode}, threads: {threads}")
                self.results.add_times(process.submit(measure, group, effort).result())
                show_group(self.console, self.results, group)
                self._done()

    def memory(self, steps: Sequence[tuple[Workload, str]]) -> None:
        """Measure the memory of every contender in a process of its own."""
        from tests.benchmarks.memory import forking, measure_memory, those_measured
        from tests.benchmarks.report import show_memory

        context = forking()
        for workload, loss in steps:
            self.advance(0, f"{workload.name} {loss}, memory")
            for one in those_measured(loss, workload):
                self.results.add_memory([measure_memory(context, workload, loss, one)])
            show_memory(self.console, self.results, workload, loss)
            self._done()

    def scaling(self, losses: Sequence[str], largest: int) -> None:
        """Time each loss at growing numbers of pixels."""
        from tests.benchmarks.results import cores
        from tests.benchmarks.scaling import measure_scaling, sizes, still_in_time
        from tests.benchmarks.timing import worker

        for loss in losses:
            self.advance(0, f"{loss}, scaling")
            rows: list[ScalingRow] = []
            with worker(cores()) as process:
                for pixels in sizes(largest):
                    names = still_in_time(rows, loss)
                    rows += process.submit(measure_scaling, loss, pixels, names).result()
            self.results.add_scaling(rows)
            self._done()

    def _done(self) -> None:
        self.results.write(self.path)
        self.advance(1, "")


def _measure(arguments: argparse.Namespace, results: Results, path: Path) -> None:
    from tests.benchmarks.memory import measured_here
    from tests.benchmarks.peers import missing
    from tests.benchmarks.report import show_start
    from tests.benchmarks.timing import Effort

    results.missing = missing()
    console = _console()
    show_start(console, results)
    timed = _timed(arguments)
    remembered = _remembered(arguments)
    if remembered and not measured_here():
        console.print("No memory: it is read from Linux' /proc, which is not here.")
        remembered = []
    scaled = arguments.losses if "scaling" in _parts(arguments) else []
    effort = Effort(0.1, least=3) if arguments.quick else Effort(arguments.seconds)
    count = sum(map(len, timed.values())) + len(remembered) + len(scaled)
    with _progress(console, count) as advance:
        session = _Session(results, path, console, advance)
        for (mode, threads), groups in timed.items():
            session.times(mode, threads, groups, effort)
        if remembered:
            session.memory(remembered)
        session.scaling(scaled, 1 << (14 if arguments.quick else 26))


def _parts(arguments: argparse.Namespace) -> Sequence[str]:
    return arguments.parts or (("time", "scaling") if arguments.quick else _PARTS)


def _timed(arguments: argparse.Namespace) -> dict[tuple[str, int], list[Group]]:
    """Return the groups to be timed, by mode and number of threads: each has its own process."""
    from tests.benchmarks.timing import Group

    steps: dict[tuple[str, int], list[Group]] = {}
    workloads = [one for one in _workloads(arguments) if one.name != "huge"]
    modes = {"time": ("eager",), "compiled": ("compile", "jit")}
    for part in _parts(arguments):
        for mode in modes.get(part, ()):
            for threads in arguments.threads or _default_threads(arguments, part):
                steps[mode, threads] = [
                    Group(mode, one, loss, threads)
                    for one in workloads
                    for loss in arguments.losses
                ]
    return steps


def _remembered(arguments: argparse.Namespace) -> list[tuple[Workload, str]]:
    """Return the workloads and losses whose memory is to be measured."""
    if "memory" not in _parts(arguments):
        return []
    return [(one, loss) for one in _workloads(arguments) for loss in arguments.losses]


def _workloads(arguments: argparse.Namespace) -> list[Workload]:
    from tests.benchmarks.workloads import WORKLOADS

    names = arguments.workloads or (("d", "e") if arguments.quick else _WORKLOADS)
    return [WORKLOADS[name] for one in names for name in _expanded(one)]


def _default_threads(arguments: argparse.Namespace, part: str) -> Sequence[int]:
    from tests.benchmarks.results import cores

    alone = part == "time" and cores() > 1 and not arguments.quick
    return (cores(), 1) if alone else (cores(),)


def _expanded(workload: str) -> Sequence[str]:
    return ("a-float16", "a-bfloat16") if workload == "a-half" else (workload,)


@contextlib.contextmanager
def _progress(console: Any, total: int) -> Iterator[Callable[[int, str], None]]:
    """Draw a progress bar below the tables, or on stderr if only that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = console if console.is_terminal else Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    # It is drawn once a second only: the drawing takes time from what is measured.
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        refresh_per_second=1,
    ) as progress:
        task = progress.add_task("", total=total)

        def advance(steps: int, what: str) -> None:
            progress.update(task, advance=steps, description=what)

        yield advance
