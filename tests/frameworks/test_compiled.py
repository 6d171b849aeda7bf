"""torch.compile: the closed form, its kernels and its bytes, and what follows the plain formula."""

from unittest import mock

import numpy as np
import pytest

import array_losses as al
from tests.backends import BACKENDS
from tests.cases import Data

HARD = Data(spatial=(2, 3), ignore=(255,), weights="float", seed=101)
LOSS = (
    al.CrossEntropyLoss(ignore_index=255, class_weights=(1, 0, 3))
    + 0.5 * al.DiceLoss(ignore_index=255, pool="image")
    + al.FocalLoss(ignore_index=255, gamma=1.5)
)


def loss_of(logits, target, weights=None):
    return LOSS(logits, target, pixel_weights=weights)


def tensors(dtype="float64"):
    return BACKENDS["torch"].inputs(HARD, dtype)


@pytest.fixture
def compiled(torch):
    """torch.compile without a graph break, and the differentiated formula refused or not."""

    def of(function, *, formula=False, **options):
        whole = torch_autograd.WholeEvaluation

        def evaluation(*arguments, autodiff):
            assert autodiff == formula
            return whole(*arguments, autodiff=autodiff)

        with_check = mock.patch.object(torch_autograd, "WholeEvaluation", evaluation)
        options = {"backend": "aot_eager", "fullgraph": True} | options
        traced = torch.compile(function, **options)

        def call(*arrays):
            with with_check:
                return traced(*arrays)

        return call

    from array_losses.frameworks import torch_autograd

    torch._dynamo.reset()
    yield of
    torch._dynamo.reset()


def assert_close(found, expected, rtol=1e-12):
    scale = np.max(np.abs(np.asarray(expected)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * scale)


def test_value_and_gradient(compiled):
    z, t, w = tensors()
    expected = LOSS.value_and_grad(z, t, pixel_weights=w)
    z.requires_grad_()
    value = compiled(loss_of)(z, t, w)
    (3.0 * value).backward()
    assert_close(value.detach(), expected[0])
    assert_close(z.grad, 3.0 * expected[1])


def test_one_graph_for_all_sizes(compiled, torch):
    """Also with the gradient."""
    step = compiled(loss_of, dynamic=True)
    torch._dynamo.utils.counters.clear()
    for batch, *spatial in ((2, 4, 5), (4, 6, 7), (5, 9, 8)):
        data = Data(batch=batch, spatial=tuple(spatial), ignore=(255,), weights="float", seed=104)
        z, t, w = BACKENDS["torch"].inputs(data, "float64")
        expected = LOSS.value_and_grad(z, t, pixel_weights=w)[1]
        z.requires_grad_()
        step(z, t, w).backward()
        assert_close(z.grad, expected)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_other_calls(compiled):
    """Without a gradient, with `value_and_grad`, and with the values of each loss."""
    z, t, _ = tensors()
    value, gradient = LOSS.value_and_grad(z, t)
    assert_close(compiled(loss_of)(z, t), value)
    for found, expected in zip(compiled(LOSS.value_and_grad)(z, t), (value, gradient), strict=True):
        assert_close(found, expected)
    loss, each = compiled(LOSS.value_and_terms)(z.requires_grad_(), t)
    loss.backward()
    assert_close(z.grad, gradient)
    assert_close([float(one) for one in each], [float(one(z.detach(), t)) for one in LOSS.losses])


def test_bad_values_are_nan(compiled, torch):
    """Value and gradient: labels outside the classes, negative weights."""
    step = compiled(loss_of)
    for place, bad in ((1, 3), (1, -1), (2, -1.0)):
        z, t, w = (x.clone() for x in tensors())
        t[0, 0, 0] = 0
        (z, t, w)[place][0, 0, 0] = bad
        value = step(z.requires_grad_(), t, w)
        value.backward()
        assert torch.isnan(value)
        assert torch.all(torch.any(torch.isnan(z.grad), dim=1)[0, 0, 0])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64", "int32", "bool"])
def test_dtypes_of_labels(dtype, compiled, torch):
    z = torch.randn(2, 2, 5, dtype=torch.float64, requires_grad=True)
    t = torch.randint(2, (2, 5)).to(getattr(torch, dtype))
    loss = al.CrossEntropyLoss() + al.DiceLoss()
    compiled(loss)(z, t).backward()
    assert_close(z.grad, loss.value_and_grad(z.detach(), t)[1])


def test_autocast(compiled, torch):
    layer, t = torch.nn.Conv2d(3, 3, 1), torch.randint(3, (2, 4, 5))
    x = torch.randn(2, 3, 4, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = compiled(lambda x, t: loss_of(layer(x), t))(x, t)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.any(layer.weight.grad != 0)


def test_what_follows_the_formula(compiled, torch):
    """Transforms in what is compiled, gradients of weights, and losses without a closed form."""
    z, t, w = tensors()
    value, gradient = LOSS.value_and_grad(z, t, pixel_weights=w)
    transformed = torch.func.grad_and_value(loss_of)
    for found, expected in zip(
        compiled(transformed, formula=True)(z, t, w), (gradient, value), strict=True
    ):
        assert_close(found, expected)
    many = torch.func.vmap(torch.func.grad(loss_of), in_dims=(0, None, None))
    assert_close(compiled(many, formula=True)(z[None], t, w)[0], gradient)
    w.requires_grad_()
    compiled(loss_of, formula=True)(z, t, w).backward()
    assert torch.any(w.grad != 0)
    lovasz = al.LovaszSoftmaxLoss(ignore_index=255)
    assert_close(compiled(lovasz, formula=True)(z, t), lovasz(z, t))


# --- what it costs --------------------------------------------------------------------------------

SHAPES = {19: (2, 19, 64, 64), 4: (2, 4, 32, 32, 32)}
# Kernels, and bytes as multiples of those of the logits, with the gradient.
BUDGETS = {
    ("cross entropy", 19): (7, 3.9),
    ("cross entropy", 4): (5, 8.3),
    ("focal", 19): (8, 4.2),
    ("focal", 4): (6, 10.3),
    ("Dice", 19): (16, 7.1),
    ("Dice", 4): (9, 13.6),
    ("CE + Dice", 19): (16, 7.1),
    ("CE + Dice", 4): (10, 14.3),
}


OURS = {
    "cross entropy": al.CrossEntropyLoss(),
    "focal": al.FocalLoss(),
    "Dice": al.DiceLoss(),
    "CE + Dice": al.CrossEntropyLoss() + al.DiceLoss(),
}
BY_HAND = {"focal": "focal", "Dice": "dice", "CE + Dice": "ce+dice"}


def by_hand(name):
    """The loss as one writes it with PyTorch's functions."""
    from torch.nn import functional

    from tests.devices.plain import PLAIN

    return PLAIN[BY_HAND[name]] if name in BY_HAND else functional.cross_entropy


@pytest.fixture
def costs(torch):
    """Count kernels and bytes of what Inductor makes of a loss; C++ is not compiled, nor run."""
    from torch._inductor import async_compile, compile_fx, config, metrics

    def of(loss, shape):
        torch._dynamo.reset()
        metrics.reset()
        z = torch.randn(shape, requires_grad=True)
        t = torch.randint(shape[1], (shape[0], *shape[2:]))
        torch.compile(loss, fullgraph=True)(z, t).backward()
        return metrics.generated_kernel_count, metrics.num_bytes_accessed / z.nbytes

    counted = mock.MagicMock()  # Inductor counts bytes only if it may log them
    nothing = mock.MagicMock(return_value=lambda *_: None)
    with (
        mock.patch.object(compile_fx, "inductor_metrics_log", counted),
        mock.patch.object(async_compile.AsyncCompile, "cpp_pybinding", nothing),
        config.patch(force_disable_caches=True),
    ):
        yield of
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled:UserWarning")
@pytest.mark.parametrize(("name", "classes"), BUDGETS)
def test_kernels_and_bytes(name, classes, costs):
    """Within the budget, and less than of the loss as it is written by hand."""
    kernels, size = costs(OURS[name], SHAPES[classes])
    budget = BUDGETS[name, classes]
    assert kernels <= budget[0]
    assert size <= budget[1]
    assert size < costs(by_hand(name), SHAPES[classes])[1]
