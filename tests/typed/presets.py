"""Presets: functions and classes of other libraries, whose arguments a type checker knows."""

from __future__ import annotations

from typing import Any

from array_losses.presets import keras, kornia, monai, nnunet, optax, smp, toolbelt, torch


def right(logits: Any, target: Any, criterion: kornia.DiceLoss) -> None:
    """In the library's order and by its names, and with a gradient."""
    torch.cross_entropy(logits, target, label_smoothing=0.1)
    torch.cross_entropy.value_and_grad(input=logits, target=target, reduction="sum")
    kornia.dice_loss(pred=logits, target=target, average="macro")
    optax.dice_loss(logits, target, apply_softmax=False)
    kornia.FocalLoss(0.25, reduction="mean").value_and_grad(logits, target)
    monai.DiceCELoss(to_onehot_y=True, softmax=True, lambda_ce=0.5)(logits, target)
    nnunet.SoftDiceLoss("softmax", smooth=1e-5)(logits, target)
    smp.DiceLoss("multiclass", [1, 2], ignore_index=255)(logits, target)
    toolbelt.DiceLoss("binary", smooth=1.0)(logits, target)
    keras.Dice(axis=(1, 2))(target, logits)
    criterion(logits, target)


def wrong(logits: Any, target: Any) -> None:
    """A wrong name, a wrong type, a wrong text, and too much or too little."""
    torch.cross_entropy(logits, target, smoothing=0.1)  # type: ignore[call-arg]
    torch.cross_entropy(logits, target, reduction="max")  # type: ignore[arg-type]
    torch.cross_entropy.value_and_grad(logits)  # type: ignore[call-arg]
    kornia.dice_loss(logits, target, average="all")  # type: ignore[arg-type]
    kornia.FocalLoss()  # type: ignore[call-arg]
    kornia.DiceLoss(epsilon=1.0)  # type: ignore[call-arg]
    optax.dice_loss(logits, target, 1.0)  # type: ignore[call-arg]
    monai.DiceCELoss(reduction="none")  # type: ignore[arg-type]
    monai.DiceLoss(smooth=1.0)  # type: ignore[call-arg]
    smp.DiceLoss("one")  # type: ignore[arg-type]
    toolbelt.JaccardLoss("binary", ignore_index=255)  # type: ignore[call-arg]
    keras.Tversky(axis="all")  # type: ignore[arg-type]
