"""How far a command has come, on stderr: a bar on a terminal, else a line every ten seconds."""

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

INTERVAL = 10.0  # seconds: continuous integration stops jobs that are silent


@contextmanager
def progress(command: str, unit: str, total: int) -> Iterator[Callable[[str, int], None]]:
    """Show how many of the units are done; yield what says on what work goes on, and what is done.

    It is called as ``show("DiceLoss", 1)``: another unit is done, and DiceLoss is at work.
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
        TextColumn("left:"),
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
    """Print from a thread of its own: a single step may take longer than the interval."""
    state, end, start = _State(), threading.Event(), time.monotonic()

    def show(what: str, done: int) -> None:
        state.what = what
        state.done += done

    def speak() -> None:
        while not end.wait(INTERVAL):
            took = time.monotonic() - start
            line = f"array-losses {command}: {state.done} of {total} {unit}, {took:.0f} s"
            print(f"{line}, {state.what}", file=sys.stderr, flush=True)

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield show
    finally:
        end.set()
        speaker.join()
