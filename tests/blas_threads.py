"""Calls every loss and score, and prints which calls woke a thread of the BLAS library.

A program of its own, `python -m tests.blas_threads numpy`: in a process that has done other work
there are other threads.
"""

import sys
import threading
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

import array_losses as al
from tests.cases import COVER, Data

# More pixels in an image than a dot product of OpenBLAS takes in one thread.
SPATIAL = {1: (12288,), 2: (128, 96), 3: (128, 12, 8)}


def others():
    """How often each thread that is not Python's was given a core, and whether it sleeps."""
    own = {thread.native_id for thread in threading.enumerate()}
    found = {}
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) not in own:
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            found[task.name] = (task / "schedstat").read_text().split()[2], state == "S"
    return found


def others_asleep():
    """The same as soon as all of them sleep."""
    while True:
        before = others()
        time.sleep(0.05)
        if others() == before and all(asleep for _, asleep in before.values()):
            return before


def losses(arrays):
    """Call cases with every option of every loss, on more pixels; name each when it is done."""
    for case in COVER:
        data = case.data
        axes = {options.get("class_axis") for _, _, options in case.terms}
        if data.batch == 0 or 0 in data.spatial or not data.spatial or len(axes) > 1:
            continue  # no pixels, or as many of them as classes
        loss = case.loss()
        data = replace(data, spatial=SPATIAL[len(data.spatial)])
        for dtype in ("float32", "float64"):
            *inputs, weights = arrays(data, dtype)
            loss(*inputs, pixel_weights=weights)
            yield case.name, dtype
            if not case.is_scalar:
                continue
            loss.value_and_grad(*inputs, pixel_weights=weights)
            yield case.name, dtype, "gradient"
            if not isinstance(inputs[0], np.ndarray):
                inputs[0].requires_grad_(True)
                loss(*inputs, pixel_weights=weights).backward()
                yield case.name, dtype, "backward"


def scores(arrays):
    """Call the scores with probabilities, labels and masks; name each when it is done."""
    data = Data(spatial=SPATIAL[2], probabilities=True, weights="float")
    for score, pool, dtype in product(
        (al.dice_coefficient, al.jaccard_index), ("batch", "image"), ("float32", "float64")
    ):
        p, target, weights = arrays(data, dtype)
        options = {"pixel_weights": weights, "pool": pool}
        score(p, target, **options)
        yield score.__name__, "probabilities", pool, dtype
        score(p.argmax(1), target, num_classes=3, **options)
        yield score.__name__, "labels", pool, dtype
        score(p[:, 1] > 0.5, target == 1, **options)
        yield score.__name__, "masks", pool, dtype


def numpy_arrays(data, dtype):
    """The inputs of a recipe."""
    return data.build(dtype)


def torch_arrays(data, dtype):
    """The inputs of a recipe as tensors."""
    import torch

    torch.set_num_threads(1)  # PyTorch's own threads are no concern here.
    return [None if one is None else torch.from_numpy(one) for one in data.build(dtype)]


def main():
    """Print how many calls there were, whether a thread would have been seen, and who woke one."""
    arrays = {"numpy": numpy_arrays, "torch": torch_arrays}[sys.argv[1]]
    arrays(Data(), "float32")
    asleep = others_asleep()
    number, woke = 0, []
    for calls in (losses, scores):
        for name in calls(arrays):
            number += 1
            if others() != asleep:
                woke.append(" ".join(name))
                asleep = others_asleep()
    x = np.ones((1, 100_000))
    np.vecdot(x, x)
    print(number, others() != asleep, *woke, sep="\n")


if __name__ == "__main__":
    main()
