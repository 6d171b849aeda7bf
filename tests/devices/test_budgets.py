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
    "ce": Budget(76, 21.43, 4.49),
    "focal": Budget(92, 23.80, 4.49),
    "dice": Budget(230, 50.83, 8.05, waits=3),
    "jaccard": Budget(230, 50.83, 8.05, waits=3),
    "ce+dice": Budget(279, 51.52, 8.11, waits=4),
    "lovasz": Budget(991, 172.03, 7.79, waits=1),
    "lovasz bins": Budget(1542, 300.03, 7.79, waits=1),
    "ce, 2 classes": Budget(76, 67.63, 9.50),
    "dice, 2 classes": Budget(230, 116.94, 14.88, waits=3),
    "ce+dice, 2 classes": Budget(279, 123.45, 15.38, waits=4),
    "lovasz, 2 classes": Budget(260, 284.77, 14.50, waits=1),
    "ce, mask": Budget(67, 74.26, 11.50),
    "focal, mask": Budget(86, 120.76, 16.25),
    "dice, mask": Budget(201, 91.82, 12.25, waits=3),
    "ce+dice, mask": Budget(255, 115.84, 15.25, waits=4),
    "hinge, mask": Budget(153, 212.78, 13.75, waits=1),
    "ce, class weights": Budget(94, 28.28, 5.75, copies=3),
    "dice, class weights": Budget(232, 50.84, 8.05, waits=3, copies=2),
    "ce, pixel weights": Budget(87, 24.43, 4.55),
    "dice, pixel weights": Budget(243, 56.99, 9.12, waits=3),
    "ce, ignore": Budget(88, 24.50, 4.55),
    "dice, ignore": Budget(242, 56.85, 9.12, waits=3),
    "dice, per image": Budget(261, 49.00, 8.16, waits=3),
    "ce, float16": Budget(120, 69.37, 7.97, waits=1),
    "ce+dice, float16": Budget(316, 130.91, 12.58, waits=4),
    "ce+dice, bfloat16": Budget(316, 130.91, 12.58, waits=4),
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
