"""What a run of these tests prints: cases and worst differences, a line a library."""

from tests.presets.agreement import TALLIES


def pytest_terminal_summary(terminalreporter):
    if not TALLIES:
        return
    terminalreporter.section("presets against their libraries")
    terminalreporter.write_line(f"{'library':<22}{'cases':>7}{'value':>12}{'gradient':>12}")
    for name, one in sorted(TALLIES.items()):
        terminalreporter.write_line(
            f"{name:<22}{one.cases:>7}{one.value:>12.1e}{one.gradient:>12.1e}"
        )
