"""The contract of every loss: what comes back, what may come in, what is not counted."""

from functools import partial

import numpy as np
import pytest

import array_losses as al
from tests.backends import BACKENDS, on_a_device
from tests.cases import (
    ALL_CLASSES,
    CLASSES,
    COMPOSED,
    LOVASZ_LOSSES,
    OF_LOGITS,
    OVERLAP_LOSSES,
    PIXEL_LOSSES,
    POOLING_LOSSES,
    Data,
)

SIGMOID = {
    f"{name}-sigmoid": partial(getattr(al, CLASSES[name]), activation="sigmoid")
    for name in CLASSES
    if name not in OF_LOGITS
}


def everything(**options):
    """A sum of every loss, with every activation."""
    makers = [*(getattr(al, name) for name in CLASSES.values()), *SIGMOID.values()]
    return sum(0.5 * make(**options) for make in makers)


def mixture(**options):
    """A smaller sum, where it must be compiled anew."""
    return al.CrossEntropyLoss(**options) + al.JaccardLoss(activation="sigmoid", **options)


LOSSES = {name: getattr(al, ALL_CLASSES[name]) for name in (*CLASSES, *COMPOSED)} | {
    "hardest": partial(al.CrossEntropyLoss, top_k=0.4),
    "sum": everything,
}
# One (loss, shape) again and again: JAX compiles each pair anew.
DATA = Data(ignore=(255,), seed=41)
ROUNDING = {"float64": 1e-12, "float32": 512 * 2.0**-23}

each_class = pytest.mark.parametrize("name", CLASSES)
each_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
each_variant = pytest.mark.parametrize(
    "make", [*LOSSES.values(), *SIGMOID.values()], ids=[*LOSSES, *SIGMOID]
)
class_losses = pytest.mark.parametrize(
    "name", [name for name in CLASSES if name not in PIXEL_LOSSES]
)


def evaluate(loss, backend, arrays, dtype="float64"):
    """Value and gradient as NumPy arrays."""
    logits, target, weights = backend.on(arrays, dtype)
    found = loss.value_and_grad(logits, target, pixel_weights=weights)
    return [backend.to_numpy(x) for x in found]


def assert_same(found, expected, dtype="float64"):
    for one, other in zip(found, expected, strict=True):
        scale = np.max(np.abs(other), initial=0.0)
        np.testing.assert_allclose(one, other, rtol=0, atol=ROUNDING[dtype] * scale)


def on_numpy(loss, arrays, dtype):
    """Value and gradient in the precision of another backend."""
    return evaluate(loss, BACKENDS["numpy"], arrays, dtype)


# --- what comes back ------------------------------------------------------------------------------


@each_class
def test_result(name, backend, dtype):
    if backend.name == "strict-no_x64" and name in LOVASZ_LOSSES:
        pytest.skip("its own argsort wants the int64 that this device has not")
    inputs = backend.inputs(DATA, dtype)[:2]
    before = [backend.to_numpy(x).tobytes() for x in inputs]
    loss = getattr(al, CLASSES[name])(ignore_index=255)
    value, gradient = loss.value_and_grad(*inputs)
    for one in (loss(*inputs), value):
        assert backend.owns(one)
        assert backend.dtype_of(one) == dtype
        assert tuple(one.shape) == ()
    assert backend.owns(gradient)
    assert backend.dtype_of(gradient) == dtype
    assert gradient.shape == inputs[0].shape
    assert [backend.to_numpy(x).tobytes() for x in inputs] == before


@pytest.mark.parametrize("target", ["labels", "multi-hot", "soft"])
@each_variant
def test_inputs_are_not_written_to(make, target, eager):
    data = Data(target=target, weights="float", target_dtype="uint8", seed=42)
    inputs = eager.inputs(data, "float64")
    before = [eager.to_numpy(x).tobytes() for x in inputs]
    loss = make() if target == "soft" else make(ignore_index=7)
    loss(*inputs[:2], pixel_weights=inputs[2])
    loss.value_and_grad(*inputs[:2], pixel_weights=inputs[2])
    assert [eager.to_numpy(x).tobytes() for x in inputs] == before


def test_half_precision_becomes_float32(backend, half_dtype):
    logits, target, weights = backend.on(Data(weights="float", seed=43).build(), half_dtype)
    value, gradient = mixture().value_and_grad(logits, target, pixel_weights=weights)
    assert backend.dtype_of(value) == "float32"
    assert backend.dtype_of(gradient) == half_dtype
    assert gradient.shape == logits.shape


def test_float32_weights_do_not_widen_or_narrow(eager):
    logits, target, weights = Data(weights="float", seed=44).build()
    low = eager.asarray(weights.astype("float32"))
    found = everything()(eager.asarray(logits), eager.asarray(target), pixel_weights=low)
    assert eager.dtype_of(found) == "float64"
    found = everything()(
        eager.asarray(logits.astype("float32")), eager.asarray(target), pixel_weights=low
    )
    assert eager.dtype_of(found) == "float32"


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", CLASSES)
def test_shape_of_none(name, axis, eager):
    logits, target, _ = eager.inputs(
        Data(batch=2, classes=3, spatial=(4, 5), class_axis=axis), "float64"
    )
    make = partial(getattr(al, CLASSES[name]), reduction="none", class_axis=axis)
    if name in PIXEL_LOSSES:
        assert tuple(make()(logits, target).shape) == (2, 4, 5)
    elif name in POOLING_LOSSES:
        assert tuple(make()(logits, target).shape) == ()
        assert tuple(make(pool="image")(logits, target).shape) == (2,)
    else:
        assert tuple(make()(logits, target).shape) == (3,)
        assert tuple(make(pool="image")(logits, target).shape) == (2, 3)
    if name in OVERLAP_LOSSES:
        assert tuple(make(pool="batch+class")(logits, target).shape) == ()
        assert tuple(make(pool="image+class")(logits, target).shape) == (2,)


def test_shape_of_none_in_jax(jax):
    logits, target = jax.numpy.zeros((2, 3, 4, 5)), jax.numpy.zeros((2, 4, 5), dtype=int)
    for name, class_name in CLASSES.items():
        make = partial(getattr(al, class_name), reduction="none")
        pooling = name in POOLING_LOSSES
        expected = (2, 4, 5) if name in PIXEL_LOSSES else () if pooling else (3,)
        assert jax.eval_shape(make(), logits, target).shape == expected
        if name not in PIXEL_LOSSES:
            expected = (2,) if pooling else (2, 3)
            assert jax.eval_shape(make(pool="image"), logits, target).shape == expected


# --- how arrays lie in memory ---------------------------------------------------------------------


@pytest.mark.parametrize("target", ["labels", "soft"])
@each_variant
def test_class_axis(make, target, eager):
    arrays = Data(spatial=(3, 2), target=target, weights="float", seed=45).build()
    value, gradient = evaluate(make(), eager, arrays)
    for axis in (0, 2, 3, -1, -2, -4):
        moved = [np.moveaxis(x, 1, axis) if x is not None and x.ndim == 4 else x for x in arrays]
        found = evaluate(make(class_axis=axis), eager, moved)
        assert_same([found[0], np.moveaxis(found[1], axis, 1)], [value, gradient])


def numpy_layouts(x):
    yield "Fortran", np.asfortranarray(x)
    yield "strided", np.repeat(x, 2, axis=-1)[..., ::2]
    yield "backwards", np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    yield "axes exchanged", np.swapaxes(np.swapaxes(x, 1, -1).copy(), 1, -1)
    yield (
        "unaligned",
        np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    )


@pytest.mark.parametrize("target", ["labels", "soft"])
@each_variant
def test_numpy_layouts(make, target):
    arrays = Data(spatial=(3, 4), target=target, weights="float", seed=46).build()
    expected = evaluate(make(), BACKENDS["numpy"], arrays)
    for others in zip(*(numpy_layouts(x) for x in arrays), strict=True):
        logits, target_, weights = (x for _, x in others)
        found = make().value_and_grad(logits, target_, pixel_weights=weights)
        assert_same(found, expected)


@pytest.mark.parametrize("target", ["labels", "soft"])
@each_variant
def test_numpy_broadcast_views(make, target):
    arrays = Data(batch=1, spatial=(1, 4), target=target, weights="float", seed=47).build()
    wide = [np.broadcast_to(x, (3, *x.shape[1:-2], 5, 4)) for x in arrays]
    found = make().value_and_grad(*wide[:2], pixel_weights=wide[2])
    assert_same(found, evaluate(make(), BACKENDS["numpy"], wide))


@pytest.mark.parametrize("target", ["labels", "soft"])
@each_variant
def test_torch_layouts(make, target, torch):
    inputs = BACKENDS["torch"].inputs(
        Data(spatial=(3, 4), target=target, weights="float", seed=48), "float64"
    )
    expected = [x.numpy() for x in make().value_and_grad(*inputs[:2], pixel_weights=inputs[2])]
    layouts = [
        [x.to(memory_format=torch.channels_last) if x.ndim == 4 else x for x in inputs],
        [torch.repeat_interleave(x, 2, dim=-1)[..., ::2] for x in inputs],
        [x.transpose(0, -1).contiguous().transpose(0, -1) for x in inputs],
    ]
    for logits, target_, weights in layouts:
        leaf = logits.detach().requires_grad_()
        value = make()(leaf, target_, pixel_weights=weights)
        value.backward()
        assert_same([value.detach().numpy(), leaf.grad.numpy()], expected)


@each_variant
def test_torch_expanded(make, torch):
    z, t, _ = BACKENDS["torch"].inputs(Data(batch=1, spatial=(1, 4), seed=49), "float64")
    z, t = z.expand(3, 3, 5, 4), t.expand(3, 5, 4)
    expected = make().value_and_grad(z.contiguous(), t.contiguous())
    assert_same([x.numpy() for x in make().value_and_grad(z, t)], [x.numpy() for x in expected])


# --- what is not counted --------------------------------------------------------------------------

BROKEN = np.array([np.nan, np.inf, -np.inf])
EXTREME = 0.9 * np.array([1.0, -1.0, 1.0])  # of the largest number there is
OF_EACH_CLASS = (0.5, 2.0, 4.0)  # factors that carry it over to infinity


def with_broken_columns(arrays):
    """Put NaN and infinity, then extremes, into the last column of logits and a soft target."""
    for broken in (BROKEN, EXTREME * np.finfo(arrays[0].dtype).max):
        logits, target, weights = (None if x is None else x.copy() for x in arrays)
        logits[..., -1] = broken[:, None]
        if target.dtype.kind == "f":
            target[..., -1] = broken[:, None]
        yield logits, target, weights


def cropped(arrays):
    """The arrays without their last column."""
    return [None if x is None else x[..., :-1] for x in arrays]


@each_loss
def test_ignored_pixels_may_hold_anything(make, library):
    dtype = library.dtypes[0]
    loss = make(ignore_index=255, class_weights=OF_EACH_CLASS)
    for logits, target, _ in with_broken_columns(DATA.build(dtype)):
        target[..., -1] = 255
        arrays = logits, target, None
        value, gradient = evaluate(loss, library, arrays, dtype)
        np.testing.assert_array_equal(gradient[..., -1], 0)
        expected = on_numpy(loss, cropped(arrays), dtype)
        assert_same([value, gradient[..., :-1]], expected, dtype)


@pytest.mark.parametrize(("target", "weights"), [("labels", "float"), ("soft", "mask")])
@each_variant
def test_weight_0_hides_anything(make, weights, target, eager):
    loss = make(class_weights=OF_EACH_CLASS)
    for arrays in with_broken_columns(Data(target=target, weights=weights, seed=50).build()):
        arrays[2][..., -1] = 0
        value, gradient = evaluate(loss, eager, arrays)
        np.testing.assert_array_equal(gradient[..., -1], 0)
        assert_same([value, gradient[..., :-1]], evaluate(loss, eager, cropped(arrays)))


@pytest.mark.parametrize(("target", "weights"), [("labels", "float"), ("soft", "mask")])
def test_weight_0_hides_anything_everywhere(target, weights, library):
    dtype = library.dtypes[0]
    loss = mixture(class_weights=OF_EACH_CLASS)
    for arrays in with_broken_columns(Data(target=target, weights=weights, seed=51).build(dtype)):
        arrays[2][..., -1] = 0
        value, gradient = evaluate(loss, library, arrays, dtype)
        np.testing.assert_array_equal(gradient[..., -1], 0)
        assert_same([value, gradient[..., :-1]], on_numpy(loss, cropped(arrays), dtype), dtype)


HIDING = {
    "labels, weight 0": (Data(weights="float", seed=57), {}),
    "labels, ignored": (Data(ignore=(255,), seed=58), {"ignore_index": 255}),
    "soft, weight 0": (Data(target="soft", weights="float", seed=59), {}),
    "soft, masked": (Data(target="soft", weights="mask", seed=60), {}),
    "distances, weight 0": (Data(target="distances", weights="float", seed=61), {}),
    "given, weight 0": (Data(probabilities=True, weights="float", seed=64), {"activation": None}),
    "given, ignored": (
        Data(probabilities=True, ignore=(255,), seed=65),
        {"activation": None, "ignore_index": 255},
    ),
}


def in_position(z, t, w, loss):
    return loss(z, t, pixel_weights=w)


@pytest.mark.parametrize(("data", "options"), HIDING.values(), ids=HIDING)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_hidden_where_nothing_is_looked_at(data, options, dtype, torch):
    """Every loss where PyTorch follows the formula, and in the engine as on a GPU."""
    makers = [*LOSSES.values(), *SIGMOID.values()]
    if data.target == "distances":
        makers = [al.BoundaryLoss, partial(al.BoundaryLoss, activation="sigmoid")]
    if data.probabilities:
        makers = [getattr(al, ALL_CLASSES[name]) for name in (*CLASSES, *COMPOSED)]
        makers.remove(al.LovaszHingeLoss)
    for make in makers:
        loss = make(class_weights=OF_EACH_CLASS, **options)
        for arrays in with_broken_columns(data.build(dtype)):
            hider, nothing = (arrays[1], 255) if "ignore_index" in options else (arrays[2], 0)
            hider[..., -1] = nothing
            expected = on_numpy(loss, cropped(arrays), dtype)
            inputs = BACKENDS["torch"].on(arrays, dtype)
            gradient, value = torch.func.grad_and_value(in_position)(*inputs, loss)
            evaluation = on_a_device(loss.terms(), *arrays)
            for found in ((value.numpy(), gradient.numpy()), evaluation.value_and_gradient()):
                np.testing.assert_array_equal(found[1][..., -1], 0)
                assert_same([found[0], found[1][..., :-1]], expected, dtype)


def test_what_an_ignored_class_of_a_pixel_may_hold(eager):
    """With a softmax it takes part in the others' probabilities, but its loss counts 0."""
    logits, target, _ = Data(target="one-hot", target_dtype="int8", seed=62).build()
    logits[0, 1, 0, 0], target[0, :, 0, 0] = -0.9 * np.finfo("float64").max, (1, -1, 0)
    loss = al.CrossEntropyLoss(ignore_index=-1, class_weights=OF_EACH_CLASS)
    value, gradient = evaluate(loss, eager, (logits, target, None))
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("make", SIGMOID.values(), ids=SIGMOID)
def test_ignored_elements_may_hold_anything(make, eager):
    logits, target, _ = Data(target="multi-hot", target_dtype="int8", seed=52).build()
    logits[0, 1, 0, :3], target[0, 1, 0, :3] = BROKEN, -1
    hidden = target == -1
    value, gradient = evaluate(make(ignore_index=-1), eager, (logits, target, None))
    np.testing.assert_array_equal(gradient[hidden], 0)
    logits[hidden] = 0.0
    again = evaluate(make(ignore_index=-1), eager, (logits, target, None))
    assert value.tobytes() == again[0].tobytes()
    assert gradient.tobytes() == again[1].tobytes()


@each_loss
def test_an_ignore_index_that_is_absent_changes_not_one_bit(make, library):
    dtype = library.dtypes[0]
    arrays = Data(seed=53).build(dtype)
    found = evaluate(make(ignore_index=255), library, arrays, dtype)
    expected = evaluate(make(), library, arrays, dtype)
    if library.module == "jax":  # XLA compiles another program, which may round another way
        for one, other in zip(found, expected, strict=True):
            close = 8 * np.finfo(dtype).eps * np.max(np.abs(other))
            np.testing.assert_allclose(one, other, rtol=0, atol=close)
        return
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("target_dtype", ["int8", "int16", "int32", "uint8", "uint16", "int64"])
def test_every_integer_type(target_dtype, library):
    dtype = library.dtypes[0]
    arrays = Data(target_dtype=target_dtype, seed=54).build(dtype)
    loss = al.CrossEntropyLoss(ignore_index=(-100, 255, 70_000)) + al.DiceLoss()
    found = evaluate(loss, library, arrays, dtype)
    expected = on_numpy(loss, (arrays[0], arrays[1].astype("int64"), None), dtype)
    assert_same(found, expected, dtype)


@pytest.mark.parametrize("target_dtype", ["uint32", "uint64"])
def test_wide_unsigned_integers(target_dtype, eager):
    arrays = Data(target_dtype=target_dtype, seed=54).build()
    loss = al.CrossEntropyLoss(ignore_index=-1) + al.LovaszSoftmaxLoss()
    found = evaluate(loss, eager, arrays)
    assert_same(found, evaluate(loss, eager, (arrays[0], arrays[1].astype("int64"), None)))


# --- nothing to count -----------------------------------------------------------------------------

NOTHING = {
    "all ignored": (Data(ignore=(255,), ignored=2.0), {"ignore_index": 255}),
    "all masked": (Data(weights="mask"), {}),
    "all of weight 0": (Data(weights="float"), {}),
    "empty batch": (Data(batch=0), {}),
    "no rows": (Data(spatial=(0, 4)), {}),
    "soft, empty batch": (Data(batch=0, target="soft"), {}),
    "soft, all of weight 0": (Data(target="soft", weights="float"), {}),
}


def build_nothing(data):
    logits, target, weights = data.build()
    return logits, target, None if weights is None else np.zeros_like(weights)


@each_variant
def test_nothing_counted_is_0(make, eager):
    for case, (data, options) in NOTHING.items():
        arrays = build_nothing(data)
        value, gradient = evaluate(make(**options), eager, arrays)
        assert value == 0, case
        assert gradient.shape == arrays[0].shape, case
        np.testing.assert_array_equal(gradient, 0, err_msg=case)


@each_variant
def test_nothing_counted_stays_in_the_graph(make, torch):
    for case, (data, options) in NOTHING.items():
        logits, target, weights = BACKENDS["torch"].on(build_nothing(data))
        logits.requires_grad_()
        value = make(**options)(logits, target, pixel_weights=weights)
        value.backward()
        assert value.item() == 0, case
        assert torch.equal(logits.grad, torch.zeros_like(logits)), case


@class_losses
def test_only_background(name, library):
    """Every class that could count is absent and skipped."""
    dtype = library.dtypes[0]
    arrays = Data(absent=(1, 2), seed=55).build(dtype)
    loss = getattr(al, CLASSES[name])(absent="skip", include_background=False)
    value, gradient = evaluate(loss, library, arrays, dtype)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("absent", ["skip", "keep", "zero"])
@class_losses
def test_an_absent_class_is_finite(name, absent, eager):
    if absent == "zero" and name in POOLING_LOSSES:
        pytest.skip("it has no loss for each class")
    options = {} if name in OF_LOGITS else {"activation": "sigmoid"}
    arrays = Data(absent=(1,), absent_in_first=(1, 2), seed=56).build()
    for pool in ("batch", "image"):
        loss = getattr(al, CLASSES[name])(absent=absent, pool=pool, **options)
        value, gradient = evaluate(loss, eager, arrays)
        assert np.isfinite(value)
        assert np.all(np.isfinite(gradient))
        assert absent == "keep" or not np.any(gradient[:, 1])


# --- what logits may hold -------------------------------------------------------------------------


def excluding(name, **options):
    """The loss with classes that no pixel has left out of its mean."""
    absent = {} if name in PIXEL_LOSSES else {"absent": "skip"}
    return getattr(al, CLASSES[name])(reduction="sum", **absent, **options)


@pytest.mark.parametrize("name", CLASSES)
def test_minus_infinity_excludes_a_class(name, library):
    dtype = library.dtypes[0]
    logits, target, _ = Data(absent=(2,), seed=57).build(dtype)
    logits[:, 2] = -np.inf
    value, gradient = evaluate(excluding(name), library, (logits, target, None), dtype)
    np.testing.assert_array_equal(gradient[:, 2], 0)
    expected = on_numpy(excluding(name), (logits[:, :2], target, None), dtype)
    assert_same([value, gradient[:, :2]], expected, dtype)


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in OF_LOGITS])
@pytest.mark.parametrize("target", ["labels", "soft"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_minus_infinity_is_the_limit(name, activation, target, eager):
    """At some pixels, where the target has nothing of the class."""
    logits, target, _ = Data(target=target, seed=58).build()
    one_hot = target if target.ndim == 4 else np.moveaxis(np.eye(3)[target], -1, 1)
    if target.dtype == np.float64:
        one_hot[:, 1, :, ::2] = 0.0
    excluded = (one_hot == 0) & (np.arange(3) == 1)[:, None, None]
    loss = getattr(al, CLASSES[name])(activation=activation)
    assert np.any(excluded)
    expected = evaluate(loss, eager, (np.where(excluded, -2e3, logits), target, None))
    found = evaluate(loss, eager, (np.where(excluded, -np.inf, logits), target, None))
    assert_same(found, expected)


@pytest.mark.parametrize("size", [1e4, 1e30])
@each_loss
def test_large_logits_are_finite(make, size, library):
    dtype = library.dtypes[-1]
    logits, target, _ = DATA.build(dtype)
    found = evaluate(make(ignore_index=255), library, (np.sign(logits) * size, target, None), dtype)
    assert np.isfinite(found[0])
    assert np.all(np.isfinite(found[1]))


# NumPy says so when a difference of the largest numbers becomes infinite; its exponential is 0.
@pytest.mark.filterwarnings("ignore:overflow encountered in subtract:RuntimeWarning")
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", [*OVERLAP_LOSSES, "lovasz_softmax"])
def test_the_largest_logits_are_finite(name, activation, eager):
    """A loss that is at most 1 is finite for every finite logit, whatever the differences."""
    loss = getattr(al, CLASSES[name])(activation=activation)
    for dtype in ("float32", "float64"):
        logits, target, _ = Data(seed=59).build(dtype)
        logits = np.sign(logits) * np.finfo(dtype).max
        value, gradient = evaluate(loss, eager, (logits, target, None), dtype)
        assert 0 <= value <= 1
        assert np.all(np.isfinite(gradient))


@each_loss
def test_nan_shows(make, library):
    dtype = library.dtypes[0]
    logits, target, _ = DATA.build(dtype)
    target[0, 0, 0] = 0
    logits[0, 1, 0, 0] = np.nan
    assert np.isnan(evaluate(make(ignore_index=255), library, (logits, target, None), dtype)[0])


@each_variant
def test_nan_shows_wherever_it_is(make, eager):
    logits, target, weights = Data(target="soft", weights="float", seed=60).build()
    weights[0, 0, 0] = 1.0
    for i in range(3):
        arrays = [logits.copy(), target.copy(), weights.copy()]
        arrays[i][(0, 1, 0, 0) if i < 2 else (0, 0, 0)] = np.nan
        assert np.isnan(evaluate(make(), eager, arrays)[0])


@pytest.mark.parametrize("pool", ["batch", "image"])
@class_losses
def test_nan_shows_in_a_class_that_is_skipped(name, pool, eager):
    """An absent class counts as 0 only where it is known to be absent."""
    options = {} if name in OF_LOGITS else {"activation": "sigmoid"}
    logits, target, _ = Data(absent=(1,), seed=61).build()
    logits[0, 1, 0, 0] = np.nan
    loss = getattr(al, CLASSES[name])(absent="skip", pool=pool, **options)
    assert np.isnan(evaluate(loss, eager, (logits, target, None))[0])


@pytest.mark.parametrize("name", PIXEL_LOSSES)
def test_nan_shows_where_nothing_is_in_the_divisor(name, eager):
    logits, target, _ = Data(absent=(1, 2), seed=62).build()
    logits[0, 1, 0, 0] = np.nan
    loss = getattr(al, CLASSES[name])(class_weights=[0, 1, 1], normalize="weights")
    assert np.isnan(evaluate(loss, eager, (logits, target, None))[0])


@pytest.mark.parametrize("name", PIXEL_LOSSES)
@pytest.mark.parametrize("target", ["labels", "one-hot", "soft"])
def test_nan_shows_in_a_given_probability_of_another_class(name, target, eager):
    p = np.array([[[np.nan, 0.3], [0.4, 0.7]]])
    targets = {"labels": np.array([[1, 1]]), "one-hot": np.array([[[0, 0], [1, 1]]])}
    targets["soft"] = targets["one-hot"].astype(np.float64)
    loss = getattr(al, CLASSES[name])(activation=None)
    assert np.isnan(evaluate(loss, eager, (p, targets[target], None))[0])


@pytest.mark.parametrize("name", PIXEL_LOSSES)
def test_nan_shows_at_a_pixel_of_no_class_in_jax(name, jax):
    """XLA makes a product with a converted bool a select, which would hide it."""
    logits, target = np.zeros((1, 2, 3)), np.array([[[0, 1, 1], [0, 0, 0]]])
    logits[0, 0, 0] = np.nan
    loss = getattr(al, CLASSES[name])()
    assert np.isnan(float(loss(jax.numpy.asarray(logits), jax.numpy.asarray(target))))


def test_what_does_not_count_may_have_any_label_and_weight(library):
    logits, target, _ = Data(seed=63).build()
    mask = np.ones(target.shape, dtype=bool)
    mask[0, 0, :2] = False
    expected = float(al.CrossEntropyLoss()(logits, target, pixel_weights=mask))
    odd, weights = target.copy(), mask.astype(np.float64)
    odd[0, 0, :2] = 200
    dtype = library.dtypes[0]
    loss = al.CrossEntropyLoss()
    for one in (mask, weights):
        value, _ = evaluate(loss, library, (logits, odd, one), dtype)
        assert value == pytest.approx(expected, rel=1e-6)
    weights[0, 0, :2] = -1
    value, _ = evaluate(
        al.CrossEntropyLoss(ignore_index=200), library, (logits, odd, weights), dtype
    )
    assert value == pytest.approx(expected, rel=1e-6)


# --- many devices ---------------------------------------------------------------------------------

REDUCIBLE = {
    **{f"{name}": (name, {}) for name in CLASSES if name not in LOVASZ_LOSSES},
    **{f"{name}-image": (name, {"pool": "image"}) for name in CLASSES if name not in PIXEL_LOSSES},
    "focal-normalized": ("focal", {"normalize": "focal"}),
    "cross_entropy-sum": ("cross_entropy", {"reduction": "sum"}),
    "dice-sum": ("dice", {"reduction": "sum", "absent": "keep"}),
    "dice-batch+class": ("dice", {"pool": "batch+class", "class_weights": (1.0, 2.0, 3.0)}),
    "tversky-image+class-log": ("tversky", {"pool": "image+class", "form": "log"}),
    "jaccard-image-sum": ("jaccard", {"reduction": "sum", "pool": "image"}),
    **{f"{name}-bins": (name, {"bins": 16}) for name in LOVASZ_LOSSES},
    "lovasz_softmax-bins-image": ("lovasz_softmax", {"bins": 4, "pool": "image", "absent": "keep"}),
    "lovasz_softmax-image-zero": ("lovasz_softmax", {"pool": "image", "absent": "zero"}),
}
REDUCIBLE_LOSSES = {
    key: getattr(al, CLASSES[name])(ignore_index=255, **options)
    for key, (name, options) in REDUCIBLE.items()
}
REDUCIBLE_LOSSES["sum"] = sum(REDUCIBLE_LOSSES.values())


def check_two_devices(loss, backend):
    """What one device finds with the totals of another is what one finds with all images."""
    arrays = Data(
        batch=3, ignore=(255,), weights="float", absent=(2,), absent_in_first=(1,), seed=62
    ).build()
    (z, t, w), (z2, t2, w2) = (
        backend.on([x[part] for x in arrays], "float64") for part in (slice(1), slice(1, None))
    )
    theirs = []

    def record(totals):
        assert totals.ndim == 1
        assert backend.owns(totals)
        theirs.append(totals)
        return totals

    loss(z2, t2, pixel_weights=w2, all_reduce=record)
    calls = iter(theirs)
    found = loss.value_and_grad(
        z, t, pixel_weights=w, all_reduce=lambda totals: totals + next(calls)
    )
    value, gradient = evaluate(loss, BACKENDS["numpy"], arrays)
    assert_same(map(backend.to_numpy, found), [value, gradient[:1]])


@pytest.mark.parametrize("loss", REDUCIBLE_LOSSES.values(), ids=REDUCIBLE_LOSSES)
def test_totals_of_two_devices(loss, eager):
    check_two_devices(loss, eager)


def test_totals_of_two_devices_in_jax(jax):
    options = {"ignore_index": 255}
    loss = al.CrossEntropyLoss(**options) + al.DiceLoss(pool="image", **options)
    check_two_devices(loss, BACKENDS["jax-x64"])


def test_backward_of_one_of_two_devices(torch):
    """Autograd: the totals of the forward pass are the totals of all."""
    loss = REDUCIBLE_LOSSES["sum"]
    arrays = Data(batch=3, ignore=(255,), weights="float", seed=63).build()
    z, t, w = BACKENDS["torch"].on(arrays)
    theirs = []
    loss(
        z[1:], t[1:], pixel_weights=w[1:], all_reduce=lambda totals: theirs.append(totals) or totals
    )
    calls = iter(theirs)
    first = z[:1].clone().requires_grad_()
    loss(
        first, t[:1], pixel_weights=w[:1], all_reduce=lambda totals: totals + next(calls)
    ).backward()
    _, expected = evaluate(loss, BACKENDS["numpy"], arrays)
    assert_same([first.grad.numpy()], [expected[:1]])
