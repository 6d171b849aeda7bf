"""The two checks of agreement that users call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from array_losses.testing.agreement import Agreement, Limits, describe
from array_losses.testing.backends import find_backends
from array_losses.testing.judge import agreement_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

__all__ = ["assert_agreement", "check_agreement"]


def check_agreement(
    function: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    /,
    *,
    frameworks: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    value_limit: float = 64.0,
    gradient_limit: float = 512.0,
    half_gradient_limit: float = 1.0,
) -> list[Agreement]:
    """Evaluate a function and its gradient everywhere, and compare with one reference.

    The reference is the function itself on NumPy arrays in float64, given the same inputs rounded
    to the dtype in question; for float16 and bfloat16 it is the function in float32. Its gradient
    must be the slope of its value: that is compared with finite differences along two directions.

    Parameters
    ----------
    function : Loss or callable
        A loss, of this library or of your own: anything with ``value_and_grad``. Or a function
        that takes arrays of any framework and returns a scalar: its gradient in the first array
        is then compared between PyTorch and JAX, which differentiate it, and is not looked at
        elsewhere.
    inputs : sequence of numpy.ndarray
        The arguments. For a loss: logits, target and, if there are three, pixel weights. Floating
        arrays are converted to each dtype, others stay as they are.
    frameworks, devices, dtypes : sequence of str, optional
        Where to look; by default everywhere (see `frameworks`). A framework that is named must
        have each device and dtype that is named.
    value_limit, gradient_limit : float, optional
        The largest errors that agree, in eps.
    half_gradient_limit : float, optional
        The same for gradients in half precision, in eps of that dtype; rounding alone costs 0.5.

    Returns
    -------
    list of Agreement
        One for each framework, device and dtype.

    Raises
    ------
    UnavailableError
        If something that was asked for is not on this machine.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> from array_losses.testing import check_agreement
    >>> rng = np.random.default_rng(0)
    >>> logits, target = rng.normal(size=(2, 3, 8, 8)), rng.integers(0, 3, size=(2, 8, 8))
    >>> rows = check_agreement(al.DiceLoss(), (logits, target), frameworks=["numpy", "strict"])
    >>> [(row.framework, row.dtype, row.ok) for row in rows if row.dtype == "float32"]
    [('numpy', 'float32', True), ('strict', 'float32', True)]
    """
    limits = Limits(value_limit, gradient_limit, half_gradient_limit)
    return agreement_at(find_backends(frameworks, devices, dtypes), function, inputs, limits)


def assert_agreement(
    function: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    /,
    *,
    frameworks: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    value_limit: float = 64.0,
    gradient_limit: float = 512.0,
    half_gradient_limit: float = 1.0,
) -> None:
    """Assert that a function agrees with its reference everywhere.

    Parameters
    ----------
    function, inputs, frameworks, devices, dtypes, value_limit, gradient_limit, half_gradient_limit
        As `check_agreement` takes them.

    Raises
    ------
    AssertionError
        With one line for each backend that disagrees.
    UnavailableError
        If something that was asked for is not on this machine.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> from array_losses.testing import assert_agreement
    >>> rng = np.random.default_rng(0)
    >>> logits, target = rng.normal(size=(2, 3, 8, 8)), rng.integers(0, 3, size=(2, 8, 8))
    >>> assert_agreement(al.DiceLoss(), (logits, target), frameworks=["numpy"])
    """
    rows = check_agreement(
        function,
        inputs,
        frameworks=frameworks,
        devices=devices,
        dtypes=dtypes,
        value_limit=value_limit,
        gradient_limit=gradient_limit,
        half_gradient_limit=half_gradient_limit,
    )
    failed = [row for row in rows if not row.ok]
    if failed:
        name = getattr(function, "__name__", None) or repr(function)
        count = f"{len(failed)} of {len(rows)} backends"
        msg = f"{name} disagrees with its reference on {count}:\n{describe(failed)}"
        raise AssertionError(msg)
