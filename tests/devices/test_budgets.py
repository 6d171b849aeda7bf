"""What a training step may launch and move on a GPU: a budget for each loss, neither more nor less.

Counted on the fake device, eager PyTorch, forward and backward; `python -m tests.devices.count`
shows which line takes what. Who makes a loss cheaper lowers its budget.
"""

from typing import NamedTuple

import pytest

from tests.devices.workloads import WORKLOADS


class Budget(NamedTuple):
    """The numbers of a training step.

    Memory is in multiples of the logits': what is moved, and the most that is held at one time.
    Waits are those for values of the device, copies those of numbers to it.
    """

    launches: int
    moved: float
    peak: float
    waits: int = 0
    copies: int = 0


BUDGETS = {
    "ce": Budget(64, 9.00, 2.28, waits=1),
    "focal": Budget(80, 11.26, 2.33, waits=1),
    "dice": Budget(188, 14.01, 3.33, waits=3),
    "jaccard": Budget(188, 14.01, 3.33, waits=3),
    "ce+dice": Budget(244, 20.04, 3.38, waits=4),
    "lovasz": Budget(910, 125.52, 5.38, waits=1),
    "lovasz bins": Budget(1461, 253.52, 5.38, waits=1),
    "ce, 2 classes": Budget(64, 26.01, 4.75, waits=1),
    "dice, 2 classes": Budget(188, 39.07, 6.13, waits=3),
    "ce+dice, 2 classes": Budget(244, 53.83, 6.63, waits=4),
    "lovasz, 2 classes": Budget(179, 155.27, 10.00, waits=1),
    "ce, mask": Budget(79, 70.27, 10.50, waits=1),
    "focal, mask": Budget(98, 116.77, 15.25, waits=1),
    "dice, mask": Budget(203, 87.83, 11.25, waits=3),
    "ce+dice, mask": Budget(258, 111.84, 14.25, waits=4),
    "hinge, mask": Budget(130, 165.53, 15.75, waits=1),
    "ce, class weights": Budget(75, 14.45, 3.53, waits=1, copies=3),
    "dice, class weights": Budget(190, 14.01, 3.33, waits=3, copies=2),
    "ce, pixel weights": Budget(75, 11.95, 3.34, waits=1),
    "dice, pixel weights": Budget(202, 21.27, 5.40, waits=3),
    "ce, ignore": Budget(74, 11.95, 3.34, waits=1),
    "dice, ignore": Budget(199, 21.06, 5.40, waits=3),
    "dice, per image": Budget(217, 14.07, 3.33, waits=3),
    "ce, float16": Budget(66, 24.00, 6.55, waits=1),
    "ce+dice, float16": Budget(246, 46.07, 8.77, waits=4),
    "ce+dice, bfloat16": Budget(246, 46.07, 8.77, waits=4),
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_budget(torch, name):
    from tests.devices.training_step import count

    step = count(WORKLOADS[name])
    found = Budget(
        step.launches,
        round(step.moved, 2),
        round(step.peak, 2),
        sum(step.counted.waits.values()),
        sum(step.copies.values()),
    )
    budget = BUDGETS[name]
    assert budget.launches - 2 <= found.launches <= budget.launches, found
    assert found[3:] == budget[3:], found
    assert found[1:3] == pytest.approx(budget[1:3], rel=0.02), found
