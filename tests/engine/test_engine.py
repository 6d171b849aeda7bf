"""The engine: blocks, threads, forks, and sums over very many pixels."""

import gc
import math
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import array_losses as al
from array_losses.core import plan
from array_losses.core import threads as pool
from tests.backends import BACKENDS
from tests.cases import CLASSES, COVER, LOVASZ_LOSSES, PIXEL_LOSSES, Data
from tests.contract.test_contract import LOSSES, SIGMOID, assert_same

VARIANTS = {
    **LOSSES,
    **SIGMOID,
    **{
        f"{name}-image": lambda name=name, **options: getattr(al, CLASSES[name])(
            pool="image", **options
        )
        for name in CLASSES
        if name not in PIXEL_LOSSES
    },
    **{
        f"{name}-bins": lambda name=name, **options: getattr(al, CLASSES[name])(bins=16, **options)
        for name in LOVASZ_LOSSES
    },
}

each_variant = pytest.mark.parametrize("make", VARIANTS.values(), ids=VARIANTS)


def data_for(target, seed=71, **options):
    return Data(batch=3, spatial=(4, 5), target=target, weights="float", seed=seed, **options)


# --- blocks and threads ---------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("target", ["labels", "soft"])
@each_variant
def test_block_size_and_threads_do_not_matter(make, target, axis):
    logits, target, weights = data_for(target, class_axis=axis).build()
    loss = make(class_axis=axis)
    with plan.using(threads=1):
        expected = loss.value_and_grad(logits, target, pixel_weights=weights)
    for block_pixels in (1, 7, 1000, None):
        results = set()
        for threads in (1, 2, 3):
            with plan.using(block_pixels=block_pixels, threads=threads):
                value, gradient = loss.value_and_grad(logits, target, pixel_weights=weights)
                alone = loss(logits, target, pixel_weights=weights)
            assert_same([value, gradient], expected)
            results.add((value.tobytes(), alone.tobytes(), gradient.tobytes()))
        assert len(results) == 1, "the bits depend on the number of threads"


@pytest.mark.parametrize("name", PIXEL_LOSSES)
def test_maps_in_blocks(name):
    logits, target, weights = data_for("labels").build()
    loss = getattr(al, CLASSES[name])(reduction="none")
    expected = loss(logits, target, pixel_weights=weights)
    for block_pixels in (1, 7):
        with plan.using(block_pixels=block_pixels, threads=2):
            found = loss(logits, target, pixel_weights=weights)
        np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_blocks_of_tensors(dtype, torch):
    """bfloat16 stays with PyTorch: NumPy has no such type."""
    logits, target, weights = BACKENDS["torch"].on(data_for("labels").build(), dtype)
    loss = LOSSES["sum"]()
    expected = loss.value_and_grad(logits, target, pixel_weights=weights)
    for block_pixels in (1, 7, 1000):
        with plan.using(block_pixels=block_pixels, threads=2):
            found = loss.value_and_grad(logits, target, pixel_weights=weights)
        rtol = 1e-12 if dtype == "float64" else 1e-2
        torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol * 1e-2)


def test_blocks_of_strict_arrays():
    pytest.importorskip("array_api_strict")
    library = BACKENDS["strictest"]
    logits, target, weights = library.inputs(data_for("labels"), "float64")
    loss = LOSSES["sum"]()
    expected = loss.value_and_grad(logits, target, pixel_weights=weights)
    with plan.using(block_pixels=7):
        found = loss.value_and_grad(logits, target, pixel_weights=weights)
    assert_same(map(library.to_numpy, found), [*map(library.to_numpy, expected)])


@each_variant
def test_repeats_bit_for_bit(make):
    logits, target, weights = Data(spatial=(64, 65), weights="float", seed=72).build("float32")
    results = set()
    with plan.using(block_pixels=500, threads=2):
        for _ in range(3):
            value, gradient = make().value_and_grad(logits, target, pixel_weights=weights)
            results.add((value.tobytes(), gradient.tobytes()))
    assert len(results) == 1


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple),
    size=st.integers(1, 300),
)
def test_blocks_cover_every_pixel_once(shape, size):
    visits = np.zeros(shape, dtype=int)
    for cut in plan.blocks(shape, size):
        assert 0 < visits[cut].size <= size
        assert visits[cut].ndim == len(shape)
        visits[cut] += 1
    assert np.all(visits == 1)


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    size=st.integers(1, 300),
)
def test_blocks_are_not_needlessly_many(shape, size):
    # All but the last piece of a row are more than half full: cut along one axis only.
    sizes = [np.empty(shape)[cut].size for cut in plan.blocks(shape, size)]
    assert sum(2 * one <= size for one in sizes) <= 1 + sum(2 * one > size for one in sizes)


# --- settings -------------------------------------------------------------------------------------

VARIABLES = ("ARRAY_LOSSES_BLOCK_PIXELS", "ARRAY_LOSSES_THREADS")


def test_environment_variables(monkeypatch):
    assert plan.current() == plan.Plan()
    monkeypatch.setenv(VARIABLES[0], "7")
    monkeypatch.setenv(VARIABLES[1], "2")
    assert plan.current() == plan.Plan(block_pixels=7, threads=2)
    with plan.using(threads=3):
        assert plan.current() == plan.Plan(threads=3)


@pytest.mark.parametrize(
    "text", ["0", "-1", "2.5", "many", "", "9" * 5000], ids=lambda text: text[:9]
)
@pytest.mark.parametrize("name", VARIABLES)
def test_bad_environment_variables(name, text, monkeypatch):
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=name):
        al.dice_loss(np.zeros((1, 2, 3)), np.zeros((1, 3), dtype=int))


def test_using_ends_with_its_block():
    def fail():
        with plan.using(threads=3):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert plan.current() == plan.Plan()


# --- forks and threads of the user ----------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_works():
    """As data loaders do: the child has the parent's pool, but not its threads."""
    code = """
        import os
        import numpy as np
        import array_losses as al

        logits = np.random.default_rng(0).normal(size=(2, 3, 40, 40))
        target = np.ones((2, 40, 40), dtype=np.uint8)
        loss = al.DiceLoss(absent="keep") + al.CrossEntropyLoss()
        expected = loss.value_and_grad(logits, target)
        child = os.fork()
        found = loss.value_and_grad(logits, target)
        same = all(a.tobytes() == b.tobytes() for a, b in zip(found, expected))
        if child == 0:
            os._exit(0 if same else 3)
        _, status = os.waitpid(child, 0)
        raise SystemExit(os.waitstatus_to_exitcode(status) or not same)
    """
    # From Python 3.12 on a fork of a process with threads warns.
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        env={**os.environ, VARIABLES[0]: "100", VARIABLES[1]: "2"},
        timeout=60,
        check=True,
    )


def test_many_threads_of_the_user(monkeypatch):
    monkeypatch.setenv(VARIABLES[0], "100")
    monkeypatch.setenv(VARIABLES[1], "2")
    losses = [make() for make in VARIANTS.values()]
    logits, target, weights = Data(spatial=(16, 17), weights="float", seed=73).build()

    def work(loss):
        value, gradient = loss.value_and_grad(logits, target, pixel_weights=weights)
        return value.tobytes(), gradient.tobytes()

    expected = [work(loss) for loss in losses]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(work, losses)) == expected


# --- very many pixels -----------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [1, -1])
def test_float32_sums_are_right_in_any_layout(axis):
    """NumPy's own float32 sum over a strided axis is not: 2 % off at 256 ** 3."""
    rng = np.random.default_rng(74)
    logits = rng.random(size=(1, 256, 256, 64, 3), dtype=np.float32)
    target = rng.integers(3, size=(1, 256, 256, 64), dtype=np.uint8)
    if axis == 1:
        logits = np.moveaxis(logits, -1, 1)
    loss = al.DiceLoss(class_axis=axis) + al.CrossEntropyLoss(class_axis=axis)
    value = loss(logits, target)
    assert value.dtype == np.float32
    assert float(value) == pytest.approx(float(loss(logits.astype("float64"), target)), rel=1e-6)


def test_counts_beyond_2_to_the_24():
    """Views that repeat one pixel: float32 stops counting there."""
    pixels = 2**25 + 1
    probability = np.broadcast_to(np.float32(1.0), (1, 1, pixels))
    mask = np.broadcast_to(np.uint8(1), (1, pixels))
    seen = []
    loss = al.DiceLoss(activation=None)
    loss(probability, mask, all_reduce=lambda totals: seen.append(totals) or totals)
    (totals,) = seen
    assert totals.tolist() == [pixels, 0, 0]  # true and false positives, false negatives


def test_a_mean_over_more_than_2_to_the_24():
    """In one block, too: the count of a block is no float32 sum either."""
    pixels = 2**24 + 2**23
    loss = al.CrossEntropyLoss(activation="sigmoid", normalize="valid", ignore_index=255)
    target = np.zeros((1, pixels), dtype=np.uint8)
    target[0, 0] = 255
    logits = np.broadcast_to(np.float16(0.0), (1, 1, pixels))
    with plan.using(block_pixels=pixels, threads=1):
        value = loss(logits, target)
    assert float(value) == pytest.approx(math.log(2), rel=1e-6)


def test_nothing_of_a_call_is_kept_while_the_threads_are_busy():
    """A helper that finds no free thread waits in the pool's queue until long after the call."""
    with plan.using(block_pixels=100, threads=2):
        pool.ordered_map(lambda i: i, range(3), 2)  # make the pool
        free = threading.Event()
        busy = [pool._pools[2].submit(free.wait) for _ in range(2)]
        logits, target = np.zeros((1, 2, 400), np.float32), np.zeros((1, 400), int)
        gradient = al.DiceLoss().value_and_grad(logits, target)[1]
        alive = [weakref.ref(x) for x in (logits, gradient)]
        del logits, gradient
        gc.collect()
        assert [one() for one in alive] == [None, None]
        free.set()
        assert all(one.result() for one in busy)


@pytest.mark.parametrize("bad", [(0,), (399,), (0, 399)])
def test_an_error_in_a_thread_keeps_nothing(bad):
    logits, target = np.zeros((1, 2, 400), np.float32), np.zeros((1, 400), int)
    target[0, list(bad)] = 7
    alive = weakref.ref(logits)
    gc.collect()
    gc.disable()
    try:
        with (
            plan.using(block_pixels=100, threads=2),
            pytest.raises(ValueError, match="`target` must hold integers from 0 to 1") as caught,
        ):
            al.DiceLoss()(logits, target)
        assert caught.value.__context__ is None
        del logits, caught
        assert alive() is None
    finally:
        gc.enable()


def test_work_after_the_main_thread_has_ended():
    """The interpreter starts no more threads then: a thread that still works, a handler at exit."""
    code = """
        import atexit, threading
        import numpy as np
        import array_losses as al

        logits, labels = np.ones((1, 2, 400), np.float32), np.zeros((1, 400), int)

        def work(name):
            print(name, float(al.DiceLoss().value_and_grad(logits, labels)[0]), flush=True)

        def wait_and_work():
            threading.main_thread().join()
            work("thread")

        work("main")
        atexit.register(work, "exit")
        threading.Thread(target=wait_and_work).start()
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, VARIABLES[0]: "100", VARIABLES[1]: "2"},
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, _ in lines] == ["main", "thread", "exit"]
    assert len({value for _, value in lines}) == 1
    assert not done.stderr


# What is compiled for long.
FEW = ("sum-focal-dice", "jaccard-power-product-image")


ARRAYS = {"Array", "Tensor", "ndarray"}


def left_behind(call):
    """What of ours a call leaves for the garbage collector: objects, functions, arrays."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        call()
        gc.collect()
        modules = [(x, getattr(x, "__module__", None) or type(x).__module__) for x in gc.garbage]
        return [
            x for x, module in modules if "array_losses" in module or type(x).__name__ in ARRAYS
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_nothing_outlives_a_call(library):
    """No reference cycle, which would hold logits, target and weights of many steps at once."""
    few = [case for case in COVER if case.name in FEW]
    assert len(few) == len(FEW)
    table = [
        (case, case.loss(), library.inputs(case.data, library.dtypes[0]))
        for case in (few if library.module == "jax" else COVER)
    ]

    def call():
        for case, loss, (logits, target, weights) in table:
            loss(logits, target, pixel_weights=weights)
            if case.is_scalar:
                loss.value_and_grad(logits, target, pixel_weights=weights)
            if library.module == "torch":
                backward(loss, logits, target, weights)
            if library.module == "torch" and case in few:
                followed(library.library.func.vjp, loss, logits, target, weights)

    call()  # What is imported or compiled is once in a process.
    assert not left_behind(call)


def backward(loss, logits, target, weights):
    loss(logits.detach().requires_grad_(), target, pixel_weights=weights).sum().backward()


def followed(transform, loss, logits, target, weights):
    transform(lambda z: loss(z, target, pixel_weights=weights), logits)


@pytest.mark.parametrize("name", ["numpy", "torch"])
@pytest.mark.parametrize("ignored", [0, 5])
def test_blocks_of_which_only_some_hold_ignored_pixels(name, ignored, request):
    """Where all pixels of a block count, its size tells the divisor; not so in other blocks."""
    if name == "torch":
        request.getfixturevalue("torch")
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2, 3, 4)), rng.integers(0, 3, (2, 4))
    target.flat[ignored] = 255
    loss = al.CrossEntropyLoss(ignore_index=255) + al.FocalLoss(ignore_index=255)
    arrays = BACKENDS[name].on((logits, target))
    expected = loss.value_and_grad(*arrays)
    with plan.using(block_pixels=2):
        found = loss.value_and_grad(*arrays)
        value = loss(*arrays)
    for one, other in zip((*found, value), (*expected, expected[0]), strict=True):
        np.testing.assert_allclose(BACKENDS[name].to_numpy(one), BACKENDS[name].to_numpy(other))
