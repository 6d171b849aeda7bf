"""More than one block gives the numbers of one."""

import numpy as np

import array_losses as al
from array_losses.core import plan
from tests.gpu.losses import assert_close


def test_blocks_of_a_few_pixels(case, engine_gpu):
    arrays, loss = engine_gpu.on(case.data.build("float32")), case.loss()
    expected = engine_gpu.numbers(engine_gpu.step(loss, *arrays))
    with plan.using(block_pixels=3):
        found = engine_gpu.numbers(engine_gpu.step(loss, *arrays))
    assert_close(found, expected, 128)


def test_more_than_fits_one_block(engine_gpu):
    """The default size: two images of 160 MB each, small ones in the rehearsal."""
    side = 64 if engine_gpu.rehearsed else 1024
    rng = np.random.default_rng(405)
    image = rng.normal(size=(1, 40, side, side)).astype("float32")
    labels = rng.integers(40, size=(1, side, side)).astype("uint8")
    loss = al.CrossEntropyLoss() + al.DiceLoss()
    one = engine_gpu.numbers(engine_gpu.step(loss, *engine_gpu.on((image, labels))))
    two = engine_gpu.on((np.concatenate([image, image]), np.concatenate([labels, labels])))
    value, gradient = engine_gpu.numbers(engine_gpu.step(loss, *two))
    assert_close((value, 2 * gradient[:1], 2 * gradient[1:]), (one[0], one[1], one[1]))
