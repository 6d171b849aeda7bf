"""The table of launches: the losses written by hand are ours, and its rows are what is counted."""

from pathlib import Path

import pytest

from tests.benchmarks.tables import TITLES
from tests.cases import Data
from tests.devices.budgets import BUDGETS
from tests.devices.workloads import WORKLOADS


@pytest.mark.parametrize("name", ["focal", "dice", "jaccard", "ce+dice", "lovasz"])
def test_by_hand(torch, name):
    from tests.devices.plain import PLAIN

    logits, labels = map(torch.as_tensor, Data(classes=4, spatial=(8, 8)).build()[:2])
    found = PLAIN[name](logits, labels)
    torch.testing.assert_close(found, WORKLOADS[name].loss(logits, labels))


def test_rows(torch):
    from tests.devices.launches import _markdown, _row
    from tests.devices.plain import PLAIN

    ours = _row("focal", "array_losses", WORKLOADS["focal"].loss, (2, 19, 64, 64))
    others = _row("focal", "by hand", PLAIN["focal"], (2, 19, 64, 64))
    assert BUDGETS["focal"].launches - 2 <= ours.launches <= BUDGETS["focal"].launches
    assert (others.launches, round(others.moved, 1), others.waits) == (21, 8.3, 0)
    table = _markdown("Logits", [ours, others])
    assert f"| Focal | **array_losses** | **{ours.launches}** |" in table
    assert "| Focal | by hand | 21 | 8.3 | 3.0 | 0 |" in table


def test_the_page_claims_no_less():
    """What docs/launches.md says of this library may be more than a loss takes by now, not less."""
    page = Path(__file__).parents[2] / "docs" / "performance" / "launches.md"
    titles = {title: name for name, title in TITLES.items()}
    claims, suffix = {}, None
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("**Logits"):
            suffix = "" if "× 19 ×" in line else ", 2 classes"
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if cells[0] in titles and cells[1].startswith("array_losses"):
            bins = " bins" if "bins" in cells[1] else ""
            claims[titles[cells[0]] + bins + suffix] = tuple(map(float, cells[2:]))
    compared = [name for name in BUDGETS if name in claims]
    assert len(compared) == 11
    for name in compared:
        launches, moved, peak, waits = claims[name]
        budget = BUDGETS[name]
        assert launches >= budget.launches, name
        assert moved >= 0.98 * budget.moved, name
        assert peak >= 0.98 * budget.peak, name
        assert waits >= budget.waits, name
