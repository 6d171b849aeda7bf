"""The Dice and Jaccard coefficients: values, what counts, how arrays are read."""

import itertools

import numpy as np
import pytest

import array_losses as al
from array_losses.core import plan
from tests import oracle
from tests.contract.test_bad_input import says

SCORES = ("dice_coefficient", "jaccard_index")
each_score = pytest.mark.parametrize("score", SCORES)
NAN = float("nan")

POOLS = ("batch", "image", "batch+class", "image+class")
ABSENT = ("nan", "skip", "one", "zero")
REDUCTIONS = ("mean", "sum", "none")
# All that go together, and a few in which each meets each other once or more.
EVERY = [
    {"pool": pool, "absent": absent, "reduction": reduction, "include_background": background}
    for pool, absent, reduction, background in itertools.product(
        POOLS, ABSENT, REDUCTIONS, (True, False)
    )
]
SOME = [{}, *EVERY[1::9]]
OF_ONE_CLASS = [one for one in EVERY if one["include_background"]]


def of_labels(seed, *, ignored=True):
    """Labels of five classes: 2 is nowhere, 3 predicted only, 4 in one target, 1 in one image."""
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 1, 255] if ignored else [0, 1], size=(2, 4, 6))
    target[0][target[0] == 1] = 0
    prediction = np.where(rng.random(target.shape) < 0.6, target, rng.integers(2, size=(2, 4, 6)))
    prediction[prediction == 255] = 3
    prediction[1, 0, :2], target[1, 0, :2], target[1, 1, 1] = 3, 0, 4
    return prediction, target


def one_hot(labels, classes=5):
    return np.moveaxis(labels[..., None] == np.arange(classes), -1, 1)


def recipe(kind):
    """Prediction, target and options of the library, then prediction and options of the oracle."""
    rng = np.random.default_rng(4)
    if kind == "mask":
        prediction, target = rng.random((2, 3, 4, 5)) < 0.4
        prediction[1], target[1] = False, False  # nothing in one image
        return prediction, target, {}, prediction, {"class_axis": None}
    prediction, target = of_labels(5, ignored=kind == "labels")
    hot = one_hot(prediction)
    if kind == "labels":
        options = {"num_classes": 5, "ignore_index": 255}
        return prediction, target, options, prediction, {**options, "class_axis": None}
    if kind == "bool":
        return hot, one_hot(target), {"num_classes": 5}, hot, {}
    if kind == "integer":
        several = one_hot(target).astype(int) | (rng.random(hot.shape) < 0.1)
        several[:, 2] = 0
        several[0, 0, 1] = -1
        options = {"num_classes": 5, "ignore_index": -1}
        return hot.astype(np.uint8), several, options, hot, {"ignore_index": -1}
    if kind == "bool of labels":
        return hot, target, {"num_classes": 5}, hot, {}
    p = np.where(np.arange(5)[:, None, None] == 2, 0.0, rng.random(hot.shape))
    p = np.moveaxis(p / p.sum(axis=1, keepdims=True), 1, -1)
    if kind == "probabilities":
        return p, target, {"class_axis": -1}, p, {"class_axis": -1}
    g = np.moveaxis(np.where(np.arange(5)[:, None, None] == 2, 0.0, rng.random(hot.shape)), 1, -1)
    return p, g, {"class_axis": -1, "num_classes": 5}, p, {"class_axis": -1}


KINDS = ("mask", "labels", "bool", "integer", "bool of labels", "probabilities", "soft")


WEIGHTS = (None, "float", "bool")


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
@each_score
def test_against_the_definition(score, kind, weights, library):
    prediction, target, options, seen, known = recipe(kind)
    pixels = target.shape if target.ndim == 3 or kind == "mask" else None
    if pixels is None:
        pixels = np.delete(target.shape, options.get("class_axis", 1))
    rng = np.random.default_rng(6)
    w = None if weights is None else rng.uniform(0.5, 2, pixels) * (rng.random(pixels) < 0.8)
    w = w > 0 if weights == "bool" else w
    dtype = library.dtypes[0]
    p, t, given = library.on((prediction, target, w), dtype)
    # JAX compiles each: another one for each test.
    one = [SOME[(KINDS.index(kind) * 3 + WEIGHTS.index(weights)) % len(SOME)]]
    every = {"numpy": EVERY, "jax": one}.get(library.module, SOME)
    if kind == "mask":
        every = [one for one in every if one.get("include_background", True)]
    for others in every:
        value = getattr(al, score)(p, t, pixel_weights=given, **options, **others)
        expected = getattr(oracle, score)(seen, target, w, **known, **others)
        assert library.owns(value)
        assert value.shape == np.shape(expected), others
        value = library.to_numpy(value)
        np.testing.assert_allclose(value, expected, rtol=2e-6, atol=2e-6, err_msg=str(others))


@each_score
def test_a_class_in_neither_and_in_only_one(score, library):
    """The defaults: NaN and left out of the mean; 0."""
    score = getattr(al, score)
    p, t = library.on((np.array([[0, 0, 1, 3]]), np.array([[0, 0, 1, 4]])))
    by_class = library.to_numpy(score(p, t, num_classes=5, reduction="none"))
    np.testing.assert_array_equal(by_class, [1, 1, NAN, 0, 0])
    assert float(score(p, t, num_classes=5)) == 0.5
    true, false = library.on((np.ones((1, 4), dtype=bool), np.zeros((1, 4), dtype=bool)))
    assert float(score(true, false)) == float(score(false, true)) == 0
    assert np.isnan(float(score(false, false)))
    assert [float(score(false, false, absent=one)) for one in ("one", "zero")] == [1, 0]
    ones, zeros = library.on((np.ones((1, 4), dtype=int), np.zeros((1, 4), dtype=int)))
    assert float(score(ones, zeros, num_classes=2, include_background=False)) == 0


@each_score
def test_nothing_counted(score, library):
    score = getattr(al, score)
    # (2, 3) would be an error where values do not tell that these are no rows of three classes.
    labels = library.asarray(np.full((2, 3 if library.can_inspect else 4), 255))
    options = {"num_classes": 3, "ignore_index": 255}
    none = library.asarray(np.zeros((0, 3, 4)), library.dtypes[0])
    nothing = library.asarray(np.zeros((0, 4), dtype=int))
    for pool in ("batch", "image"):
        for absent in ("nan", "skip"):
            for p, t, more in ((labels, labels, options), (none, nothing, {})):
                given = {**more, "pool": pool, "absent": absent}
                assert np.isnan(float(score(p, t, **given)))
                assert float(score(p, t, **given, reduction="sum")) == 0
                by_class = library.to_numpy(score(p, t, **given, reduction="none"))
                shape = (3,) if pool == "batch" else (p.shape[0], 3)
                np.testing.assert_array_equal(by_class, np.full(shape, NAN))
    assert float(score(labels, labels, **options, absent="one")) == 1


@each_score
def test_perfect_is_exactly_1(score, library):
    labels = np.random.default_rng(0).integers(7, size=(3, 4, 9))
    p, q = library.on((labels, one_hot(labels, 7).astype(float)), library.dtypes[0])
    for pool in POOLS:
        assert float(getattr(al, score)(p, p, num_classes=7, pool=pool)) == 1
        assert float(getattr(al, score)(q, p, pool=pool)) == 1


@pytest.mark.parametrize("block_pixels", [1, 7, 1000])
@pytest.mark.parametrize("kind", ["uint8", "int64"])
@each_score
def test_labels_are_their_one_hot_probabilities(score, kind, block_pixels, library):
    """The counts of labels, made block by block, are the sums that the losses make."""
    rng = np.random.default_rng(8)
    target, prediction = rng.integers(5, size=(2, 3, 4, 6)).astype(kind)
    weights = rng.uniform(0.5, 2, size=target.shape) * (rng.random(target.shape) < 0.8)
    arrays = prediction, one_hot(prediction).astype(float), target, weights
    p, q, t, w = library.on(arrays, library.dtypes[0])
    mask = library.asarray(weights > 0)
    score = getattr(al, score)
    for options in (
        {},
        {"pixel_weights": w, "pool": "image"},
        {"pixel_weights": mask, "ignore_index": (1, 77), "reduction": "none"},
        {"pool": "image", "reduction": "none", "absent": "one", "include_background": False},
        {"reduction": "sum", "ignore_index": 0},
    ):
        with plan.using(block_pixels=block_pixels, threads=2):
            value = library.to_numpy(score(p, t, num_classes=5, **options))
        expected = library.to_numpy(score(q, t, **options))
        np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.uint64])
def test_labels_of_every_type(kind):
    target, prediction = np.random.default_rng(10).integers(100, size=(2, 3, 40)).astype(kind)
    for classes in (100, 300):
        expected = al.dice_coefficient(prediction.astype(int), target, num_classes=classes)
        found = al.dice_coefficient(prediction, target.astype(np.uint8), num_classes=classes)
        assert found == expected


# --- how arrays are read --------------------------------------------------------------------------


@each_score
def test_masks_of_several_classes_in_every_dtype(score, library):
    """Bool, integer and floating masks with a class axis give one score per class."""
    rng = np.random.default_rng(11)
    masks = rng.random((2, 2, 3, 4, 5)) < 0.3
    score = getattr(al, score)
    options = {"num_classes": 3, "reduction": "none"}
    expected = [getattr(oracle, score.__name__)(*masks[:, :, c], class_axis=None) for c in range(3)]
    for axis in (1, -1):
        moved = masks if axis == 1 else np.moveaxis(masks, 2, axis)
        for kinds in itertools.product((bool, np.uint8, np.int64, float), repeat=2):
            arrays = (one.astype(kind) for one, kind in zip(moved, kinds, strict=True))
            p, t = library.on(arrays, library.dtypes[0])
            value = library.to_numpy(score(p, t, class_axis=axis, **options))
            np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=str(kinds))
    merged = score(*library.on(masks))
    expected = getattr(oracle, score.__name__)(*masks, class_axis=None)
    assert float(merged) == pytest.approx(expected, rel=1e-6)


@each_score
def test_integers_with_an_axis_of_as_many_classes(score, library):
    """Labels by what they hold, one-hot by having one 1 a pixel; in between an error."""
    rng = np.random.default_rng(12)
    labels = rng.integers(3, size=(2, 2, 3, 5))
    hot = one_hot(labels.reshape(4, 3, 5), 3).astype(int).reshape(2, 2, 3, 3, 5)
    known, score = getattr(oracle, score), getattr(al, score)

    def value(arrays, **options):
        return float(score(*library.on(arrays), num_classes=3, **options))

    by_label = known(*labels, num_classes=3, class_axis=None)
    assert value(hot) == pytest.approx(by_label, rel=1e-6)
    if not library.can_inspect:
        check_by_shape(value, labels, hot)
        return
    assert value(labels) == pytest.approx(by_label, rel=1e-6)
    assert value(hot[..., 0]) == pytest.approx(known(*hot[..., 0]), rel=1e-6)  # (2, 3, 3)
    assert value(np.moveaxis(hot, 2, -1), class_axis=-1) == pytest.approx(by_label, rel=1e-6)
    few = np.minimum(labels, 1)  # 0 and 1 in images of three rows
    for arrays in (few, few[..., 0]):
        with pytest.raises(ValueError, match=says("prediction", "could be labels", "as bool")):
            value(arrays)
        by_label = known(*arrays, num_classes=3, class_axis=None)
        wider = arrays[:, :, None, ..., None]
        assert value(wider) == pytest.approx(by_label, rel=1e-6)
        assert value(arrays > 0) == pytest.approx(known(*(arrays > 0)), rel=1e-6)
    with pytest.raises(ValueError, match=says("prediction", "one-hot along the last axis", "-1")):
        value(np.moveaxis(hot, 2, -1))
    volumes = rng.integers(2, size=(2, 3, 2, 4, 5))  # of two slices
    with pytest.raises(ValueError, match=says("prediction", "could be labels", "as bool")):
        score(*library.on(volumes), num_classes=2)
    two = score(*library.on(volumes > 0), num_classes=2)
    assert float(two) == pytest.approx(known(*(volumes > 0)), rel=1e-6)


def check_by_shape(value, labels, hot):
    """Check how integers of three classes are read where values cannot be inspected."""
    for arrays in (labels, np.minimum(labels, 1), hot[..., 0]):  # (2, 3, 5) and (2, 3, 3)
        with pytest.raises(ValueError, match=says("prediction", "could be labels", "as bool")):
            value(arrays)
    by_label = value(labels[:, :, None, ..., None])
    assert value(np.moveaxis(hot, 2, -1), class_axis=-1) == pytest.approx(by_label, rel=1e-6)
    assert np.isnan(value(np.moveaxis(hot, 2, -1)))
    assert np.isnan(value(labels[:, :, :, None]))


AMBIGUOUS = {
    "floating and bool of one shape": ((1, 2, 2), float, bool, {}, ("num_classes=2", "[:, None]")),
    "floating masks": ((3, 4, 5), float, float, {}, ("num_classes=4", "> 0.5")),
    "floating masks of volumes": ((3, 4, 5, 6), float, float, {}, ("num_classes=4",)),
    "floating and labels": ((3, 4, 5), float, int, {}, ("integer dtype",)),
}


@pytest.mark.parametrize(
    ("shape", "kind", "other", "options", "words"), AMBIGUOUS.values(), ids=AMBIGUOUS
)
@each_score
def test_what_can_be_read_in_two_ways(score, shape, kind, other, options, words, library):
    arrays = np.ones(shape, dtype=kind), np.ones(shape, dtype=other)
    p, t = library.on(arrays, library.dtypes[0])
    with pytest.raises(ValueError, match=says("prediction", *words[:1])) as caught:
        getattr(al, score)(p, t, **options)
    assert all(word in str(caught.value) for word in words)
    got = float(getattr(al, score)(p, t, num_classes=shape[1]))  # said what they are
    assert got == 1
    p, t = library.on([np.expand_dims(one, 1) for one in arrays], library.dtypes[0])
    assert float(getattr(al, score)(p, t)) == 1 if other is not int else True


@each_score
def test_kinds_that_do_not_go_together(score, library):
    score, dtype = getattr(al, score), library.dtypes[0]
    labels, mask = library.on((np.zeros((2, 3), dtype=int), np.zeros((2, 3), dtype=bool)))
    p = library.asarray(np.full((2, 4, 3), 0.25), dtype)
    raster = library.asarray(np.zeros((2, 3)), dtype)
    for pair in ((labels, mask), (mask, labels), (mask, p), (labels, p)):
        for num_classes in (None, 4):
            with pytest.raises(TypeError, match=says("prediction", "num_classes")):
                score(*pair, num_classes=num_classes)
    for pair in ((raster, labels), (labels, raster), (raster, raster), (p, raster)):
        with pytest.raises(TypeError, match="convert them to an integer dtype"):
            score(*pair, num_classes=4)
    with pytest.raises(ValueError, match=says("num_classes", "integers")):
        score(labels, labels)
    with pytest.raises(ValueError, match=says("num_classes", "at least 2", "`mask > 0`")):
        score(labels, labels, num_classes=1)
    for num_classes in (None, 5):
        with pytest.raises(ValueError, match=says("num_classes", "must be 4")):
            score(p > 0.5, labels, num_classes=num_classes)
    with pytest.raises(ValueError, match=says("num_classes", "must be 4", "5")):
        score(p, labels, num_classes=5)
    with pytest.raises(ValueError, match=says("num_classes", "None or 1", "(2, 3)")):
        score(mask, mask, num_classes=4)
    with pytest.raises(ValueError, match=says("prediction", "shape", "(2, 3)", "(1, 3)")):
        score(mask, mask[:1, ...])
    for pair in ((mask, mask), (labels, labels)):
        with pytest.raises(ValueError, match=says("class_axis", "1")):
            score(*pair, num_classes=None if pair[0] is mask else 4, class_axis=-1)
    with pytest.raises(ValueError, match=says("pool", "image", "prediction[None, ...]")):
        score(mask[0, ...], mask[0, ...], pool="image")
    with pytest.raises(ValueError, match=says("absent", "'nan', 'skip', 'one', 'zero'", "keep")):
        score(mask, mask, absent="keep")
    with pytest.raises(ValueError, match=says("prediction", "batch", "(3,)")):
        score(raster[0, ...], mask[0, ...])
    with pytest.raises(ValueError, match=says("class_axis", "(2, 4, 3)", "3")):
        score(p, labels, class_axis=3)
    with pytest.raises(ValueError, match=says("pixel_weights", "shape", "(2, 1, 3)")):
        score(
            p > 0.5, labels, num_classes=4, pixel_weights=library.asarray(np.ones((2, 1, 3)), dtype)
        )


@each_score
def test_a_floating_mask_of_0_and_255(score, library):
    mask = library.asarray(np.full((2, 1, 3), 255.0), library.dtypes[0])
    match = says("prediction", "0 to 1", "255", "divided by 255")
    library.check_bad_values(match, getattr(al, score), mask, mask / 255.0)


@each_score
def test_a_predicted_label_outside_the_classes(score, library):
    target = np.array([[0, 1, 2, 2], [0, 1, 2, 255]])
    prediction = np.array([[0, 1, 2, 2], [0, 3, 2, 7]])
    p, t = library.on((prediction, target), library.dtypes[0])
    weights = library.asarray(np.array([[1, 1, 1, 1], [1, 0, 1, 1]]) > 0)
    options = {"num_classes": 3, "ignore_index": 255}
    score = getattr(al, score)
    library.check_bad_values(says("prediction", "0 to 2", "got 3"), score, p, t, **options)
    assert float(score(p, t, pixel_weights=weights, **options)) == 1
    library.check_bad_values(r"`target`.*0 to 2.*255", score, p, t, num_classes=3)
    minus = library.asarray(np.where(prediction == 3, -1, prediction))
    library.check_bad_values(says("prediction", "0 to 2", "got -1"), score, minus, t, **options)


@each_score
def test_a_predicted_value_that_is_not_0_or_1(score, library):
    target = np.zeros((1, 2, 3, 4), dtype=int)
    target[0, 0] = 1
    prediction = target.copy()
    prediction[0, 1, 0, 0], target[0, 1, 0, 0] = 255, -1
    prediction[0, :, 2, 3] = 7
    weights = np.ones((1, 3, 4))
    weights[0, 2, 3] = 0
    p, t, w = library.on((prediction, target, weights), library.dtypes[0])
    score = getattr(al, score)
    options = {"num_classes": 2, "ignore_index": -1, "class_axis": -3}
    hidden = library.to_numpy(score(p, t, pixel_weights=w, reduction="none", **options))
    np.testing.assert_array_equal(hidden, [1, NAN])
    library.check_bad_values(says("prediction", "0 to 1", "got 7"), score, p, t, **options)


# --- transformations ------------------------------------------------------------------------------


def test_under_transforms(torch, jax):
    target, prediction = np.random.default_rng(9).integers(3, size=(2, 2, 4, 6))
    weights = np.linspace(0.5, 2, 48).reshape(2, 4, 6)

    def score(p, t, w):
        return al.jaccard_index(p, t, pixel_weights=w, num_classes=3)

    expected = score(prediction, target, weights)
    hot = one_hot(prediction, 3).astype(int)
    for p, t in ((prediction, target), (hot, one_hot(target, 3).astype(int))):
        arrays = [torch.tensor(x) for x in (p, t, weights)]
        compiled = torch.compile(score, fullgraph=True, backend="eager")
        assert float(compiled(*arrays)) == pytest.approx(expected, rel=1e-6)
        w = arrays[2].clone().requires_grad_()
        score(arrays[0], arrays[1], w).backward()
        arrays = [jax.numpy.asarray(x) for x in (p, t, weights)]
        assert float(jax.jit(score)(*arrays)) == pytest.approx(expected, rel=1e-6)
        slope = jax.jit(jax.grad(score, argnums=2))(*arrays)
        np.testing.assert_allclose(w.grad, slope, rtol=1e-5, atol=1e-7)
        assert np.any(w.grad.numpy())


def test_bad_predictions_are_nan_where_values_cannot_be_seen(torch, jax):
    target = np.array([[[0, 1], [2, 2]], [[0, 1], [2, 255]]])
    prediction = np.array([[[0, 1], [2, 2]], [[0, 3], [2, 7]]])

    def score(p, t):
        options = {"num_classes": 3, "ignore_index": 255, "pool": "image", "reduction": "none"}
        return al.dice_coefficient(p, t, **options)

    compiled = torch.compile(score, fullgraph=True, backend="eager")
    expected = [[1] * 3, [NAN] * 3]
    found = compiled(torch.tensor(prediction), torch.tensor(target))
    np.testing.assert_array_equal(found, expected)
    found = jax.jit(score)(jax.numpy.asarray(prediction), jax.numpy.asarray(target))
    np.testing.assert_array_equal(found, expected)

    with pytest.raises(ValueError, match=says("prediction", "0 to 2", "3")):  # weights learn
        al.dice_coefficient(
            torch.tensor(prediction),
            torch.tensor(target),
            num_classes=3,
            ignore_index=255,
            pixel_weights=torch.ones(2, 2, 2, requires_grad=True),
        )

    labels = np.array([[[[0, 1, 2], [2, 1, 0]]]])  # (1, 1, 2, 3)
    last = np.moveaxis(one_hot(labels[0], 3), 1, -1).astype(int)  # (1, 2, 3, 3)

    def as_labels(p, t):
        return al.jaccard_index(p, t, num_classes=3)

    for array in (last[..., :2, :], last):  # (1, 2, 2, 3): labels; (1, 2, 3, 3): labels too
        assert np.isnan(float(jax.jit(as_labels)(*[jax.numpy.asarray(array)] * 2)))
        compiled = torch.compile(as_labels, fullgraph=True, backend="eager")
        assert np.isnan(float(compiled(*[torch.tensor(array)] * 2)))
    labels = jax.numpy.asarray(labels)
    assert float(jax.jit(as_labels)(labels, labels)) == 1
    pairs = np.random.default_rng(0).integers(2, size=(2, 2, 3, 4))
    for two, expected in ((pairs, NAN), (one_hot(pairs[:, 0], 2).astype(int), 1)):
        array = jax.numpy.asarray(two)
        found = jax.jit(lambda p, t: al.jaccard_index(p, t, num_classes=2))(array, array)
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=says("prediction", "could be labels")):
        jax.jit(al.jaccard_index, static_argnames="num_classes")(
            *[jax.numpy.zeros((2, 3, 5), dtype=int)] * 2, num_classes=3
        )


@pytest.mark.parametrize("options", SOME, ids=lambda one: "-".join(map(str, one.values())))
@each_score
def test_gradients(score, options, torch):
    """The closed form and autograd's against differences; a class left out moves nothing."""
    prediction, target, *_ = recipe("probabilities")
    scale = np.cos(np.arange(10.0))

    def weighted(value, library):
        numbers = library.asarray(scale[: value.size if library is np else value.numel()])
        counted = value == value
        numbers = numbers.reshape(value.shape)
        return (library.where(counted, value, 0.0) * numbers).sum()

    def value(p):
        found = getattr(oracle, score)(p, target, class_axis=-1, **options)
        return weighted(np.asarray(found), np)

    inside = np.clip(prediction, 0.05, 0.95)  # differences step to either side
    expected = oracle.numerical_gradient(value, inside)
    p = torch.tensor(inside, requires_grad=True)
    t = torch.tensor(target)
    found = getattr(al, score)(p, t, class_axis=-1, **options)
    weighted(found, torch).backward()
    np.testing.assert_allclose(p.grad, expected, rtol=1e-6, atol=1e-8)
    (again,) = torch.autograd.grad(
        weighted(getattr(al, score)(p, t, class_axis=-1, **options), torch), p, create_graph=True
    )
    np.testing.assert_allclose(again.detach(), expected, rtol=1e-6, atol=1e-8)


def test_a_gradient_where_a_class_is_nowhere(torch, jax):
    """No probability and no target: the score is NaN or left out, its gradient 0."""
    p = np.array([[[0.5, 0.25, 1.0], [0.5, 0.75, 0.0], [0.0, 0.0, 0.0]]])
    t = np.array([[0, 1, 0]])
    q = torch.tensor(p, requires_grad=True)
    al.dice_coefficient(q, torch.tensor(t)).backward()
    slope = jax.jit(jax.grad(al.dice_coefficient))(jax.numpy.asarray(p), jax.numpy.asarray(t))
    np.testing.assert_allclose(q.grad, slope, rtol=1e-5, atol=1e-6)
    assert not np.any(q.grad[0, 2].numpy())
    nothing = jax.numpy.zeros((1, 2, 3)), jax.numpy.full((1, 3), 255)
    score = jax.value_and_grad(lambda p, t: al.dice_coefficient(p, t, ignore_index=255))
    value, slope = jax.jit(score)(*nothing)
    assert np.isnan(float(value))
    assert not np.any(slope)
