"""Losses as PyTorch modules, for trainers that ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from array_losses.config import loss_classes
from array_losses.losses.loss_object import LossObject

if TYPE_CHECKING:
    from array_losses.frameworks.torch_module import LossModule

__all__ = ["torch_module"]


def torch_module(loss: Any, /) -> LossModule:
    """Return a ``torch.nn.Module`` around a loss, for trainers that ask for one.

    It has no parameters and no buffers: ``.to(device)`` and ``.cuda()`` change nothing, and its
    state is empty. The call imports PyTorch and registers the classes of this library, which hold
    nothing but options, as safe to load from a checkpoint with ``weights_only=True``.

    Parameters
    ----------
    loss : Loss, WeightedSum or preset

    Returns
    -------
    torch.nn.Module
        Called like the loss. In addition to what every module has:

        ``loss``
            The loss itself.
        ``reduction``
            That of the loss. While it is set to "none", the module returns one number per image
            for any loss: the loss of that image alone. fastai sets it and sets it back.
        ``activation(x)``, ``decodes(x)``
            `activation` turns a prediction into probabilities, with the loss's `activation`;
            `decodes` turns these into classes or, for "sigmoid" and for one class, into whether
            they are above 0.5. fastai calls both. For a preset, `activation` returns `x` unchanged.

    Raises
    ------
    TypeError
        If `loss` is not a loss of this library.

    Examples
    --------
    >>> import array_losses as al
    >>> module = al.torch_module(al.DiceLoss())  # doctest: +SKIP
    >>> losses = torch.nn.ModuleDict({"dice": module})  # doctest: +SKIP
    """
    if not isinstance(loss, LossObject):
        msg = f"`loss` must be a loss, a weighted sum or a preset of array_losses, got {loss!r}."
        raise TypeError(msg)
    from array_losses.frameworks.torch_module import LossModule, allow_loading

    allow_loading(loss_classes().values())
    return LossModule(loss)
