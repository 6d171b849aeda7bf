"""Presets and scores on the fake device: no wait, two devices never meet, numbers are sent once."""

import numpy as np
import pytest

import array_losses as al
from tests.presets.test_frameworks import PRESETS


@pytest.fixture
def run_twice(torch):
    """Calls a function of tensors twice, and looks at what the second call has to wait for."""
    from tests.devices.counting import Waits
    from tests.devices.fake_device import NAME, fake_device

    def run(function, arrays):
        with fake_device() as copies, Waits() as waits:
            tensors = [
                torch.empty(x.shape, dtype=getattr(torch, x.dtype.name), device=NAME)
                for x in map(np.asarray, arrays)
            ]
            function(*tensors)
            copies.places.clear()
            function(*tensors)
        assert not waits.waits
        assert not copies.places

    return run


@pytest.mark.parametrize("name", PRESETS)
def test_presets(run_twice, name):
    preset, arrays = PRESETS[name]
    of_prediction = 1 if name.startswith("keras") else 0

    def step(*tensors):
        tensors[of_prediction].requires_grad_()
        preset(*tensors).sum().backward()

    run_twice(step, arrays)


@pytest.mark.parametrize("score", [al.dice_coefficient, al.jaccard_index])
@pytest.mark.parametrize("options", [{}, {"ignore_index": 255}, {"pool": "image", "absent": "one"}])
def test_scores(run_twice, score, options):
    labels = np.zeros((2, 4, 5), dtype=np.uint8)
    run_twice(lambda *x: score(*x, num_classes=3, **options), [labels, labels])
    run_twice(lambda *x: score(*x, **options), [np.zeros((2, 3, 4, 5), np.float32), labels])
