"""`array_losses.testing`: that it finds disagreement of every kind, and only where there is any."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import array_losses as al
from array_losses.testing import (
    UnavailableError,
    assert_agreement,
    assert_gradient,
    check_agreement,
    frameworks,
    numerical_gradient,
)
from array_losses.testing import framework as kinds
from array_losses.testing.eps import EPS, error_in_eps
from array_losses.testing.evaluation import rounded

FOUND = {framework.name: framework for framework in frameworks()}
BACKENDS = [
    (framework, device, dtype)
    for framework in FOUND.values()
    for device in framework.devices
    for dtype in framework.dtypes
]


def example(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, size=(2, 4, 5))


def smooth(x, weights):
    """A function of the standard alone."""
    xp = namespace(x)
    return xp.sum(weights * xp.exp(-x * x))


def namespace(x):
    from array_api_compat import array_namespace

    return array_namespace(x)


def is_from(x, name):
    return FOUND[name].owns(x)


@dataclass(frozen=True)
class Wrapped:
    """A right loss; those below get one thing wrong."""

    loss: al.DiceLoss = field(default_factory=al.DiceLoss)

    def __call__(self, logits, target, /, *, pixel_weights=None):
        return self.loss(logits, target, pixel_weights=pixel_weights)

    def value_and_grad(self, logits, target, /, *, pixel_weights=None):
        return self.loss.value_and_grad(logits, target, pixel_weights=pixel_weights)


class WrongGradient(Wrapped):
    def value_and_grad(self, logits, target, /, *, pixel_weights=None):
        value, gradient = super().value_and_grad(logits, target, pixel_weights=pixel_weights)
        return value, 1.00001 * gradient


class WrongValueOnStrict(Wrapped):
    def __call__(self, logits, target, /, *, pixel_weights=None):
        value = super().__call__(logits, target, pixel_weights=pixel_weights)
        return value * 1.0001 if is_from(logits, "strict") else value


class WrongGradientOnStrict(Wrapped):
    def value_and_grad(self, logits, target, /, *, pixel_weights=None):
        value, gradient = super().value_and_grad(logits, target, pixel_weights=pixel_weights)
        return value, gradient * 1.001 if is_from(logits, "strict") else gradient


class NaNOnStrict(Wrapped):
    def value_and_grad(self, logits, target, /, *, pixel_weights=None):
        value, gradient = super().value_and_grad(logits, target, pixel_weights=pixel_weights)
        return value, gradient * float("nan") if is_from(logits, "strict") else gradient


class WideGradient(Wrapped):
    def value_and_grad(self, logits, target, /, *, pixel_weights=None):
        value, gradient = super().value_and_grad(logits, target, pixel_weights=pixel_weights)
        return value, namespace(gradient).astype(gradient, namespace(gradient).float64)


class RaisesOnStrict(Wrapped):
    def value_and_grad(self, logits, target, /, *, pixel_weights=None):
        if is_from(logits, "strict"):
            msg = "no such thing\nin strict"
            raise NotImplementedError(msg)
        return super().value_and_grad(logits, target, pixel_weights=pixel_weights)


class AnswersWithNumPy(Wrapped):
    def value_and_grad(self, logits, target, /, *, pixel_weights=None):
        value, gradient = super().value_and_grad(logits, target, pixel_weights=pixel_weights)
        return np.asarray(value), gradient


def test_importing_it_imports_no_framework_but_numpy():
    code = (
        "import sys, array_losses.testing\n"
        "assert not {'torch', 'jax', 'cupy', 'array_api_strict'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numpy_is_always_found():
    assert FOUND["numpy"].devices == ("cpu",)
    assert FOUND["numpy"].version == np.__version__


def test_a_framework_that_is_installed_and_broken_is_left_out_with_a_warning(monkeypatch):
    def broken(self):
        msg = "libcuda.so.1"
        raise ImportError(msg)

    monkeypatch.setattr(kinds._Strict, "__init__", broken)
    with pytest.warns(UserWarning, match=r"strict is installed but broken: libcuda\.so\.1"):
        assert "strict" not in {framework.name for framework in frameworks()}
    with pytest.raises(UnavailableError, match="broken"):
        check_agreement(smooth, example(), frameworks=["strict"])


def test_jax_without_its_cpu_is_not_said_to_have_one(monkeypatch):
    """As with JAX_PLATFORMS=cuda."""
    jax = pytest.importorskip("jax")
    gpu = object()

    def devices(platform):
        if platform == "cpu":
            msg = "Unknown backend cpu"
            raise RuntimeError(msg)
        return [gpu]

    monkeypatch.setattr(jax, "devices", devices)
    assert kinds.named("jax").devices == ("cuda",)
    assert kinds.named("jax")._device("cuda") is gpu


@pytest.fixture
def cupy(monkeypatch):
    """A module that has of CuPy what a check asks of it, on NumPy."""
    module = ModuleType("cupy")
    module.__version__, module.__spec__ = "14.2.0", ModuleSpec("cupy", None)
    module.cuda = SimpleNamespace(is_available=lambda: True)
    module.array, module.asnumpy, module.ndarray = np.array, np.array, np.ndarray
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_bfloat16_of_cupy(cupy):
    pytest.importorskip("ml_dtypes")
    framework = kinds.named("cupy")
    assert (framework.devices, framework.dtypes[-1]) == (("cuda",), "bfloat16")
    there = framework.asarray(np.asarray([0.5, 1 / 3]), "bfloat16", "cuda")
    assert str(there.dtype) == "bfloat16"
    np.testing.assert_array_equal(framework.to_numpy(there), np.float32([0.5, 0.333984375]))
    cupy.__version__ = "13.6.0"
    assert kinds.named("cupy").dtypes == ("float64", "float32", "float16")


def test_what_is_timed_is_waited_for(monkeypatch):
    """The clock stops when value and gradient are computed, not when they are asked for."""
    waited = []

    def wait(framework, array):
        waited.append(array.shape)
        time.sleep(0.02)

    monkeypatch.setattr(kinds._NumPy, "wait", wait)
    (row,) = check_agreement(al.DiceLoss(), example(), frameworks=["numpy"], dtypes=["float32"])
    assert row.ok
    assert row.milliseconds >= 40
    assert waited[-2:] == [(), (2, 3, 4, 5)]


@pytest.mark.parametrize(("framework", "device", "dtype"), BACKENDS, ids=str)
def test_every_framework_waits(framework, device, dtype):
    with framework.precision(dtype):
        framework.wait(framework.asarray(np.ones(3), dtype, device))


@pytest.mark.parametrize(("framework", "device", "dtype"), BACKENDS, ids=str)
def test_arrays_come_back_as_they_went(framework, device, dtype):
    numbers = np.asarray([[0.5, -1.25, 3.0]])
    with framework.precision(dtype):
        there = framework.asarray(numbers, dtype, device)
        assert framework.owns(there)
        assert framework.device_of(there) == device
        assert str(there.dtype).endswith(dtype)
        back = framework.to_numpy(there)
    assert isinstance(back, np.ndarray)
    assert np.array_equal(back, numbers)
    numbers[:] = 7.0
    assert back[0, 0] == 0.5


def test_bfloat16_is_rounded_as_ml_dtypes_rounds_it():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    numbers = np.concatenate(
        [np.random.default_rng(0).normal(size=1000), [np.nan, np.inf, -np.inf, 0.0, 1e-40, 3.4e38]]
    ).astype(np.float32)
    (came,) = rounded([numbers], "bfloat16", "float32")
    with np.errstate(over="ignore"):
        expected = numbers.astype(ml_dtypes.bfloat16).astype(np.float32)
    assert np.array_equal(came, expected, equal_nan=True)


@pytest.mark.parametrize("dtype", list(EPS))
def test_errors_are_counted_in_eps(dtype):
    one = np.asarray([1.0, -0.25])
    assert error_in_eps(one, one, dtype) == 0.0
    assert error_in_eps(one + 3 * EPS[dtype], one, dtype) == pytest.approx(3.0)
    assert error_in_eps(np.asarray([np.nan, -0.25]), one, dtype) == np.inf
    assert error_in_eps(np.ones(3), one, dtype) == np.inf
    assert error_in_eps(np.full(2, 1e-300), np.zeros(2), dtype) > 0.0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"frameworks": ["tensorflow"]}, "numpy, strict, torch, jax, cupy; got 'tensorflow'"),
        ({"frameworks": ["numpy"], "devices": ["cuda"]}, "cuda was asked for, but here numpy has"),
        ({"frameworks": ["numpy"], "dtypes": ["bfloat16"]}, "bfloat16 was asked for, but"),
        ({"frameworks": ["numpy", "strict"], "dtypes": ["float16"]}, "strict has float64, float32"),
        ({"devices": ["tpu"]}, "`devices` must be among cpu, cuda; got 'tpu'"),
        ({"dtypes": ["float8"]}, "`dtypes` must be among .*; got 'float8'"),
    ],
)
def test_what_is_asked_for_and_missing_raises(asked, message):
    with pytest.raises(UnavailableError, match=message):
        check_agreement(al.DiceLoss(), example(), **asked)


def test_a_framework_that_is_not_installed_is_missing_and_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(kinds._Torch, "module", "no_such_module")
    assert "torch" not in {framework.name for framework in frameworks()}
    with pytest.raises(UnavailableError, match=r'pip install "\.\[torch\]"'):
        check_agreement(al.DiceLoss(), example(), frameworks=["torch"])


def test_a_dtype_that_only_some_have_leaves_the_others_out():
    rows = check_agreement(al.DiceLoss(), example(), dtypes=["float16"])
    assert {row.framework for row in rows} == set(FOUND) - {"strict"}


def test_a_right_loss_agrees_everywhere():
    rows = check_agreement(al.DiceLoss(), example())
    assert len(rows) == len(BACKENDS)
    assert all(row.ok for row in rows)
    assert all(row.gradient_error is not None and row.milliseconds > 0 for row in rows)
    assert_agreement(Wrapped(), example(), frameworks=["numpy", "strict"])


def test_the_third_array_is_the_pixel_weights():
    logits, target = example()
    weights = np.random.default_rng(1).random(target.shape)
    (row,) = check_agreement(
        al.DiceLoss(), (logits, target, weights), frameworks=["numpy"], dtypes=["float64"]
    )
    assert row.ok
    assert row.value == al.DiceLoss()(logits, target, pixel_weights=weights)


def test_half_precision_is_compared_with_float32_on_the_same_rounded_inputs():
    logits, target = example()
    (row,) = check_agreement(
        al.DiceLoss(), (logits, target), frameworks=["numpy"], dtypes=["float16"]
    )
    assert row.reference == al.DiceLoss()(logits.astype(np.float16).astype(np.float32), target)
    assert row.gradient_limit == 1.0
    assert 0.0 < row.gradient_error < 1.0


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (WrongGradient(), "not the slope of the value"),
        (WrongValueOnStrict(), "strict cpu float64: value 0"),
        (WrongGradientOnStrict(), "gradient 4.5e[+]12 eps off .limit 512"),
        (NaNOnStrict(), "gradient inf eps off"),
        (WideGradient(), "numpy cpu float32; strict cpu float32: the gradient is float64, not"),
        (RaisesOnStrict(), "strict cpu float64, float32: NotImplementedError: no such thing$"),
        (AnswersWithNumPy(), "the value is a ndarray, not an array of strict"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, Wrapped) else "",
)
def test_a_wrong_loss_is_caught_where_it_is_wrong(loss, text):
    with pytest.raises(AssertionError, match=rf"(?m){text}") as caught:
        assert_agreement(
            loss, example(), frameworks=["numpy", "strict"], dtypes=["float64", "float32"]
        )
    assert type(loss).__name__ in str(caught.value).splitlines()[0]


def test_a_reference_that_raises_is_a_disagreement_that_says_so():
    rows = check_agreement(al.DiceLoss(class_weights=(1.0,)), example(), frameworks=["strict"])
    assert [row.ok for row in rows] == [False, False]
    assert all("the reference, NumPy in float64, raised ValueError" in row.problem for row in rows)


def test_a_map_is_compared_entry_by_entry():
    function = al.CrossEntropyLoss(reduction="none")
    rows = check_agreement(function, example(), frameworks=["numpy", "strict"])
    assert all(row.ok and row.gradient_error is None for row in rows)
    logits, target = example()
    assert rows[0].value == pytest.approx(np.mean(function(logits, target)))

    def one_entry_off(x, y):
        values = function(x, y)
        bump = namespace(x).zeros_like(values)
        bump[0, 0, 0] = 1e-3
        return values + bump if is_from(x, "strict") else values

    rows = check_agreement(one_entry_off, example(), frameworks=["numpy", "strict"])
    assert {row.framework for row in rows if not row.ok} == {"strict"}


def test_a_function_is_differentiated_where_that_can_be():
    x = np.random.default_rng(0).normal(size=(3, 4))
    rows = check_agreement(smooth, (x, np.abs(x)))
    assert all(row.ok for row in rows)
    differentiated = {row.framework for row in rows if row.gradient_error is not None}
    assert differentiated == {"torch", "jax"} & set(FOUND)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_function_that_one_framework_gets_wrong_is_caught_there(name):
    if name not in FOUND:
        pytest.skip(f"{name} is not installed")
    x = np.random.default_rng(0).normal(size=(3, 4))

    def wrong(x, weights):
        value = smooth(x, weights)
        return value + 1e-3 * smooth(x, weights) if is_from(x, name) else value

    rows = check_agreement(wrong, (x, np.abs(x)), dtypes=["float32", "float64"])
    assert {row.framework for row in rows if not row.ok} == {name}


def test_a_gradient_that_autodiff_gets_wrong_is_caught():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(3, 4))

    def detached(x, weights):
        if is_from(x, "torch"):
            return torch.sum(weights * torch.exp(-x * x.detach()))
        return smooth(x, weights)

    rows = check_agreement(detached, (x, np.abs(x)), frameworks=["numpy", "torch"])
    assert {row.framework for row in rows if not row.ok} == {"torch"}
    assert all("not the slope" in row.problem for row in rows if not row.ok)


def test_numerical_gradient_is_right_to_nine_digits():
    x = np.random.default_rng(0).normal(size=(2, 3))
    came = numerical_gradient(smooth, x, np.ones((2, 3)))
    assert np.allclose(came, -2 * x * np.exp(-x * x), rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match=r"`step` must be positive, got 0\.0"):
        numerical_gradient(smooth, x, x, step=0.0)


def test_assert_gradient_finds_the_wrong_entry():
    logits, target = example()
    weights = np.random.default_rng(1).random(target.shape)
    assert_gradient(al.DiceLoss(), logits, target)
    assert_gradient(al.DiceLoss(), logits, target, pixel_weights=weights)

    class OneEntryOff(Wrapped):
        def value_and_grad(self, logits, target, /, *, pixel_weights=None):
            value, gradient = super().value_and_grad(logits, target, pixel_weights=pixel_weights)
            gradient[1, 2, 3, 4] *= 1.001
            return value, gradient

    with pytest.raises(AssertionError, match=r"at 1 of 120 entries; most at \(1, 2, 3, 4\)"):
        assert_gradient(OneEntryOff(), logits, target)


def test_assert_gradient_asks_for_weights_only_if_they_are_given():
    class Own:
        def __call__(self, logits, target):
            return np.sum(logits**2)

        def value_and_grad(self, logits, target):
            return np.sum(logits**2), 2.0 * logits

    logits, target = example()
    assert_gradient(Own(), logits, target)
    with pytest.raises(TypeError, match="pixel_weights"):
        assert_gradient(Own(), logits, target, pixel_weights=np.ones(target.shape))


def test_assert_gradient_does_not_take_nan_for_right():
    class NaN(Wrapped):
        def value_and_grad(self, logits, target, /, *, pixel_weights=None):
            value, gradient = super().value_and_grad(logits, target, pixel_weights=pixel_weights)
            return value, gradient * np.nan

    with pytest.raises(AssertionError, match="120 of 120"):
        assert_gradient(NaN(), *example())
