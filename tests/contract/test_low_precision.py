"""float16 and bfloat16: computed and summed in float32, gradients given back as they came."""

import numpy as np
import pytest

import array_losses as al
from array_losses.core import plan
from tests.backends import BACKENDS
from tests.cases import CLASSES, COVER, OF_LOGITS, Data

EPS32 = 2.0**-23
# Half a unit in the last place, and half the smallest subnormal: correct rounding, no more.
HALF = {"float16": (2.0**-11, 2.0**-25), "bfloat16": (2.0**-8, 2.0**-134)}

each_loss = pytest.mark.parametrize("name", CLASSES)


def rounded(backend, half_dtype, arrays):
    """The arrays in half precision, and in float32 with the same values."""
    low = backend.on(arrays, half_dtype)
    high = [
        None if x is None else backend.asarray(backend.to_numpy(x).astype(like), "float32")
        for x, like in zip(low, [np.float32, kind(arrays[1]), kind(arrays[2])], strict=True)
    ]
    return low, high


def kind(array):
    """The dtype to keep: float32 for floats."""
    if array is None or array.dtype.kind == "f":
        return np.float32
    return array.dtype


def assert_gradient_is_rounded(backend, half_dtype, low, high):
    relative, absolute = HALF[half_dtype]
    high = backend.to_numpy(high).astype(np.float64)
    np.testing.assert_allclose(
        backend.to_numpy(low).astype(np.float64),
        high,
        # Twice: float32 results of differently shaped blocks may fall on both sides of a middle.
        rtol=2 * relative,
        atol=2 * absolute + 512 * EPS32 * np.max(np.abs(high)),
    )


@pytest.mark.parametrize("target", ["labels", "soft"])
@each_loss
def test_as_float32_on_the_same_numbers(name, target, backend, half_dtype):
    data = Data(target=target, weights="float", spatial=(5, 7), seed=21)
    low, high = rounded(backend, half_dtype, data.build())
    loss = getattr(al, CLASSES[name])()
    value, gradient = loss.value_and_grad(low[0], low[1], pixel_weights=low[2])
    expected, reference = loss.value_and_grad(high[0], high[1], pixel_weights=high[2])

    assert backend.dtype_of(value) == "float32"
    assert backend.dtype_of(gradient) == half_dtype
    assert gradient.shape == low[0].shape
    assert float(value) == pytest.approx(float(expected), rel=8 * EPS32)
    assert_gradient_is_rounded(backend, half_dtype, gradient, reference)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_maps_are_float32(name, backend, half_dtype):
    low, high = rounded(backend, half_dtype, Data(seed=4).build())
    loss = getattr(al, CLASSES[name])(reduction="none")
    value = loss(low[0], low[1])
    assert backend.dtype_of(value) == "float32"
    np.testing.assert_allclose(
        backend.to_numpy(value), backend.to_numpy(loss(high[0], high[1])), rtol=8 * EPS32
    )


@each_loss
def test_more_pixels_than_float16_has_numbers(name, backend, half_dtype):
    """90,000 pixels: sums are beyond 65,504, and 1 / 90,000 times a probability is subnormal."""
    rng = np.random.default_rng(8)
    logits = rng.normal(size=(1, 1, 300, 300)) - 1
    target = (rng.random((1, 300, 300)) < 0.9).astype(np.uint8)
    low, high = rounded(backend, half_dtype, (logits, target, None))
    options = {} if name in OF_LOGITS else {"activation": "sigmoid"}
    for reduction in ("sum", "mean"):
        loss = getattr(al, CLASSES[name])(reduction=reduction, **options)
        value, gradient = loss.value_and_grad(low[0], low[1])
        expected, reference = loss.value_and_grad(high[0], high[1])
        assert np.isfinite(float(value))
        assert float(value) == pytest.approx(float(expected), rel=1e-6)
        assert_gradient_is_rounded(backend, half_dtype, gradient, reference)


@each_loss
def test_torch_backward(name, torch):
    loss = getattr(al, CLASSES[name])()
    z, t, _ = (None if x is None else torch.tensor(x) for x in Data(seed=6).build())
    for dtype in (torch.float16, torch.bfloat16):
        low = z.to(dtype).requires_grad_()
        high = low.detach().float().requires_grad_()
        value = loss(low, t)
        value.backward()
        loss(high, t).backward()
        assert value.dtype == torch.float32
        assert low.grad.dtype == dtype
        torch.testing.assert_close(
            low.grad, high.grad.to(dtype), rtol=2 * torch.finfo(dtype).eps, atol=1e-7
        )


@pytest.mark.parametrize(
    ("module", "low"), [("numpy", "float32"), ("torch", "float32"), ("torch", "bfloat16")]
)
@each_loss
def test_a_million_pixels_in_float32(name, module, low, request):
    """Sums in float32 keep their digits: as in float64 on the same numbers, to 1e-6."""
    if module == "torch":
        request.getfixturevalue("torch")
    library = BACKENDS[module]
    rng = np.random.default_rng(10)
    logits = rng.normal(size=(1, 1, 1000, 1000)) - 1
    target = (rng.random((1, 1000, 1000)) < 0.9).astype(np.uint8)
    options = {} if name in OF_LOGITS else {"activation": "sigmoid"}
    loss = getattr(al, CLASSES[name])(**options)
    logits = library.asarray(logits, low)
    target = library.asarray(target)
    expected = loss(library.asarray(library.to_numpy(logits), "float64"), target)
    assert float(loss(logits, target)) == pytest.approx(float(expected), rel=1e-6)


@each_loss
def test_a_loss_scale_comes_before_rounding(name, torch):
    """Loss scaling keeps small gradients in float16: scaled first, rounded to float16 last."""
    rng = np.random.default_rng(11)
    logits = torch.asarray(3 * rng.normal(size=(1, 3, 100, 100))).to(torch.float16)
    target = torch.asarray(rng.integers(0, 3, (1, 100, 100)))
    low, high = logits.clone().requires_grad_(), logits.double().requires_grad_()
    loss = getattr(al, CLASSES[name])()
    (2.0**16 * loss(low, target)).backward()
    (2.0**16 * loss(high, target)).backward()
    error = (low.grad.double() - high.grad).abs().sum() / high.grad.abs().sum()
    assert float(error) < 1e-3


# --- dtypes of NumPy that are not its own, or of the other byte order -----------------------------


def in_dtype(data, dtype):
    """The inputs in a dtype, and the same numbers as NumPy computes with them."""
    given = [x if x is None else x.astype(dtype) for x in data.build()]
    native = np.float32 if np.dtype(dtype).itemsize < 4 else np.dtype(dtype).newbyteorder("=")
    return given, [x if x is None else x.astype(native) for x in given]


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", "bfloat16"])
def test_numpy_dtypes_that_are_not_native(dtype):
    """Every loss, in blocks: logits, soft target and weights."""
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    for case in COVER:
        (logits, target, weights), native = in_dtype(case.data, dtype)
        if case.data.target not in {"soft", "distances"}:
            target = native[1] = case.data.build()[1].astype(">i8")
        if case.data.weights == "mask":
            weights = native[2] = case.data.build()[2]
        loss = case.loss()
        with plan.using(block_pixels=5, threads=2):
            expected = loss(native[0], native[1], pixel_weights=native[2])
            found = loss(logits, target, pixel_weights=weights)
            np.testing.assert_array_equal(found, expected, err_msg=case.name)
            assert found.dtype.isnative
            if case.is_scalar:
                both = loss.value_and_grad(logits, target, pixel_weights=weights)
                reference = loss.value_and_grad(native[0], native[1], pixel_weights=native[2])
                assert both[1].dtype == logits.dtype
                # A sum of losses rounds the gradient once for each group of them.
                rounding = 2.0**-6 if logits.itemsize == 2 else 64 * np.finfo(logits.dtype).eps
                largest = np.max(np.abs(reference[1]), initial=0.0)
                np.testing.assert_allclose(
                    both[1].astype(float),
                    reference[1],
                    rtol=rounding,
                    atol=rounding * largest,
                    err_msg=case.name,
                )


def test_a_large_gradient_of_bfloat16_in_numpy():
    """Its memory is touched first."""
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    logits, labels = np.zeros((1, 2, 1 << 23), bfloat16), np.zeros((1, 1 << 23), np.uint8)
    _, gradient = al.CrossEntropyLoss(reduction="sum").value_and_grad(logits, labels)
    assert gradient.dtype == bfloat16
    assert np.all(gradient[:, 0, :] == -0.5)


@pytest.mark.parametrize("name", ["float8_e4m3fn", "int4"])
def test_dtypes_that_numpy_knows_nothing_of(name):
    dtype = getattr(pytest.importorskip("ml_dtypes"), name)
    logits, labels = np.zeros((1, 3, 4)), np.zeros((1, 4), int)
    loss = al.CrossEntropyLoss()
    with pytest.raises(TypeError, match=f"`logits` must be real floating, got {name}"):
        loss(logits.astype(dtype), labels)
    with pytest.raises(TypeError, match=f"`pixel_weights` must be real floating .* got {name}"):
        loss(logits, labels, pixel_weights=np.ones((1, 4)).astype(dtype))
