"""float64 beside a process that computes: as slow as a core less makes it, and no slower.

A dot product of so many float64 numbers takes 30 times as long there, since the threads of OpenBLAS
spin. `tests/engine/test_blas_threads.py` shows that none is woken, this file what that is worth.
"""

import multiprocessing
import time
from contextlib import contextmanager

import numpy as np
import pytest

import array_losses as al

LOSSES = [al.DiceLoss(), al.JaccardLoss(), al.GeneralizedDiceLoss(), al.MCCLoss()]


@contextmanager
def busy_process():
    """A process that computes without end."""
    process = multiprocessing.get_context("spawn").Process(target=_compute, daemon=True)
    process.start()
    try:
        time.sleep(1.0)
        yield
    finally:
        process.kill()
        process.join()


def _compute():
    while True:
        pass


def times(loss, batches):
    """Return the median time of the loss for each batch, taken in turn."""
    found = [[] for _ in batches]
    for _ in range(15):
        for batch, mine in zip(batches, found, strict=True):
            start = time.perf_counter()
            loss(*batch)
            mine.append(time.perf_counter() - start)
    return [float(np.median(mine)) for mine in found]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_float64_costs_about_twice_float32(loss):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 3, 1024, 1024))
    target = rng.integers(0, 3, size=(1, 1024, 1024))
    batches = [(logits.astype(np.float32), target), (logits, target)]
    with busy_process():
        single, double = times(loss, batches)
    print(f"{type(loss).__name__}: float32 {single * 1e3:.1f} ms, float64 {double * 1e3:.1f} ms")
    assert double < 6.0 * single
