"""The same bits in each run, where PyTorch is asked for them or nothing is added in any order."""

import numpy as np
import pytest

import array_losses as al
from tests.cases import LOVASZ_LOSSES
from tests.gpu.losses import DATA, LOSSES, assert_close


def may_refuse(case):
    """Whether a Lovász loss adds up weights in order, which PyTorch's `cumsum` cannot repeat."""
    weighted = case.data.weights == "float" or case.data.target == "soft"
    return weighted and any(name in LOVASZ_LOSSES for _, name, _ in case.terms)


def bits(results):
    return [x.tobytes() for x in results]


def test_deterministic_algorithms(case, torch_gpu):
    """The same bits twice; only losses named above may be PyTorch's error."""
    arrays, loss = torch_gpu.on(case.data.build("float32")), case.loss()
    usual = torch_gpu.numbers(torch_gpu.step(loss, *arrays))
    refused = None
    try:
        with torch_gpu.deterministic():
            once, again = (torch_gpu.numbers(torch_gpu.step(loss, *arrays)) for _ in range(2))
    except RuntimeError as error:
        refused = str(error)
    if refused is not None:
        assert "does not have a deterministic implementation" in refused
        assert may_refuse(case)
        return
    assert bits(once) == bits(again)
    for one, other in zip(once, usual, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["ce", "focal"])
def test_pixel_losses_repeat_to_the_bit(name, gpu):
    """Their sums have an order of their own, whatever PyTorch was asked for."""
    arrays = gpu.on(DATA.build("float32"))
    once, again = (gpu.numbers(gpu.step(LOSSES[name], *arrays)) for _ in range(2))
    assert bits(once) == bits(again)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_repeats_but_for_rounding(name, gpu):
    arrays = gpu.on(DATA.build("float32"))
    once, again = (gpu.numbers(gpu.step(LOSSES[name], *arrays)) for _ in range(2))
    assert_close(once, again)


def test_as_on_the_cpu(gpu):
    """A sum of cross entropy and Dice of many pixels, to 64 eps of NumPy's."""
    rng = np.random.default_rng(404)
    logits = rng.normal(size=(2, 5, 256, 256)).astype("float32")
    target = rng.integers(5, size=(2, 256, 256))
    loss = al.CrossEntropyLoss() + al.DiceLoss()
    assert_close(
        gpu.numbers(gpu.step(loss, *gpu.on((logits, target)))), loss.value_and_grad(logits, target)
    )
