"""Distance maps, computed once from labels: for `BoundaryLoss`, and as U-Net's pixel weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from array_losses.core import options
from array_losses.core.namespace import (
    Array,
    ArrayT,
    Namespace,
    device,
    is_bool,
    is_integer,
    namespace_of,
)
from array_losses.frameworks import can_inspect, plainly
from array_losses.frameworks.ndimage import given_back, with_transform

__all__ = ["signed_distance_map", "unet_weight_map"]


@plainly
def signed_distance_map(
    labels: ArrayT,
    /,
    *,
    num_classes: int,
    class_axis: int = 1,
    spacing: float | Sequence[float] | None = None,
) -> ArrayT:
    """Return the signed distance to each class, negative inside it: the target of `BoundaryLoss`.

    Outside a class it is the Euclidean distance to the nearest pixel of the class; inside, it is
    minus the distance to the nearest pixel outside the class. A class that is absent from an image,
    or fills it, gets a zero map.

    Parameters
    ----------
    labels : array, integer or bool
        Images along axis 0, then at least one spatial axis. In an array of two axes every row is
        an image, so pass a single mask as ``mask[None, ...]``. A label that is not a class (an
        ignored one, say) is outside all classes. With one class, a mask.
    num_classes : int
        If it is 1, the labels are a mask.
    class_axis : int, default 1
        The class axis of the result.
    spacing : number or sequence of one per spatial axis, optional
        The distance between neighbouring pixels; 1 by default.

    Returns
    -------
    array
        float32, of the same library and on the same device as the labels, shaped like the logits.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or value.
    ModuleNotFoundError
        If SciPy is needed (not for CuPy arrays with up to three spatial axes) and not installed.

    See Also
    --------
    array_losses.BoundaryLoss : takes this map as its target.

    Notes
    -----
    Computed by SciPy or, for CuPy arrays, by CuPy on the GPU. PyTorch and JAX arrays are copied to
    CPU memory and back, so this does not work inside `jit`.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> al.signed_distance_map(np.asarray([[0, 0, 1, 1, 1]]), num_classes=2)
    array([[[-2., -1.,  1.,  2.,  3.],
            [ 2.,  1., -1., -2., -3.]]], dtype=float32)
    """
    _check_labels(labels)
    num_classes = options.integer("num_classes", num_classes, lowest=1)
    class_axis = options.integer("class_axis", class_axis)
    if not -labels.ndim - 1 <= class_axis <= labels.ndim:  # type: ignore[attr-defined]
        msg = (
            f"`class_axis` must be an axis of the result, which has {labels.ndim + 1}, got "  # type: ignore[attr-defined]
            f"{class_axis}; {_ONE_IMAGE}."
        )
        raise ValueError(msg)
    plain, transform = with_transform(labels)
    xp = namespace_of(labels=plain)
    sampling = _sampling(spacing, plain.ndim - 1)
    wanted = range(num_classes) if num_classes > 1 else (1,)
    maps = [
        xp.stack([_signed(xp, transform, plain[b, ...] == c, sampling) for c in wanted])
        for b in range(plain.shape[0])
    ]
    empty = xp.zeros((0, num_classes, *plain.shape[1:]), dtype=xp.float32, device=device(plain))
    result = xp.stack(maps) if maps else empty
    order = [0, *range(2, result.ndim)]
    order.insert(class_axis % result.ndim, 1)
    return given_back(xp.permute_dims(result, tuple(order)), labels)


def _signed(xp: Namespace, transform: Callable[..., Array], inside: Array, sampling: Any) -> Array:
    bounded = xp.any(inside) & ~xp.all(inside)
    if can_inspect(inside) and not bounded:
        return xp.zeros(inside.shape, dtype=xp.float32, device=device(inside))
    distance = transform(~inside, sampling=sampling) - transform(inside, sampling=sampling)
    return xp.astype(xp.where(bounded, distance, 0.0), xp.float32)


@plainly
def unet_weight_map(
    labels: ArrayT,
    /,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    spacing: float | Sequence[float] | None = None,
) -> ArrayT:
    r"""Return U-Net's `pixel_weights`, which are large in narrow gaps between cells.

    .. math:: 1 + w_0 \exp\Bigl(-\frac{(d_1 + d_2)^2}{2 \sigma^2}\Bigr)

    at background pixels, where :math:`d_1` and :math:`d_2` are the distances to the nearest and the
    second nearest cell; 1 inside cells, and in images with fewer than two cells.

    Parameters
    ----------
    labels : array, integer
        A number for each cell, 0 for the background. Images along axis 0, then at least one spatial
        axis. In an array of two axes every row is an image, so pass the labels of a single image
        as ``labels[None, ...]``.
    w0 : number >= 0, default 10
        How much is added where two cells touch.
    sigma : number > 0, default 5
        The width of the gaps that get a large weight, in the unit of the spacing.
    spacing : number or sequence of one per spatial axis, optional
        The distance between neighbouring pixels; 1 by default.

    Returns
    -------
    array
        float32, of the same library and shape and on the same device as the labels.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or value.
    ModuleNotFoundError
        If SciPy is needed (not for CuPy arrays with up to three spatial axes) and not installed.

    See Also
    --------
    array_losses.CrossEntropyLoss : the loss to which the paper applies these weights.

    Notes
    -----
    The paper has a class weight in place of the 1. Here, class weights are the option
    `class_weights` of the loss. They are factors, so the result differs in the gaps.

    References
    ----------
    O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", MICCAI 2015.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> al.unet_weight_map(np.asarray([[1, 1, 0, 0, 2]]), sigma=3.0).round(2)
    array([[1.  , 1.  , 7.07, 7.07, 1.  ]], dtype=float32)
    """
    _check_labels(labels)
    w0 = options.non_negative("w0", w0)
    sigma = options.non_negative("sigma", sigma)
    if sigma == 0.0:
        msg = "`sigma` must be above 0, got 0.0."
        raise ValueError(msg)
    plain, transform = with_transform(labels)
    xp = namespace_of(labels=plain)
    sampling = _sampling(spacing, plain.ndim - 1)
    weights = xp.ones(plain.shape, dtype=xp.float32, device=device(plain))
    for b in range(plain.shape[0]):
        image = plain[b, ...]
        gap = xp.full(image.shape, float("inf"), dtype=xp.float64, device=device(plain))
        nearest, second = gap, gap
        for cell in [one for one in xp.unique_values(image).tolist() if one != 0]:
            found = transform(image != cell, sampling=sampling)
            second = xp.minimum(second, xp.maximum(nearest, found))
            nearest = xp.minimum(nearest, found)
        added = w0 * xp.exp(-((nearest + second) ** 2) / (2.0 * sigma * sigma))
        weights[b, ...] = xp.astype(1.0 + xp.where(image == 0, added, 0.0), xp.float32)
    return given_back(weights, labels)


_ONE_IMAGE = "images lie along the first axis: pass a single image as `labels[None, ...]`"


def _check_labels(labels: Array) -> None:
    xp = namespace_of(labels=labels)
    if not (is_integer(xp, labels.dtype) or is_bool(xp, labels.dtype)):
        msg = f"`labels` must be integer or bool, got {labels.dtype}."
        raise TypeError(msg)
    if labels.ndim < 2:
        msg = (
            "`labels` must have a batch axis and at least one spatial axis, got shape "
            f"{tuple(labels.shape)}; {_ONE_IMAGE}."
        )
        raise ValueError(msg)


def _sampling(spacing: Any, axes: int) -> tuple[float, ...]:
    """Return the distance between neighbours along each spatial axis."""
    given = options.per_class_or_number("spacing", 1.0 if spacing is None else spacing)
    found = (given,) * axes if isinstance(given, float) else given
    if len(found) != axes or 0.0 in found:
        hint = f"; {_ONE_IMAGE}" if len(found) == axes + 1 else ""
        msg = (
            f"`spacing` must be a positive number, or one per spatial axis ({axes}), got "
            f"{spacing}{hint}."
        )
        raise ValueError(msg)
    return found
