"""Strategies for the options and the data of presets."""

import sys

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MANY = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

seeds = st.integers(0, 2**32 - 1)
shapes = st.sampled_from([(6,), (3, 4), (2, 3, 2)])


def some(**choices):
    """Each option left out, or with one of its values: a dict of keyword arguments."""
    return st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in choices.items()})


class Data:
    """Random arrays by a seed."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def logits(self, *shape):
        return 2.0 * self.rng.normal(size=shape)

    def probabilities(self, *shape):
        return self.rng.uniform(0.02, 0.98, size=shape)

    def distribution(self, *shape, axis=1):
        p = self.rng.uniform(0.05, 1.0, size=shape)
        return p / p.sum(axis=axis, keepdims=True)

    def labels(self, classes, *shape, ignored=None):
        y = self.rng.integers(0, classes, size=shape)
        if ignored is not None:
            y[self.rng.uniform(size=shape) < 0.3] = ignored
            y.flat[0] = 0  # never all of them
        return y

    def bits(self, *shape):
        return self.rng.integers(0, 2, size=shape).astype(np.float64)


class Bound:
    """A preset function with options, as a preset class looks: called with arrays alone.

    Options that are NumPy arrays become tensors where the arrays of a call are.
    """

    def __init__(self, function, *positional, **options):
        self.function = function
        self.positional = positional
        self.options = options

    def __call__(self, *arrays):
        return self.function(*arrays, *self.positional, **self._options(arrays))

    def translate(self, *arrays):
        return self.function.translate(*arrays, *self.positional, **self._options(arrays))

    def value_and_grad(self, *arrays):
        return self.function.value_and_grad(*arrays, *self.positional, **self._options(arrays))

    def _options(self, arrays):
        if isinstance(arrays[0], np.ndarray):
            return self.options
        kind = type(arrays[0])
        as_tensor = sys.modules["torch"].from_numpy if kind.__module__ == "torch" else kind
        return {
            key: as_tensor(one) if isinstance(one, np.ndarray) else one
            for key, one in self.options.items()
        }
