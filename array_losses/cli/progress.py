"""Progress on stderr: a bar on a terminal, otherwise a line every ten seconds."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress"]

INTERVAL = 10.0  # seconds; continuous integration ends jobs that print nothing for long


@contextmanager
def progress(command: str, unit: str, total: int) -> Iterator[Callable[[str, int], None]]:
    """Show progress within a ``with`` block; yield the function that updates it.

    ``show("DiceLoss", 1)`` adds 1 to the number of finished units and names the current work.
    """
    console = Console(stderr=True)
    with _bar(console, total) if console.is_terminal else _lines(command, unit, total) as show:
        yield show


@contextmanager
def _bar(console: Console, total: int) -> Iterator[Callable[[str, int], None]]:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("remaining:"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(what: str, done: int) -> None:
            bar.update(task, advance=done, description=what)

        yield show


@dataclass
class _State:
    done: int = 0
    what: str = ""


@contextmanager
def _lines(command: str, unit: str, total: int) -> Iterator[Callable[[str, int], None]]:
    """Print from a thread, since one step may take longer than the interval."""
    state, end, start = _State(), threading.Event(), time.monotonic()

    def show(what: str, done: int) -> None:
        state.what = what
        state.done += done

    def print_lines() -> None:
        while not end.wait(INTERVAL):
            took = time.monotonic() - start
            line = f"array-losses {command}: {state.done} of {total} {unit}, {took:.0f} s"
            print(f"{line}, {state.what}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=print_lines, daemon=True)
    thread.start()
    try:
        yield show
    finally:
        end.set()
        thread.join()
