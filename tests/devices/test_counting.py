"""The counting itself, on operators whose launches and bytes can be told by hand."""

from collections import Counter

import numpy as np
import pytest

from tests.backends import BACKENDS
from tests.devices.workloads import WORKLOADS

FLOAT = 4  # bytes
LONG = 8


@pytest.fixture
def counted(torch):
    """Counts a function of a float tensor (4, 6) and labels (4,) of the fake device."""
    from tests.devices.counting import Counted
    from tests.devices.fake_device import NAME, fake_device

    def run(function):
        with fake_device() as copies:
            x = torch.empty((4, 6), device=NAME)
            labels = torch.empty((4,), dtype=torch.int64, device=NAME)
            with Counted() as counted:
                function(x, labels)
        counted.copies = sum(copies.places.values())
        return counted

    return run


@pytest.mark.parametrize(
    ("function", "launches", "moved"),
    [
        (lambda x, _: x[1:, None].permute(2, 0, 1).unsqueeze(0).detach(), 0, 0),
        (lambda x, _: x.new_empty((9, 9)), 0, 0),
        (lambda x, _: x.exp(), 1, 48 * FLOAT),
        (lambda x, _: x.mul_(2.0), 1, 48 * FLOAT),
        (lambda x, _: x.zero_(), 1, 24 * FLOAT),
        (lambda x, _: x.new_zeros((9,)), 1, 9 * FLOAT),
        (lambda x, _: x + x[:, :1], 1, (24 + 4 + 24) * FLOAT),
        (lambda x, _: x[:, :1].expand(4, 6) * 2.0, 1, (4 + 24) * FLOAT),
        (lambda x, _: x.T.reshape(-1), 1, 48 * FLOAT),  # a copy
        (lambda x, _: x.reshape(-1), 0, 0),
        (lambda x, _: x.contiguous(), 0, 0),
        (lambda x, _: x.sum(0), 1, (24 + 6) * FLOAT),
        (lambda x, _: x.softmax(1), 1, 48 * FLOAT),
        (lambda x, _: x.to(x.dtype), 0, 0),
        (lambda x, _: x.double(), 1, 24 * (4 + 8)),
        (lambda x, _: x.half().sum(0), 2, 24 * (4 + 2) + (24 + 6) * 2),
        (lambda x, _: x.sum(0, dtype=x.double().dtype), 3, 24 * (12 + 12 + 8) + 6 * 8),
        (lambda _, i: (i > 0).sum(), 3, 4 * (8 + 1) + 4 * (1 + 8 + 8) + 8),
        (lambda x, i: x.gather(1, i[:, None]), 1, 4 * (LONG + 2 * FLOAT)),
        (lambda x, i: x[:, 0].index_select(0, i), 1, 4 * (LONG + 2 * FLOAT)),
        (lambda x, i: x.scatter_(1, i[:, None], 0.0), 1, 4 * (LONG + FLOAT)),
        (lambda x, i: x.scatter(1, i[:, None], 0.0), 2, 48 * FLOAT + 4 * (LONG + FLOAT)),
        (lambda x, i: x[:, 0].index_put_((i,), x[:, 1]), 1, 4 * (LONG + 2 * FLOAT)),
        (lambda x, _: x.copy_(x[:, :1]), 1, (4 + 24) * FLOAT),
    ],
)
def test_launches_and_bytes(counted, function, launches, moved):
    found = counted(function)
    assert (found.kernels, found.moved) == (launches, moved), found.launches


def test_peak_is_of_what_is_alive_at_one_time(counted):
    def steps(x, labels):
        y = x.exp()
        for _ in range(3):
            y = y.exp()

    assert counted(steps).peak == 2 * 24 * FLOAT
    assert counted(lambda x, _: [x.exp(), x.exp(), x.exp()]).peak == 3 * 24 * FLOAT
    assert counted(lambda x, _: x.view(-1)).peak == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x, _: float(x.sum()),
        lambda x, _: bool(x[0, 0] > 0.0),
        lambda x, _: x.sum().item(),
        lambda x, _: x.cpu(),
        lambda x, _: x.new_zeros(4, 6, device="cpu").to(x.device),
        lambda x, _: x.copy_(x.new_zeros(4, 6, device="cpu")),
    ],
)
def test_waits(counted, function):
    assert sum(counted(function).waits.values()) == 1


def test_waits_for_shapes(counted, torch):
    for function in (lambda x, _: x.nonzero(), lambda x, _: x[x > 0.0]):
        with pytest.raises(torch._subclasses.fake_tensor.DynamicOutputShapeException):
            counted(function)


def test_no_waits(counted):
    assert not counted(lambda x, i: x.exp().gather(1, i[:, None]).sum()).waits


def test_copies_to_the_device(counted, torch):
    assert counted(lambda x, _: torch.asarray([1.0, 2.0], device=x.device)).copies == 1
    assert counted(lambda x, _: torch.tensor(1.0, device=x.device)).copies == 1
    assert counted(lambda x, _: torch.full((3,), 1.0, device=x.device)).copies == 0
    assert counted(lambda *_: torch.asarray([1.0, 2.0])).copies == 0


def test_copies_in_a_backward_pass(counted, torch):
    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return x.clone()

        @staticmethod
        def backward(_, d):
            return d * torch.asarray([2.0], device=d.device)

    assert counted(lambda x, _: Scaled.apply(x.requires_grad_()).sum().backward()).copies == 1


def test_devices_do_not_mix(counted, torch):
    with pytest.raises(RuntimeError, match="same device"):
        counted(lambda x, _: x + torch.zeros(6))


def test_values_are_hidden(torch):
    from torch._subclasses.fake_tensor import DataDependentOutputException

    from tests.devices.fake_device import NAME, fake_device

    with fake_device(), pytest.raises(DataDependentOutputException):
        float(torch.zeros((), device=NAME))


def test_who_launches(torch):
    import array_losses as al
    from tests.devices.training_step import count
    from tests.devices.workloads import Workload

    step = count(Workload(al.CrossEntropyLoss(), (1, 3, 4)))
    places = [one.places for one in step.counted.launches]
    assert any(one[0].startswith("losses/cross_entropy.py:") for one in places if one)
    # The incoming gradient, which PyTorch makes.
    assert [one.operator for one in step.counted.launches if not one.places] == ["ones_like"]


def test_nobody_else_finds_the_device(counted, torch):
    counted(lambda x, _: x.exp())
    assert not torch.accelerator.is_available()


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_fake_device_takes_the_way_of_a_gpu(torch, name):
    """What is counted is the same for tensors of the CPU that are treated as those of a GPU."""
    from tests.devices.counting import Counted
    from tests.devices.fake_device import taken_for_plain
    from tests.devices.training_step import count

    workload, step = WORKLOADS[name], count(WORKLOADS[name])
    rng = np.random.default_rng(0)
    pixels = (workload.shape[0], *workload.shape[2:])
    with BACKENDS["torch-as-cuda"].mode(), taken_for_plain():
        logits = torch.as_tensor(rng.normal(size=workload.shape))
        logits = logits.to(getattr(torch, workload.dtype)).requires_grad_()
        labels = torch.as_tensor(rng.integers(0, 2, pixels))
        weights = torch.ones(pixels) if workload.weights else None
        with Counted() as counted:
            workload.loss(logits, labels, pixel_weights=weights).backward()
    places = Counter(one.places[:1] for one in step.counted.launches)
    assert Counter(one.places[:1] for one in counted.launches) == places
    assert counted.moved == step.counted.moved
    assert counted.peak == step.counted.peak
