"""Presets: other libraries' losses by their names, options and numbers, on every framework."""

from array_losses.presets import (
    kornia,
    lovasz,
    monai,
    optax,
    smp,
    toolbelt,
    torch,
    torchvision,
)

__all__ = ["kornia", "lovasz", "monai", "optax", "smp", "toolbelt", "torch", "torchvision"]
