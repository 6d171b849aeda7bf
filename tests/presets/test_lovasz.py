"""presets.lovasz against an oracle of the original code: its own file is on no registry.

Written from the formulas: errors in descending order, times the differences of the Jaccard loss.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import array_losses as al
from array_losses.presets import lovasz as presets
from tests.presets.agreement import with_torch
from tests.presets.options import MANY, Bound, Data, seeds, some
from tests.presets.table import check_row

torch = pytest.importorskip("torch")
planes = st.sampled_from([(4, 5), (1, 7), (3, 2)])


def extension(errors, truth):
    """The Lovász extension of the Jaccard loss, of one class, at its errors."""
    errors, order = torch.sort(errors, descending=True, stable=True)
    truth = truth[order].to(errors.dtype)
    total = truth.sum()
    jaccard = 1 - (total - truth.cumsum(0)) / (total + (1 - truth).cumsum(0))
    steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors * steps).sum()


def images(x, y, per_image):
    one = range(len(x))
    return [(x[i : i + 1], y[i : i + 1]) for i in one] if per_image else [(x, y)]


def counted(x, y, ignore):
    """One row a pixel, and its label, of the pixels that are not ignored."""
    y = y.reshape(-1)
    kept = torch.ones_like(y, dtype=torch.bool) if ignore is None else y != ignore
    return x[kept], y[kept]


def softmax(probas, labels, classes="present", per_image=False, ignore=None):
    losses = []
    probas = probas if probas.ndim > labels.ndim else probas[:, None]
    for image, truth in images(probas, labels, per_image):
        p, y = counted(image.movedim(1, -1).reshape(-1, image.shape[1]), truth, ignore)
        found = []
        for c in range(p.shape[1]) if isinstance(classes, str) else classes:
            if classes != "present" or (y == c).any():
                column = p[:, 0 if p.shape[1] == 1 else c]
                found.append(extension(((y == c).to(p.dtype) - column).abs(), y == c))
        losses.append(sum(found) / len(found))
    return sum(losses) / len(losses)


def hinge(logits, labels, per_image=True, ignore=None):
    losses = []
    for image, truth in images(logits, labels, per_image):
        z, y = counted(image.reshape(-1), truth, ignore)
        margins = 1 - z * (2 * y.to(z.dtype) - 1)
        losses.append(extension(margins.relu(), y == 1) if len(y) else z.sum() * 0)
    return sum(losses) / len(losses)


@MANY
@given(
    seeds,
    planes,
    some(classes=["present", "all", [0, 2], [1]], per_image=[True, False], ignore=[None, 255]),
)
def test_lovasz_softmax(seed, shape, options):
    data = Data(seed)
    labels = data.labels(3, 2, *shape, ignored=options.get("ignore"))
    labels[:, 0, 0] = 0  # in every image something counts
    arrays = [data.distribution(2, 3, *shape), labels]
    preset = Bound(presets.lovasz_softmax, **options)
    with_torch("lovasz (oracle)", preset, lambda *x: softmax(*x, **options), arrays)


@MANY
@given(
    seeds,
    planes,
    st.sampled_from([[1], [0]]),
    some(per_image=[True, False], ignore=[None, 255]),
    st.booleans(),
)
def test_lovasz_softmax_of_one_class(seed, shape, classes, options, axis):
    data = Data(seed)
    labels = data.labels(2, 2, *shape, ignored=options.get("ignore"))
    full = (2, 1, *shape) if axis else (2, *shape)
    preset = Bound(presets.lovasz_softmax, classes=classes, **options)
    with_torch(
        "lovasz (oracle)",
        preset,
        lambda *x: softmax(*x, classes=classes, **options),
        [data.probabilities(*full), labels],
    )


@MANY
@given(seeds, planes, some(per_image=[True, False], ignore=[None, 255]), st.booleans())
def test_lovasz_hinge(seed, shape, options, one_ignored):
    data = Data(seed)
    labels = data.labels(2, 2, *shape, ignored=options.get("ignore"))
    if one_ignored and options.get("ignore"):
        labels[1] = 255
    preset = Bound(presets.lovasz_hinge, **options)
    arrays = [data.logits(2, *shape), labels]
    with_torch("lovasz (oracle)", preset, lambda *x: hinge(*x, **options), arrays)


def test_classes_are_checked():
    data = Data(3)
    with pytest.raises(ValueError, match="`classes` must hold the label"):
        presets.lovasz_softmax(data.probabilities(1, 2, 3), data.labels(2, 1, 2, 3))
    with pytest.raises(ValueError, match='`classes` must be "present"'):
        presets.lovasz_softmax(
            data.distribution(1, 2, 2, 3), data.labels(2, 1, 2, 3), classes="some"
        )
    with pytest.raises(ValueError, match="`classes` must hold numbers from 0 to 1"):
        presets.lovasz_softmax(
            data.distribution(1, 2, 2, 3), data.labels(2, 1, 2, 3), classes=[0, 2]
        )


def test_oddity_of_an_image_ignored_whole():
    data = Data(4)
    logits, labels = data.logits(2, 3, 4), data.labels(2, 2, 3, 4)
    labels[1] = 255
    theirs = hinge(torch.from_numpy(logits), torch.from_numpy(labels), ignore=255)
    mine = al.LovaszHingeLoss(pool="image", absent="skip", ignore_index=255)(
        logits[:, None], labels
    )
    check_row("lovasz", "`lovasz_hinge(ignore=255)`, one of two images ignored", theirs, mine)


def test_departure_where_all_is_ignored():
    p, labels = Data(5).distribution(1, 3, 2, 2), np.full((1, 2, 2), 255)
    mine = presets.lovasz_softmax(p, labels, ignore=255)
    check_row("lovasz", "`lovasz_softmax(ignore=255)`, all pixels ignored", "shape (0, 3)", mine)
