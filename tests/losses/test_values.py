"""Values: every case on every backend in every precision, against the oracle."""

import numpy as np
import pytest

import array_losses as al
from array_losses.testing.cases.crosscheck import crosscheck_cases
from tests.backends import BACKENDS
from tests.cases import CASES, CLASSES, Data, reference_of

# Relative to the largest number of the result: 1 - coefficient is known no better.
ROUNDING = {"float64": 1e-13, "float32": 64 * 2.0**-23}


def assert_close(actual, expected, dtype):
    scale = np.max(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=ROUNDING[dtype] * scale)


def test_value(backend, dtype, case):
    logits, target, weights = backend.inputs(case.data, dtype)
    before = [backend.to_numpy(logits), backend.to_numpy(target)]
    value = case.loss()(logits, target, pixel_weights=weights)

    expected = reference_of(case, dtype)
    assert backend.owns(value)
    assert backend.dtype_of(value) == dtype
    assert value.shape == expected.shape
    assert_close(backend.to_numpy(value), expected, dtype)
    np.testing.assert_array_equal(before[0], backend.to_numpy(logits))
    np.testing.assert_array_equal(before[1], backend.to_numpy(target))


@pytest.mark.parametrize("case", crosscheck_cases(), ids=lambda case: case.name)
def test_value_of_the_crosscheck(case):
    """On NumPy, which is the reference of `array-losses crosscheck`."""
    logits, target, weights = case.data.build()
    value = case.loss()(logits, target, pixel_weights=weights)
    assert_close(value, reference_of(case, "float64"), "float64")


@pytest.mark.parametrize("name", CLASSES)
def test_function_is_the_object(name, library):
    logits, target, weights = library.inputs(
        Data(weights="float", ignore=(255,)), library.dtypes[0]
    )
    options = {"ignore_index": 255, "class_weights": [1, 2, 3]}
    function = getattr(al, f"{name}_loss")
    value = function(logits, target, pixel_weights=weights, **options)
    again = getattr(al, CLASSES[name])(**options)(logits, target, pixel_weights=weights)
    assert float(value) == float(again)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_jax_promotes_nothing(case, jax):
    """Tracing is enough to see it, and costs nothing; the loss is never wider than its input."""
    backend = BACKENDS["jax-strict-promotion"]
    loss = case.loss()
    shape = reference_of(case, "float64").shape
    with backend.mode():
        for dtype, result in [("float64",) * 2, ("float32",) * 2, ("bfloat16", "float32")]:
            logits, target, weights = backend.on(case.data.build(), dtype)
            traced = jax.eval_shape(
                lambda z, t=target, w=weights: loss(z, t, pixel_weights=w), logits
            )
            assert (traced.shape, traced.dtype) == (shape, result)
