"""No call wakes or starts a thread of the BLAS library.

They spin for milliseconds after each piece of work. Where anything else runs on the machine, a data
loader for instance, all wait for them: float64 losses were 30 times slower.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="threads are counted in Linux' /proc"
)


def test_numpy_arrays():
    check("numpy")


def test_tensors(torch):
    check("torch")


def check(library):
    """Run the program `tests.blas_threads` in a fresh interpreter."""
    set_by_user = ("_NUM_THREADS", "ARRAY_LOSSES_")
    found = subprocess.run(
        [sys.executable, "-m", "tests.blas_threads", library],
        cwd=Path(__file__).parents[2],
        env={n: x for n, x in os.environ.items() if not any(one in n for one in set_by_user)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    number, would_be_seen, *woke = found.stdout.splitlines()
    assert not woke
    assert int(number) > 200
    assert would_be_seen == str(blas_has_threads())


def blas_has_threads():
    """Whether NumPy works with OpenBLAS, and that with threads on this machine."""
    numpy = pytest.importorskip("numpy")
    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    return "openblas" in blas and len(os.sched_getaffinity(0)) > 1
