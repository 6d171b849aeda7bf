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
    "ce": Budget(62, 8.79, 2.22, waits=1),
    "focal": Budget(72, 10.42, 2.28, waits=1),
    "dice": Budget(185, 14.85, 3.33, waits=3),
    "jaccard": Budget(185, 14.85, 3.33, waits=3),
    "ce+dice": Budget(240, 20.77, 3.44, waits=4),
    "lovasz": Budget(903, 122.86, 4.33, waits=1),
    "lovasz bins": Budget(1454, 250.86, 4.33, waits=1),
    "ce, 2 classes": Budget(62, 24.01, 4.75, waits=1),
    "dice, 2 classes": Budget(185, 38.57, 6.13, waits=3),
    "ce+dice, 2 classes": Budget(240, 52.33, 7.13, waits=4),
    "lovasz, 2 classes": Budget(172, 147.02, 10.50, waits=1),
    "ce, mask": Budget(59, 29.52, 7.50, waits=1),
    "focal, mask": Budget(69, 58.52, 10.50, waits=1),
    "dice, mask": Budget(182, 40.58, 8.50, waits=3),
    "ce+dice, mask": Budget(230, 48.59, 9.50, waits=4),
    "hinge, mask": Budget(123, 150.03, 15.00, waits=1),
    "ce, class weights": Budget(73, 14.24, 3.53, waits=1, copies=3),
    "dice, class weights": Budget(187, 14.85, 3.33, waits=3, copies=2),
    "ce, pixel weights": Budget(72, 11.74, 3.29, waits=1),
    "dice, pixel weights": Budget(197, 21.90, 4.40, waits=3),
    "ce, ignore": Budget(72, 11.74, 3.29, waits=1),
    "dice, ignore": Budget(195, 21.69, 4.40, waits=3),
    "dice, per image": Budget(214, 14.91, 3.33, waits=3),
    "ce, float16": Budget(64, 23.58, 6.45, waits=1),
    "ce+dice, float16": Budget(242, 47.54, 8.87, waits=4),
    "ce+dice, bfloat16": Budget(242, 47.54, 8.87, waits=4),
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
