"""The tour in docs/design.md, and its picture, name the files that there are."""

import ast
import re
from pathlib import Path

import pytest

import array_losses

PACKAGE = Path(array_losses.__file__).parent
ROOT = Path(__file__).parents[2]
ROOMS = ("core", "frameworks", "losses")
TOLD = ("docs/design.md", "docs/contributing.md", "docs/images/design.py")


def holds_code(path):
    """Whether there is more in a file than its docstring."""
    return len(ast.parse(path.read_text(encoding="utf-8")).body) > 1


def test_the_table_of_rooms_names_every_file_once():
    page = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+/\w+\.py)` \|", page, flags=re.MULTILINE)
    there = [
        path.relative_to(PACKAGE).as_posix()
        for room in ROOMS
        for path in (PACKAGE / room).glob("*.py")
        if holds_code(path)
    ]
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize("page", TOLD)
def test_every_file_that_is_named_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\n", " ")
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in ("array_losses", "docs", "tests")
        for path in (ROOT / folder).rglob("*.py")
    ]
    names = set(re.findall(r"(?:\w+/)*\w+\.py\b", text)) - {"noxfile.py", "conftest.py"}
    assert names
    assert not [name for name in names if not any(f"/{one}".endswith(f"/{name}") for one in files)]
