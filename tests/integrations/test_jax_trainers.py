"""Trainers of JAX, two steps each: Flax, Equinox, both with Optax."""

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import array_losses as al

CRITERION = al.CrossEntropyLoss(class_axis=-1) + 0.5 * al.DiceLoss(class_axis=-1)


def data():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(2, 8, 8, 1))), jnp.asarray(rng.integers(3, size=(2, 8, 8)))


def test_flax():
    model = nnx.Conv(1, 3, (3, 3), rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, images, labels):
        value, grads = nnx.value_and_grad(lambda m: CRITERION(m(images), labels))(model)
        optimizer.update(model, grads)
        return value

    before = model(data()[0])
    values = [float(step(model, optimizer, *data())) for _ in range(2)]
    assert values[1] < values[0]
    np.testing.assert_allclose(values[0], float(CRITERION(before, data()[1])), rtol=1e-5)


def test_equinox():
    model = equinox.nn.Conv2d(1, 3, 3, padding=1, key=jax.random.key(0))
    optimizer = optax.sgd(0.1)
    state = optimizer.init(equinox.filter(model, equinox.is_array))
    criterion = al.from_config(CRITERION.to_config())

    @equinox.filter_jit
    def step(model, state, criterion, images, labels):
        def objective(model):
            logits = jax.vmap(model)(jnp.moveaxis(images, -1, 1))
            return criterion.value_and_terms(jnp.moveaxis(logits, 1, -1), labels)

        (value, terms), grads = equinox.filter_value_and_grad(objective, has_aux=True)(model)
        updates, state = optimizer.update(grads, state)
        return equinox.apply_updates(model, updates), state, value, terms

    values = []
    for _ in range(2):
        model, state, value, terms = step(model, state, criterion, *data())
        values.append(float(value))
        np.testing.assert_allclose(value, terms[0] + 0.5 * terms[1], rtol=1e-6)
    assert values[1] < values[0]
