"""NumPy's namespace with little Python in it: its functions do what NumPy's do."""

import array_api_compat.numpy as full
import numpy as np
import pytest

from array_losses.core.numpy_fast import NumPyFast

LEAN = NumPyFast(full)
RNG = np.random.default_rng(17)
ARRAYS = {
    "one": np.float32(2.5),
    "none": np.zeros((0, 3), np.float32),
    "whole": RNG.integers(-5, 5, (3, 4), dtype=np.int16),
    "bools": RNG.random((3, 4)) < 0.5,
    "numbers": RNG.normal(size=(2, 3, 4)).astype(np.float32),
    "turned": RNG.normal(size=(2, 3, 4)).transpose(2, 0, 1),
    "every other": RNG.normal(size=(6, 8))[::2, ::2],
}
CALLS = {
    "reshape": lambda xp, x: xp.reshape(x, (-1,)),
    "reshape without a copy": lambda xp, x: xp.reshape(x[..., None], (*x.shape, 1), copy=False),
    "permute_dims": lambda xp, x: xp.permute_dims(x, tuple(reversed(range(x.ndim)))),
    "take": lambda xp, x: xp.take(x[None], xp.asarray([0, 0]), axis=0),
    "take from all": lambda xp, x: xp.take(x[None], xp.asarray([], dtype=xp.int64)),
    "astype": lambda xp, x: xp.astype(x, xp.float64),
    "astype without a copy": lambda xp, x: xp.astype(x, x.dtype, copy=False),
    "sum": lambda xp, x: xp.sum(x),
    "sum of an axis": lambda xp, x: xp.sum(x[None], axis=0, keepdims=True, dtype=x.dtype),
    "max": lambda xp, x: xp.max(x[None], axis=0),
    "min": lambda xp, x: xp.min(x[None], axis=0, keepdims=True),
    "any": lambda xp, x: xp.any(x),
    "all": lambda xp, x: xp.all(x[None], axis=0),
    "zeros": lambda xp, x: xp.zeros(x.shape, dtype=x.dtype, device="cpu"),
    "arange": lambda xp, x: xp.arange(5, dtype=x.dtype if x.dtype != bool else None),
    "arange from": lambda xp, x: xp.arange(x.ndim, 9, 3, dtype=xp.uint8, device="cpu"),
    "full": lambda xp, x: xp.full(x.shape, 3.0, dtype=xp.float32, device="cpu"),
    "full of NaN": lambda xp, x: xp.full(x.shape, float("nan"), dtype=xp.float64, device="cpu"),
    "full_like": lambda xp, x: xp.full_like(x, 1),
    "zeros_like": lambda xp, x: xp.zeros_like(x),
    "zeros_like of another dtype": lambda xp, x: xp.zeros_like(x, dtype=xp.bool),
    "ones_like": lambda xp, x: xp.ones_like(x),
    "empty": lambda xp, x: 0 * xp.empty(x.shape, dtype=xp.int8, device="cpu"),
    "empty_like": lambda xp, x: 0 * xp.empty_like(x, dtype=xp.int8),
}


@pytest.mark.parametrize("x", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_does_the_same(call, x):
    found, expected = call(LEAN, x), call(full, x)
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    assert found.strides == expected.strides
    np.testing.assert_array_equal(found, expected)


def test_errors_are_the_same():
    for xp in (LEAN, full):
        with pytest.raises(ValueError, match="zero-size"):
            xp.max(ARRAYS["none"])
        with pytest.raises(IndexError):
            xp.take(ARRAYS["whole"], xp.asarray([3]), axis=0)


def test_what_is_made_later():
    assert LEAN.linalg is full.linalg
    assert not hasattr(LEAN, "no_such_function")
