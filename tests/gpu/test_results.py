"""Results are arrays of the library on the device, in every dtype; bad values give NaN there."""

import numpy as np
import pytest

import array_losses as al
from tests.gpu.losses import DATA, LOSSES

each_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@each_loss
def test_where_and_what_they_are(name, dtype, engine_gpu):
    arrays = engine_gpu.on(DATA.build(), dtype)
    value, gradient = engine_gpu.step(LOSSES[name], *arrays)
    backend = engine_gpu.backend
    assert backend.owns(value)
    assert backend.owns(gradient)
    assert backend.dtype_of(value) == ("float64" if dtype == "float64" else "float32")
    assert backend.dtype_of(gradient) == dtype
    assert gradient.shape == arrays[0].shape


def bad_label(z, t, w):
    t[0, 1, 2], w[0, 1, 2] = 200, 1


def bad_weight(z, t, w):
    w[0, 1, 2] = -0.5


def nan_logit(z, t, w):
    z[0, 1, 1, 2], w[0, 1, 2] = np.nan, 1


@pytest.mark.parametrize("spoil", [bad_label, bad_weight, nan_logit])
@each_loss
def test_bad_values_give_nan(name, spoil, engine_gpu):
    arrays = [x.copy() for x in DATA.build("float32")]
    spoil(*arrays)
    value = engine_gpu.step(LOSSES[name], *engine_gpu.on(arrays))[0]
    assert np.isnan(engine_gpu.backend.to_numpy(value))


def test_a_soft_target_far_from_probabilities_gives_nan(engine_gpu):
    z, t, _ = DATA.build("float32")
    soft = 255 * np.moveaxis(np.eye(3, dtype="float32")[t], -1, 1)
    value = engine_gpu.step(al.DiceLoss(), *engine_gpu.on((z, soft)))[0]
    assert np.isnan(engine_gpu.backend.to_numpy(value))
