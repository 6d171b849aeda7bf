"""Transformations of PyTorch and JAX: each over a small table of losses and targets."""

import os
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest

import array_losses as al
from array_losses.core.protocol import Call
from array_losses.core.whole import WholeEvaluation, has_closed_form
from array_losses.frameworks import library_of
from tests.backends import BACKENDS
from tests.cases import ALL_CLASSES, CLASSES, MAPPED, Data

# PyTorch's own: forward mode and inductor load what torch.jit once compiled; and a trace warns of
# every check of a shape.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*the trace"),
]

HARD = Data(spatial=(2, 3), ignore=(255,), weights="float", seed=101)
SOFT = Data(spatial=(2, 3), target="soft", weights="float", seed=102)
MAP = Data(spatial=(2, 3), target="distances", weights="float", seed=105)
TABLE = {
    **{name: (getattr(al, CLASSES[name])(ignore_index=255), HARD) for name in CLASSES},
    "boundary": (al.BoundaryLoss(), MAP),
    "unified_focal": (al.UnifiedFocalLoss(ignore_index=255, gamma=0.3), HARD),
    "sum": (
        al.CrossEntropyLoss(ignore_index=255, class_weights=(1, 2, 3), label_smoothing=0.1)
        + 0.5 * al.DiceLoss(ignore_index=255, activation="sigmoid", pool="image"),
        HARD,
    ),
    "soft": (al.FocalLoss(activation="sigmoid", gamma=1.5) + al.JaccardLoss(power=2), SOFT),
    "joint": (
        al.FocalLoss(activation="sigmoid", gamma=1.5, soft="arithmetic", normalize="focal")
        + al.FocalLoss(activation="sigmoid", gamma=0.5, soft="geometric")
        + al.FocalLoss(activation="sigmoid", alpha=0.3, soft="log_odds"),
        SOFT,
    ),
    "top-k": (al.CrossEntropyLoss(ignore_index=255, top_k=0.7), HARD),
    "ohem": (
        al.CrossEntropyLoss(activation="sigmoid", ohem_threshold=0.3, min_kept=3)
        + 0.5 * al.DiceLoss(activation="sigmoid"),
        SOFT,
    ),
}
# Of each kind one, and the sums, where every entry must be compiled for long.
FEW = ["cross_entropy", "lovasz_softmax", "sum", "soft", "top-k"]
SMOOTH = ["focal", "sum", "soft", "joint", "top-k", "ohem"]

each_entry = pytest.mark.parametrize(("loss", "data"), TABLE.values(), ids=TABLE)
few_entries = pytest.mark.parametrize(("loss", "data"), [TABLE[name] for name in FEW], ids=FEW)
smooth_entry = pytest.mark.parametrize(
    ("loss", "data"), [TABLE[name] for name in SMOOTH], ids=SMOOTH
)


def expected_of(loss, data):
    """NumPy's value and gradient."""
    logits, target, weights = data.build()
    return loss.value_and_grad(logits, target, pixel_weights=weights)


def tensors(data):
    return BACKENDS["torch"].inputs(data, "float64")


def jax_arrays(data):
    return BACKENDS["jax-x64"].inputs(data, "float64")


def assert_close(found, expected, rounding=1e-12):
    expected = np.asarray(expected)
    scale = np.max(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=rounding * scale)


def in_position(loss):
    """The loss with its pixel weights as a third argument."""
    return lambda z, t, w: loss(z, t, pixel_weights=w)


def three_batches(data):
    """Different batches along a new first axis."""
    many = [Data(**vars(data) | {"seed": seed}).build() for seed in (1, 2, 3)]
    return [np.stack(arrays) for arrays in zip(*many, strict=True)]


def difference(function, x, direction, step=1e-6):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


def direction_like(x):
    return np.random.default_rng(103).normal(size=x.shape)


# --- torch.compile and torch.export ---------------------------------------------------------------


@pytest.fixture
def dynamo(torch):
    torch._dynamo.reset()
    yield torch._dynamo
    torch._dynamo.reset()


@each_entry
def test_torch_compile(loss, data, torch, dynamo):
    z, t, w = tensors(data)
    z.requires_grad_()
    compiled = torch.compile(in_position(loss), fullgraph=True, backend="aot_eager")
    value = compiled(z, t, w)
    value.backward()
    expected = expected_of(loss, data)
    assert_close(value.detach(), expected[0])
    assert_close(z.grad, expected[1])


@pytest.mark.parametrize("name", ALL_CLASSES)
def test_torch_compile_of_functions(name, torch, dynamo):
    """There the loss is made, and its options are checked, under the compiler."""
    z, t, _ = tensors(MAP if name in MAPPED else Data(spatial=(2, 3), seed=106))
    function = getattr(al, f"{name}_loss")
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    assert_close(compiled(z, t), function(z, t))


def test_torch_compile_inductor(torch, dynamo):
    """The default backend, once: it compiles C++ for seconds."""
    z, t, w = tensors(HARD)
    z.requires_grad_()
    loss, data = TABLE["dice"]
    value = torch.compile(in_position(loss), fullgraph=True)(z, t, w)
    value.backward()
    expected = expected_of(loss, data)
    assert_close(value.detach(), expected[0])
    assert_close(z.grad, expected[1])


def test_torch_compile_prints_nothing(torch):
    """Of losses, functions, presets and scores, in a process of their own and without a filter."""
    code = """
        import torch
        import array_losses as al
        from array_losses.presets import monai

        logits, labels = torch.zeros((2, 3, 4)), torch.ones((2, 4), dtype=torch.int64)
        calls = [
            (al.CrossEntropyLoss(top_k=0.5) + al.LovaszSoftmaxLoss(), labels),
            (al.dice_loss, labels),
            (monai.DiceCELoss(to_onehot_y=True, softmax=True), labels[:, None]),
            (lambda z, t: al.jaccard_index(z.softmax(1), t), labels),
        ]
        for call, target in calls:
            torch.compile(call, backend="eager")(logits, target)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        timeout=120,
        check=True,
        capture_output=True,
        text=True,
    )
    assert not done.stdout
    assert not done.stderr


@each_entry
def test_torch_jit_trace(loss, data, torch):
    """Of a loss as it is, and what was traced is called with other numbers."""
    z, t, _ = tensors(data)
    traced = torch.jit.trace(loss, (z.flip(0), t.flip(0)))
    assert_close(traced(z, t), loss(z, t))


def test_torch_compile_in_default_mode_keeps_the_errors(torch, dynamo):
    z, t, _ = tensors(HARD)
    compiled = torch.compile(al.DiceLoss(class_weights=(1, 2)), backend="eager")
    with pytest.raises(ValueError, match="class_weights"):
        compiled(z, t)


def test_torch_compile_with_changing_shapes(torch, dynamo):
    loss, _ = TABLE["sum"]
    compiled = torch.compile(in_position(loss), fullgraph=True, dynamic=True, backend="aot_eager")
    torch._dynamo.utils.counters.clear()
    # Sizes that are equal in the first call would be taken to be equal always.
    for batch, *spatial in ((2, 4, 5), (4, 6, 7), (5, 9, 8)):
        data = Data(batch=batch, spatial=tuple(spatial), ignore=(255,), weights="float", seed=104)
        assert_close(compiled(*tensors(data)), expected_of(loss, data)[0])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@few_entries
def test_torch_export(loss, data, torch):
    class Module(torch.nn.Module):
        def forward(self, z, t, w):
            return loss(z, t, pixel_weights=w)

    inputs = tuple(tensors(data))
    exported = torch.export.export(Module(), inputs).module()
    assert_close(exported(*inputs), expected_of(loss, data)[0])


# --- torch.func -----------------------------------------------------------------------------------


@each_entry
def test_torch_func_grad(loss, data, torch):
    z, t, w = tensors(data)
    gradient, value = torch.func.grad_and_value(in_position(loss))(z, t, w)
    expected = expected_of(loss, data)
    assert_close(value, expected[0])
    assert_close(gradient, expected[1])


@each_entry
def test_torch_vmap(loss, data, torch):
    arrays = three_batches(data)
    inputs = [torch.tensor(x) for x in arrays]
    values = torch.func.vmap(in_position(loss))(*inputs)
    gradients = torch.func.vmap(torch.func.grad(in_position(loss)))(*inputs)
    for i in range(3):
        z, t, w = (x[i] for x in arrays)
        value, gradient = loss.value_and_grad(z, t, pixel_weights=w)
        assert_close(values[i], value)
        assert_close(gradients[i], gradient)


@each_entry
def test_torch_forward_mode(loss, data, torch):
    z, t, w = tensors(data)
    tangent = torch.tensor(direction_like(z))
    expected = np.sum(expected_of(loss, data)[1] * tangent.numpy())
    _, slope = torch.func.jvp(lambda z: loss(z, t, pixel_weights=w), (z,), (tangent,))
    assert_close(slope, expected)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(z, tangent)
        found = loss(dual, t, pixel_weights=w)
        assert_close(torch.autograd.forward_ad.unpack_dual(found).tangent, expected)


@smooth_entry
def test_torch_second_derivatives(loss, data, torch):
    """Backward through backward, and the Hessian, against differences of the gradient."""
    z, t, w = tensors(data)
    direction = direction_like(z)
    arrays = data.build()
    expected = difference(
        lambda x: loss.value_and_grad(x, arrays[1], pixel_weights=arrays[2])[1],
        arrays[0],
        direction,
    )
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(z, t, pixel_weights=w), z, create_graph=True)
    (second,) = torch.autograd.grad((gradient * torch.tensor(direction)).sum(), z)
    assert np.any(expected)
    assert_close(second, expected, 1e-7)
    hessian = torch.func.hessian(in_position(loss))(z.detach(), t, w)
    product = torch.tensordot(hessian, torch.tensor(direction), dims=z.ndim)
    assert_close(product, second, 1e-10)


# --- other ways of PyTorch ------------------------------------------------------------------------


@each_entry
def test_torch_autocast(loss, data, torch):
    z, t, w = (x.float() if x.is_floating_point() else x for x in tensors(data))
    layer = torch.nn.Conv2d(3, 3, 1)
    expected = loss(z, t, pixel_weights=w)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(z, t, pixel_weights=w)
        low = layer(z)
        of_low = loss(low, t, pixel_weights=w)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert low.dtype == torch.bfloat16
    assert of_low.dtype == torch.float32
    of_low.backward()
    assert torch.all(torch.isfinite(layer.weight.grad))
    assert torch.any(layer.weight.grad != 0)


@each_entry
def test_torch_without_values(loss, data, torch):
    """Shapes and dtypes on the meta device, and of fake tensors."""
    z, t, w = tensors(data)
    meta = [x.to("meta") for x in (z.half(), t, w.half())]
    value = loss(*meta[:2], pixel_weights=meta[2])
    assert value.is_meta
    assert value.shape == ()
    assert value.dtype == torch.float32

    with torch._subclasses.FakeTensorMode() as mode:
        fake = [mode.from_tensor(x) for x in (z, t, w)]
        value = loss(*fake[:2], pixel_weights=fake[2])
        assert value.shape == ()
        assert value.dtype == torch.float64


@each_entry
def test_torch_gradient_of_the_weights(loss, data, torch):
    z, t, w = tensors(data)
    z.requires_grad_()
    w.requires_grad_()
    loss(z, t, pixel_weights=w).backward()
    assert_close(z.grad, expected_of(loss, data)[1])
    logits, target, weights = data.build()
    # Along weights that are not 0: at 0 a difference would need negative weights.
    direction = direction_like(weights) * (weights != 0)
    expected = difference(lambda x: loss(logits, target, pixel_weights=x), weights, direction, 1e-7)
    assert_close(np.sum(w.grad.numpy() * direction), expected, 1e-6)


@pytest.mark.parametrize("name", CLASSES)
def test_torch_gradient_of_a_soft_target(name, torch):
    loss = getattr(al, CLASSES[name])()
    z, t, w = tensors(SOFT)
    t.requires_grad_()
    loss(z, t, pixel_weights=w).backward()
    logits, target, weights = SOFT.build()
    direction = direction_like(target)
    expected = difference(lambda x: loss(logits, x, pixel_weights=weights), target, direction)
    assert_close(np.sum(t.grad.numpy() * direction), expected, 1e-6)


def test_torch_modules_and_parameters(torch):
    """A Parameter is a tensor, and inference mode and no_grad build no graph."""
    z, t, w = tensors(HARD)
    loss, _ = TABLE["sum"]
    parameter = torch.nn.Parameter(z.clone())
    loss(parameter, t, pixel_weights=w).backward()
    assert_close(parameter.grad, expected_of(loss, HARD)[1])
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            assert not loss(parameter, t, pixel_weights=w).requires_grad
    value, gradient = loss.value_and_grad(parameter, t, pixel_weights=w)
    assert not value.requires_grad
    assert not gradient.requires_grad


# --- JAX ------------------------------------------------------------------------------------------


@each_entry
def test_jax_jit_and_grad(loss, data, jax):
    z, t, w = jax_arrays(data)
    expected = expected_of(loss, data)

    @partial(jax.jit, static_argnums=0)
    def both(loss, z, t, w):
        return jax.value_and_grad(in_position(loss))(z, t, w)

    value, gradient = both(loss, z, t, w)
    assert_close(value, expected[0])
    assert_close(gradient, expected[1])
    assert jax.eval_shape(in_position(loss), z, t, w).shape == ()


def test_jax_jit_compiles_equal_losses_once(jax):
    count = 0

    @partial(jax.jit, static_argnums=0)
    def value(loss, z, t):
        nonlocal count
        count += 1
        return loss(z, t)

    z, t, _ = jax_arrays(HARD)
    for weight in (0.5, 0.5, 2.0):
        value(
            al.CrossEntropyLoss(ignore_index=255) + weight * al.DiceLoss(ignore_index=[255]), z, t
        )
    assert count == 2


@each_entry
def test_jax_vmap(loss, data, jax):
    arrays = three_batches(data)
    inputs = [jax.numpy.asarray(x) for x in arrays]
    both = jax.jit(jax.vmap(jax.value_and_grad(in_position(loss))))
    values, gradients = both(*inputs)
    for i in range(3):
        z, t, w = (x[i] for x in arrays)
        value, gradient = loss.value_and_grad(z, t, pixel_weights=w)
        assert_close(values[i], value)
        assert_close(gradients[i], gradient)


@few_entries
def test_jax_forward_mode(loss, data, jax):
    z, t, w = jax_arrays(data)
    tangent = direction_like(z)

    @jax.jit
    def slope(z, tangent):
        return jax.jvp(lambda z: loss(z, t, pixel_weights=w), (z,), (tangent,))[1]

    expected = np.sum(expected_of(loss, data)[1] * tangent)
    assert_close(slope(z, jax.numpy.asarray(tangent)), expected)


@smooth_entry
def test_jax_second_derivatives(loss, data, jax):
    z, t, w = jax_arrays(data)
    logits, target, weights = data.build()
    direction = direction_like(z)
    expected = difference(
        lambda x: loss.value_and_grad(x, target, pixel_weights=weights)[1], logits, direction
    )
    hessian = jax.jit(jax.hessian(in_position(loss)))(z, t, w)
    assert_close(np.tensordot(np.asarray(hessian), direction, axes=z.ndim), expected, 1e-7)


@few_entries
def test_jax_gradient_of_the_weights(loss, data, jax):
    z, t, w = jax_arrays(data)
    gradient = jax.jit(jax.grad(in_position(loss), argnums=2))(z, t, w)
    logits, target, weights = data.build()
    direction = direction_like(weights) * (weights != 0)
    expected = difference(lambda x: loss(logits, target, pixel_weights=x), weights, direction, 1e-7)
    assert_close(np.sum(np.asarray(gradient) * direction), expected, 1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "dice"])
def test_jax_gradient_of_a_soft_target(name, jax):
    loss = getattr(al, CLASSES[name])()
    z, t, w = jax_arrays(SOFT)
    gradient = jax.jit(jax.grad(in_position(loss), argnums=1))(z, t, w)
    logits, target, weights = SOFT.build()
    direction = direction_like(target)
    expected = difference(lambda x: loss(logits, x, pixel_weights=weights), target, direction)
    assert_close(np.sum(np.asarray(gradient) * direction), expected, 1e-6)


CLOSED = {
    "cross entropy": al.CrossEntropyLoss(ignore_index=255, class_weights=(1, 0, 3)),
    "focal, normalised": al.FocalLoss(ignore_index=255, gamma=1.5, normalize="focal"),
    "dice of images": al.DiceLoss(ignore_index=255, pool="image", include_background=False),
    "generalised": al.GeneralizedDiceLoss(ignore_index=255, reduction="sum"),
    "sum": al.CrossEntropyLoss(ignore_index=255)
    + 0.5 * al.TverskyLoss(ignore_index=255, gamma=1.5, fn_weight=0.7)
    + al.PolyLoss(ignore_index=(1, 255)),
}
closed_entry = pytest.mark.parametrize("loss", CLOSED.values(), ids=CLOSED)


def plain_formula(loss):
    return lambda z, t, w: (
        WholeEvaluation(library_of(z), Call(loss.terms(), z, t, w), autodiff=True).value
    )


@closed_entry
def test_jax_has_the_closed_form_of_the_formula(loss, jax):
    z, t, w = jax_arrays(HARD)
    assert has_closed_form(Call(loss.terms(), z, t))
    both = jax.jit(jax.value_and_grad(in_position(loss)))
    for weights in (w, None):
        for found, expected in zip(
            both(z, t, weights), jax.value_and_grad(plain_formula(loss))(z, t, weights), strict=True
        ):
            assert_close(found, expected)
    for label in (3, -1):
        for found in both(z, t.at[0, 0, 0].set(label), None):
            assert np.any(np.isnan(found))


@closed_entry
def test_jax_transforms_the_closed_form(loss, jax):
    z, t, w = jax_arrays(HARD)
    ours, plain = in_position(loss), plain_formula(loss)
    tangent = jax.numpy.asarray(direction_like(z))

    def second(f):
        return jax.jit(lambda z: jax.jvp(lambda z: jax.grad(f)(z, t, w), (z,), (tangent,))[1])(z)

    def of_both(f):
        return jax.jit(jax.jacfwd(jax.grad(f, argnums=(0, 2)), argnums=2))(z, t, w)

    assert_close(second(ours), second(plain))
    for found, expected in zip(of_both(ours), of_both(plain), strict=True):
        assert_close(found, expected)
    assert_close(jax.hessian(ours)(z, t, w), jax.hessian(plain)(z, t, w))
    assert_close(jax.jit(ours)(z, t, w), plain(z, t, w))
    gradient = jax.grad(plain)(z, t, w)
    assert_close(jax.jit(jax.grad(jax.checkpoint(ours)))(z, t, w), gradient)
    many = jax.vmap(jax.grad(ours), in_axes=(0, None, None))(jax.numpy.stack([z, z]), t, w)
    assert_close(many, np.stack([gradient, gradient]))


@pytest.mark.parametrize("x64", [False, True])
def test_jax_precision(x64, jax):
    loss, data = TABLE["sum"]
    with jax.enable_x64(x64):
        z, t, w = (jax.numpy.asarray(x) for x in data.build())
        value, gradient = jax.jit(loss.value_and_grad)(z, t, pixel_weights=w)
        assert value.dtype == gradient.dtype == ("float64" if x64 else "float32")
        low = loss(z.astype("float32"), t, pixel_weights=w.astype("float32"))
        assert low.dtype == "float32"
    assert_close(value, expected_of(loss, data)[0], 1e-12 if x64 else 1e-5)


def test_jax_on_several_devices():
    """Sharded arrays, and the totals of `shard_map` summed by psum; two devices on one CPU."""
    pytest.importorskip("jax")
    code = """
        import numpy as np
        import jax
        from functools import partial
        from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
        import array_losses as al

        jax.config.update("jax_enable_x64", True)
        assert len(jax.devices()) == 2
        rng = np.random.default_rng(105)
        z = rng.normal(size=(4, 3, 2, 6))
        t = rng.integers(3, size=(4, 2, 6))
        t[0] = 255
        w = rng.uniform(size=t.shape)
        loss = (
            al.CrossEntropyLoss(ignore_index=255)
            + al.DiceLoss(ignore_index=255)
            + 0.5 * al.LovaszSoftmaxLoss(ignore_index=255, pool="image")
        )
        value, gradient = loss.value_and_grad(z, t, pixel_weights=w)
        mesh = Mesh(np.array(jax.devices()), ("images",))
        put = partial(jax.device_put, device=NamedSharding(mesh, P("images")))
        z, t, w = put(z), put(t), put(w)

        def close(a, b):
            np.testing.assert_allclose(np.asarray(a), b, rtol=1e-10, atol=1e-14)

        f = lambda z, t, w: loss(z, t, pixel_weights=w)
        close(f(z, t, w), value)
        close(jax.jit(f)(z, t, w), value)
        close(jax.jit(jax.grad(f))(z, t, w), gradient)
        close(loss.value_and_grad(z, t, pixel_weights=w)[1], gradient)

        def local(z, t, w):
            return loss(z, t, pixel_weights=w, all_reduce=partial(jax.lax.psum, axis_name="images"))

        split = dict(mesh=mesh, in_specs=(P("images"),) * 3, out_specs=P())
        whole = jax.jit(jax.shard_map(local, **split))
        close(whole(z, t, w), value)
        close(jax.jit(jax.grad(whole))(z, t, w), gradient)
    """
    on_several_devices(code)


def test_jax_shards_are_taken_eagerly():
    """A sharding is not a device: eager calls and gradients of every loss, and scores."""
    pytest.importorskip("jax")
    code = """
        import numpy as np
        import jax
        from functools import partial
        from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
        import array_losses as al
        from tests.cases import ALL_CLASSES, MAPPED

        jax.config.update("jax_enable_x64", True)
        rng = np.random.default_rng(106)
        z = rng.normal(size=(4, 3, 2, 5))
        t = rng.integers(3, size=(4, 2, 5))
        mesh = Mesh(np.array(jax.devices()), ("images",))
        put = partial(jax.device_put, device=NamedSharding(mesh, P("images")))

        def close(a, b):
            np.testing.assert_allclose(np.asarray(a), b, rtol=1e-10, atol=1e-14)

        for name in ALL_CLASSES:
            loss, target = getattr(al, ALL_CLASSES[name])(), z if name in MAPPED else t
            value, gradient = loss.value_and_grad(z, target)
            close(loss(put(z), put(target)), value)
            close(jax.grad(loss)(put(z), put(target)), gradient)
            close(jax.grad(loss)(put(z), target), gradient)  # labels of NumPy
            close(loss.value_and_grad(put(z), put(target))[1], gradient)
        loss = al.CrossEntropyLoss(top_k=0.6) + al.LovaszSoftmaxLoss(bins=8, pool="image")
        close(jax.grad(loss)(put(z), put(t)), loss.value_and_grad(z, t)[1])
        p, labels = np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True), np.argmax(z, axis=1)
        for score in (al.dice_coefficient, al.jaccard_index):
            close(score(put(p), put(t)), score(p, t))
            found = score(put(labels), put(t), num_classes=3)
            np.testing.assert_allclose(found, score(labels, t, num_classes=3), rtol=1e-6)
            close(score(put(labels == 1), put(t == 1)), score(labels == 1, t == 1))
    """
    on_several_devices(code)


def on_several_devices(code):
    """Run code that sees a CPU as two devices."""
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        },
        timeout=180,
        check=True,
    )


# --- what cannot be looked at ---------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSES)
def test_labels_outside_the_classes_are_nan_in_torch(name, torch, dynamo):
    loss = getattr(al, CLASSES[name])(ignore_index=255)
    z, t, _ = tensors(HARD)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    for label in (3, -1):
        t[0, 0, 0] = label
        assert torch.isnan(compiled(z, t))
        assert torch.isnan(torch.func.grad_and_value(loss)(z, t)[1])


@pytest.mark.parametrize("name", CLASSES)
def test_labels_outside_the_classes_are_nan_in_jax(name, jax):
    value = jax.jit(getattr(al, CLASSES[name])(ignore_index=255))
    z, t, _ = jax_arrays(HARD)
    for label in (3, -1):
        assert np.isnan(value(z, t.at[0, 0, 0].set(label)))
    assert np.isfinite(value(z, t.at[0, 0, 0].set(255)))


def test_negative_weights_are_nan_where_they_cannot_be_looked_at(torch, jax):
    loss = al.CrossEntropyLoss(ignore_index=255)
    z, t, w = tensors(HARD)
    w[0, 0, 0], t[0, 0, 0] = -1.0, 0
    assert torch.isnan(torch.func.grad_and_value(in_position(loss))(z, t, w)[1])
    z, t, w = (jax.numpy.asarray(x.numpy()) for x in (z, t, w))
    assert np.isnan(jax.jit(in_position(loss))(z, t, w))


@few_entries
def test_torch_jacobian_of_many_cotangents_at_once(loss, data, torch):
    logits, target, _ = (None if x is None else torch.asarray(x) for x in data.build())
    jacobian = torch.autograd.functional.jacobian(lambda z: loss(z, target), logits, vectorize=True)
    _, gradient = loss.value_and_grad(logits, target)
    torch.testing.assert_close(jacobian, gradient, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "lovasz_softmax"])
def test_torch_checkpoint(name, torch):
    """What is not saved is computed again once, and may be asked for once."""
    logits, target, _ = BACKENDS["torch"].inputs(Data(seed=8), "float32")
    loss = getattr(al, CLASSES[name])()
    gradients = []
    for call in (loss, partial(torch.utils.checkpoint.checkpoint, loss, use_reentrant=False)):
        z = logits.clone().requires_grad_()
        call(z, target).backward()
        gradients.append(z.grad)
    assert torch.equal(*gradients)
