"""Keras: compile, fit two steps, save and load, on the backend that KERAS_BACKEND names."""

import keras
import numpy as np
import pytest

from array_losses.presets import keras as losses

LOSSES = {
    "dice": (losses.Dice(), "softmax"),
    "dice-classes": (losses.Dice(axis=(0, 1, 2)), "softmax"),
    "sparse": (losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2), None),
    "focal": (losses.CategoricalFocalCrossentropy(gamma=1.5), "softmax"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_keras(name, tmp_path):
    loss, activation = LOSSES[name]
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4, 8, 8, 1)).astype(np.float32)
    labels = rng.integers(3, size=(4, 8, 8))
    target = labels if name == "sparse" else np.eye(3, dtype=np.float32)[labels]
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3, padding="same")]
    model = keras.Sequential([*layers, keras.layers.Activation(activation or "linear")])
    model.compile(optimizer="sgd", loss=loss)
    before = model.predict(images, verbose=0)
    model.fit(images, target, batch_size=2, epochs=1, verbose=0)
    after = model.predict(images, verbose=0)
    assert not np.array_equal(before, after)
    expected = float(loss(target, after))
    assert model.evaluate(images, target, batch_size=4, verbose=0) == pytest.approx(
        expected, rel=1e-5
    )
    path = tmp_path / "model.keras"
    model.save(path)
    kind = type(loss)
    loaded = keras.models.load_model(path, custom_objects={kind.__name__: kind})
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), after)
    assert loaded.evaluate(images, target, batch_size=4, verbose=0) == pytest.approx(
        expected, rel=1e-5
    )
    assert kind.from_config(loss.get_config()) == loss
