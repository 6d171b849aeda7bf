"""The benchmark of `python -m tests.benchmarks.gpu`, a small run of it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from tests.benchmarks import gpu as bench
from tests.benchmarks.workloads import make_inputs, tiny

WORKLOAD = tiny(bench.WORKLOADS["64"])


class Event:
    """What the rehearsal has in place of an event of CUDA: a number that grows."""

    recorded = 0

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        Event.recorded += 1
        self.at = Event.recorded

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return float(end.at - self.at)


def events(device):
    """The stopwatch of PyTorch; in the rehearsal with numbers in place of times and bytes."""
    stopwatch = bench._TorchEvents()
    if device.rehearsed:
        stopwatch.cuda = SimpleNamespace(
            Event=Event,
            synchronize=lambda: None,
            reset_peak_memory_stats=lambda: None,
            memory_allocated=lambda: 100,
            max_memory_allocated=lambda: 300,
        )
    return stopwatch


@pytest.mark.filterwarnings("ignore")  # the peers' own
@pytest.mark.parametrize("loss", ["ce", "ce+dice", "lovasz"])
def test_pytorch(loss, torch_gpu, monkeypatch):
    stopwatch = events(torch_gpu)
    monkeypatch.setattr(bench, "_stopwatch", lambda _framework, _device: stopwatch)
    those = bench.contenders("torch", loss, WORKLOAD)
    inputs = replace(make_inputs(WORKLOAD), device=torch_gpu.kind)
    rows = list(bench.measure(those, inputs, 0.01))
    assert rows[0].contender == "array_losses, torch"
    for row in rows:
        assert row.problem is None
        assert 0 < row.minimum <= row.middle
        assert row.peak == 200 if torch_gpu.rehearsed else row.peak > WORKLOAD.logits_bytes


@pytest.mark.filterwarnings("ignore")
def test_jax(jax_gpu):
    inputs = replace(make_inputs(WORKLOAD), device="cpu" if jax_gpu.rehearsed else "cuda")
    (row, *_) = bench.measure(bench.contenders("jax", "ce+dice", WORKLOAD), inputs, 0.01)
    assert (row.contender, row.problem) == ("array_losses, jax", None)
    assert 0 < row.minimum <= row.middle


def test_the_command(torch_gpu, capsys):
    """It prints a table of a workload and loss; with no GPU it says so and gives status 2."""
    options = ["--tiny", "--workloads=64", "--losses=ce", "--frameworks=torch", "--seconds=0.01"]
    if torch_gpu.rehearsed:
        assert bench.main(options) == (0 if torch_gpu.torch.cuda.is_available() else 2)
        options.append("--device=cpu")
    capsys.readouterr()
    assert bench.main(options) == 0
    assert "### Cross entropy, 64: 4×19×8×8" in (said := capsys.readouterr().out)
    assert "| array_losses, torch | " in said
