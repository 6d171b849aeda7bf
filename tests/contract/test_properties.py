"""What must hold for any input: random shapes, targets, options, layouts and labels."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import array_losses as al
from tests import oracle
from tests.backends import BACKENDS
from tests.cases import (
    CLASSES,
    LOVASZ_LOSSES,
    OF_LOGITS,
    OVERLAP_LOSSES,
    PIXEL_LOSSES,
    POOLING_LOSSES,
    Data,
)

bounded = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    # The fixture sets a mode of a library, which is the same for all examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
each_loss = pytest.mark.parametrize("name", CLASSES)


def enter(name, config):
    """The backend, if one of its library is selected."""
    backend = BACKENDS[name]
    if not any(one.module == backend.module for one in config.array_losses_backends):
        pytest.skip(f"no {backend.module} backend is selected")
    with backend.mode():
        yield backend


@st.composite
def recipes(draw, **fixed):
    """Data of any shape, target, weights and class axis, with an ignored value or without."""
    chosen = {
        "batch": draw(st.integers(1, 3)),
        "classes": draw(st.integers(2, 4)),
        "spatial": tuple(draw(st.lists(st.integers(1, 3), max_size=3))),
        "target": draw(st.sampled_from(["labels", "one-hot", "multi-hot", "soft"])),
        "weights": draw(st.sampled_from([None, "float", "mask"])),
        "seed": draw(st.integers(0, 2**16)),
        **fixed,
    }
    if "class_axis" not in chosen:
        ndim = 2 + len(chosen["spatial"])
        chosen["class_axis"] = draw(st.integers(-ndim, ndim - 1))
    if "ignore" not in chosen and chosen["target"] != "soft" and draw(st.booleans()):
        chosen["ignore"] = (100,)
    return Data(**chosen)


def absences_of(name):
    """What the loss may do with an absent class."""
    return ["skip", "keep"] if name in POOLING_LOSSES else ["skip", "keep", "zero"]


@st.composite
def options_of(draw, name, data):
    """Options that the loss takes on this data."""
    chosen = {
        "class_axis": data.class_axis,
        "class_weights": draw(
            st.none() | st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * data.classes)
        ),
        "include_background": draw(st.booleans()),
    }
    if data.target != "soft":
        chosen["ignore_index"] = 100
    if name not in OF_LOGITS:
        chosen["activation"] = draw(st.sampled_from(["softmax", "sigmoid"]))
    if name in PIXEL_LOSSES:
        units = [f"{what}_{unit}" for what in ("valid", "all") for unit in ("pixels", "elements")]
        chosen["normalize"] = draw(st.sampled_from(["weights", "valid", "all", *units]))
    else:
        pools = ["batch", "image"]
        if name in OVERLAP_LOSSES:
            pools += ["batch+class", "image+class"]
        chosen["pool"] = draw(st.sampled_from(pools))
        chosen["normalize"] = draw(st.sampled_from(["weights", "classes"]))
        chosen["absent"] = draw(st.sampled_from(absences_of(name)))
    if name in ("cross_entropy", "poly"):
        chosen["label_smoothing"] = draw(st.sampled_from([0.0, 0.1, 1.0]))
    if name == "cross_entropy":
        hardest = [{"top_k": 0.3}, {"ohem_threshold": 0.6}, {"ohem_threshold": 0.3, "min_kept": 3}]
        chosen |= draw(st.sampled_from([{}, *hardest]))
    if name == "focal":
        chosen["gamma"] = draw(st.sampled_from([0.0, 0.5, 2.0, 5.0]))
        if draw(st.booleans()):
            chosen["normalize"] = "focal"
        chosen["alpha"] = draw(st.none() | st.sampled_from([0.0, 0.25, 1.0]))
        if chosen["activation"] == "sigmoid":
            chosen["soft"] = draw(st.sampled_from(["mixture", "arithmetic", "geometric"]))
    if name == "generalized_dice":
        chosen["weighting"] = draw(st.sampled_from(["square", "simple", "uniform"]))
    if name == "mcc":
        chosen["intersection"] = draw(st.sampled_from(["l1", "product"]))
    if name in (*OVERLAP_LOSSES, *POOLING_LOSSES):
        chosen["smooth"] = draw(st.sampled_from([0.0, 1.0, (0.0, 0.5)]))
        chosen["form"] = draw(st.sampled_from(["linear", "log", "log_cosh"]))
        chosen["power"] = draw(st.sampled_from([1, 2]))
        chosen["intersection"] = draw(st.sampled_from(["l1", "product"]))
    if name == "tversky":
        chosen["gamma"] = draw(st.sampled_from([1.0, 0.75, 1.5]))
    return chosen


def make(name, **options):
    return getattr(al, CLASSES[name])(**options)


def evaluate(library, loss, logits, target, weights=None, dtype="float64"):
    """Value and gradient, as NumPy arrays."""
    logits, target, weights = library.on((logits, target, weights), dtype)
    value, gradient = loss.value_and_grad(logits, target, pixel_weights=weights)
    return float(value), library.to_numpy(gradient)


@each_loss
@bounded
@given(st.data())
def test_value_and_slope_are_the_oracle_s(eager, name, data):
    recipe = data.draw(recipes())
    options = data.draw(options_of(name, recipe))
    logits, target, weights = recipe.build()
    value, gradient = evaluate(eager, make(name, **options), logits, target, weights)

    def reference(z):
        return oracle.LOSSES[name](z, target, weights, **options)

    expected = reference(logits)
    assert value == pytest.approx(expected, rel=1e-13, abs=1e-15)
    # One direction is enough here: a wrong entry is as good as never orthogonal to it.
    direction = np.random.default_rng(recipe.seed).normal(size=logits.shape)
    step = 1e-6
    slope = (reference(logits + step * direction) - reference(logits - step * direction)) / step / 2
    assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-6, abs=1e-8)


@each_loss
@bounded
@given(st.data())
def test_ignored_pixels_are_as_if_they_were_not_there(eager, name, data):
    recipe = data.draw(recipes(batch=1, target="labels", class_axis=1, weights=None, ignore=()))
    if name in PIXEL_LOSSES:
        options = {"normalize": data.draw(st.sampled_from(["weights", "valid"]))}
    else:
        options = {"absent": data.draw(st.sampled_from(absences_of(name)))}
    logits, target, _ = recipe.build()
    hidden = np.random.default_rng(recipe.seed).random(target.shape) < 0.4
    way = data.draw(st.sampled_from(["label", "two labels", "mask", "weight 0"]))
    broken = np.where(
        hidden[:, np.newaxis],
        data.draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e300])),
        logits,
    )

    weights = None
    if way == "label":
        options["ignore_index"] = 255
        target = np.where(hidden, 255, target)
    elif way == "two labels":
        options["ignore_index"] = (-1, 255)
        target = np.where(hidden, np.where(logits[:, 0] > 0, -1, 255), target)
    elif way == "mask":
        weights = ~hidden
    else:
        weights = np.where(hidden, 0.0, 1.0)
    value, gradient = evaluate(eager, make(name, **options), broken, target, weights)

    cropped = np.moveaxis(logits, 1, -1)[~hidden].T[np.newaxis]
    alone, slope = evaluate(eager, make(name, **options), cropped, target[~hidden][np.newaxis])
    assert value == pytest.approx(alone, rel=1e-13)
    gradient = np.moveaxis(gradient, 1, -1)
    np.testing.assert_array_equal(gradient[hidden], 0)
    np.testing.assert_allclose(gradient[~hidden].T[np.newaxis], slope, rtol=1e-12, atol=1e-15)


@each_loss
@bounded
@given(st.data())
def test_nobody_ignored_changes_not_one_bit(eager, name, data):
    recipe = data.draw(recipes(target="labels", class_axis=1, ignore=()))
    inputs = recipe.build()
    value, gradient = evaluate(eager, make(name), *inputs)
    again, same = evaluate(eager, make(name, ignore_index=(255, -100)), *inputs)
    assert value == again
    np.testing.assert_array_equal(gradient, same)


@each_loss
@bounded
@given(st.data())
def test_the_order_of_pixels_does_not_matter(eager, name, data):
    recipe = data.draw(recipes(batch=1, class_axis=-1))
    options = data.draw(options_of(name, recipe))
    logits, target, weights = recipe.build()
    value, gradient = evaluate(eager, make(name, **options), logits, target, weights)

    count = int(np.prod(recipe.spatial))
    order = np.random.default_rng(recipe.seed).permutation(count)

    def moved(x, has_classes):
        if x is None:
            return None
        tail = x.shape[-1:] if has_classes else ()
        return x.reshape(1, count, *tail)[:, order]

    moved_value, moved_gradient = evaluate(
        eager,
        make(name, **options),
        moved(logits, has_classes=True),
        moved(target, has_classes=target.ndim == logits.ndim),
        moved(weights, has_classes=False),
    )
    assert moved_value == pytest.approx(value, rel=1e-13, abs=1e-15)
    np.testing.assert_allclose(
        moved_gradient, moved(gradient, has_classes=True), rtol=1e-12, atol=1e-15
    )


@each_loss
@bounded
@given(st.data())
def test_the_order_of_classes_does_not_matter(eager, name, data):
    recipe = data.draw(recipes(class_axis=1))
    options = data.draw(options_of(name, recipe))
    options.update(include_background=True, class_weights=None)
    logits, target, weights = recipe.build()
    order = np.random.default_rng(recipe.seed).permutation(recipe.classes)
    if target.ndim == logits.ndim:
        moved = target[:, order]
    else:
        places = np.argsort(order)
        moved = np.where(target == 100, 100, places[np.where(target == 100, 0, target)])
    value, gradient = evaluate(eager, make(name, **options), logits, target, weights)
    again, slope = evaluate(eager, make(name, **options), logits[:, order], moved, weights)
    assert again == pytest.approx(value, rel=1e-13, abs=1e-15)
    np.testing.assert_allclose(slope, gradient[:, order], rtol=1e-12, atol=1e-15)


@each_loss
@bounded
@given(st.data())
def test_the_unit_of_weights_does_not_matter_to_means(eager, name, data):
    """Twice the weights is bit for bit the same: doubling is exact."""
    recipe = data.draw(recipes(weights="float", class_axis=1))
    options = data.draw(options_of(name, recipe))
    options.pop("smooth", None)  # it has the unit of pixels
    assume(not options["normalize"].startswith("all"))
    logits, target, weights = recipe.build()
    loss = make(name, **options)
    value, gradient = evaluate(eager, loss, logits, target, weights)
    again, same = evaluate(eager, loss, logits, target, 2 * weights)
    assert value == again
    np.testing.assert_array_equal(gradient, same)


@each_loss
@bounded
@given(st.data())
def test_images_are_averaged_and_pieces_add_up(eager, name, data):
    """A pool of images, or a sum over pixels, is known from the images one by one."""
    recipe = data.draw(recipes(batch=3, class_axis=1, weights="float"))
    logits, target, weights = recipe.build()
    options = {} if recipe.target == "soft" else {"ignore_index": 100}
    options.update({"reduction": "sum"} if name in PIXEL_LOSSES else {"pool": "image"})
    if name not in PIXEL_LOSSES:
        options["absent"] = "keep"  # so that every image has something to average
    loss = make(name, **options)
    value, gradient = evaluate(eager, loss, logits, target, weights)
    pieces = [
        evaluate(eager, loss, logits[i : i + 1], target[i : i + 1], weights[i : i + 1])
        for i in range(3)
    ]
    divisor = 1 if name in PIXEL_LOSSES else 3
    assert value == pytest.approx(sum(piece[0] for piece in pieces) / divisor, rel=1e-13)
    slopes = np.concatenate([piece[1] for piece in pieces]) / divisor
    np.testing.assert_allclose(gradient, slopes, rtol=1e-12, atol=1e-15)


WIDTHS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]


@each_loss
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("ignored", [100, 255, -100])
def test_labels_of_every_width(name, width, ignored):
    """Also where the ignored value is no number of the width: then nothing is ignored."""
    fits = np.iinfo(width).min <= ignored <= np.iinfo(width).max
    logits, target, _ = Data(ignore=(ignored,) if fits else (), seed=3).build()
    library = BACKENDS["numpy"]
    loss = make(name, ignore_index=ignored)
    value, gradient = evaluate(library, loss, logits, target.astype(np.int64))
    again, same = evaluate(library, loss, logits, target.astype(width))
    assert value == again
    np.testing.assert_array_equal(gradient, same)


def test_labels_of_every_width_elsewhere(library_of_labels):
    library, widths = library_of_labels
    logits, target, _ = Data(ignore=(100,), seed=3).build()
    dtype = library.dtypes[-1]
    # Sorting on this device fails in array-api-strict itself: conftest.py has the reason.
    unsorted = library.name == "strict-no_x64"
    for name in sorted(set(CLASSES) - set(LOVASZ_LOSSES if unsorted else ())):
        loss = make(name, ignore_index=100)
        z = library.asarray(logits, dtype)
        value = float(loss(z, library.asarray(target)))
        for width in widths:
            again = float(loss(z, library.asarray(target.astype(width))))
            # JAX compiles each width anew, and may sum in another order.
            assert again == pytest.approx(value, rel=1e-15), (name, width)


@pytest.fixture(params=["strict-2024", "strict-no_x64", "torch", "jax-x64"])
def library_of_labels(request, pytestconfig):
    widths = {
        "torch": ["uint8", "int8", "int16", "int32", "int64"],
        "strict-no_x64": ["uint8", "uint16", "uint32", "int8", "int16", "int32"],
        "jax-x64": ["uint8"],  # each is compiled anew
    }
    for backend in enter(request.param, pytestconfig):
        yield backend, widths.get(request.param, WIDTHS)


# --- memory layouts -------------------------------------------------------------------------------


def strided(x):
    """Every second element of twice as many."""
    return np.repeat(x, 2, axis=-1)[..., ::2]


def channels_last(x):
    """Axis 1 is the fastest in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if x.ndim > 1 else x


def reversed_(x):
    """Negative strides."""
    return np.ascontiguousarray(x[..., ::-1])[..., ::-1]


def fortran(x):
    """The first axis is the fastest in memory."""
    return np.asfortranarray(x)


def broadcast(x):
    """One image for all: stride 0, and read-only."""
    return np.broadcast_to(x[:1], x.shape)


LAYOUTS = [strided, channels_last, reversed_, fortran, broadcast]


@each_loss
@pytest.mark.parametrize("kind", ["labels", "soft"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(name, layout, kind, torch):
    data = Data(spatial=(4, 6), target=kind, weights="float", seed=8)
    plain = data.build()
    if layout is broadcast:
        plain = [np.array(broadcast(x)) for x in plain]
    views = [layout(x) for x in plain]
    assert all(view.strides != x.strides for view, x in zip(views, plain, strict=True))
    value, gradient = make(name).value_and_grad(*plain[:2], pixel_weights=plain[2])
    again, same = make(name).value_and_grad(*views[:2], pixel_weights=views[2])
    assert again == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(same, gradient, rtol=1e-13, atol=1e-16)
    for view, x in zip(views, plain, strict=True):
        np.testing.assert_array_equal(view, x)

    if layout is reversed_:  # PyTorch has no negative strides
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of memory that is not writable
        tensors = [torch.from_numpy(view) for view in views]
    tensors[0].requires_grad_()
    make(name)(*tensors[:2], pixel_weights=tensors[2]).backward()
    np.testing.assert_allclose(tensors[0].grad.numpy(), gradient, rtol=1e-13, atol=1e-16)
