"""Lovász-Softmax and Lovász hinge: what is special to them."""

from functools import partial
from itertools import product

import numpy as np
import pytest

import array_losses as al
from array_losses.core import bucket_sort, histogram, plan, side_by_side
from array_losses.frameworks import numpy as numpy_library
from array_losses.frameworks import of_namespace
from tests import oracle
from tests.backends import BACKENDS, on_a_device
from tests.cases import CASES, LOVASZ_LOSSES, Data
from tests.losses.test_values import assert_close

BOTH = [al.LovaszSoftmaxLoss, al.LovaszHingeLoss]
both = pytest.mark.parametrize("loss", BOTH)
ROUNDING = {"float64": 1e-13, "float32": 1e-5}


def mask_of(values):
    """Values of one image's only class, with the axes of logits."""
    return np.asarray(values, dtype=np.float64).reshape(1, 1, -1)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("what", ["ties", "zeros", "nan", "negative", "infinite"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_ways_to_sort_are_stable_and_descending(what, fast, dtype, monkeypatch):
    """Which of them is used depends on the machine."""
    monkeypatch.setattr(bucket_sort, "_sorts_integers_fast", lambda _: fast)
    rng = np.random.default_rng(5)
    errors = (rng.integers(0, 5, 40) / 4).astype(dtype)
    some = slice(None, None, 7)
    errors[some] = {"zeros": -0.0, "nan": np.nan, "negative": -1e-7, "infinite": np.inf}.get(
        what, 1
    )
    foreground = rng.random(40) < 0.5
    expected = np.argsort(-np.nan_to_num(errors, nan=9, posinf=8), kind="stable")
    order, inside = bucket_sort.in_order(BACKENDS["numpy"].xp, errors, foreground)
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(inside, foreground[expected])


def test_the_trial_of_sorting_ends_in_an_answer():
    assert bucket_sort._sorts_integers_fast(BACKENDS["numpy"].xp) in (True, False)


def test_the_extension_is_the_jaccard_loss_on_hard_predictions(library, dtype):
    """All 8 predictions of all 7 masks of three pixels that are not empty."""
    loss = al.LovaszSoftmaxLoss(activation=None)
    for truth in product([0, 1], repeat=3):
        if not any(truth):
            continue
        target = np.array([truth])
        for guess in product([0, 1], repeat=3):
            value = loss(library.asarray(mask_of(guess), dtype), library.asarray(target))
            t = sum(a & b for a, b in zip(truth, guess, strict=True))
            union = sum(a | b for a, b in zip(truth, guess, strict=True))
            assert float(value) == pytest.approx(1 - t / union, abs=1e-7)


def test_an_example_by_hand(library, dtype):
    # Errors .9 (foreground) .6 .2 (foreground); the Jaccard loss of the prefixes 1/2, 2/3, 1.
    p = library.asarray(mask_of([0.8, 0.6, 0.1]), dtype)
    target = library.asarray(np.array([[1, 0, 1]]))
    value, gradient = al.LovaszSoftmaxLoss(activation=None).value_and_grad(p, target)
    assert float(value) == pytest.approx(0.9 / 2 + 0.6 / 6 + 0.2 / 3, rel=1e-6)
    np.testing.assert_allclose(library.to_numpy(gradient), mask_of([-1 / 3, 1 / 6, -1 / 2]), 1e-6)


def test_the_hinge_by_hand(library, dtype):
    # Errors 1.5, 2, 0 beyond the margin: the last pixel is right and counts for nothing.
    logits = library.asarray(mask_of([0.5, -1.0, 2.0]), dtype)
    target = library.asarray(np.array([[0, 1, 1]]))
    value, gradient = al.LovaszHingeLoss().value_and_grad(logits, target)
    assert float(value) == pytest.approx(2 * (1 / 2) + 1.5 * (2 / 3 - 1 / 2), rel=1e-6)
    np.testing.assert_allclose(library.to_numpy(gradient), mask_of([1 / 6, -1 / 2, 0]), 1e-6)


def test_a_prediction_beyond_the_margin_is_worth_nothing(library, dtype):
    rng = np.random.default_rng(1)
    target = rng.random((2, 5, 6)) < 0.4
    signs = np.where(target, 1.0, -1.0)[:, np.newaxis]
    logits = library.asarray(signs * rng.uniform(1, 5, size=signs.shape), dtype)
    value, gradient = al.LovaszHingeLoss().value_and_grad(logits, library.asarray(target))
    assert float(value) == 0
    assert not np.any(library.to_numpy(gradient))


@both
def test_absent_class_kept_is_its_largest_error(loss, library, dtype):
    values = [-0.5, 0.25, -2.0]
    one = {} if loss is al.LovaszHingeLoss else {"activation": "sigmoid"}
    value = loss(absent="keep", **one)(
        library.asarray(mask_of(values), dtype), library.asarray(np.zeros((1, 3), dtype=bool))
    )
    largest = 1.25 if loss is al.LovaszHingeLoss else 1 / (1 + np.exp(-0.25))
    assert float(value) == pytest.approx(largest, rel=1e-6)


@both
def test_the_value_does_not_depend_on_the_order_of_ties(loss, library, dtype):
    rng = np.random.default_rng(2)
    logits = rng.integers(-1, 2, size=(1, 2, 30)).astype(np.float64)
    target = rng.integers(2, size=(1, 30))
    loss = loss()
    first = float(loss(library.asarray(logits, dtype), library.asarray(target)))
    for _ in range(3):
        order = rng.permutation(30)
        value = loss(
            library.asarray(logits[..., order], dtype), library.asarray(target[..., order])
        )
        assert float(value) == pytest.approx(first, rel=ROUNDING[dtype])


def test_ties_go_by_index(library, dtype):
    """Equal errors: the pixel with the lower index is taken as mistaken first."""
    target = np.array([[1, 0, 1, 0]])
    _, gradient = al.LovaszHingeLoss().value_and_grad(
        library.asarray(mask_of([0, 0, 0, 0]), dtype), library.asarray(target)
    )
    # Prefixes of 1, 2, 3, 4 pixels: J = 1/2, 2/3, 1, 1.
    np.testing.assert_allclose(
        library.to_numpy(gradient), mask_of([-1 / 2, 1 / 6, -1 / 3, 0]), rtol=1e-6, atol=1e-7
    )


@both
def test_steps_of_the_jaccard_loss_sum_to_1(loss, library, dtype):
    """With every error above 0 the gradient's absolute values in a class are the steps."""
    rng = np.random.default_rng(3)
    p = rng.uniform(0.1, 0.9, size=(2, 1, 40))
    target = rng.random((2, 40)) < 0.3
    weights = rng.uniform(0.5, 2, size=(2, 40))
    options = {} if loss is al.LovaszHingeLoss else {"activation": None}
    _, gradient = loss(**options).value_and_grad(
        *library.on((p, target), dtype), pixel_weights=library.asarray(weights, dtype)
    )
    total = np.abs(library.to_numpy(gradient).astype(np.float64)).sum()
    assert total == pytest.approx(1, rel=ROUNDING[dtype])


@both
def test_weights_are_counts(loss, library, dtype):
    logits, target, _ = Data(batch=1, classes=3, spatial=(12,), seed=4).build(dtype)
    counts = np.arange(12) % 4
    loss = loss()
    value = loss(
        *library.on((logits, target), dtype),
        pixel_weights=library.asarray(counts[np.newaxis].astype(np.float64), dtype),
    )
    copies = loss(
        *library.on((np.repeat(logits, counts, axis=2), np.repeat(target, counts, axis=1)), dtype)
    )
    assert float(value) == pytest.approx(float(copies), rel=ROUNDING[dtype])


@both
def test_many_pixels(loss, library, dtype):
    """Counts are exact and steps are not differences: small steps keep their digits."""
    rng = np.random.default_rng(5)
    n = 3000
    logits = rng.normal(size=(1, 1, n)).astype(dtype)
    target = rng.random((1, n)) < 0.02
    options = {} if loss is al.LovaszHingeLoss else {"activation": "sigmoid"}
    value, gradient = loss(**options).value_and_grad(*library.on((logits, target), dtype))

    z, g = logits[0, 0].astype(np.float64), target[0].astype(np.float64)
    errors = np.maximum(0, 1 - z * (2 * g - 1))
    slope = np.where(errors > 0, 1 - 2 * g, 0)
    if loss is al.LovaszSoftmaxLoss:
        p = oracle.probabilities(z[:, np.newaxis], "sigmoid")[:, 0]
        errors = np.abs(g - p)
        slope = np.sign(p - g) * p * (1 - p)
    order = np.argsort(-errors, kind="stable")
    missed, invented = np.cumsum(g[order]), np.cumsum(1 - g[order])
    jaccard = (missed + invented) / (g.sum() + invented)
    steps = np.diff(jaccard, prepend=0)
    expected = np.zeros(n)
    expected[order] = steps
    assert float(value) == pytest.approx(np.sum(errors[order] * steps), rel=ROUNDING[dtype])
    # Absolute: in float32 two errors may be equal, or change places, that are not in float64.
    if dtype == "float64":
        np.testing.assert_allclose(
            library.to_numpy(gradient)[0, 0], expected * slope, rtol=1e-10, atol=1e-15
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(7, 5), (3, 100), (64, 20), (1000, 30)])
@pytest.mark.parametrize("kind", ["labels", "ties", "ignored", "absent", "nan", "flat"])
@pytest.mark.parametrize("pool", ["batch", "image"])
@both
def test_ranges_do_not_change_the_order(loss, pool, kind, sizes, dtype, monkeypatch):
    """NumPy arrays of many pixels are sorted range by range."""
    data = Data(batch=2, spatial=(9, 11), absent=(2,) if kind == "absent" else (), seed=8)
    logits, target, _ = data.build(dtype)
    if kind == "ties":
        logits = np.round(logits)
    if kind == "flat":
        logits = np.zeros_like(logits)
    if kind == "nan":
        logits[1, 0, 3, 3] = np.nan
    if kind == "ignored":
        target[0, :2] = 255
    loss = loss(pool=pool, absent="keep", ignore_index=255)
    expected = loss.value_and_grad(logits, target)
    monkeypatch.setattr(bucket_sort, "_PIECE", sizes[0])
    monkeypatch.setattr(bucket_sort, "_BUCKET", sizes[1])
    monkeypatch.setattr(bucket_sort, "_SAMPLE", 10)
    found = [loss.value_and_grad(logits, target)]
    with plan.using(threads=3):
        found.append(loss.value_and_grad(logits, target))
    rounding = ROUNDING[dtype]
    assert found[0][0] == pytest.approx(expected[0], rel=rounding, nan_ok=True)
    for value, gradient in found:
        assert value == found[0][0] or kind == "nan"
        np.testing.assert_array_equal(gradient, found[0][1])
    np.testing.assert_allclose(found[0][1], expected[1], rtol=rounding, atol=1e-30)


@pytest.mark.parametrize("kind", ["labels", "soft", "ignored"])
@both
def test_bins_piece_by_piece(loss, kind, monkeypatch):
    """NumPy arrays of many pixels are binned a piece at a time."""
    data = Data(spatial=(9, 11), target="soft" if kind == "soft" else "labels", seed=8)
    logits, target, weights = data.build()
    if kind == "ignored":
        target[0, :2] = 255
    loss = loss(bins=16, ignore_index=None if kind == "soft" else 255)
    expected = loss.value_and_grad(logits, target, pixel_weights=weights)
    monkeypatch.setattr(numpy_library, "_PIECE", 7)
    found = loss.value_and_grad(logits, target, pixel_weights=weights)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-16)


@both
def test_batch_pool_has_no_totals_to_exchange(loss, library):
    logits, target, _ = library.inputs(Data(seed=6), library.dtypes[0])
    with pytest.raises((ValueError, NotImplementedError), match="all_reduce"):
        loss()(logits, target, all_reduce=lambda x: x)


@both
def test_image_pool_can_be_reduced(loss, library, dtype):
    logits, target, _ = library.inputs(Data(seed=7), dtype)
    loss = loss(pool="image")
    value = loss(logits, target, all_reduce=lambda x: 1 * x)
    assert_close(float(value), float(loss(logits, target)), dtype)


# --- devices: classes side by side ----------------------------------------------------------------

ON_DEVICES = [case for case in CASES if any(name in LOVASZ_LOSSES for _, name, _ in case.terms)]


@pytest.mark.parametrize(("name", "dtype"), [("numpy", "float64"), ("torch", "float32")])
@pytest.mark.parametrize("piece", [1 << 22, 50])
@pytest.mark.parametrize("given", ON_DEVICES, ids=lambda given: given.name)
def test_a_device_finds_what_the_cpu_finds(given, piece, dtype, name, request, monkeypatch):
    """With all classes at once, or as many as fit a piece; a piece is one class at least."""
    if name == "torch":
        request.getfixturevalue("torch")
    monkeypatch.setattr(side_by_side, "_PIECE", piece)
    arrays, loss, library = given.data.build(dtype), given.loss(), BACKENDS[name]
    new = partial(on_a_device, loss.terms(), *library.on(arrays, dtype))
    found, expected = [new().value()[0]], [loss(*arrays[:2], pixel_weights=arrays[2])]
    if given.is_scalar:
        found += new().value_and_gradient()
        expected += loss.value_and_grad(*arrays[:2], pixel_weights=arrays[2])
    for one, other in zip(found, expected, strict=True):
        near = 64 * np.finfo(dtype).eps * np.max(np.abs(other), initial=0)
        np.testing.assert_allclose(library.to_numpy(one), other, rtol=0, atol=near)


@pytest.mark.parametrize("options", [{}, {"bins": 8}, {"bins": 8, "pool": "image"}])
@pytest.mark.parametrize("hidden", ["class", "image", "all"])
@both
def test_what_does_not_count_on_a_device(loss, hidden, options):
    """Classes without a pixel that counts, among others and alone."""
    logits, target, _ = Data(batch=2, classes=3, spatial=(4, 5), seed=11).build()
    hide = {"class": target == 1, "image": np.arange(2)[:, None, None] == 1, "all": target >= 0}
    target = np.where(hide[hidden], 255, target)
    loss = loss(absent="keep", ignore_index=255, **options)
    value, gradient = on_a_device(loss.terms(), logits, target).value_and_gradient()
    expected = loss.value_and_grad(logits, target)
    assert value == pytest.approx(expected[0], rel=1e-13)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-12, atol=1e-16)
    np.testing.assert_array_equal(gradient == 0, expected[1] == 0)


@pytest.mark.parametrize("bins", [None, 8])
@both
def test_counts_beyond_what_floats_hold(loss, bins, torch, monkeypatch):
    """Then they are integers, as they are in PyTorch's deterministic mode."""
    arrays = Data(spatial=(9, 11), absent=(2,), seed=12).build("float32")
    loss = loss(bins=bins, absent="keep")
    tensors = BACKENDS["torch"].on(arrays, "float32")
    expected = on_a_device(loss.terms(), *tensors).value_and_gradient()
    torch.use_deterministic_algorithms(mode=True)
    try:
        found = on_a_device(loss.terms(), *tensors).value_and_gradient()
    finally:
        torch.use_deterministic_algorithms(mode=False)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("bins", [None, 64])
@both
def test_memory_is_bounded_on_a_device(loss, bins, torch):
    """What is made while a piece is sorted does not count beside the whole of many pixels."""
    from tests.devices.training_step import count
    from tests.devices.workloads import Workload

    few, many = (
        count(Workload(loss(bins=bins), (4, classes, 512, 512)), backward=False)
        for classes in (64, 128)
    )
    assert many.peak < few.peak
    assert few.peak < 6


# --- bins -----------------------------------------------------------------------------------------

BINS = [1, 3, 16, 4096]
each_bins = pytest.mark.parametrize("bins", BINS)


def bound_of(loss, logits, bins):
    """By how much the binned loss may be below the exact one."""
    if loss is al.LovaszSoftmaxLoss:
        return 1 / (2 * bins)
    return (2 + np.max(np.abs(logits))) ** 2 / (2 * bins)


@both
@each_bins
@pytest.mark.parametrize("pool", ["batch", "image"])
def test_binned_is_below_exact_and_near(loss, bins, pool):
    """Tied errors, classes that are absent, weights and soft targets among them."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits, target, weights = Data(
            spatial=(4, 5),
            target=("labels", "soft")[seed % 2],
            weights=(None, "float")[seed // 2 % 2],
            absent=((), (1,))[seed // 4 % 2],
            scale=rng.choice([0.1, 1.0, 5.0]),
            seed=seed,
        ).build()
        if seed % 3 == 0:
            logits = np.round(logits)
        options = {"pool": pool, "absent": "keep", "reduction": "none"}
        exact = loss(**options)(logits, target, pixel_weights=weights)
        binned = loss(bins=bins, **options)(logits, target, pixel_weights=weights)
        assert exact.shape == binned.shape
        assert np.all(exact > 0)
        assert np.all(binned <= exact * (1 + 1e-13))
        assert np.all(exact - binned <= bound_of(loss, logits, bins))


def test_the_bound_of_bins_is_sharp():
    """One pixel at the top of a step, very many at its bottom, and no foreground."""
    count, bins = 100_000, 4
    p = np.full(count, 0.5 + 1e-5)
    p[7] = 0.625 - 1e-5
    options = {"activation": None, "absent": "keep"}
    exact, binned = (
        al.LovaszSoftmaxLoss(bins=n, **options)(mask_of(p), np.zeros((1, count), dtype=int))
        for n in (None, bins)
    )
    assert 0.99 / (2 * bins) < exact - binned <= 1 / (2 * bins)


def test_an_example_of_bins_by_hand(library, dtype):
    # Errors .9 (foreground) .6 .8 (foreground) in the upper of two steps, .1 in the lower.
    p = library.asarray(mask_of([0.1, 0.6, 0.2, 0.1]), dtype)
    target = library.asarray(np.array([[1, 0, 1, 0]]))
    loss = al.LovaszSoftmaxLoss(activation=None, bins=1)
    value, gradient = loss.value_and_grad(p, target)
    # Foreground first: J = 1 after both, so 1/2 each and 0; background first: 1/3, 1/3 each.
    foreground, background = (1 / 2 + 1 / 3) / 2, (0 + 1 / 3) / 2
    assert float(value) == pytest.approx(foreground * (0.9 + 0.8) + background * 0.6, rel=1e-6)
    expected = mask_of([-foreground, background, -foreground, 0])
    np.testing.assert_allclose(library.to_numpy(gradient), expected, 1e-6)


@both
def test_where_no_bin_holds_two_kinds_binned_is_exact(loss, library, dtype):
    """Equal errors of one kind: the order among them does not matter to the value."""
    values = np.array([0.9, 0.9, -0.5, -0.5, -0.5, 0.25])
    target = np.array([[0, 0, 1, 1, 1, 0]])
    options = {} if loss is al.LovaszHingeLoss else {"activation": "sigmoid"}
    arrays = library.asarray(mask_of(values), dtype), library.asarray(target)
    exact, binned = (float(loss(bins=bins, **options)(*arrays)) for bins in (None, 512))
    assert binned == pytest.approx(exact, rel=ROUNDING[dtype])


@both
def test_the_order_of_ties_does_not_matter_to_binned_gradients(loss, library, dtype):
    logits = library.asarray(np.zeros((1, 1, 5)), dtype)
    target = library.asarray(np.array([[1, 0, 0, 1, 0]]))
    options = {} if loss is al.LovaszHingeLoss else {"activation": "sigmoid"}
    gradient = library.to_numpy(loss(bins=8, **options).value_and_grad(logits, target)[1])[0, 0]
    assert gradient[0] == gradient[3] < 0
    assert gradient[1] == gradient[2] == gradient[4] > 0


@both
def test_many_bins_have_almost_the_exact_gradient(loss):
    """Where each pixel has a bin of its own, the gradients are one."""
    logits, target, weights = Data(spatial=(5, 6), weights="float", seed=8).build()
    exact, binned = (
        loss(bins=bins).value_and_grad(logits, target, pixel_weights=weights)
        for bins in (None, 10**6)
    )
    assert binned[0] == pytest.approx(exact[0], rel=1e-12)
    np.testing.assert_allclose(binned[1], exact[1], rtol=1e-9, atol=1e-15)


@both
def test_binned_totals_of_halves_add_up(loss, library, dtype):
    arrays = Data(batch=4, weights="float", absent_in_first=(1,), seed=9).build(dtype)
    loss = loss(bins=16)
    kept = []
    for part in (slice(2), slice(2, None)):
        logits, target, weights = library.on([x[part] for x in arrays], dtype)
        loss(logits, target, pixel_weights=weights, all_reduce=lambda x: kept.append(x) or x)
    logits, target, weights = library.on([x[:2] for x in arrays], dtype)
    value, gradient = loss.value_and_grad(
        logits, target, pixel_weights=weights, all_reduce=lambda totals: totals + kept[1]
    )
    logits, target, weights = BACKENDS["numpy"].on(arrays, "float64")
    whole, slope = loss.value_and_grad(logits, target, pixel_weights=weights)
    assert float(value) == pytest.approx(whole, rel=ROUNDING[dtype])
    rounding = {"rtol": 10 * ROUNDING[dtype], "atol": 1e-2 * ROUNDING[dtype]}
    np.testing.assert_allclose(library.to_numpy(gradient), slope[:2], **rounding)


@both
@each_bins
def test_nan_shows_through_bins(loss, bins, library, dtype):
    """Warnings are errors in tests: a NaN has no bin, and says nothing about it."""
    logits, target, _ = Data(seed=10).build()
    logits[0, 1, 0, 0] = np.nan
    value, _ = loss(bins=bins).value_and_grad(*library.on((logits, target), dtype))
    assert np.isnan(float(value))


@both
def test_nan_shows_in_a_binned_class_that_is_skipped(loss, library, dtype):
    logits, target, _ = Data(absent=(1,), seed=10).build()
    logits[0, 1, 0, 0] = np.nan
    for absent in ("skip", "zero"):
        value = loss(bins=4, absent=absent)(*library.on((logits, target), dtype))
        assert np.isnan(float(value))


@both
@each_bins
def test_a_binned_perfect_prediction_is_worth_nothing(loss, bins, library, dtype):
    target = np.array([[0, 1, 2, 1, 0]])
    logits = np.where(target[:, np.newaxis] == np.arange(3).reshape(1, 3, 1), 1e4, -1e4)
    value, gradient = loss(bins=bins).value_and_grad(*library.on((logits, target), dtype))
    assert float(value) == 0
    assert not np.any(library.to_numpy(gradient))


@both
@each_bins
def test_a_binned_prediction_that_is_all_wrong(loss, bins, library, dtype):
    """The largest error falls into the last bin: the Jaccard loss is 1 after it."""
    values, target = np.array([-1e4, -1e4, 1e4, -1e4]), np.array([[1, 1, 0, 1]])
    options = {} if loss is al.LovaszHingeLoss else {"activation": "sigmoid"}
    logits = library.asarray(mask_of(values), dtype)
    value = loss(bins=bins, **options)(logits, library.asarray(target))
    largest = 1e4 + 1 if loss is al.LovaszHingeLoss else 1
    assert float(value) == pytest.approx(largest, rel=1e-6)


@both
def test_wrong_bins(loss):
    for bins in (0, -3):
        with pytest.raises(ValueError, match="`bins`"):
            loss(bins=bins)
    for bins in (2.5, "many", True):
        with pytest.raises(TypeError, match="`bins`"):
            loss(bins=bins)


# --- rounding -------------------------------------------------------------------------------------


def test_an_error_below_0_by_rounding_sorts_last(library):
    """A given probability may be a rounding above 1."""
    dtype = library.dtypes[-1]
    above = np.nextafter(np.float32(1), np.float32(2))
    p = library.asarray(np.array([[[above, 0.6, 0.5], [0.0, 0.4, 0.5]]]), dtype)
    loss = al.LovaszSoftmaxLoss(activation=None)
    value = loss(p, library.asarray(np.array([[0, 0, 1]])))
    assert float(value) == pytest.approx(0.4, rel=1e-6)


@pytest.mark.parametrize("bins", [1, 16, 4096])
def test_the_last_of_many_bins(bins, library):
    """float16 cannot tell 4,095.5 from 4,096, as float32 cannot in 2^24 bins."""
    if "float16" not in library.half_dtypes:
        pytest.skip("no float16")
    x = library.asarray(np.asarray([[[1.0, 0.0, 1.5]], [[0.0, 1.0, 0.0]]]), "float16")
    foreground = library.asarray(np.asarray([[[True, True, False]], [[True, False, False]]]))
    made = histogram.Histogram(of_namespace(library.xp), x, foreground, ~foreground, bins)
    inside, outside = (library.to_numpy(one)[:, 0] for one in made.sums())
    expected = np.zeros((2, 2, bins))
    for row, place, kind in ((0, 1, 0), (0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1), (1, 0, 1)):
        expected[kind, row, place * (bins - 1)] += 1
    np.testing.assert_array_equal(inside.sum(1), [2, 1])
    np.testing.assert_array_equal(outside.sum(1), [1, 2])
    if bins < 4096:  # there the last bin that float16 tells apart is some way before the end
        np.testing.assert_array_equal([inside, outside], expected)
