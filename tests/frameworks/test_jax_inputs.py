"""What JAX takes beside its own arrays: labels and weights of NumPy; and labels of every width."""

import numpy as np
import pytest

import array_losses as al
from tests.cases import ALL_CLASSES, CLASSES, MAPPED, Data

LOGITS, LABELS, WEIGHTS = Data(spatial=(5, 4), weights="float", seed=121).build("float32")
DISTANCES = Data(spatial=(5, 4), target="distances", seed=121).build("float32")[1]

each_class = pytest.mark.parametrize("name", ALL_CLASSES)


def assert_close(found, expected):
    np.testing.assert_allclose(np.asarray(found), expected, rtol=2e-6, atol=1e-7)


@each_class
def test_labels_and_weights_of_numpy(name, jax):
    """Eager, and closed over under jit and grad."""
    loss = getattr(al, ALL_CLASSES[name])()
    target = DISTANCES if name in MAPPED else LABELS
    value, gradient = loss.value_and_grad(LOGITS, target, pixel_weights=WEIGHTS)
    z = jax.numpy.asarray(LOGITS)
    assert_close(loss(z, target, pixel_weights=WEIGHTS), value)
    assert_close(jax.jit(jax.grad(lambda z: loss(z, target, pixel_weights=WEIGHTS)))(z), gradient)


def test_other_targets_of_numpy(jax):
    z = jax.numpy.asarray(LOGITS)
    loss = al.CrossEntropyLoss() + al.DiceLoss()
    one_hot = np.stack([c == LABELS for c in range(3)], axis=1)
    expected = loss.value_and_grad(LOGITS, LABELS)
    for target in (one_hot, one_hot.astype(np.float64), LABELS.astype(">i2"), LABELS + 0):
        assert_close(loss(z, target), expected[0])
    assert_close(jax.grad(loss)(z, LABELS), expected[1])
    assert_close(loss.value_and_grad(z, LABELS)[1], expected[1])
    mask = WEIGHTS > 1
    expected = loss(LOGITS, LABELS, pixel_weights=mask)
    assert_close(loss(z, jax.numpy.asarray(LABELS), pixel_weights=mask), expected)
    with pytest.raises(TypeError, match="masked array"):
        loss(z, np.ma.masked_array(LABELS))
    with pytest.raises(TypeError, match="`target`"):
        loss(z, LABELS.astype(str))


def test_scores_take_numpy_targets(jax):
    predicted = np.argmax(LOGITS, axis=1)
    for score in (al.dice_coefficient, al.jaccard_index):
        expected = score(predicted, LABELS, num_classes=3)
        there = jax.numpy.asarray(predicted)
        assert_close(score(there, LABELS, num_classes=3), expected)
        assert_close(jax.jit(lambda x, s=score: s(x, LABELS, num_classes=3))(there), expected)
        with pytest.raises(TypeError, match=r"`prediction`.*jnp\.asarray"):
            score(predicted, jax.numpy.asarray(LABELS), num_classes=3)


def test_bits_of_numpy_labels_that_jax_has_not(jax):
    """2**32 + 1 must not become 1."""
    labels = LABELS.astype(np.int64)
    labels[0, 0, 0] = (1 << 32) + 1
    with jax.enable_x64(False):
        z = jax.numpy.asarray(LOGITS)
        with pytest.raises(ValueError, match="`target` must hold integers from 0 to 2"):
            al.dice_loss(z, labels)
        assert np.isnan(jax.jit(lambda z: al.dice_loss(z, labels))(z))


@pytest.mark.parametrize("dtype", ["int4", "uint4", "uint2"])
def test_integers_of_less_than_8_bits(dtype, jax):
    z, labels = jax.numpy.asarray(LOGITS), jax.numpy.asarray(LABELS).astype(dtype)
    loss = al.CrossEntropyLoss(ignore_index=1) + al.DiceLoss(ignore_index=1)
    value, gradient = loss.value_and_grad(LOGITS, LABELS)
    assert_close(loss(z, labels), value)
    assert_close(jax.jit(jax.grad(loss))(z, labels), gradient)
    assert_close(al.jaccard_index(labels, labels, num_classes=3), 1.0)


def test_integers_of_less_than_8_bits_in_numpy():
    dtypes = pytest.importorskip("ml_dtypes")
    with pytest.raises(TypeError, match="`target` must be integer, bool or real floating, got int"):
        al.dice_loss(LOGITS, LABELS.astype(dtypes.int4))


def test_the_largest_label_of_32_bits_is_ignored(jax):
    labels = LABELS.astype(np.uint32)
    labels[0, 0] = last = 4294967295
    expected = al.CrossEntropyLoss(ignore_index=last).value_and_grad(LOGITS, labels)
    with jax.enable_x64(False):
        z, t = jax.numpy.asarray(LOGITS), jax.numpy.asarray(labels)
        loss = al.CrossEntropyLoss(ignore_index=last)
        assert_close(loss(z, t), expected[0])
        assert_close(jax.jit(jax.grad(loss))(z, t), expected[1])
        score = al.jaccard_index(t, t, num_classes=3, ignore_index=last)
        assert_close(score, 1.0)


@pytest.mark.parametrize("name", [name for name in CLASSES if name.startswith("lovasz")])
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0)], ids=["no image", "no pixel"])
def test_binned_per_image_of_nothing(name, shape, torch, jax):
    """0, with gradient 0, also where PyTorch and JAX follow."""
    loss = getattr(al, CLASSES[name])(bins=8, pool="image")
    logits, labels = np.zeros(shape), np.zeros((shape[0], shape[2]), dtype=np.int64)
    z, t = torch.tensor(logits), torch.tensor(labels)
    both = [
        loss.value_and_grad(logits, labels),
        loss.value_and_grad(jax.numpy.asarray(logits), jax.numpy.asarray(labels)),
        loss.value_and_grad(z, t),
        torch.func.grad_and_value(loss)(z, t)[::-1],
    ]
    for value, gradient in both:
        assert float(value) == 0.0
        assert tuple(gradient.shape) == shape
