"""What of CuPy's extensions the library may use."""


def scatter_add(a, slices, value):
    """Add at places, repeated ones too."""
    a.scatter_add(slices, value)
