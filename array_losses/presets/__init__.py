"""Presets: other libraries' losses by their names, options and numbers, on every framework."""

from array_losses.presets import kornia, monai, optax, smp, torch

__all__ = ["kornia", "monai", "optax", "smp", "torch"]
