"""`array-losses bench`: our losses beside the peers and the machine's floor, in time and memory."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from array_losses.cli.extras import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from array_losses.cli.bench_results import Results
    from array_losses.cli.bench_time import Effort, Group

__all__ = ["add_arguments", "run"]

_PARTS = ("time", "memory", "compiled", "scaling")
_LOSSES = ("ce", "focal", "dice", "jaccard", "lovasz", "ce+dice")
_WORKLOADS = ("a", "b", "c", "d", "e", "a-half", "a-last", "huge")
_PACKAGES = ("numpy", "torch", "psutil", "rich", "matplotlib")
EXTRA = "bench"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the subcommand takes."""
    parser.epilog = (
        "Workloads (logits, float32): a 4×19×512×512, b 2×4×96×96×96, c 2×150×256×256, "
        "d 8×1×512×512 with a sigmoid, e 2×4×64×64; a-half is a in float16 and in bfloat16, a-last "
        "is a with the channels last in memory, huge is 512×512×512 voxels, for memory only. "
        "Everything takes about an hour; the results are written after each step. Exit status: 0, "
        "or 2 if something is not installed."
    )
    what = parser.add_argument_group("what to measure (by default everything)")
    what.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS), metavar="PART")
    what.add_argument(
        "--workloads", nargs="+", choices=_WORKLOADS, default=list(_WORKLOADS), metavar="NAME"
    )
    what.add_argument(
        "--losses",
        nargs="+",
        choices=_LOSSES,
        default=list(_LOSSES),
        metavar="LOSS",
        help=f"among {', '.join(_LOSSES)}",
    )
    what.add_argument(
        "--threads",
        nargs="+",
        type=_positive,
        metavar="N",
        help="numbers of threads; default: all cores, and 1 for the part time",
    )
    what.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="about how long a contender is measured at each loss; default: %(default)s",
    )
    what.add_argument(
        "--quick", action="store_true", help="e and d only, few rounds: within a minute"
    )
    output = parser.add_argument_group("what to write")
    output.add_argument(
        "--output-dir",
        type=Path,
        default=Path("bench"),
        metavar="DIR",
        help="for bench.json, tables in Markdown and plots; default: %(default)s",
    )
    output.add_argument(
        "--add",
        action="store_true",
        help="keep what bench.json there holds of what is not measured now",
    )
    output.add_argument(
        "--report",
        action="store_true",
        help="measure nothing: write tables and plots anew from bench.json",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"expected a positive integer, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print tables as they come, write the files, and return the exit status."""
    for package in _PACKAGES:
        require(package, EXTRA)
    from array_losses.cli.bench_report import show_summary, write_files
    from array_losses.cli.bench_results import Results, about_this_machine

    folder: Path = arguments.output_dir
    path = folder / "bench.json"
    if arguments.report and not path.is_file():
        print(f"array-losses bench: there is no {path}", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    kept = (arguments.report or arguments.add) and path.is_file()
    results = Results.read(path) if kept else Results()
    if not arguments.report:
        results.about = about_this_machine()
        _measure(arguments, results, path)
    write_files(results, folder)
    show_summary(_console(), results)
    print(f"Written: {folder}")
    return 0


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def _measure(arguments: argparse.Namespace, results: Results, path: Path) -> None:
    from array_losses.cli.bench_floor import measure_floor
    from array_losses.cli.bench_peers import missing
    from array_losses.cli.bench_report import show_group, show_start
    from array_losses.cli.bench_time import measure, worker

    results.missing = missing()
    console = _console()
    show_start(console, results)
    steps = _steps(arguments)
    effort = _effort(arguments)
    with _progress(sum(map(len, steps.values()))) as advance:
        for (mode, threads), groups in steps.items():
            with worker(threads, confined=mode == "jit") as process:
                if threads not in results.floors:
                    results.floors[threads] = process.submit(measure_floor, threads).result()
                for group in groups:
                    advance(0, f"{group.workload.name} {group.loss}, {mode}, {threads} threads")
                    rows = process.submit(measure, group, effort).result()
                    results.add_times(rows)
                    results.write(path)
                    show_group(console, results, group)
                    advance(1, "")


def _effort(arguments: argparse.Namespace) -> Effort:
    from array_losses.cli.bench_time import Effort

    return Effort(0.2, least=3) if arguments.quick else Effort(arguments.seconds)


def _steps(arguments: argparse.Namespace) -> dict[tuple[str, int], list[Group]]:
    """Return the groups to be timed, by mode and number of threads: each has its own process."""
    from array_losses.cli.bench_time import Group
    from array_losses.cli.bench_workloads import WORKLOADS

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = ["d", "e"] if arguments.quick else arguments.workloads
    names = [name for one in wanted for name in _expanded(one) if one != "huge"]
    steps: dict[tuple[str, int], list[Group]] = {}
    modes = {"time": ("eager",), "compiled": ("compile", "jit")}
    for part in arguments.parts:
        for mode in modes.get(part, ()):
            for threads in arguments.threads or _default_threads(part, cores or 1):
                steps[mode, threads] = [
                    Group(mode, WORKLOADS[name], loss, threads)
                    for name in names
                    for loss in arguments.losses
                ]
    return steps


def _default_threads(part: str, cores: int) -> Sequence[int]:
    return (cores, 1) if part == "time" and cores > 1 else (cores,)


def _expanded(workload: str) -> Sequence[str]:
    return ("a-float16", "a-bfloat16") if workload == "a-half" else (workload,)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int, str], None]]:
    """Draw a progress bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
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
