"""The way back of tensors that are treated as a GPU's: what is kept for it, and what it leaves."""

import gc
import weakref

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


ALONE = {
    "ce": CE,
    "ce map": al.CrossEntropyLoss(reduction="none"),
    "ce sum": al.CrossEntropyLoss(reduction="sum"),
    "focal normalised": al.FocalLoss(normalize="focal"),
    "dice": DICE,
    "dice none": al.DiceLoss(reduction="none"),
    "dice none by image": al.DiceLoss(reduction="none", pool="image"),
    "generalised dice none": al.GeneralizedDiceLoss(reduction="none"),
    "mcc": al.MCCLoss(),
    "lovasz": al.LovaszSoftmaxLoss(),
    "lovasz none by image": al.LovaszSoftmaxLoss(reduction="none", pool="image"),
    "ce + dice": CE + DICE,
}


@pytest.mark.parametrize("name", ["torch", "torch-as-cuda"])
@pytest.mark.parametrize("loss", ALONE.values(), ids=ALONE)
def test_what_is_returned_may_be_changed(loss, name, torch):
    """In place, as `loss *= 2` is, without a change of what was kept for the gradient."""
    backend, rng = BACKENDS[name], np.random.default_rng(0)
    with backend.mode():
        logits, target = backend.on((rng.normal(size=(2, 3, 8)), rng.integers(0, 3, (2, 8))))
        logits.requires_grad_()
        expected = torch.autograd.grad(loss(logits, target).sum(), logits)[0]
        value, terms = loss.value_and_terms(logits, target)
        assert not any(one.requires_grad for one in terms)
        for one in terms:
            one.mul_(7.0)
        value *= 2.0
        found = torch.autograd.grad(value.sum(), logits)[0]
    np.testing.assert_allclose(found, 2.0 * expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", ALONE.values(), ids=ALONE)
def test_a_loss_that_is_dropped_leaves_nothing(loss, arrays):
    """No cycle of references keeps a batch until garbage is collected."""
    logits, target, weights = arrays
    scaled = logits.requires_grad_() * 1.0
    left = weakref.ref(scaled)
    gc.collect()
    gc.disable()
    try:
        value = loss(scaled, target, pixel_weights=weights)
        del scaled, value
        assert left() is None
    finally:
        gc.enable()
