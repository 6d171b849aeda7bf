"""A loss as a module of PyTorch, for trainers that take nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from array_losses.core.namespace import Array

__all__ = ["LossModule", "allow_loading"]


def allow_loading(classes: Iterable[type]) -> None:
    """Let ``torch.load(weights_only=True)`` make objects of this library's classes."""
    ours = [one for one in classes if one.__module__.startswith("array_losses.")]
    torch.serialization.add_safe_globals([LossModule, *ours])


class LossModule(torch.nn.Module):
    """A loss as a module without parameters and buffers; made by `array_losses.torch_module`."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss
        self._per_image = False

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse the options of the loss, which would go on as it is; `reduction` is heard."""
        parts = [self.loss, *self._formulas] if "loss" in vars(self) else []
        options = {one.name for part in parts if is_dataclass(part) for one in fields(part)}
        if name in options - {"reduction"}:
            msg = (
                f"`{name}` cannot be set: the loss in the module is frozen. Set `module.loss` to "
                f"another one, `dataclasses.replace(module.loss, {name}=...)`."
            )
            raise AttributeError(msg)
        super().__setattr__(name, value)

    def forward(self, *arrays: Any, **named: Any) -> Any:
        """Return the loss, called as it is; one number per image once `reduction` was set so."""
        if not self._per_image:
            return self.loss(*arrays, **named)
        self._check_images_first(arrays[0])
        images = range(arrays[0].shape[0])
        return torch.stack([self._of_image(i, arrays, named).reshape(()) for i in images])

    def _of_image(self, i: int, arrays: tuple[Any, ...], named: dict[str, Any]) -> Any:
        def one(x: Any) -> Any:
            return x[i : i + 1] if isinstance(x, torch.Tensor) and x.ndim else x

        return self.loss(*map(one, arrays), **{name: one(x) for name, x in named.items()})

    def _check_images_first(self, logits: Any) -> None:
        if any(formula.class_axis % logits.ndim == 0 for formula in self._formulas):
            msg = '`class_axis` must not be the first axis with `reduction` set to "none".'
            raise ValueError(msg)

    @property
    def reduction(self) -> str:
        """How pixels, classes and images become one number; "none": one number per image."""
        return "none" if self._per_image else self._own_reduction

    @reduction.setter
    def reduction(self, value: str) -> None:
        own = self._own_reduction
        if value not in {own, "none"}:
            msg = f'`reduction` must be "{own}", as in the loss, or "none", got {value!r}.'
            raise ValueError(msg)
        self._per_image = value != own

    @property
    def _own_reduction(self) -> str:
        if self._formulas:
            return str(self._formulas[0].reduction)
        return str(getattr(self.loss, "reduction", None) or "mean")

    @property
    def _formulas(self) -> list[Any]:
        """The losses of ours in it; none in a preset, which makes them of the arrays."""
        return [formula for _, formula in self.loss.terms()] if hasattr(self.loss, "terms") else []

    def activation(self, x: Array) -> Array:
        """Return the probabilities of a prediction; with a preset the prediction itself."""
        view = self._formulas[0].view if self._formulas else None
        if view is None or view.activation is None:
            return x
        if view.activation == "sigmoid":
            return torch.sigmoid(x)
        return torch.softmax(x, dim=self._formulas[0].class_axis)

    def decodes(self, x: Array) -> Array:
        """Return the classes by their probabilities."""
        axis, view = 1, None
        if self._formulas:
            axis, view = self._formulas[0].class_axis, self._formulas[0].view
        if x.shape[axis] == 1 or (view is not None and view.activation == "sigmoid"):
            return x > 0.5
        return x.argmax(dim=axis)

    def extra_repr(self) -> str:
        """Return what `print` shows in the parentheses."""
        return repr(self.loss)
