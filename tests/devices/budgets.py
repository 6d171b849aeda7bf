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
    "ce": Budget(58, 8.79, 2.22),
    "focal": Budget(68, 10.42, 2.28),
    "dice": Budget(173, 14.85, 3.33),
    "jaccard": Budget(173, 14.85, 3.33),
    "ce+dice": Budget(224, 20.77, 3.44),
    "lovasz": Budget(899, 122.86, 4.33),
    "lovasz bins": Budget(1450, 250.86, 4.33),
    "ce, 2 classes": Budget(58, 24.01, 4.75),
    "dice, 2 classes": Budget(173, 38.56, 6.13),
    "ce+dice, 2 classes": Budget(224, 52.32, 7.13),
    "lovasz, 2 classes": Budget(168, 147.02, 10.50),
    "ce, mask": Budget(55, 29.52, 7.50),
    "focal, mask": Budget(65, 58.52, 10.50),
    "dice, mask": Budget(170, 40.57, 8.50),
    "ce+dice, mask": Budget(214, 48.59, 9.50),
    "hinge, mask": Budget(119, 150.03, 15.00),
    "ce, class weights": Budget(69, 14.24, 3.53, copies=3),
    "dice, class weights": Budget(175, 14.85, 3.33, copies=2),
    "ce, pixel weights": Budget(68, 11.74, 3.29),
    "dice, pixel weights": Budget(185, 21.90, 4.40),
    "ce, ignore": Budget(68, 11.74, 3.29),
    "dice, ignore": Budget(183, 21.69, 4.40),
    "dice, per image": Budget(202, 14.91, 3.33),
    "ce, float16": Budget(60, 23.58, 6.45),
    "ce+dice, float16": Budget(226, 47.54, 8.87),
    "ce+dice, bfloat16": Budget(226, 47.54, 8.87),
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
