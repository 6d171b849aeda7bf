"""The way back of tensors that are treated as a GPU's: what is kept for it, and what it leaves."""

import numpy as np
import pytest

import array_losses as al
from tests.backends import BACKENDS

CE, DICE = al.CrossEntropyLoss(), al.DiceLoss()
# In every order: what one loss has computed, the next one reads.
SUMS = {
    "ce + dice": CE + DICE,
    "dice + ce": DICE + CE,
    "lovasz + ce + dice": al.LovaszSoftmaxLoss() + CE + DICE,
    "bins + focal": al.LovaszSoftmaxLoss(bins=16) + al.FocalLoss(gamma=1.5),
    "poly": al.PolyLoss(),
    "poly map": al.PolyLoss(reduction="none"),
    "dice + hardest": DICE + al.CrossEntropyLoss(top_k=0.4),
    "two activations": CE + al.DiceLoss(activation="sigmoid") + DICE,
}


@pytest.fixture
def arrays(torch):
    """Logits, labels and weights."""
    backend, rng = BACKENDS["torch-as-cuda"], np.random.default_rng(0)
    logits = rng.normal(scale=3.0, size=(2, 5, 40)).astype("float32")
    weights = rng.uniform(size=(2, 40)).astype("float32")
    with backend.mode():
        yield backend.on((logits, rng.integers(0, 5, (2, 40)), weights))


@pytest.mark.parametrize("loss", SUMS.values(), ids=SUMS)
def test_a_second_backward_pass_gives_the_same_bits(loss, arrays, torch):
    """The first one uses up what the value kept."""
    logits, target, weights = arrays
    logits.requires_grad_()
    value = loss(logits, target, pixel_weights=weights)
    d = torch.linspace(0.5, 2.0, max(1, value.numel())).reshape(value.shape)
    first, second = (torch.autograd.grad(value, logits, d, retain_graph=True)[0] for _ in "12")
    assert torch.equal(first, second)
