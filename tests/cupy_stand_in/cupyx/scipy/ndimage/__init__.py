"""CuPy's distance transform, which knows images and volumes only."""

from cupy import _counts
from cupy._array import inside, of
from scipy import ndimage


def distance_transform_edt(
    image,
    sampling=None,
    return_distances=True,
    return_indices=False,
    distances=None,
    indices=None,
    *,
    block_params=None,
    float64_distances=True,
):
    """Distances to the nearest background element."""
    if image.ndim not in {2, 3}:
        msg = "Only 2D and 3D distance transforms are supported."
        raise NotImplementedError(msg)
    _counts.launch("distance_transform_edt", 10)
    return of(ndimage.distance_transform_edt(inside(image), sampling))
