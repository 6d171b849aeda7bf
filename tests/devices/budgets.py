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
    "ce": Budget(21, 8.79, 2.22),
    "focal": Budget(31, 10.42, 2.28),
    "dice": Budget(48, 14.79, 3.33),
    "jaccard": Budget(46, 14.79, 3.33),
    "ce+dice": Budget(62, 20.72, 3.43),
    "lovasz": Budget(51, 50.20, 7.72),
    "lovasz bins": Budget(56, 58.35, 5.47),
    "ce, 2 classes": Budget(21, 24.00, 4.75),
    "dice, 2 classes": Budget(48, 38.51, 6.13),
    "ce+dice, 2 classes": Budget(62, 52.26, 7.13),
    "lovasz, 2 classes": Budget(51, 75.25, 9.63),
    "ce, mask": Budget(18, 29.50, 7.50),
    "focal, mask": Budget(28, 58.50, 10.50),
    "dice, mask": Budget(45, 40.51, 8.50),
    "ce+dice, mask": Budget(52, 48.51, 9.50),
    "hinge, mask": Budget(39, 72.75, 8.75),
    "ce, class weights": Budget(34, 11.50, 2.63),
    "dice, class weights": Budget(48, 14.79, 3.33),
    "ce, pixel weights": Budget(38, 11.84, 3.29),
    "dice, pixel weights": Budget(62, 21.95, 4.40),
    "ce, ignore": Budget(36, 11.74, 3.29),
    "dice, ignore": Budget(58, 21.64, 4.40),
    "dice, per image": Budget(56, 14.80, 3.33),
    "ce, float16": Budget(23, 23.58, 6.45),
    "ce+dice, float16": Budget(64, 47.43, 8.87),
    "ce+dice, bfloat16": Budget(64, 47.43, 8.87),
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
