"""The part of CuPy that follows SciPy."""
