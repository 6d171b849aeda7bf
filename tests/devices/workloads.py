"""What is counted: losses, and what they are given."""

from typing import NamedTuple

import array_losses as al


class Workload(NamedTuple):
    """A loss, the shape and dtype of its logits, and whether pixels have weights.

    The target holds labels, with one class a mask.
    """

    loss: object
    shape: tuple[int, ...] = (2, 19, 64, 64)
    dtype: str = "float32"
    weights: bool = False


_TWO = (2, 2, 64, 64)
_ONE = (2, 1, 64, 64)
_CE, _DICE = al.CrossEntropyLoss(), al.DiceLoss()
_BINARY_CE = al.CrossEntropyLoss(activation="sigmoid")
_BINARY_DICE = al.DiceLoss(activation="sigmoid")

# The first are those of docs/performance.md.
WORKLOADS = {
    "ce": Workload(_CE),
    "focal": Workload(al.FocalLoss()),
    "dice": Workload(_DICE),
    "jaccard": Workload(al.JaccardLoss()),
    "ce+dice": Workload(_CE + _DICE),
    "lovasz": Workload(al.LovaszSoftmaxLoss()),
    "lovasz bins": Workload(al.LovaszSoftmaxLoss(bins=4096)),
    "ce, 2 classes": Workload(_CE, _TWO),
    "dice, 2 classes": Workload(_DICE, _TWO),
    "ce+dice, 2 classes": Workload(_CE + _DICE, _TWO),
    "lovasz, 2 classes": Workload(al.LovaszSoftmaxLoss(), _TWO),
    "ce, mask": Workload(_BINARY_CE, _ONE),
    "focal, mask": Workload(al.FocalLoss(activation="sigmoid"), _ONE),
    "dice, mask": Workload(_BINARY_DICE, _ONE),
    "ce+dice, mask": Workload(_BINARY_CE + _BINARY_DICE, _ONE),
    "hinge, mask": Workload(al.LovaszHingeLoss(), _ONE),
    "ce, class weights": Workload(al.CrossEntropyLoss(class_weights=(1.0,) * 19)),
    "dice, class weights": Workload(al.DiceLoss(class_weights=(1.0,) * 19)),
    "ce, pixel weights": Workload(_CE, weights=True),
    "dice, pixel weights": Workload(_DICE, weights=True),
    "ce, ignore": Workload(al.CrossEntropyLoss(ignore_index=255)),
    "dice, ignore": Workload(al.DiceLoss(ignore_index=255)),
    "dice, per image": Workload(al.DiceLoss(pool="image")),
    "ce, float16": Workload(_CE, dtype="float16"),
    "ce+dice, float16": Workload(_CE + _DICE, dtype="float16"),
    "ce+dice, bfloat16": Workload(_CE + _DICE, dtype="bfloat16"),
}
