"""Bad values: an error where they can be looked at, else NaN, over the case table."""

from functools import partial

import numpy as np
import pytest

import array_losses as al
from tests.backends import BACKENDS, on_a_device
from tests.cases import ALL_CLASSES, CASES, CLASSES, LOVASZ_LOSSES, OF_LOGITS, Data

BOUNDED = sorted(ALL_CLASSES.keys() - {"boundary"})
WITH_ACTIVATION = sorted(set(BOUNDED) - set(OF_LOGITS))


def spoiled(data, dtype="float64"):
    """The arrays of a case with what is far from a probability at a pixel that counts."""
    arrays = [None if x is None else x.copy() for x in data.build(dtype)]
    at, axis = (0 if data.probabilities else 1), data.class_axis
    np.moveaxis(arrays[at], axis, -1)[(0,) * (arrays[at].ndim - 1)] = 255
    if arrays[2] is not None:
        arrays[2][(0,) * arrays[2].ndim] = 1
    return arrays


def has_probabilities(case):
    """Whether a loss of the case reads probabilities, and there is a pixel."""
    soft = case.data.target == "soft"
    return (soft or case.data.probabilities) and 0 not in (case.data.batch, *case.data.spatial)


PROBABILITIES = [case for case in CASES if has_probabilities(case)]
each_case = pytest.mark.parametrize("case", PROBABILITIES, ids=lambda case: case.name)
few_cases = pytest.mark.parametrize(
    "case",
    [case for case in PROBABILITIES if case.name in {"dice-sigmoid-soft", "dice-probabilities"}],
    ids=lambda case: case.name,
)


def in_position(loss):
    return lambda z, t, w=None: loss(z, t, pixel_weights=w)


def tensors(case):
    return BACKENDS["torch"].on(spoiled(case.data), "float64")


# --- what cannot be looked at ---------------------------------------------------------------------


@each_case
def test_nan_where_a_device_would_be_waited_for(case):
    """The engine where nothing is inspected, as on a GPU."""
    logits, target, weights = spoiled(case.data)
    new = partial(on_a_device, case.loss().terms(), logits, target, weights)
    assert np.any(np.isnan(new().value()[0]))
    if case.is_scalar:
        value, gradient = new().value_and_gradient()
        assert np.isnan(value)
        assert gradient.shape == logits.shape


@each_case
def test_nan_in_torch_func(case, torch):
    inputs = tensors(case)
    call = in_position(case.loss())
    assert torch.any(
        torch.isnan(torch.func.vmap(call)(*(x[None] for x in inputs if x is not None)))
    )
    if case.is_scalar:
        assert torch.isnan(torch.func.grad_and_value(call)(*inputs)[1])


@few_cases
def test_nan_in_compiled_and_exported_torch(case, torch):
    class Module(torch.nn.Module):
        def forward(self, z, t, w):
            return call(z, t, w)

    inputs, call = tuple(tensors(case)), in_position(case.loss())
    torch._dynamo.reset()
    assert torch.isnan(torch.compile(call, fullgraph=True, backend="eager")(*inputs))
    torch._dynamo.reset()
    assert torch.isnan(torch.export.export(Module(), inputs).module()(*inputs))


@pytest.mark.parametrize("name", BOUNDED)
def test_nan_in_jitted_jax(name, jax):
    """Each loss with a soft target; and all at once with given probabilities."""
    make = getattr(al, ALL_CLASSES[name])
    arrays = [jax.numpy.asarray(x) for x in spoiled(Data(target="soft", seed=1))[:2]]
    value, gradient = jax.jit(jax.value_and_grad(make()))(*arrays)
    assert np.isnan(value)
    assert gradient.shape == arrays[0].shape


def test_nan_in_jitted_jax_for_given_probabilities(jax):
    losses = [getattr(al, ALL_CLASSES[name])(activation=None) for name in WITH_ACTIVATION]
    arrays = [jax.numpy.asarray(x) for x in spoiled(Data(probabilities=True, seed=2))[:2]]
    each = jax.jit(lambda p, t: [jax.value_and_grad(loss)(p, t)[0] for loss in losses])
    assert np.all(np.isnan(each(*arrays)))


def test_what_does_not_count_may_be_no_probability_in_jax(jax):
    logits, target, weights = spoiled(Data(target="soft", weights="float", seed=3))
    weights[0, 0, 0] = 0.0
    loss = al.CrossEntropyLoss() + al.DiceLoss(activation="sigmoid")
    arrays = [jax.numpy.asarray(x) for x in (logits, target, weights)]
    found = jax.jit(in_position(loss))(*arrays)
    target[0, :, 0, 0] = 0.5
    expected = loss(logits, target, pixel_weights=weights)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


# --- what can be looked at ------------------------------------------------------------------------


@each_case
def test_an_error_in_eager_calls(case):
    logits, target, weights = spoiled(case.data)
    with pytest.raises(ValueError, match="must hold probabilities from 0 to 1, got 255"):
        case.loss()(logits, target, pixel_weights=weights)


OVERSHOT = [
    case for case in PROBABILITIES if case.name.endswith(("sigmoid-soft", "one-class-soft"))
]


@pytest.mark.parametrize("case", OVERSHOT, ids=lambda case: case.name)
def test_interpolation_may_carry_probabilities_a_bit_too_far(case):
    """As far with a look as without."""
    logits, target, weights = case.data.build()
    target = np.where(np.arange(target.size).reshape(target.shape) % 2, -0.24, 1.24)
    expected = case.loss()(logits, target, pixel_weights=weights)
    assert np.isfinite(expected)
    unseen = on_a_device(case.loss().terms(), logits, target, weights).value()[0]
    assert float(unseen) == pytest.approx(float(expected), rel=1e-12)


def test_a_map_of_distances_is_not_bounded(torch, jax):
    logits, target, weights = Data(target="distances", weights="float", seed=4).build()
    target *= 100
    loss = al.BoundaryLoss()
    expected = float(loss(logits, target, pixel_weights=weights))
    inputs = BACKENDS["torch"].on((logits, target, weights))
    found = torch.func.grad_and_value(in_position(loss))(*inputs)[1]
    assert float(found) == pytest.approx(expected, rel=1e-12)
    found = jax.jit(in_position(loss))(*map(jax.numpy.asarray, (logits, target, weights)))
    assert float(found) == pytest.approx(expected, rel=1e-12)


LABELS = Data(weights="float", seed=5)
BAD = {
    "label": (lambda z, t, w: (z, np.where(t == 1, 7, t), w), "`target` must hold integers"),
    "weight": (lambda z, t, w: (z, t, w - 3.0), "`pixel_weights` must not be negative"),
    "mask": (lambda z, _t, w: (z, z * 0 + 255, w), "`target` must hold probabilities"),
}
each_fault = pytest.mark.parametrize(("spoil", "message"), BAD.values(), ids=BAD)


@each_fault
@pytest.mark.parametrize("name", BOUNDED)
def test_an_error_for_concrete_arrays_under_jax_grad(name, spoil, message, jax):
    arrays = [jax.numpy.asarray(x) for x in spoil(*LABELS.build())]
    call = in_position(getattr(al, ALL_CLASSES[name])())
    with pytest.raises(ValueError, match=message):
        jax.value_and_grad(call)(*arrays)


def test_an_error_for_what_a_jitted_function_closes_over(jax):
    logits, target, weights = (jax.numpy.asarray(x) for x in LABELS.build())
    loss, bad = al.DiceLoss(), target + 7
    with pytest.raises(ValueError, match="`target` must hold integers from 0 to 2, got 9"):
        jax.jit(lambda z: loss(z, bad))(logits)
    with pytest.raises(ValueError, match="`pixel_weights`"):
        jax.grad(lambda z: loss(z, target, pixel_weights=weights - 3))(logits)


def test_swapped_arguments_are_an_error_in_jax(jax):
    p, logits = jax.numpy.asarray([[[0.9], [0.1]]]), jax.numpy.asarray([[[3.0], [-3.0]]])
    loss = al.DiceLoss(activation=None)
    assert np.isnan(jax.value_and_grad(loss, argnums=1)(p, logits)[0])
    with pytest.raises(ValueError, match="`logits` or `prediction`"):
        jax.grad(loss, argnums=1)(logits, p)
    with pytest.raises(ValueError, match="`target`"):
        jax.grad(loss)(p, logits)


def test_traced_weights_may_hide_what_is_bad_in_jax(jax):
    """They cannot be looked at, so what they hide is nobody's fault."""
    logits, target, weights = LABELS.build()
    bad = np.where(weights == 0, 7, target)
    call = in_position(al.CrossEntropyLoss())
    arrays = [jax.numpy.asarray(x) for x in (logits, bad, weights)]
    found = jax.value_and_grad(call, argnums=2)(*arrays)[0]
    assert float(found) == pytest.approx(float(call(logits, target, weights)), rel=1e-12)


@each_fault
@pytest.mark.parametrize("name", BOUNDED)
def test_an_error_whatever_requires_a_gradient(name, spoil, message, torch):
    loss = getattr(al, ALL_CLASSES[name])()
    for wanted in range(1, 8):
        inputs = [torch.tensor(x) for x in spoil(*LABELS.build())]
        for i, x in enumerate(inputs):
            if wanted >> i & 1 and x.is_floating_point():
                x.requires_grad_()
        with pytest.raises(ValueError, match=message):
            loss(*inputs[:2], pixel_weights=inputs[2])


def test_swapped_arguments_are_an_error_in_torch(torch):
    """As in code that has the prediction second."""
    p = torch.tensor([[[0.9], [0.1]]])
    logits = torch.tensor([[[3.0], [-3.0]]], requires_grad=True)
    with pytest.raises(ValueError, match="`target` must hold probabilities from 0 to 1, got -3"):
        al.DiceLoss(activation=None)(p, logits)


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - {*LOVASZ_LOSSES}))
def test_good_values_that_require_a_gradient_are_no_error(name, torch):
    inputs = [torch.tensor(x) for x in Data(target="soft", weights="float", seed=6).build()]
    expected = getattr(al, CLASSES[name])()(*inputs[:2], pixel_weights=inputs[2])
    inputs = [x.requires_grad_() for x in inputs]
    found = getattr(al, CLASSES[name])()(*inputs[:2], pixel_weights=inputs[2])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
