"""Linear algebra, of which the library uses nothing: names that array_api_compat looks for."""

_NAMES = """
cholesky cross det diagonal eigh eigvalsh inv lstsq matrix_norm
matrix_power matrix_rank norm outer pinv qr slogdet solve svd svdvals trace vector_norm
"""


def _absent(*args, **named):
    msg = "the stand-in for CuPy has no linear algebra"
    raise NotImplementedError(msg)


globals().update(dict.fromkeys(_NAMES.split(), _absent))
