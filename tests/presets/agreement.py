"""Whether a preset and its library agree: values, gradients and maps, and by how much at worst."""

import warnings
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

LIMIT = 1e-12


@dataclass
class Tally:
    """How many cases of a library were compared, and the worst relative differences."""

    cases: int = 0
    value: float = 0.0
    gradient: float = 0.0

    def __add__(self, other):
        """Return the tally of both."""
        worst = max(self.value, other.value), max(self.gradient, other.gradient)
        return Tally(self.cases + other.cases, *worst)


TALLIES: dict[str, Tally] = defaultdict(Tally)


def with_torch(
    library, preset, theirs, arrays, *, wrt=0, limit=LIMIT, single=False, rounded=False, numpy=True
):
    """Compare `preset(*arrays)` with `theirs(*tensors)`; see `compare`.

    `single`: the library refuses float64, so it gets float32; `rounded`: it takes float64 and
    computes in float32. The limit must say so. Without `numpy` there is no closed form to compare.
    """
    import torch

    tensors = _tensors([_single(x) for x in arrays] if single else arrays, wrt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs(*tensors)
    factors = _factors(expected.shape)
    (grad,) = torch.autograd.grad((expected * torch.from_numpy(factors)).sum(), tensors[wrt])
    library = f"{library}, float32" if single or rounded else library
    compare(library, preset, (expected.detach().numpy(), grad.numpy()), arrays, wrt, limit, numpy)


def with_jax(library, preset, theirs, arrays, *, wrt=0, limit=LIMIT):
    """Compare `preset(*arrays)` with `theirs(*arrays of JAX)` with 64-bit types; see `compare`."""
    import jax

    with jax.enable_x64(True):
        inputs = [jax.numpy.asarray(x) for x in arrays]

        def of_prediction(x):
            return theirs(*inputs[:wrt], x, *inputs[wrt + 1 :])

        expected, pullback = jax.vjp(of_prediction, inputs[wrt])
        (grad,) = pullback(jax.numpy.asarray(_factors(expected.shape)))
    compare(library, preset, (expected, grad), arrays, wrt, limit)


def compare(library, preset, reference, arrays, wrt=0, limit=LIMIT, numpy=True):
    """Compare a preset on NumPy and on PyTorch with a value and a gradient.

    The gradient is that of the result times `_factors`, with respect to the array at `wrt`: by the
    closed form on NumPy where the result is a number, and by PyTorch's autograd.
    """
    import torch

    expected, expected_grad = (np.asarray(x) for x in reference)
    factors = _factors(expected.shape)
    mine = _tensors(arrays, wrt)
    found = preset(*mine)
    assert found.shape == expected.shape
    (grad,) = torch.autograd.grad((found * torch.from_numpy(factors)).sum(), mine[wrt])
    values = [relative(found.detach(), expected)]
    gradients = [relative(grad, expected_grad)]
    if numpy and preset.translate(*arrays).is_number:
        value, grad = preset.value_and_grad(*arrays)
        values.append(relative(value, expected))
        gradients.append(relative(grad * factors, expected_grad))
    elif numpy:
        values.append(relative(preset(*arrays), expected))
    tally = TALLIES[library]
    tally.cases += 1
    tally.value = max(tally.value, *values)
    tally.gradient = max(tally.gradient, *gradients)
    assert max(values) <= limit
    assert max(gradients) <= limit


def relative(mine, theirs):
    """The largest difference, relative to the largest of theirs, or to 1e-3 if all are tiny."""
    mine, theirs = np.asarray(mine, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert mine.shape == theirs.shape
    assert np.isfinite(mine).all()
    if not mine.size:
        return 0.0
    return float(np.abs(mine - theirs).max() / max(np.abs(theirs).max(), 1e-3))


def _factors(shape):
    """By what a result is multiplied before it is differentiated."""
    return np.random.default_rng(17).uniform(0.5, 1.5, size=tuple(shape))


def _tensors(arrays, wrt):
    import torch

    made = [torch.from_numpy(np.array(x)) for x in arrays]
    made[wrt].requires_grad_()
    return made


def _single(x):
    return x.astype(np.float32) if x.dtype == np.float64 else x
