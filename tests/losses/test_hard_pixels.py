"""The hardest pixels: which are kept, and by what the mean is divided."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import array_losses as al
from array_losses.core import plan
from array_losses.losses.hard_pixels import _part
from tests.backends import BACKENDS
from tests.cases import Data
from tests.losses.test_values import assert_close

KINDS = [{"top_k": 0.4}, {"ohem_threshold": 0.4}, {"ohem_threshold": 0.05, "min_kept": 10}]
each_kind = pytest.mark.parametrize("options", KINDS, ids=["top-k", "ohem", "ohem-at-least"])


def two_classes(*p):
    """The logits of pixels in a row whose class 0 has these probabilities."""
    return np.log(np.array([[p, [1 - one for one in p]]]))


def kept(library, logits, target, weights=None, dtype=None, **options):
    """Where the gradient of the sum is not 0, as a flat array."""
    dtype = dtype or library.dtypes[0]
    arrays = library.on((logits, target, weights), dtype)
    loss = al.CrossEntropyLoss(reduction="sum", **options)
    _, gradient = loss.value_and_grad(*arrays[:2], pixel_weights=arrays[2])
    return np.any(library.to_numpy(gradient) != 0, axis=1).ravel()


# --- how many -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "top_k", "expected"),
    [
        (100, 0.29, 29),  # 0.29 * 100 is 28.999999999999996 in floating point
        (100, 0.58, 58),
        (30, 0.1, 3),
        (29, 0.1, 2),
        (10, 0.3, 3),
        (9, 1 / 3, 3),
        (1000, 0.333, 333),
        (7, 0.01, 1),  # never none
        (7, 1e-9, 1),
        (7, 0.999, 6),
        (1, 0.5, 1),
    ],
)
def test_number_of_top_k(pixels, top_k, expected, library):
    logits, target, _ = Data(batch=1, spatial=(pixels,), seed=1).build()
    assert np.sum(kept(library, logits, target, top_k=top_k)) == expected


@pytest.mark.parametrize("index", ["int32", "int64"])
def test_a_percentage_is_nnunet_s(index):
    for percent in range(1, 101):
        for count in (*range(200), 10_000, 123_457, 16_777_217):
            number = _part(np, np.asarray(count, dtype=index), percent / 100)
            assert number == int(count * percent / 100)
            assert number.dtype == index


@given(st.integers(0, 2**31 - 1), st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_part_is_exact_in_32_bits(count, p, q):
    p, q = min(p, q), max(p, q)
    with np.errstate(over="raise"):
        assert _part(np, np.asarray(count, dtype=np.int32), p / q) == count * Fraction(p, q) // 1


def test_ignored_pixels_are_in_no_number(library):
    """Of 20 pixels 10 count, and of these 4 are kept; or 8 of all."""
    logits, target, _ = Data(batch=1, spatial=(20,), seed=2).build()
    target[0, ::2] = 255
    found = kept(library, logits, target, top_k=0.4, ignore_index=255)
    assert np.sum(found) == 4
    assert not np.any(found[::2])
    masked = kept(library, logits, target % 255, (target != 255), top_k=0.4)
    np.testing.assert_array_equal(masked, found)
    weightless = kept(library, logits, target % 255, (target != 255) * 1.0, top_k=0.4)
    np.testing.assert_array_equal(weightless, found)
    found = kept(library, logits, target, top_k=0.4, ignore_index=255, normalize="all")
    assert np.sum(found) == 8
    # 16 of all: 10 that count, and 6 of loss 0, which only the divisor shows.
    options = {"top_k": 0.8, "ignore_index": 255, "normalize": "all"}
    arrays = library.on((logits, target), library.dtypes[0])
    plain = al.CrossEntropyLoss(ignore_index=255, reduction="sum")(*arrays)
    value = al.CrossEntropyLoss(**options)(*arrays)
    assert float(value) == pytest.approx(float(plain) / 16, rel=1e-5)


# --- which ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 4, 9])
def test_of_equal_pixels_the_first_are_kept(number, library):
    logits, target = np.zeros((2, 3, 10)), np.zeros((2, 10), dtype=int)
    target[0, 1], target[1, 3] = 255, 255
    logits[1, 0, 7] = -1.0  # the hardest
    order = [17, 0, 2, 3, 4, 5, 6, 7, 8]
    for options in ({"top_k": number / 18}, {"ohem_threshold": 1e-3, "min_kept": number}):
        found = kept(library, logits, target, ignore_index=255, **options)
        np.testing.assert_array_equal(np.flatnonzero(found), sorted(order[:number]))


def test_top_k_compares_losses_as_they_count(library):
    logits, target = two_classes(0.5, 0.6, 0.7, 0.2), np.array([[0, 0, 0, 1]])
    options = {"top_k": 0.25}
    expected = [True, False, False, False]
    np.testing.assert_array_equal(kept(library, logits, target, **options), expected)
    weights = np.array([[1.0, 1.0, 3.0, 1.0]])
    expected = [False, False, True, False]
    np.testing.assert_array_equal(kept(library, logits, target, weights, **options), expected)
    options["class_weights"] = (1.0, 9.0)
    expected = [False, False, False, True]
    np.testing.assert_array_equal(kept(library, logits, target, weights, **options), expected)


@pytest.mark.parametrize("changed", [{}, {"class_weights": (9.0, 1.0)}, {"label_smoothing": 0.5}])
def test_the_threshold_compares_probabilities(changed, library):
    """Whatever the loss makes of them."""
    logits, target = two_classes(0.5, 0.6, 0.7, 0.3), np.array([[0, 0, 0, 1]])
    for weights in (None, np.array([[0.1, 1.0, 9.0, 1.0]])):
        for threshold, number in ((0.55, 1), (0.65, 2), (0.701, 4), (0.4, 0)):
            for least in range(5):
                options = {"ohem_threshold": threshold, "min_kept": least, **changed}
                found = kept(library, logits, target, weights, **options)
                expected = np.arange(4) < max(number, least)
                np.testing.assert_array_equal(found, expected)


def test_the_threshold_of_a_sigmoid_is_on_all_classes_together(library):
    """Two classes with p = 0.8 and 0.9 are both right with 0.72."""
    p = np.array([0.8, 0.1]).reshape(1, 2, 1)
    logits, target = np.log(p / (1 - p)), np.array([[[1], [0]]])
    for threshold, number in ((0.71, 0), (0.73, 1)):
        options = {"activation": "sigmoid", "ohem_threshold": threshold}
        assert np.sum(kept(library, logits, target, **options)) == number


def test_min_kept_may_be_any_number(library):
    logits, target, _ = Data(seed=3).build()
    arrays = library.on((logits, target), library.dtypes[0])
    plain = al.CrossEntropyLoss()(*arrays)
    every = al.CrossEntropyLoss(ohem_threshold=0.1, min_kept=10**12)(*arrays)
    assert float(every) == pytest.approx(float(plain), rel=1e-6)


def test_nothing_below_the_threshold_is_0(library):
    logits = library.asarray(two_classes(0.9, 0.8), library.dtypes[0])
    loss = al.CrossEntropyLoss(ohem_threshold=0.7)
    value, gradient = loss.value_and_grad(logits, library.asarray(np.array([[0, 0]])))
    assert float(value) == 0
    np.testing.assert_array_equal(library.to_numpy(gradient), 0)


def test_the_largest_fraction_is_the_plain_loss(library):
    inputs = library.inputs(Data(ignore=(255,), weights="float", seed=4), library.dtypes[0])
    logits, target, weights = inputs
    plain, whole = (al.CrossEntropyLoss(ignore_index=255, top_k=k) for k in (None, 1.0))
    options = {"pixel_weights": weights, "all_reduce": lambda totals: 2 * totals}
    for one, other in zip(
        plain.value_and_grad(logits, target, **options),
        whole.value_and_grad(logits, target, **options),
        strict=True,
    ):
        np.testing.assert_array_equal(library.to_numpy(one), library.to_numpy(other))


# --- the number -----------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_it_is_the_plain_loss_of_what_is_kept(options, activation, library, dtype):
    data = Data(ignore=(255,), weights="float", seed=5)
    common = {"activation": activation, "ignore_index": 255, "class_weights": (0.5, 1.0, 2.0)}
    logits, target, weights = library.inputs(data, dtype)
    found = kept(library, *data.build(), dtype=dtype, **common, **options)
    left = data.build()[2] * found.reshape(target.shape)
    mine = al.CrossEntropyLoss(**common, **options).value_and_grad(
        logits, target, pixel_weights=weights
    )
    plain = al.CrossEntropyLoss(**common).value_and_grad(
        logits, target, pixel_weights=library.asarray(left, dtype)
    )
    for one, other in zip(mine, plain, strict=True):
        assert_close(library.to_numpy(one), library.to_numpy(other), dtype)


@each_kind
def test_the_map_is_0_where_a_pixel_is_not_kept(options, library, dtype):
    data = Data(ignore=(255,), seed=6)
    logits, target, _ = library.inputs(data, dtype)
    plain = al.CrossEntropyLoss(ignore_index=255, reduction="none")(logits, target)
    pixels = al.CrossEntropyLoss(ignore_index=255, reduction="none", **options)(logits, target)
    found = kept(library, *data.build(), dtype=dtype, ignore_index=255, **options)
    expected = np.where(found.reshape(target.shape), library.to_numpy(plain), 0)
    assert_close(library.to_numpy(pixels), expected, dtype)
    total = al.CrossEntropyLoss(ignore_index=255, reduction="sum", **options)(logits, target)
    assert_close(float(total), np.sum(expected, dtype=np.float64), dtype)


@each_kind
def test_nan_of_a_counted_pixel_shows(options, library):
    for broken in range(3):
        arrays = Data(target="soft", weights="float", seed=7).build()
        arrays[2][...] = 1.0
        arrays[broken][(0, 1, 0, 0) if broken < 2 else (0, 0, 0)] = np.nan
        logits, target, weights = library.on(arrays, library.dtypes[0])
        loss = al.CrossEntropyLoss(**options)
        assert np.isnan(float(loss(logits, target, pixel_weights=weights)))


def test_infinite_pixels_that_are_not_kept_do_no_harm(library):
    logits = np.zeros((1, 2, 4))
    logits[0, 1] = -np.inf
    logits, target = library.on((logits, np.array([[1, 1, 1, 0]])), library.dtypes[0])
    value = al.CrossEntropyLoss(top_k=0.5)(logits, target)
    pixels = al.CrossEntropyLoss(top_k=0.5, reduction="none")(logits, target)
    assert float(value) == np.inf
    np.testing.assert_array_equal(library.to_numpy(pixels), [[np.inf, np.inf, 0, 0]])


@each_kind
def test_a_sum_is_the_sum(options, library, dtype):
    """With losses that see all pixels, that choose others, and that sort."""
    data = Data(ignore=(255,), weights="float", seed=8)
    logits, target, weights = library.inputs(data, dtype)
    losses = [
        al.DiceLoss(ignore_index=255),
        al.CrossEntropyLoss(ignore_index=255, **options),
        al.CrossEntropyLoss(ignore_index=255, top_k=0.7),
        al.CrossEntropyLoss(ignore_index=255),
        al.LovaszSoftmaxLoss(ignore_index=255),
    ]
    parts = [one.value_and_grad(logits, target, pixel_weights=weights) for one in losses]
    value, gradient = sum(losses).value_and_grad(logits, target, pixel_weights=weights)
    assert_close(float(value), float(sum(part[0] for part in parts)), dtype)
    expected = sum(library.to_numpy(part[1]) for part in parts)
    np.testing.assert_allclose(
        library.to_numpy(gradient), expected, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13
    )


# --- PyTorch --------------------------------------------------------------------------------------


def test_as_torch_topk(torch):
    logits, target, _ = BACKENDS["torch"].inputs(Data(ignore=(255,), seed=9), "float64")
    logits.requires_grad_()
    pixels = torch.nn.functional.cross_entropy(
        logits, target, ignore_index=255, reduction="none", label_smoothing=0.1
    )
    theirs = torch.topk(pixels.reshape(-1), int(pixels.numel() * 20 / 100)).values.mean()
    loss = al.CrossEntropyLoss(ignore_index=255, label_smoothing=0.1, top_k=0.2, normalize="all")
    mine = loss(logits, target)
    torch.testing.assert_close(mine, theirs, rtol=1e-14, atol=0)
    (expected,) = torch.autograd.grad(theirs, logits)
    (gradient,) = torch.autograd.grad(mine, logits)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-16)


@each_kind
def test_backward_of_half_precision_and_of_maps(options, torch):
    """Where the backward pass comes apart from the forward pass, with the pixels that it chose."""
    loss = al.CrossEntropyLoss(ignore_index=255, **options)
    z, t, _ = (None if x is None else torch.tensor(x) for x in Data(ignore=(255,), seed=10).build())
    low = z.to(torch.bfloat16).requires_grad_()
    high = low.detach().float().requires_grad_()
    (loss(low, t) + al.DiceLoss(ignore_index=255)(low, t)).backward()
    ((loss + al.DiceLoss(ignore_index=255))(high, t)).backward()
    torch.testing.assert_close(low.grad, high.grad.bfloat16(), rtol=2**-6, atol=1e-5)

    none = al.CrossEntropyLoss(ignore_index=255, reduction="none", **options)
    total = al.CrossEntropyLoss(ignore_index=255, reduction="sum", **options)
    one, other = z.clone().requires_grad_(), z.clone().requires_grad_()
    none(one, t).sum().backward()
    total(other, t).backward()
    torch.testing.assert_close(one.grad, other.grad)


@each_kind
def test_second_derivatives(options, torch):
    data = Data(spatial=(2, 2), ignore=(255,), weights="float", seed=11)
    logits, target, weights = BACKENDS["torch"].inputs(data, "float64")
    loss = al.CrossEntropyLoss(ignore_index=255, **options)

    def function(z):
        return loss(z, target, pixel_weights=weights)

    logits.requires_grad_()
    assert torch.autograd.gradcheck(function, (logits,))
    assert torch.autograd.gradgradcheck(function, (logits,))


def test_equal_pixels_by_the_plain_formula(torch, jax):
    """The frameworks' own sorts keep the pixels that NumPy's partition keeps."""
    rng = np.random.default_rng(12)
    pixels = rng.integers(0, 2, size=(1, 3, 200)).astype(np.float64)
    target = rng.integers(0, 3, size=(1, 200))
    loss = al.CrossEntropyLoss(top_k=0.31)
    _, expected = loss.value_and_grad(pixels, target)
    found = torch.func.grad(loss)(torch.tensor(pixels), torch.tensor(target))
    assert np.sum(np.any(expected != 0, axis=1)) == 62
    assert np.sum(np.any(found.numpy() != 0, axis=1)) == 62
    _, theirs = loss.value_and_grad(jax.numpy.asarray(pixels), jax.numpy.asarray(target))
    assert np.sum(np.any(np.asarray(theirs) != 0, axis=1)) == 62
    assert float(loss(torch.tensor(pixels), torch.tensor(target))) == pytest.approx(
        float(loss(pixels, target)), rel=1e-14
    )


@pytest.mark.parametrize("equal", [False, True])
def test_memory_of_the_value(equal):
    """Bytes per pixel: the losses and a copy to find the border in, 4 each, and a few masks."""
    pixels = 1 << 20
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 2, pixels)).astype(np.float32)
    labels = np.zeros((1, pixels), np.uint8)
    logits = np.zeros_like(logits) if equal else logits
    for loss in (al.CrossEntropyLoss(top_k=0.1), al.CrossEntropyLoss(ohem_threshold=0.4)):
        with plan.using(threads=1):
            loss(logits, labels)
            tracemalloc.start()
            try:
                loss(logits, labels)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert peak < 12 * pixels
