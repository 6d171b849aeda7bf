"""Presets: other libraries' losses by their names, options and numbers, on every framework."""

from array_losses.presets import torch

__all__ = ["torch"]
