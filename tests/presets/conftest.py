"""What a run of these tests prints: cases and worst differences, a line for each library."""

from dataclasses import astuple

import pytest

from tests.presets.agreement import TALLIES, Tally


def pytest_sessionfinish(session):
    """Hand over what a worker of pytest-xdist counted."""
    if hasattr(session.config, "workeroutput"):
        counted = {name: astuple(tally) for name, tally in TALLIES.items()}
        session.config.workeroutput["tallies"] = counted


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node):
    for name, counted in getattr(node, "workeroutput", {}).get("tallies", {}).items():
        TALLIES[name] += Tally(*counted)


def pytest_terminal_summary(terminalreporter):
    if not TALLIES:
        return
    terminalreporter.section("presets against their libraries")
    terminalreporter.write_line(f"{'library':<22}{'cases':>7}{'value':>12}{'gradient':>12}")
    for name, one in sorted(TALLIES.items()):
        terminalreporter.write_line(
            f"{name:<22}{one.cases:>7}{one.value:>12.1e}{one.gradient:>12.1e}"
        )
