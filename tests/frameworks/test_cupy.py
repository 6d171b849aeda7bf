"""What CuPy asks of the library, on its stand-in: no waits, one device, and what is sent once."""

from pathlib import Path

import numpy as np
import pytest

import array_losses as al
from array_losses.frameworks import library_of
from array_losses.presets import keras, smp
from tests.cases import COVER, Data

ROW = np.array([[0, 0, 1, 1, 0, 2, 2, 2]])


def on_device(cupy, number, arrays):
    with cupy.cuda.Device(number):
        return [None if x is None else cupy.asarray(x) for x in arrays]


def called_by_the_library(code, **names):
    """Run code as if it stood in a file of the library."""
    exec(code, {"__name__": "array_losses.losses.somewhere"} | names)


# --- the stand-in ---------------------------------------------------------------------------------


def test_own_functions_have_the_signatures_of_cupy(cupy):
    from inspect import signature

    from cupy import _facts, _functions

    for one in _functions.OWN:
        known = _facts.signature(_facts.FACTS["functions"][one.__name__])
        assert [*signature(one).parameters] == [*known.parameters], one


@pytest.mark.parametrize(
    "code",
    [
        "bool(x[0])",
        "float(x[0])",
        "x.tolist()",
        "x[x > 0]",
        "x[x > 0] = 0",
        "cupy.nonzero(x)",
        "cupy.where(x)",
        "cupy.bincount(x.astype(int))",
        "cupy.cuda.Stream.null.synchronize()",
        "xp.clip(x, 0, 1)",
        "xp.sign(x)",
        "f'{x}'",
    ],
)
def test_a_wait_of_the_library_is_an_error(code, cupy):
    import array_api_compat.cupy as xp

    names = {"cupy": cupy, "xp": xp, "x": cupy.asarray([0.5, 2.0])}
    exec(code, dict(names))  # users and tests may wait
    with pytest.raises(cupy._counts.WaitError, match="waits for the device"):
        called_by_the_library(code, **names)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("np.asarray(x)", TypeError),
        ("x + np.ones(2)", TypeError),
        ("np.ones(2) + x", TypeError),
        ("cupy.exp(np.ones(2))", TypeError),
        ("cupy.sum(np.ones(2))", TypeError),
        ("x[np.asarray([0])]", TypeError),
        ("x & 1", TypeError),
        ("cupy.sum(x, where=x > 0)", TypeError),
        ("cupy.argsort(x, descending=True)", TypeError),
        ("cupy.add(x, 1, where=x > 0)", TypeError),
        ("x.sum(dim=0)", TypeError),
        ("cupy.zeros(2, dtype=cupy.int8).scatter_add(cupy.zeros(1, dtype=int), 1)", TypeError),
        ("hash(x)", TypeError),
    ],
)
def test_what_cupy_refuses(code, error, cupy):
    with pytest.raises(error):
        eval(code, {"cupy": cupy, "np": np, "x": cupy.asarray([0.5, 2.0])})


def test_places_beyond_the_end_wrap_around(cupy):
    x, places = cupy.asarray([1.0, 2.0, 3.0]), cupy.asarray([3, -1, 255])
    for found in (x[places], x.take(places), cupy.take_along_axis(x, places, 0)):
        np.testing.assert_array_equal(found.get(), [1, 3, 1])


def test_numbers_of_python_do_not_widen(cupy):
    x = cupy.asarray(np.float32([1, 2]))
    assert (2.5 * x).dtype == cupy.where(x > 0, x, 0.5).dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64
    assert (x.astype(np.int32) / 2).dtype == np.float64


# --- the library ----------------------------------------------------------------------------------


def every_call(case, arrays):
    loss = case.loss()
    logits, target, weights = arrays
    yield loss(logits, target, pixel_weights=weights)
    if case.is_scalar:
        yield from loss.value_and_grad(logits, target, pixel_weights=weights)


def test_arrays_on_another_device_than_the_current(case, cupy):
    arrays = case.data.build("float32")
    expected = [np.asarray(one) for one in every_call(case, arrays)]
    found = list(every_call(case, on_device(cupy, 1, arrays)))
    assert cupy.cuda.Device() == cupy.cuda.Device(0)
    for one, value in zip(found, expected, strict=True):
        assert one.device == cupy.cuda.Device(1)
        np.testing.assert_allclose(one.get(), value, rtol=1e-5, atol=1e-6)


def test_scores_maps_and_presets_on_another_device(cupy):
    p, labels, _ = Data(probabilities=True).build("float32")
    z, t = on_device(cupy, 1, (p, labels))
    found = [
        al.dice_coefficient(z, t),
        al.signed_distance_map(t, num_classes=3),
        al.unet_weight_map(t),
        smp.FocalLoss("multiclass")(z, t),
        *keras.SparseCategoricalCrossentropy(axis=1).value_and_grad(t, z),
    ]
    assert {one.device.id for one in found} == {1}


def test_arrays_on_two_devices(cupy):
    z, t, _ = Data().build("float32")
    (z,), (t,) = on_device(cupy, 0, (z,)), on_device(cupy, 1, (t,))
    with pytest.raises(ValueError, match=r"`target`.*device"):
        al.dice_loss(z, t)


def test_numbers_are_sent_once(cupy):
    """The second call of a loss, and one of another loss with the same numbers, send nothing."""
    arrays = on_device(cupy, 0, Data().build("float32"))
    for make in (
        lambda: al.CrossEntropyLoss(class_weights=(0.5, 1.25, 2.0)),
        lambda: al.FocalLoss(gamma=(0.5, 1.75, 2.0), alpha=(0.25, 0.5, 1.0)),
        lambda: al.DiceLoss(class_weights=(0.25, 1.5, 2.0), normalize="classes"),
        lambda: al.TverskyLoss(gamma=(0.5, 1.0, 1.5), include_background=False),
        lambda: al.LovaszSoftmaxLoss(class_weights=(0.125, 1.5, 2.0), bins=16),
    ):
        make().value_and_grad(*arrays[:2])
        with cupy._counts.counted() as (_, waits, copies):
            make().value_and_grad(*arrays[:2])
        assert not waits
        assert not copies


def test_a_second_call_sends_nothing(case, cupy):
    arrays = on_device(cupy, 0, case.data.build("float32"))
    list(every_call(case, arrays))
    with cupy._counts.counted() as (_, waits, copies):
        list(every_call(case, arrays))
    assert not waits
    assert not copies


# Most kernels of a value with its gradient: float32, 19 classes, two images. In docs/launches.md.
KERNELS = {
    "cross entropy": (al.CrossEntropyLoss(), 46),
    "focal": (al.FocalLoss(), 57),
    "Dice": (al.DiceLoss(), 92),
    "Jaccard": (al.JaccardLoss(), 90),
    "cross entropy + Dice": (al.CrossEntropyLoss() + al.DiceLoss(), 117),
    "Lovász-Softmax": (al.LovaszSoftmaxLoss(), 124),
    "Lovász-Softmax, 4,096 bins": (al.LovaszSoftmaxLoss(bins=4096), 129),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels(name, cupy):
    loss, most = KERNELS[name]
    rng = np.random.default_rng(3)
    logits = cupy.asarray(rng.normal(size=(2, 19, 16, 16)).astype("float32"))
    labels = cupy.asarray(rng.integers(19, size=(2, 16, 16)))
    with cupy._counts.counted() as (kernels, _, _):
        loss.value_and_grad(logits, labels)
    assert most - 5 <= sum(kernels.values()) <= most


def test_kernels_of_the_page():
    page = Path(__file__).parents[2].joinpath("docs/launches.md").read_text(encoding="utf-8")
    for name, (_, most) in KERNELS.items():
        assert f"| {name} | {most} |" in page


def test_what_is_sent_stays_as_it_is(cupy):
    """Nobody writes to it."""
    arrays = on_device(cupy, 0, Data().build("float32"))
    for case in COVER:
        if case.data == Data():
            list(every_call(case, arrays))
    kept = library_of(arrays[0])._sent._arrays
    assert kept
    for (values, dtype, _), array in kept.items():
        np.testing.assert_array_equal(array.get(), np.asarray(values, dtype=dtype))


@pytest.mark.parametrize(
    "labels",
    [ROW, np.stack([ROW, ROW.T[:1] + ROW]), ROW.reshape(1, 2, 2, 2), ROW.reshape(1, 2, 1, 2, 2)],
    ids=["rows", "images", "volumes", "four axes"],
)
def test_distance_maps(labels, cupy):
    for one in (
        lambda x: al.signed_distance_map(x, num_classes=4),
        lambda x: al.signed_distance_map(x, num_classes=3, spacing=0.5),
        al.unet_weight_map,
    ):
        found = one(cupy.asarray(labels))
        assert isinstance(found, cupy.ndarray)
        np.testing.assert_allclose(found.get(), one(labels), rtol=1e-6)


def test_distance_maps_of_images_wait_for_nothing(cupy):
    with cupy._counts.counted() as (_, waits, _):
        al.signed_distance_map(cupy.asarray(ROW.reshape(1, 2, 4)), num_classes=4)
    assert not waits
