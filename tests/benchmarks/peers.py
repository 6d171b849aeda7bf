"""The peers: other packages' losses, each in the mode that is ours, on the same logits and labels.

A peer computes its loss from the same logits and integer labels as ours, with the gradient going to
the logits; to encode the labels one-hot, or to move the classes to the last axis, is part of its
work. Where libraries differ in what they average or smooth, a peer is left as it is. What has no
counterpart is left out, and `NOT_COMPARED` says why.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tests.benchmarks.calls import Calls, jax_calls, torch_calls

if TYPE_CHECKING:
    from tests.benchmarks.calls import Preparation
    from tests.benchmarks.workloads import Inputs, Workload

__all__ = [
    "NOT_COMPARED",
    "PACKAGES",
    "Peer",
    "jax_peers",
    "missing",
    "torch_losses",
    "torch_peers",
]

# A peer's name in the tables, what is imported for it, and the distribution that brings that.
PACKAGES = {
    "torch": ("torch", "torch"),
    "monai": ("monai", "monai"),
    "smp": ("segmentation_models_pytorch", "segmentation-models-pytorch"),
    "kornia": ("kornia", "kornia"),
    "keras": ("keras", "keras"),
    "optax": ("optax", "optax"),
}
NOT_COMPARED = (
    "smp's FocalLoss of several classes takes a sigmoid for each, not a softmax: compared at d.",
    "optax has no focal loss after a softmax: compared at d.",
    "kornia has no Dice loss of one class with a sigmoid, and no Jaccard loss.",
    "Keras and optax have neither a Jaccard nor a Lovász loss.",
    "kornia takes images only: the voxels of b are given to it as images of one row.",
)

_Loss: TypeAlias = Callable[[Any, Any], Any]


class Peer(NamedTuple):
    """A function of logits and labels, and what it wants them to be."""

    function: _Loss
    float_labels: bool = False


def missing() -> dict[str, str]:
    """Return the peers that cannot be compared with here, and what to install."""
    needed = {**PACKAGES, "jax": ("jax", "jax")}
    return {
        name: f"not installed: pip install {distribution}"
        for name, (module, distribution) in needed.items()
        if importlib.util.find_spec(module) is None
    }


def torch_peers(loss: str, workload: Workload, *, compiled: bool) -> dict[str, Preparation]:
    """Return the PyTorch peers that have this loss, by name; none is imported yet."""
    peers = torch_losses(loss, binary=workload.binary)
    if compiled:
        peers = {name: peer for name, peer in peers.items() if "keras" not in name}
    return {name: partial(_with_torch, peer, compiled=compiled) for name, peer in peers.items()}


def torch_losses(loss: str, *, binary: bool) -> dict[str, Callable[[], Peer]]:
    """Return what makes the PyTorch peers that have this loss, by name; none is imported yet."""
    names = ["torch"] if loss == "ce" else []
    if loss not in {"ce", "lovasz"}:
        names.append("monai")
    if loss != "ce" and (loss != "focal" or binary):
        names.append("smp")
    if loss not in {"ce", "jaccard"} and not (loss in {"dice", "ce+dice"} and binary):
        names.append("kornia")
    if loss not in {"jaccard", "lovasz"}:
        names.append("keras")
    absent = missing()
    there = [name for name in names if name not in absent and "torch" not in absent]
    peers: dict[str, Callable[[], Peer]] = {}
    for name in there:
        make = _TORCH[name]
        if loss == "ce+dice":
            if name == "monai":
                peers["monai DiceCELoss"] = partial(make, loss, binary)
            if name == "keras":
                peers["keras + keras"] = partial(make, loss, binary)
            else:
                peers[f"torch + {name}"] = partial(_sum, make, binary)
        else:
            peers[name] = partial(make, loss, binary)
    if loss == "lovasz" and "torch" not in absent:
        peers["original style"] = partial(_original, binary)
    return peers


def jax_peers(loss: str, workload: Workload) -> dict[str, Preparation]:
    """Return the JAX peers that have this loss, by name; none is imported yet."""
    absent = missing()
    names = []
    if loss in {"ce", "dice", "ce+dice"} or (loss == "focal" and workload.binary):
        names.append("optax")
    if loss in {"ce", "focal", "dice", "ce+dice"}:
        names.append("keras")
    there = [name for name in names if name not in absent and "jax" not in absent]
    return {name: partial(_with_jax, partial(_JAX[name], loss, workload)) for name in there}


def _with_torch(make: Callable[[], Peer], inputs: Inputs, *, compiled: bool) -> Calls:
    peer = make()
    return torch_calls(
        peer.function,
        inputs,
        float_labels=peer.float_labels,
        compiled=compiled,
    )


def _with_jax(make: Callable[[], Peer], inputs: Inputs) -> Calls:
    peer = make()
    return jax_calls(peer.function, inputs)


def _sum(make: Callable[[str, bool], Peer], binary: bool) -> Peer:
    """Return PyTorch's cross entropy plus a peer's Dice."""
    entropy, dice = _torch(binary), make("dice", binary)
    if dice.float_labels == entropy.float_labels:
        return Peer(
            lambda z, t: entropy.function(z, t) + dice.function(z, t),
            float_labels=entropy.float_labels,
        )
    return Peer(lambda z, t: entropy.function(z, t.to(z.dtype)) + dice.function(z, t))


def _torch(binary: bool) -> Peer:
    import torch.nn.functional as F

    if binary:
        return Peer(lambda z, t: F.binary_cross_entropy_with_logits(z[:, 0], t), float_labels=True)
    return Peer(F.cross_entropy)


def _monai(loss: str, binary: bool) -> Peer:
    from monai.losses import DiceCELoss, DiceLoss, FocalLoss

    if loss == "focal":
        criterion = FocalLoss(use_softmax=not binary, to_onehot_y=not binary)
    else:
        kind = DiceCELoss if loss == "ce+dice" else DiceLoss
        criterion = kind(
            softmax=not binary,
            sigmoid=binary,
            to_onehot_y=not binary,
            jaccard=loss == "jaccard",
            batch=True,
        )
    return Peer(lambda z, t: criterion(z, t[:, None]), float_labels=binary)


def _smp(loss: str, binary: bool) -> Peer:
    losses = _without_its_package("segmentation_models_pytorch", "losses")
    mode = "binary" if binary else "multiclass"
    kinds = {
        "focal": losses.FocalLoss,
        "dice": losses.DiceLoss,
        "jaccard": losses.JaccardLoss,
        "lovasz": losses.LovaszLoss,
    }
    criterion = kinds[loss](mode)
    if binary:
        return Peer(lambda z, t: criterion(z, t[:, None]), float_labels=loss != "lovasz")
    return Peer(criterion)


def _kornia(loss: str, binary: bool) -> Peer:
    from kornia import losses

    functions: dict[tuple[str, bool], Peer] = {
        ("focal", True): Peer(
            lambda z, t: losses.binary_focal_loss_with_logits(
                z, t[:, None], alpha=None, gamma=2.0, reduction="mean"
            ),
            float_labels=True,
        ),
        ("focal", False): Peer(
            lambda z, t: losses.focal_loss(z, t, alpha=None, gamma=2.0, reduction="mean")
        ),
        ("dice", False): Peer(lambda z, t: losses.dice_loss(z, t, average="macro")),
        ("lovasz", True): Peer(losses.lovasz_hinge_loss),
        ("lovasz", False): Peer(losses.lovasz_softmax_loss),
    }
    peer = functions[loss, binary]
    return peer._replace(function=partial(_as_images, peer.function))


def _as_images(function: _Loss, z: Any, t: Any) -> Any:
    """Call a function of images only: a volume becomes images of one row."""
    if z.ndim != 4:
        z, t = z.reshape(*z.shape[:2], 1, -1), t.reshape(t.shape[0], 1, -1)
    return function(z, t)


def _keras(loss: str, binary: bool, axis: int) -> Peer:
    """Keras' losses, on the backend of the process: they want the classes last."""
    import keras

    function = _keras_of_last(loss, binary)
    return Peer(lambda z, t: function(keras.ops.moveaxis(z, axis, -1), t))


def _keras_of_last(loss: str, binary: bool) -> _Loss:
    import keras

    if loss == "ce+dice":
        parts = [_keras_of_last(one, binary) for one in ("ce", "dice")]
        return lambda z, t: parts[0](z, t) + parts[1](z, t)
    if loss == "ce":
        entropy = (
            keras.losses.BinaryCrossentropy(from_logits=True)
            if binary
            else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        return lambda z, t: entropy(t[..., None] if binary else t, z)
    if loss == "focal":
        focal = (
            keras.losses.BinaryFocalCrossentropy(from_logits=True)
            if binary
            else keras.losses.CategoricalFocalCrossentropy(from_logits=True, alpha=1.0)
        )
        return lambda z, t: focal(_encoded(t, z, binary=binary), z)

    def dice(z: Any, t: Any) -> Any:
        p = keras.ops.sigmoid(z) if binary else keras.ops.softmax(z, axis=-1)
        sums = keras.losses.Dice(axis=tuple(range(z.ndim - 1)))
        return sums(_encoded(t, z, binary=binary), p)

    return dice


def _encoded(t: Any, z: Any, *, binary: bool) -> Any:
    import keras

    return t[..., None] if binary else keras.ops.one_hot(t, z.shape[-1], dtype=z.dtype)


def _optax(loss: str, workload: Workload) -> Peer:
    """Take optax' functions of pixels to the mean, and those that want the classes last there."""
    import jax
    import jax.numpy as jnp
    import optax

    binary, classes = workload.binary, workload.shape[1]
    axis = -1 if workload.classes_last else 1

    def entropy(z: Any, t: Any) -> Any:
        if binary:
            return optax.losses.sigmoid_binary_cross_entropy(z.squeeze(axis), t).mean()
        return optax.losses.softmax_cross_entropy_with_integer_labels(z, t, axis=axis).mean()

    def focal(z: Any, t: Any) -> Any:
        return optax.losses.sigmoid_focal_loss(z.squeeze(axis), t, gamma=2.0).mean()

    def dice(z: Any, t: Any) -> Any:
        targets = t[..., None] if binary else jax.nn.one_hot(t, classes)
        axes = tuple(range(z.ndim - 1))
        z = jnp.moveaxis(z, axis, -1)
        return optax.losses.dice_loss(z, targets.astype(z.dtype), axis=axes)

    functions: dict[str, _Loss] = {
        "ce": entropy,
        "focal": focal,
        "dice": dice,
        "ce+dice": lambda z, t: entropy(z, t) + dice(z, t),
    }
    return Peer(functions[loss])


def _keras_on_jax(loss: str, workload: Workload) -> Peer:
    os.environ["KERAS_BACKEND"] = "jax"
    return _keras(loss, workload.binary, -1 if workload.classes_last else 1)


def _keras_on_torch(loss: str, binary: bool) -> Peer:
    os.environ["KERAS_BACKEND"] = "torch"
    return _keras(loss, binary, 1)


def _original(binary: bool) -> Peer:
    return Peer(_original_hinge if binary else _original_softmax)


def _original_softmax(z: Any, t: Any) -> Any:
    """Lovász-Softmax as the paper's Algorithm 1 suggests it: sort each class by its errors."""
    import torch

    p = z.softmax(1).movedim(1, 0).flatten(1)
    labels = t.flatten()
    losses = []
    for k in range(p.shape[0]):
        truth = (labels == k).to(p.dtype)
        if truth.sum() == 0:
            continue
        errors, order = torch.sort((truth - p[k]).abs(), descending=True)
        losses.append(torch.dot(errors, _jaccard_steps(truth[order])))
    return torch.stack(losses).mean()


def _original_hinge(z: Any, t: Any) -> Any:
    """Lovász hinge in the same way, over the whole batch."""
    import torch

    truth = t.flatten().to(z.dtype)
    errors, order = torch.sort(1 - z.flatten() * (2 * truth - 1), descending=True)
    return torch.dot(errors.relu(), _jaccard_steps(truth[order]))


def _jaccard_steps(truth: Any) -> Any:
    """Return by how much the Jaccard loss grows with each pixel that is taken as mistaken."""
    import torch

    total = truth.sum()
    missed = truth.cumsum(0)
    false = (1 - truth).cumsum(0)
    jaccard = 1 - (total - missed) / (total + false)
    return torch.diff(jaccard, prepend=jaccard.new_zeros(1))


def _without_its_package(package: str, part: str) -> Any:
    """Import a part of a package whose own `__init__` needs what is not installed here.

    segmentation_models_pytorch imports its models first, and those torchvision, of which there is
    no build for PyTorch's CPU packages on some machines. Its losses need none of that.
    """
    name = f"{package}.{part}"
    if name in sys.modules or package in sys.modules:
        return importlib.import_module(name)
    spec = importlib.util.find_spec(package)
    if spec is None:
        msg = f"No module named {package!r}"
        raise ModuleNotFoundError(msg, name=package)
    sys.modules[package] = importlib.util.module_from_spec(spec)  # a package, not executed
    try:
        return importlib.import_module(name)
    finally:
        del sys.modules[package]


_TORCH: dict[str, Callable[[str, bool], Peer]] = {
    "torch": lambda _, binary: _torch(binary),
    "monai": _monai,
    "smp": _smp,
    "kornia": _kornia,
    "keras": _keras_on_torch,
}
_JAX: dict[str, Callable[[str, Any], Peer]] = {"optax": _optax, "keras": _keras_on_jax}
