"""What a training step does around a loss: autocast, loss scales, layouts, streams, a compiler."""

import numpy as np
import pytest

import array_losses as al
from tests.gpu.losses import DATA, LOSSES, SUM, assert_close

each_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_autocast_and_a_loss_scale(dtype, torch_gpu):
    """The step that the optimizer makes is that of float32, but for rounding to `dtype`."""
    torch = torch_gpu.torch
    x, t = torch_gpu.on((np.random.default_rng(407).normal(size=(2, 4, 8, 9)), DATA.build()[1]))

    def weights_after(enabled):
        torch.manual_seed(0)
        model = torch.nn.Conv2d(4, 3, 1).to(x.device)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        scaler = torch.amp.GradScaler(torch_gpu.kind, enabled=enabled, init_scale=2.0**10)
        with torch.autocast(torch_gpu.kind, dtype=getattr(torch, dtype), enabled=enabled):
            logits = model(x)
            assert logits.dtype == (getattr(torch, dtype) if enabled else torch.float32)
            loss = SUM(logits, t)
        assert loss.dtype == torch.float32
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        assert not enabled or scaler.get_scale() == 2.0**10  # nothing overflowed
        return model.weight.detach().cpu().numpy()

    half = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    np.testing.assert_allclose(weights_after(True), weights_after(False), rtol=0, atol=4 * half)


@each_loss
def test_channels_last(name, torch_gpu):
    """The layout of convolutions in half precision: no axis of classes to move, a view of it."""
    torch = torch_gpu.torch
    z, t, w = torch_gpu.on(DATA.build("float32"))
    last = z.to(memory_format=torch.channels_last)
    assert not last.is_contiguous()
    found = torch_gpu.numbers(torch_gpu.step(LOSSES[name], last, t, w))
    assert_close(found, torch_gpu.numbers(torch_gpu.step(LOSSES[name], z, t, w)))


@each_loss
def test_a_side_stream(name, engine_gpu):
    arrays = engine_gpu.on(DATA.build("float32"))
    expected = engine_gpu.numbers(engine_gpu.step(LOSSES[name], *arrays))
    with engine_gpu.side_stream():
        found = engine_gpu.step(LOSSES[name], *arrays)
    assert_close(engine_gpu.numbers(found), expected)


@each_loss
def test_a_device_that_is_not_the_current_one(name, engine_gpu):
    arrays = engine_gpu.on(DATA.build("float32"))
    expected = engine_gpu.numbers(engine_gpu.step(LOSSES[name], *arrays))
    with engine_gpu.another() as device:
        there = [engine_gpu.moved(x, device) for x in arrays]
        found = engine_gpu.step(LOSSES[name], *there)
        for one in found:
            assert one.device == there[0].device
    assert_close(engine_gpu.numbers(found), expected)


@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("name", ["ce+dice", "lovasz"])
def test_a_compiled_step_that_replays_graphs(name, torch_gpu):
    """Mode "reduce-overhead" captures what it compiles as CUDA graphs."""
    torch, loss = torch_gpu.torch, LOSSES[name]
    z, t, w = torch_gpu.on(DATA.build("float32"))
    value, gradient = torch_gpu.numbers(torch_gpu.step(loss, z, t, w))
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda z, t, w: loss(z, t, pixel_weights=w), mode="reduce-overhead", fullgraph=True
    )
    for factor in (1.0, 0.5, 1.0):  # the third is a replay
        torch.compiler.cudagraph_mark_step_begin()
        leaf = (factor * z).requires_grad_()
        found = compiled(leaf, t, w)
        (slope,) = torch.autograd.grad(found, leaf)
        found, slope = torch_gpu.numbers((found, slope))
    torch._dynamo.reset()
    assert_close((found, slope), (value, gradient), 256)


def test_a_module_on_the_device(torch_gpu):
    """`torch_module(loss)` moves and trains like any module."""
    z, t, _ = torch_gpu.on(DATA.build("float32"))
    module = al.torch_module(SUM).to(z.device)
    leaf = z.clone().requires_grad_()
    module(leaf, t).backward()
    assert_close(torch_gpu.numbers([leaf.grad]), torch_gpu.numbers(torch_gpu.step(SUM, z, t))[1:])
