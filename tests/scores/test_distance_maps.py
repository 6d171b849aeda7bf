"""Maps of distances, on the library that the labels are of."""

import numpy as np
import pytest

import array_losses as al

pytest.importorskip("scipy")


def test_distances_of_every_pixel_by_hand(library):
    """Against the minimum over all pairs of pixels."""
    labels = np.random.default_rng(1).integers(0, 3, size=(2, 4, 5))
    spacing = (0.5, 2.0)
    found = al.signed_distance_map(library.asarray(labels), num_classes=3, spacing=spacing)
    assert library.owns(found)
    assert library.dtype_of(found) == "float32"
    places = np.stack(np.meshgrid(np.arange(4), np.arange(5), indexing="ij"), axis=-1) * spacing
    expected = np.zeros((2, 3, 4, 5))
    for b, c, i, j in np.ndindex(expected.shape):
        inside = labels[b] == c
        other = inside if not inside[i, j] else ~inside
        distance = np.min(np.linalg.norm(places[other] - places[i, j], axis=-1))
        expected[b, c, i, j] = -distance if inside[i, j] else distance
    np.testing.assert_allclose(library.to_numpy(found), expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_class_axis(axis):
    labels = np.random.default_rng(2).integers(0, 3, size=(2, 4, 5))
    expected = np.moveaxis(al.signed_distance_map(labels, num_classes=3), 1, axis)
    found = al.signed_distance_map(labels, num_classes=3, class_axis=axis)
    np.testing.assert_array_equal(found, expected)


def test_masks_absent_classes_and_ignored_pixels():
    mask = np.array([[False, True, True, False]])
    expected = [[[1, -1, -1, 1]]]
    np.testing.assert_array_equal(al.signed_distance_map(mask, num_classes=1), expected)
    labels = np.array([[0, 255, 1, 1]], dtype=np.uint8)
    found = al.signed_distance_map(labels, num_classes=3)
    np.testing.assert_array_equal(found, [[[-1, 1, 2, 3], [2, 1, -1, -2], [0, 0, 0, 0]]])
    everywhere = al.signed_distance_map(np.zeros((1, 3), int), num_classes=2)
    np.testing.assert_array_equal(everywhere, 0)
    assert al.signed_distance_map(np.zeros((0, 3), int), num_classes=2).shape == (0, 2, 3)


def test_the_map_is_the_target_of_the_loss(library):
    dtype = library.dtypes[0]
    labels = np.random.default_rng(3).integers(0, 3, size=(2, 4, 5))
    distances = al.signed_distance_map(library.asarray(labels), num_classes=3)
    right = library.asarray(20.0 * np.moveaxis(np.eye(3)[labels], -1, 1), dtype)
    value = float(al.BoundaryLoss()(right, distances))
    found = library.to_numpy(distances)
    assert value == pytest.approx(float(np.sum(found[found < 0]) / found.size), rel=1e-4)


def test_weights_between_cells(library):
    labels = np.zeros((2, 5, 9), dtype=np.int64)
    labels[0, :, :3], labels[0, :, 5:] = 7, 3  # a gap of two pixels
    labels[1, 2, 2] = 1  # one cell only
    found = al.unet_weight_map(library.asarray(labels), w0=4.0, sigma=2.0)
    assert library.owns(found)
    expected = np.ones(labels.shape)
    expected[0, :, 3:5] += 4 * np.exp(-((1 + 2) ** 2) / 8)
    np.testing.assert_allclose(library.to_numpy(found), expected, rtol=1e-6)


def test_the_two_nearest_of_many_cells():
    labels = np.array([[1, 0, 0, 2, 0, 0, 0, 3]])
    found = al.unet_weight_map(labels, w0=1.0, sigma=1.0, spacing=0.5)
    sums = np.array([1 + 2, 2 + 1, 1 + 4, 2 + 3, 1 + 3 + 0]) * 0.5
    sums[2:] = np.array([1 + 3, 2 + 2, 3 + 1]) * 0.5
    expected = 1 + np.exp(-(sums**2) / 2)
    np.testing.assert_allclose(found[0, [1, 2, 4, 5, 6]], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"num_classes": 0}, ValueError, "num_classes"),
        ({"num_classes": 2.0}, TypeError, "num_classes"),
        ({"num_classes": 2, "class_axis": 4}, ValueError, "class_axis"),
        ({"num_classes": 2, "spacing": 0.0}, ValueError, "spacing"),
        ({"num_classes": 2, "spacing": (1.0,)}, ValueError, "spacing"),
        ({"num_classes": 2, "spacing": "1"}, TypeError, "spacing"),
    ],
)
def test_wrong_options(options, error, words):
    with pytest.raises(error, match=f"`{words}`"):
        al.signed_distance_map(np.zeros((1, 3, 4), int), **options)


def test_wrong_labels_and_weights():
    for make in (al.unet_weight_map, lambda x: al.signed_distance_map(x, num_classes=2)):
        with pytest.raises(TypeError, match="`labels`"):
            make(np.zeros((1, 3)))
        with pytest.raises(TypeError, match="`labels`"):
            make([[0, 1]])
        with pytest.raises(ValueError, match="`labels`"):
            make(np.zeros(3, int))
    for name, value in (("w0", -1.0), ("sigma", 0.0), ("sigma", -1.0)):
        with pytest.raises(ValueError, match=f"`{name}`"):
            al.unet_weight_map(np.zeros((1, 3), int), **{name: value})


@pytest.mark.parametrize("function", [al.signed_distance_map, al.unet_weight_map])
def test_a_single_image_without_its_batch_axis(function):
    """What the number of axes tells; of (H, W) every row is an image."""
    options = {"num_classes": 1} if function is al.signed_distance_map else {}
    image = np.eye(4, dtype=int)
    for labels, more in ((image[0], {}), (image, {"spacing": (1.0, 2.0)})):
        with pytest.raises(ValueError, match=r"`labels\[None, \.\.\.\]`"):
            function(labels, **options, **more)
    rows = np.stack([function(row[None], **options)[0] for row in image])
    np.testing.assert_array_equal(function(image, **options), rows)
    if options:
        with pytest.raises(ValueError, match=r"`class_axis`.*`labels\[None, \.\.\.\]`"):
            function(image, **options, class_axis=3)
