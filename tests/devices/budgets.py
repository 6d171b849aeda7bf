"""What a training step may launch and move on a GPU: a budget for each loss.

Counted on the fake device, eager PyTorch, forward and backward; `python -m tests.devices.count`
shows which line takes what. Who makes a loss cheaper lowers its budget: the same command with
`--budgets` prints the table.
"""

from typing import NamedTuple


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
    "ce": Budget(60, 9.00, 2.28),
    "focal": Budget(76, 11.26, 2.33),
    "dice": Budget(176, 14.01, 3.33),
    "jaccard": Budget(176, 14.01, 3.33),
    "ce+dice": Budget(228, 20.03, 3.38),
    "lovasz": Budget(906, 125.52, 5.38),
    "lovasz bins": Budget(1457, 253.52, 5.38),
    "ce, 2 classes": Budget(60, 26.01, 4.75),
    "dice, 2 classes": Budget(176, 39.07, 6.13),
    "ce+dice, 2 classes": Budget(228, 53.82, 6.63),
    "lovasz, 2 classes": Budget(175, 155.27, 10.00),
    "ce, mask": Budget(75, 70.27, 10.50),
    "focal, mask": Budget(94, 116.77, 15.25),
    "dice, mask": Budget(191, 87.82, 11.25),
    "ce+dice, mask": Budget(242, 111.84, 14.25),
    "hinge, mask": Budget(126, 165.53, 15.75),
    "ce, class weights": Budget(71, 14.45, 3.53, copies=3),
    "dice, class weights": Budget(178, 14.01, 3.33, copies=2),
    "ce, pixel weights": Budget(71, 11.95, 3.34),
    "dice, pixel weights": Budget(190, 21.27, 5.40),
    "ce, ignore": Budget(70, 11.95, 3.34),
    "dice, ignore": Budget(187, 21.06, 5.40),
    "dice, per image": Budget(205, 14.07, 3.33),
    "ce, float16": Budget(62, 24.00, 6.55),
    "ce+dice, float16": Budget(230, 46.07, 8.77),
    "ce+dice, bfloat16": Budget(230, 46.07, 8.77),
}


def measured(workload):
    """Return the budget that a training step needs."""
    from tests.devices.training_step import count

    step = count(workload)
    return Budget(
        step.launches,
        round(step.moved, 2),
        round(step.peak, 2),
        sum(step.counted.waits.values()),
        sum(step.copies.values()),
    )
