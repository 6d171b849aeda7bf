"""Presets: other libraries' losses by their names, options and numbers, on every framework."""

from array_losses.presets import (
    keras,
    kornia,
    lovasz,
    monai,
    nnunet,
    optax,
    smp,
    toolbelt,
    torch,
    torchvision,
)

__all__ = [
    "keras",
    "kornia",
    "lovasz",
    "monai",
    "nnunet",
    "optax",
    "smp",
    "toolbelt",
    "torch",
    "torchvision",
]
