"""The oracle against values worked by hand, and against PyTorch where the two agree."""

from math import exp, log, log1p

import numpy as np
import pytest

from tests import oracle

EXACT = {"rel": 1e-14, "abs": 1e-15}


def one_row(*pixels):
    """Logits of one image whose pixels are given, each the tuple of its classes' logits."""
    return np.array(pixels, dtype=np.float64).T[np.newaxis]


def logit(p):
    return log(p / (1 - p))


@pytest.fixture
def random():
    """Logits (2, 3, 4, 5), labels, and a weight for each pixel."""
    rng = np.random.default_rng(7)
    logits = rng.normal(scale=2, size=(2, 3, 4, 5))
    return logits, rng.integers(3, size=(2, 4, 5)), rng.uniform(0.5, 2, size=(2, 4, 5))


# p = (1/2, 1/4, 1/4), (1/8, 3/4, 1/8) up to a constant that the softmax does not see.
TWO_PIXELS = one_row((log(2) + 5, log(1) + 5, log(1) + 5), (log(1) - 4, log(6) - 4, log(1) - 4))
TWO_LABELS = np.array([[0, 2]])


def test_cross_entropy_by_hand():
    value = oracle.cross_entropy(TWO_PIXELS, TWO_LABELS)
    assert value == pytest.approx((log(2) + log(8)) / 2, **EXACT)


def test_cross_entropy_none_is_a_map():
    value = oracle.cross_entropy(TWO_PIXELS, TWO_LABELS, reduction="none")
    np.testing.assert_allclose(value, [[log(2), log(8)]], rtol=1e-14)


def test_cross_entropy_smoothing_by_hand():
    value = oracle.cross_entropy(
        TWO_PIXELS[:, :, :1], TWO_LABELS[:, :1], label_smoothing=0.3, reduction="sum"
    )
    assert value == pytest.approx(0.8 * log(2) + 0.1 * log(4) + 0.1 * log(4), **EXACT)


@pytest.mark.parametrize(
    ("normalize", "divisor"), [("weights", 2 * 0.5 + 3 * 4), ("valid", 2 + 3), ("all", 3)]
)
def test_cross_entropy_divisors_by_hand(normalize, divisor):
    logits = np.concatenate([TWO_PIXELS, one_row((np.nan, 0, 0))], axis=2)
    value = oracle.cross_entropy(
        logits,
        np.array([[0, 2, 255]]),
        np.array([[2.0, 3.0, 1.0]]),
        class_weights=(0.5, 1.0, 4.0),
        ignore_index=255,
        normalize=normalize,
    )
    numerator = 2 * 0.5 * log(2) + 3 * 4 * log(8)
    assert value == pytest.approx(numerator / divisor, **EXACT)


def test_binary_cross_entropy_by_hand():
    value = oracle.cross_entropy(
        one_row((logit(0.2),), (logit(0.7),)),
        np.array([[1, 0]]),
        activation="sigmoid",
        pos_weight=3.0,
    )
    assert value == pytest.approx((-3 * log(0.2) - log(0.3)) / 2, **EXACT)


def test_excluded_class_is_exact():
    logits = one_row((log(2), -np.inf, log(1)))
    value = oracle.cross_entropy(logits, np.array([[0]]))
    assert value == pytest.approx(log(1.5), **EXACT)


def test_focal_by_hand():
    value = oracle.focal(TWO_PIXELS, TWO_LABELS, gamma=2.0, alpha=(0.25, 0.5, 0.75))
    expected = 0.25 * 0.5**2 * log(2) + 0.75 * (7 / 8) ** 2 * log(8)
    assert value == pytest.approx(expected / 2, **EXACT)


def test_focal_sigmoid_by_hand():
    value = oracle.focal(
        one_row((logit(0.2),), (logit(0.7),)),
        np.array([[1, 0]]),
        activation="sigmoid",
        gamma=1.5,
        alpha=0.25,
    )
    expected = -0.25 * 0.8**1.5 * log(0.2) - 0.75 * 0.7**1.5 * log(0.3)
    assert value == pytest.approx(expected / 2, **EXACT)


def test_focal_keeps_its_accuracy_at_confident_pixels():
    # 1-p = e/(1+e), -log p = log(1+e), with e = exp(-100): far below the spacing of numbers at 1.
    e = exp(-100)
    expected = (e / (1 + e)) ** 2 * log1p(e)
    softmax = oracle.focal(one_row((100.0, 0.0)), np.array([[0]]))
    sigmoid = oracle.focal(one_row((100.0,)), np.array([[1]]), activation="sigmoid")
    assert softmax == pytest.approx(expected, rel=1e-13, abs=0)
    assert sigmoid == pytest.approx(expected, rel=1e-13, abs=0)


# One class, three pixels: p = .8, .6, .1, the first and the last in the mask.
P = one_row((0.8,), (0.6,), (0.1,))
MASK = np.array([[1, 0, 1]])
GIVEN = {"activation": None}


@pytest.mark.parametrize(
    ("loss", "options", "expected"),
    [
        ("dice", {}, 1 - 1.8 / 3.5),
        ("jaccard", {}, 1 - 0.9 / 2.6),
        ("tversky", {"fp_weight": 0.3, "fn_weight": 0.7}, 1 - 0.9 / (0.9 + 0.18 + 0.77)),
        ("dice", {"smooth": 1.0}, 1 - 2.8 / 4.5),
        ("jaccard", {"smooth": (1.0, 2.0)}, 1 - 1.9 / 4.6),
        ("dice", {"power": 2}, 1 - 1.8 / (0.64 + 0.36 + 0.01 + 2)),
        # Errors .9 .6 .2; J of the prefixes: 1/2, 2/3, 1.
        ("lovasz_softmax", {}, 0.9 / 2 + 0.6 / 6 + 0.2 / 3),
    ],
)
def test_losses_of_a_class_by_hand(loss, options, expected):
    value = oracle.LOSSES[loss](P, MASK, **GIVEN, **options)
    assert value == pytest.approx(expected, **EXACT)


def test_soft_target_by_hand():
    g = one_row((0.5,), (0.6,), (0.3,))
    assert oracle.dice(P, g, **GIVEN) == pytest.approx(1 - 2 * 1.2 / 2.9, **EXACT)
    product = 0.4 + 0.36 + 0.03
    value = oracle.dice(P, g, **GIVEN, intersection="product")
    assert value == pytest.approx(1 - 2 * product / 2.9, **EXACT)
    value = oracle.jaccard(P, g, **GIVEN, power=2)
    squares = 0.64 + 0.36 + 0.01 + 0.25 + 0.36 + 0.09
    assert value == pytest.approx(1 - product / (squares - product), **EXACT)


def test_hinge_by_hand():
    # Margins 0.5, -1, 2: errors 0.5, 2, 0. The worst pixel is foreground, the next background.
    logits = one_row((-0.5,), (-1.0,), (2.0,))
    value = oracle.lovasz_hinge(logits, np.array([[0, 1, 1]]))
    assert value == pytest.approx(2 * (1 / 2) + 0.5 * (2 / 3 - 1 / 2), **EXACT)


def test_weights_are_counts(random):
    logits, labels, _ = random
    logits, labels = logits[..., :2], labels[..., :2]
    counts = np.arange(16).reshape(labels.shape) % 3
    copies = np.repeat(logits.reshape(2, 3, -1)[0], counts[0].ravel(), axis=1)
    for name, loss in oracle.LOSSES.items():
        value = loss(logits[:1], labels[:1], counts[:1].astype(float))
        again = loss(copies[np.newaxis], np.repeat(labels[0].ravel(), counts[0].ravel())[None])
        assert value == pytest.approx(again, rel=1e-12), name


@pytest.mark.parametrize("loss", ["dice", "jaccard", "lovasz_softmax"])
def test_pools_absent_classes_and_reductions_by_hand(loss):
    # Two images of two pixels, hard predictions, three classes. Image 0 has class 0 only and one
    # pixel is predicted 2; image 1 has classes 0 and 1, all right. Class 2 is nowhere.
    predicted = np.array([[0, 2], [0, 1]])
    p = np.moveaxis(np.eye(3)[predicted], -1, 1)
    target = np.array([[0, 0], [0, 1]])
    half = {"dice": 1 - 2 / 3, "jaccard": 1 / 2, "lovasz_softmax": 1 / 2}[loss]
    third = {"dice": 1 - 4 / 5, "jaccard": 1 / 3, "lovasz_softmax": 1 / 3}[loss]

    def value(**options):
        return oracle.LOSSES[loss](p, target, **GIVEN, **options)

    assert value() == pytest.approx(third / 2, **EXACT)
    assert value(absent="zero") == pytest.approx(third / 3, **EXACT)
    assert value(absent="keep") == pytest.approx((third + 1) / 3, **EXACT)
    assert value(reduction="sum") == pytest.approx(third, **EXACT)
    assert value(include_background=False) == pytest.approx(0, **EXACT)
    assert value(pool="image") == pytest.approx(half / 2, **EXACT)
    assert value(pool="image", absent="zero") == pytest.approx(half / 6, **EXACT)
    assert value(pool="image", absent="keep") == pytest.approx((half + 0 + 1) / 6, **EXACT)
    weights = (3.0, 1.0, 2.0)
    assert value(class_weights=weights) == pytest.approx(3 * third / 4, **EXACT)
    table = value(class_weights=weights, pool="image", absent="keep", reduction="none")
    np.testing.assert_allclose(table, [[3 * half, 0, 2], [0, 0, 0]], rtol=1e-14)


def test_scores_by_hand():
    mask, truth = np.array([[True, True, False]]), np.array([[True, False, True]])
    assert oracle.dice_coefficient(mask, truth, class_axis=None) == pytest.approx(1 / 2, **EXACT)
    assert oracle.jaccard_index(mask, truth, class_axis=None) == pytest.approx(1 / 3, **EXACT)
    # class 0: 1 of 2, 1 of 2; class 1: 2 and 1, 1 in common; class 2 predicted only; 3 nowhere
    labels, truth = np.array([[0, 1, 1, 2, 3]]), np.array([[0, 1, 0, 0, 255]])
    four = {"num_classes": 4, "ignore_index": 255, "class_axis": None}
    by_class = oracle.jaccard_index(labels, truth, **four, reduction="none")
    np.testing.assert_allclose(by_class, [1 / 3, 1 / 2, 0, np.nan])
    assert oracle.jaccard_index(labels, truth, **four) == pytest.approx(5 / 18, **EXACT)
    skipped = oracle.jaccard_index(labels, truth, **four, absent="skip")
    assert skipped == pytest.approx(5 / 12, **EXACT)
    one = oracle.jaccard_index(labels, truth, **four, absent="one")
    assert one == pytest.approx(11 / 24, **EXACT)
    assert oracle.dice_coefficient(labels, truth, **four, reduction="sum") == (
        pytest.approx(1 / 2 + 2 / 3, **EXACT)
    )
    assert np.isnan(oracle.dice_coefficient(mask & ~mask, mask & ~mask, class_axis=None))


def test_numerical_gradient():
    x = np.array([[0.5, -2.0], [3.0, 1.0]])
    gradient = oracle.numerical_gradient(lambda x: np.sum(x**3), x)
    np.testing.assert_allclose(gradient, 3 * x**2, rtol=1e-8)


def test_agrees_with_torch(torch, random):
    functional = torch.nn.functional
    logits, labels, weights = random
    labels = np.where(weights < 0.8, 255, labels)
    z, t = torch.tensor(logits), torch.tensor(labels)
    class_weights = (0.5, 1.0, 3.0)
    value = oracle.cross_entropy(logits, labels, class_weights=class_weights, ignore_index=255)
    theirs = functional.cross_entropy(
        z, t, weight=torch.tensor(class_weights).double(), ignore_index=255
    )
    assert value == pytest.approx(theirs.item(), **EXACT)
    value = oracle.cross_entropy(logits, labels, label_smoothing=0.2, ignore_index=255)
    theirs = functional.cross_entropy(z, t, label_smoothing=0.2, ignore_index=255)
    assert value == pytest.approx(theirs.item(), **EXACT)
    soft = np.random.default_rng(0).random(logits.shape)
    value = oracle.cross_entropy(
        logits, soft, activation="sigmoid", pos_weight=2.0, reduction="sum"
    )
    theirs = functional.binary_cross_entropy_with_logits(
        z, torch.tensor(soft), pos_weight=torch.tensor(2.0), reduction="sum"
    )
    assert value == pytest.approx(theirs.item(), **EXACT)
