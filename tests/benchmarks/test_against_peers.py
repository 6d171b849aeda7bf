"""Our losses beside the peers in one interleaved run; `nox -s bench` runs it, the suite does not.

The bounds are loose, so that they hold on a busy machine of any kind.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.benchmarks.contenders import contenders
from tests.benchmarks.memory import forking, measure_memory, measured_here, those_measured
from tests.benchmarks.tables import TITLES
from tests.benchmarks.timing import Effort, Group, measure
from tests.benchmarks.workloads import Workload, make_inputs

pytestmark = pytest.mark.filterwarnings("ignore")  # the peers' own

SMALL = Workload("small", (2, 4, 32, 32))
LARGE = Workload("large", (2, 8, 384, 384))
CASES = [
    SMALL,
    Workload("volume", (2, 4, 12, 12, 12)),
    Workload("binary", (3, 1, 32, 32)),
    replace(SMALL, name="last", classes_last=True),
]
# Ours may take so many times what the fastest peer takes. The goals are far below.
BOUNDS = {"ce": 3.0, "focal": 3.0, "dice": 3.0, "jaccard": 3.0, "lovasz": 1.5, "ce+dice": 3.0}


@pytest.mark.parametrize("workload", CASES, ids=lambda one: one.name)
@pytest.mark.parametrize("loss", list(TITLES))
def test_peers_compute_the_same_kind_of_loss(loss, workload):
    """Their gradients point where ours do: the same loss but for averages and smoothing.

    kornia is the furthest away: its Dice and Lovász losses are means over images.
    """
    inputs = make_inputs(workload)
    ours, *others = [one for one in contenders("eager", loss, workload) if not one.binned]
    _, expected = ours.prepare(inputs).gradient()
    assert len(others) >= 2
    for one in others:
        value, gradient = one.prepare(inputs).gradient()
        gradient = np.asarray(gradient, dtype=np.float64)
        assert gradient.shape == expected.shape, one.name
        assert np.isfinite(float(value)), one.name
        cosine = np.vdot(gradient, expected) / np.linalg.norm(gradient) / np.linalg.norm(expected)
        assert cosine > 0.95, one.name


@pytest.mark.parametrize("loss", list(TITLES))
def test_no_slower_than_a_few_times_the_fastest_peer(loss):
    rows = measure(Group("eager", LARGE, loss, 1), Effort(0.3))
    times = {one.contender: one.gradient.minimum for one in rows if one.gradient is not None}
    ours = {name: time for name, time in times.items() if name.startswith("array_losses")}
    best = min(time for name, time in times.items() if name not in ours)
    assert len(ours) >= 2
    for name, time in ours.items():
        assert time < BOUNDS[loss] * best, (name, times)


@pytest.mark.skipif(not measured_here(), reason="it is read from Linux' /proc")
@pytest.mark.parametrize("loss", list(TITLES))
def test_memory_of_our_losses(loss):
    """The gradient and some blocks; the exact Lovász sorts a class at a time."""
    workload = replace(LARGE, name="memory", shape=(2, 12, 512, 512))
    context = forking()
    for one in those_measured(loss, workload):
        if not one.ours or one.binned:
            continue
        found = measure_memory(context, workload, loss, one)
        assert found.problem is None
        allowed = 3.5 if loss == "lovasz" else 2.5
        assert found.gradient < allowed * workload.logits_bytes, one.name
