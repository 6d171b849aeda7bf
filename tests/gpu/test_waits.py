"""No call waits for the device, and none copies numbers to it that an earlier one has copied."""

import numpy as np
import pytest

import array_losses as al
from array_losses.presets import keras, monai, smp
from tests.gpu.losses import DATA, LOSSES

pytestmark = pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")


def test_a_step_does_not_wait(case, engine_gpu):
    arrays, loss = engine_gpu.on(case.data.build("float32")), case.loss()
    found = engine_gpu.without_waits(lambda: engine_gpu.step(loss, *arrays))
    expected = engine_gpu.step(loss, *arrays)
    for one, other in zip(*map(engine_gpu.numbers, (found, expected)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_does_not_wait_under_jax(name, jax_gpu):
    arrays = jax_gpu.on(DATA.build("float32"))
    value, gradient = jax_gpu.without_waits(lambda: jax_gpu.step(LOSSES[name], *arrays))
    assert jax_gpu.backend.owns(value)
    assert jax_gpu.backend.owns(gradient)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_does_not_wait(name, dtype, engine_gpu):
    arrays = engine_gpu.on(DATA.build("float32"), dtype)
    value, gradient = engine_gpu.without_waits(lambda: engine_gpu.step(LOSSES[name], *arrays))
    assert engine_gpu.backend.dtype_of(value) == "float32"
    assert engine_gpu.backend.dtype_of(gradient) == dtype


@pytest.mark.parametrize("score", [al.dice_coefficient, al.jaccard_index])
def test_a_score_does_not_wait(score, engine_gpu):
    rng = np.random.default_rng(403)
    prediction, target = engine_gpu.on(rng.integers(3, size=(2, 2, 6, 7)))
    (found,) = engine_gpu.without_waits(lambda: (score(prediction, target, num_classes=3),))
    assert 0 < float(engine_gpu.backend.to_numpy(found)) < 1


PRESETS = {
    "smp focal": smp.FocalLoss("multiclass"),
    "smp dice": smp.DiceLoss("multiclass"),
    "monai dice": monai.DiceLoss(softmax=True, to_onehot_y=True),
    "monai focal": monai.FocalLoss(use_softmax=True, to_onehot_y=True),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_does_not_wait(name, engine_gpu):
    logits, target, _ = DATA.build("float32")
    target = target[:, None] if name.startswith("monai") else target
    arrays, preset = engine_gpu.on((logits, target)), PRESETS[name]
    (found,) = engine_gpu.without_waits(lambda: (preset(*arrays),))
    assert np.isfinite(engine_gpu.backend.to_numpy(found))


def test_a_preset_with_the_target_first_does_not_wait(engine_gpu):
    logits, target, _ = DATA.build("float32")
    last, hot = np.moveaxis(logits, 1, -1), np.eye(3, dtype="float32")[target]
    z, t = engine_gpu.on((last, hot))
    preset = keras.CategoricalFocalCrossentropy(from_logits=True)
    (found,) = engine_gpu.without_waits(lambda: (preset(t, z),))
    assert np.isfinite(engine_gpu.backend.to_numpy(found)).all()
