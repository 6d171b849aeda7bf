"""The table of launches: the losses written by hand are ours, and its rows are what is counted."""

import pytest

from tests.cases import Data
from tests.devices.workloads import WORKLOADS


@pytest.mark.parametrize("name", ["focal", "dice", "jaccard", "ce+dice", "lovasz"])
def test_by_hand(torch, name):
    from tests.devices.plain import PLAIN

    logits, labels = map(torch.as_tensor, Data(classes=4, spatial=(8, 8)).build()[:2])
    found = PLAIN[name](logits, labels)
    torch.testing.assert_close(found, WORKLOADS[name].loss(logits, labels))


def test_rows(torch):
    from tests.devices.budgets import BUDGETS
    from tests.devices.launches import _markdown, _row
    from tests.devices.plain import PLAIN

    ours = _row("focal", "array_losses", WORKLOADS["focal"].loss, (2, 19, 64, 64))
    others = _row("focal", "by hand", PLAIN["focal"], (2, 19, 64, 64))
    assert BUDGETS["focal"].launches - 2 <= ours.launches <= BUDGETS["focal"].launches
    assert (others.launches, round(others.moved, 1), others.waits) == (21, 8.3, 0)
    table = _markdown("Logits", [ours, others])
    assert f"| Focal | **array_losses** | **{ours.launches}** |" in table
    assert "| Focal | by hand | 21 | 8.3 | 3.0 | 0 |" in table
