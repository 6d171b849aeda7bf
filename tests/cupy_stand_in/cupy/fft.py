"""Fourier transforms, of which the library uses none: names that array_api_compat looks for."""

_NAMES = """
fft fftfreq fftn fftshift hfft ifft ifftn ifftshift ihfft irfft irfftn rfft rfftfreq rfftn
"""


def _absent(*args, **named):
    msg = "the stand-in for CuPy has no Fourier transforms"
    raise NotImplementedError(msg)


globals().update(dict.fromkeys(_NAMES.split(), _absent))
