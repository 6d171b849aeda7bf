"""Dice, Jaccard and Tversky: what is special to them."""

from functools import partial

import numpy as np
import pytest

import array_losses as al
from tests.backends import on_a_device
from tests.cases import Data
from tests.losses.test_values import assert_close

FAMILY = [al.DiceLoss, al.JaccardLoss, al.TverskyLoss]
every = pytest.mark.parametrize("loss", FAMILY)


def close(dtype):
    return {"rel": 1e-5 if dtype == "float32" else 1e-13}


def per_class(loss, library, dtype, data=None, **options):
    logits, target, weights = library.inputs(data or Data(weights="float", seed=1), dtype)
    loss = loss(reduction="none", **options)
    return library.to_numpy(loss(logits, target, pixel_weights=weights))


def test_dice_and_jaccard_are_one_score(library, dtype):
    dice = 1 - per_class(al.DiceLoss, library, dtype)
    jaccard = 1 - per_class(al.JaccardLoss, library, dtype)
    np.testing.assert_allclose(jaccard, dice / (2 - dice), rtol=close(dtype)["rel"])


@pytest.mark.parametrize(("weight", "other"), [(0.5, al.DiceLoss), (1.0, al.JaccardLoss)])
def test_tversky_is_both(weight, other, library, dtype):
    tversky = per_class(al.TverskyLoss, library, dtype, fp_weight=weight, fn_weight=weight)
    np.testing.assert_allclose(tversky, per_class(other, library, dtype), rtol=close(dtype)["rel"])


@every
@pytest.mark.parametrize("absent", ["skip", "zero"])
def test_perfect_is_exactly_0(loss, absent, library, dtype):
    target = np.array([[0, 1, 1], [0, 0, 1]])
    p = np.moveaxis(np.eye(3)[target], -1, 1)
    value = loss(activation=None, absent=absent)(library.asarray(p, dtype), library.asarray(target))
    assert float(value) == 0


@every
@pytest.mark.parametrize("power", [1, 2])
def test_a_soft_target_is_its_own_best_prediction(loss, power, library, dtype):
    # Where the intersection is a product, no prediction of 0.3 gives 0 for a target of 0.3.
    _, p, _ = library.inputs(Data(target="soft", seed=2), dtype)
    value = float(loss(activation=None, power=power)(p, p))
    assert value == pytest.approx(0, abs=1e-6 if dtype == "float32" else 1e-15)
    product = loss(activation=None, intersection="product")
    assert float(product(p, p)) > 0.1


@every
@pytest.mark.parametrize("intersection", ["l1", "product"])
@pytest.mark.parametrize("power", [1, 2])
def test_hard_targets_of_every_kind_say_the_same(loss, intersection, power, library, dtype):
    logits, labels, _ = Data(seed=3).build(dtype)
    one_hot = np.moveaxis(np.eye(3)[labels], -1, 1)
    logits = library.asarray(logits, dtype)
    loss = loss(intersection=intersection, power=power)
    targets = (labels, one_hot.astype(np.int8), one_hot.astype(bool), one_hot)
    first, *others = [float(loss(logits, library.asarray(target, dtype))) for target in targets]
    assert others == pytest.approx([first] * 3, **close(dtype))


def test_units_of_smooth(library, dtype):
    """For Dice in units of 2T and P+G, for Jaccard and Tversky in units of T."""
    p = library.asarray(np.array([[0.5], [0.25]]), dtype)
    target = library.asarray(np.array([1, 0]))
    t, total = 0.5, 1.75
    for loss, expected in [
        (al.DiceLoss(activation=None, smooth=(1, 3)), 1 - (2 * t + 1) / (total + 3)),
        (al.JaccardLoss(activation=None, smooth=(1, 3)), 1 - (t + 1) / (total - t + 3)),
        (al.TverskyLoss(activation=None, smooth=(1, 3)), 1 - (t + 1) / (total / 2 + 3)),
    ]:
        assert float(loss(p, target)) == pytest.approx(expected, **close(dtype))


@every
def test_empty_mask(loss, library, dtype):
    logits = library.asarray(np.array([[-3.0], [-5.0]]), dtype)
    target = library.asarray(np.array([0, 0]))
    sigmoid = {"activation": "sigmoid"}
    value, gradient = loss(**sigmoid).value_and_grad(logits, target)
    assert float(value) == 0
    assert not np.any(library.to_numpy(gradient))
    # Kept, it is worth 1 whatever is predicted; only smoothing tells predictions apart.
    assert float(loss(**sigmoid, absent="keep")(logits, target)) == 1
    value, gradient = loss(**sigmoid, absent="keep", smooth=1.0).value_and_grad(logits, target)
    assert 0 < float(value) < 0.1
    assert np.all(library.to_numpy(gradient) > 0)


def test_nothing_predicted_of_nothing(library, dtype):
    zeros = library.asarray(np.zeros((2, 1, 3)), dtype)
    target = library.asarray(np.zeros((2, 3), dtype=np.int64))
    for loss in FAMILY:
        value, gradient = loss(activation=None, absent="keep").value_and_grad(zeros, target)
        assert float(value) == 0
        assert np.all(np.isfinite(library.to_numpy(gradient)))


@every
def test_totals_of_pieces_add_up(loss, library, dtype):
    """`all_reduce` sees one array of totals; two halves with exchanged totals are the whole."""
    data = Data(batch=4, weights="float", seed=4)
    arrays = data.build(dtype)
    halves = [library.on([x[piece] for x in arrays], dtype) for piece in (np.s_[:2], np.s_[2:])]
    loss = loss(class_weights=(1, 2, 3))

    totals = []
    for z, t, w in halves:
        loss(z, t, pixel_weights=w, all_reduce=lambda x: totals.append(x) or x)
    assert [x.ndim for x in totals] == [1, 1]
    z, t, w = library.on(arrays, dtype)
    whole, gradient = loss.value_and_grad(z, t, pixel_weights=w)
    for i, (z, t, w) in enumerate(halves):
        # Adding keeps the totals connected: JAX differentiates through the exchange.
        others = totals[1 - i]
        value, piece = loss.value_and_grad(
            z, t, pixel_weights=w, all_reduce=lambda x, others=others: x + others
        )
        assert float(value) == pytest.approx(float(whole), **close(dtype))
        expected = library.to_numpy(gradient)[2 * i : 2 * i + 2]
        assert_close(library.to_numpy(piece), expected, dtype)


# --- forms and powers -----------------------------------------------------------------------------


@every
def test_forms_of_the_loss(loss, library, dtype):
    linear = per_class(loss, library, dtype)
    rel = close(dtype)["rel"]
    log = per_class(loss, library, dtype, form="log")
    np.testing.assert_allclose(log, -np.log1p(-linear), rtol=rel)
    cosh = per_class(loss, library, dtype, form="log_cosh")
    np.testing.assert_allclose(cosh, np.log(np.cosh(linear)), rtol=rel)


@every
def test_forms_near_0_keep_their_digits(loss, library, dtype):
    """Where the loss is 1e-12 or less, so are -log(1 - loss), and log cosh: half its square."""
    logits = library.asarray(np.array([[30.0, 0.0]]), dtype)
    target = library.asarray(np.array([0]))
    linear, log, cosh = (
        float(loss(form=form)(logits, target)) for form in ("linear", "log", "log_cosh")
    )
    assert 0 < linear < 1e-12
    assert log == pytest.approx(linear, rel=1e-6)
    assert cosh == pytest.approx(0.5 * linear**2, rel=1e-6)


@every
def test_the_logarithm_ends_at_1e_30(loss, library, dtype):
    """Hits of 0 are a number, not infinity, and pull nowhere; those of 1e-20 still pull."""
    target = library.asarray(np.array([1]))
    for logit, expected in ((-1e4, 1e-30), (-46.0, None)):
        z = library.asarray(np.array([[0.0, logit]]), dtype)
        value, gradient = loss(form="log").value_and_grad(z, target)
        gradient = library.to_numpy(gradient)
        if expected:
            assert float(value) == pytest.approx(-np.log(expected), rel=1e-6)
            assert not np.any(gradient)
        else:
            assert gradient[0, 1] == pytest.approx(-1.0, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.3, 0.75, 1.0, 4 / 3])
@pytest.mark.parametrize("form", ["linear", "log", "log_cosh"])
def test_gamma_is_a_power_of_the_loss_of_a_class(gamma, form, library, dtype):
    options = {"fp_weight": 0.3, "fn_weight": 0.7, "form": form}
    plain = per_class(al.TverskyLoss, library, dtype, **options)
    power = per_class(al.TverskyLoss, library, dtype, gamma=gamma, **options)
    np.testing.assert_allclose(power, plain**gamma, rtol=close(dtype)["rel"])


def test_a_power_below_1_of_no_loss_is_0(library, dtype):
    """Where it would be infinitely steep; also of a loss that smoothing makes negative."""
    target = library.asarray(np.array([[0, 1]]))
    for options in ({}, {"smooth": (1.0, 0.0)}):
        z = library.asarray(np.array([[[1e4, 0.0], [0.0, 1e4]]]), dtype)
        value, gradient = al.TverskyLoss(gamma=0.5, **options).value_and_grad(z, target)
        assert float(value) == 0
        assert not np.any(library.to_numpy(gradient))


@every
@pytest.mark.parametrize("pool", ["batch+class", "image+class"])
def test_pooling_over_classes_is_one_class_of_all(loss, pool, library, dtype):
    """The same as one class whose pixels are those of all classes, each with its weight."""
    logits, target, weights = Data(target="multi-hot", weights="float", seed=8).build(dtype)
    pooled = loss(pool=pool, activation="sigmoid", class_weights=(0.5, 2.0, 1.0))
    z, t, w = library.on((logits, target, weights), dtype)
    value = float(pooled(z, t, pixel_weights=w))
    by_class = weights[:, None] * np.array([0.5, 2.0, 1.0]).reshape(1, 3, 1, 1)
    arrays = (logits.reshape(2, 1, -1), target.reshape(2, -1), by_class.reshape(2, -1))
    z, t, w = library.on(arrays, dtype)
    one = loss(pool=pool.removesuffix("+class"), activation="sigmoid")
    expected = float(one(z, t, pixel_weights=w))
    assert value == pytest.approx(expected, **close(dtype))


@every
def test_normalize_is_the_divisor_of_the_weighted_mean(loss, library, dtype):
    options = {"class_weights": (3.0, 0.0, 0.5)}
    logits, target, _ = library.inputs(Data(seed=9), dtype)
    total = float(np.sum(per_class(loss, library, dtype, Data(seed=9), **options)))
    for normalize, divisor in (("weights", 3.5), ("classes", 3)):
        value = float(loss(normalize=normalize, **options)(logits, target))
        assert value == pytest.approx(total / divisor, **close(dtype))


# --- generalised Dice -----------------------------------------------------------------------------


def test_a_small_class_counts_as_much_as_a_large_one(library, dtype):
    """With weights 1 / G, a class that is predicted with p everywhere adds p to the hits."""
    p = np.array([0.9, 0.1]).reshape(1, 2, 1) * np.ones((1, 2, 100))
    target = (np.arange(100) < 4).astype(np.int64)[np.newaxis]
    arrays = library.on((p, target), dtype)
    loss = al.GeneralizedDiceLoss(activation=None, weighting="simple")
    size = 90 / 96 + 10 / 4
    expected = 1 - 2 * (0.9 + 0.1) / (size + 2)
    assert float(loss(*arrays)) == pytest.approx(expected, **close(dtype))
    uniform = al.GeneralizedDiceLoss(activation=None, weighting="uniform")
    pooled = al.DiceLoss(activation=None, pool="batch+class")
    assert float(uniform(*arrays)) == pytest.approx(float(pooled(*arrays)), **close(dtype))


@pytest.mark.parametrize("present", [0, 1, 3])
def test_uniform_weights_that_keep_absent_classes_are_dice_of_all_classes(present):
    """An absent class has the weight 1 then, also where no class is present."""
    logits = np.random.default_rng(12).normal(size=(2, 3, 6))
    target = np.eye(3)[np.arange(12).reshape(2, 6) % max(present, 1)].transpose(0, 2, 1)
    target *= present > 0
    for options in ({}, {"smooth": 1.0}, {"class_weights": (1, 2, 3)}, {"power": 2}):
        options |= {"activation": "sigmoid", "absent": "keep"}
        uniform = al.GeneralizedDiceLoss(weighting="uniform", **options)
        pooled = al.DiceLoss(pool="batch+class", **options)
        value, gradient = uniform.value_and_grad(logits, target)
        expected, slope = pooled.value_and_grad(logits, target)
        assert value == pytest.approx(expected, rel=1e-13)
        np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("weighting", ["square", "simple", "uniform"])
def test_generalized_dice_of_equal_sizes_is_dice_of_all(weighting, library, dtype):
    logits, _, _ = Data(spatial=(3, 3), seed=10).build(dtype)
    target = np.broadcast_to(np.arange(9).reshape(3, 3) % 3, (2, 3, 3)).copy()
    arrays = library.on((logits, target), dtype)
    value = float(al.GeneralizedDiceLoss(weighting=weighting)(*arrays))
    expected = float(al.DiceLoss(pool="batch+class")(*arrays))
    assert value == pytest.approx(expected, **close(dtype))


def test_an_absent_class_of_generalized_dice(library, dtype):
    """It weighs nothing, or as much as the smallest class that is there."""
    logits, target, _ = Data(classes=3, absent=(2,), seed=11).build(dtype)
    sizes = [np.sum(target == c) for c in (0, 1)]
    z, t = library.on((logits, target), dtype)
    skipped = float(al.GeneralizedDiceLoss()(z, t))
    by_hand = al.GeneralizedDiceLoss(
        weighting="uniform", class_weights=(*[1 / n**2 for n in sizes], 0)
    )
    assert skipped == pytest.approx(float(by_hand(z, t)), **close(dtype))
    kept = float(al.GeneralizedDiceLoss(absent="keep")(z, t))
    weights = (*[1 / n**2 for n in sizes], max(1 / n**2 for n in sizes))
    by_hand = al.GeneralizedDiceLoss(weighting="uniform", class_weights=weights, absent="keep")
    assert kept == pytest.approx(float(by_hand(z, t)), **close(dtype))
    assert kept > skipped
    empty = library.asarray(np.full_like(target, 255))
    for absent in ("skip", "keep"):
        loss = al.GeneralizedDiceLoss(absent=absent, ignore_index=255)
        value, gradient = loss.value_and_grad(z, empty)
        assert float(value) == 0
        assert not np.any(library.to_numpy(gradient))


FORMS = [
    {},
    {"absent": "keep"},
    {"absent": "zero"},
    {"pool": "image"},
    {"form": "log"},
    {"form": "log_cosh"},
    {"power": 2},
]


@pytest.mark.parametrize("options", FORMS, ids=str)
@pytest.mark.parametrize("loss", [*FAMILY, al.GeneralizedDiceLoss])
def test_nan_in_a_class_that_is_absent_shows_unless_the_class_weighs_nothing(
    loss, options, library
):
    if loss is al.GeneralizedDiceLoss and options.get("absent") == "zero":
        pytest.skip("it has no such option")
    logits = library.asarray(np.array([[[4.0, 4.0], [-6.0, np.nan]]]), library.dtypes[0])
    target = library.asarray(np.array([[[1, 1], [0, 0]]]))
    nothing = {"class_weights": (1.0, 0.0)}
    calls = [lambda one: one(logits, target)]
    if library.module in {"numpy", "torch"}:
        calls.append(partial(_on_a_device, logits, target))
    for evaluate in calls:
        assert np.isnan(float(evaluate(loss(activation="sigmoid", **options))))
        assert np.isfinite(float(evaluate(loss(activation="sigmoid", **options, **nothing))))


def _on_a_device(logits, target, loss):
    return on_a_device(loss.terms(), logits, target).value()[0]


@pytest.mark.parametrize("loss", [al.DiceLoss, al.TverskyLoss])
@pytest.mark.parametrize("absent", ["skip", "keep", "zero"])
def test_a_class_whose_soft_target_is_below_0_counts_as_nothing(loss, absent, library, dtype):
    """As interpolation may leave it: the sum of target and prediction is no size."""
    target = np.full((1, 2, 4), -0.1)
    target[:, 0] = 1.1
    logits = np.repeat([[[4.0], [-6.0]]], 4, axis=2)
    z, t = library.on((logits, target), dtype)
    first, second = (float(loss(absent=absent, class_weights=w)(z, t)) for w in ((1, 0), (1, 1)))
    assert second == pytest.approx(first if absent == "skip" else first / 2, rel=1e-6)
    assert np.all(np.isfinite(library.to_numpy(loss(absent=absent).value_and_grad(z, t)[1])))
