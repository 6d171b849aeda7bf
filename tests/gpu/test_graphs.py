"""CUDA graphs: a step is captured with every option, and replayed on other numbers."""

import pytest

from tests.gpu.losses import DATA, LOSSES, OTHER, assert_close


def check(device, loss, arrays, others):
    """Compare a replay on other numbers with a step on them."""
    static = device.on(arrays)
    results, replay = device.captured(lambda: device.step(loss, *static))
    again = device.on(others)
    for old, new in zip(static, again, strict=True):
        if old is not None:
            old[...] = new
    replay()
    found = device.numbers(results)
    assert_close(found, device.numbers(device.step(loss, *again)), 128)


def test_every_option(case, engine_gpu):
    arrays = case.data.build("float32")
    others = [None if x is None else x[::-1].copy() for x in arrays]
    others[0] = others[0] * 0.5 if not case.data.probabilities else others[0]
    check(engine_gpu, case.loss(), arrays, others)


@pytest.mark.parametrize("name", LOSSES)
def test_weighted_pixels(name, engine_gpu):
    check(engine_gpu, LOSSES[name], DATA.build("float32"), OTHER.build("float32"))
