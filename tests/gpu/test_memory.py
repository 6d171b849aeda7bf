"""The most memory that a step holds is what tests/devices counts without a GPU."""

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.devices.test_budgets import BUDGETS
from tests.devices.workloads import WORKLOADS

# A sort on a GPU holds keys and places once more while it works, which no other count knows.
SORTING = 5.0
ROUNDING = 0.1  # the allocator gives multiples of 512 bytes


def inputs(device, workload):
    rng = np.random.default_rng(406)
    shape = workload.shape
    pixels = (shape[0], *shape[2:])
    logits = rng.normal(size=shape).astype("float32")
    weights = rng.random(pixels).astype("float32") if workload.weights else None
    target = rng.integers(max(2, shape[1]), size=pixels)
    logits, target, weights = device.on((logits, target, weights))
    return device.on((device.backend.to_numpy(logits),), workload.dtype)[0], target, weights


@pytest.mark.parametrize("name", WORKLOADS)
def test_peak(name, torch_gpu):
    workload = WORKLOADS[name]
    arrays = inputs(torch_gpu, workload)
    peak = torch_gpu.peak(lambda: torch_gpu.step(workload.loss, *arrays))
    multiple = peak / (arrays[0].numel() * arrays[0].element_size())
    sorts = SORTING if "lovasz" in name or "hinge" in name else 0.0
    assert 1.0 < multiple <= 1.02 * BUDGETS[name].peak + ROUNDING + sorts
