"""The tables of docs/presets.md: that the numbers in them are what was measured."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "presets.md"


def check_row(library, what, theirs, mine):
    """Check the row of an oddity or a departure: what it is, the library's number, and the other.

    A number is written with four digits after the point; anything else as it is given.
    """
    row = f"| `{library}` | {what} | {_written(theirs)} | {_written(mine)} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines(), f"docs/presets.md lacks\n{row}"


def _written(x):
    return x if isinstance(x, str) else f"{float(x):.4f}"
