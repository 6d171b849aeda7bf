"""Each loss keeps to its budget, and its budget to the loss."""

import pytest

from tests.devices.budgets import BUDGETS, measured
from tests.devices.workloads import WORKLOADS


@pytest.mark.parametrize("name", WORKLOADS)
def test_budget(torch, name):
    found, budget = measured(WORKLOADS[name]), BUDGETS[name]
    assert budget.launches - 2 <= found.launches <= budget.launches, found
    assert (found.waits, found.copies) == (budget.waits, budget.copies), found
    assert (found.moved, found.peak) == pytest.approx((budget.moved, budget.peak), rel=0.02), found
