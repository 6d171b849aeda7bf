"""What XLA makes of a loss with its gradient reads and writes less than what one writes by hand.

By XLA's own count for a CPU, of the compiled program: each operand and result of a loop, once. And
the form that is compiled for a GPU gives the same numbers.
"""

import numpy as np
import pytest

import array_losses as al
from tests.backends import BACKENDS

SHAPES = ((2, 19, 64, 64), (2, 4, 32, 32, 32))
LOSSES = {
    "cross entropy": (al.CrossEntropyLoss(), ("cross_entropy", "cross_entropy_of_one_hot")),
    "focal": (al.FocalLoss(), ("focal",)),
    "dice": (al.DiceLoss(), ("dice", "dice_by_choice")),
    "cross entropy + dice": (al.CrossEntropyLoss() + al.DiceLoss(), ("cross_entropy_and_dice",)),
    "lovasz": (al.LovaszSoftmaxLoss(), ("lovasz", "lovasz_of_pairs")),
}


@pytest.fixture
def float32(jax):
    """JAX as it is by default, where there is nothing of 64 bits; counts are of today's XLA."""
    if tuple(map(int, jax.__version__.split(".")[:2])) < (0, 10):
        pytest.skip("an older XLA fuses otherwise")
    with BACKENDS["jax"].mode():
        yield jax


def compiled(jax, loss, shape):
    logits = jax.ShapeDtypeStruct(shape, np.float32)
    labels = jax.ShapeDtypeStruct((shape[0], *shape[2:]), np.int32)
    return jax.jit(jax.value_and_grad(loss)).lower(logits, labels).compile()


def moved(jax, loss, shape):
    """Return how many bytes are read and written, as a multiple of those of the logits."""
    found = compiled(jax, loss, shape).cost_analysis()
    return found["bytes accessed"] / (4 * np.prod(shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_no_more_bytes_than_by_hand(name, shape, float32):
    from tests.frameworks import plain_jax

    loss, others = LOSSES[name]
    ours = moved(float32, loss, shape)
    theirs = min(moved(float32, getattr(plain_jax, one), shape) for one in others)
    assert ours <= theirs


@pytest.mark.parametrize("name", LOSSES)
def test_by_hand_is_the_same_loss(name, float32):
    from tests.frameworks import plain_jax

    loss, others = LOSSES[name]
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(2, 4, 9, 8)).astype(np.float32), rng.integers(0, 4, (2, 9, 8))
    value, gradient = loss.value_and_grad(z, labels)
    for other in others:
        found = float32.jit(float32.value_and_grad(getattr(plain_jax, other)))(z, labels)
        np.testing.assert_allclose(found[0], value, rtol=1e-5)
        np.testing.assert_allclose(found[1], gradient, atol=1e-5 * np.abs(gradient).max())


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *((name, (2, 5, 7, 11)) for name in (*LOSSES, "lovasz, binned")),
        ("cross entropy + dice", (1, 40, 30)),
        ("cross entropy + dice", (3, 2, 1)),
        ("lovasz", (1, 40, 30)),
    ],
)
def test_forms_agree(name, shape, jax, monkeypatch):
    """On a CPU and elsewhere; few classes and many; stretches of pixels, and those left over."""
    loss = LOSSES[name][0] if name in LOSSES else al.LovaszSoftmaxLoss(bins=16)
    rng = np.random.default_rng(0)
    logits, labels = 3.0 * rng.normal(size=shape), rng.integers(0, shape[1], (shape[0], *shape[2:]))
    mask = rng.random(labels.shape) < 0.7
    expected = loss.value_and_grad(logits, labels, pixel_weights=mask)
    arrays = [jax.numpy.asarray(x) for x in (logits, labels, mask)]
    for platform in ("cpu", "cuda"):
        monkeypatch.setattr("array_losses.frameworks.jax._default_platform", lambda at=platform: at)

        def of_logits(z, at=platform):  # a new function, so that it is traced anew
            return loss(z, arrays[1], pixel_weights=arrays[2])

        found = jax.jit(jax.value_and_grad(of_logits))(arrays[0])
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-13)
