"""Devices of the stand-in, and which one is current in a thread."""

import threading

from cupy import _counts

_current = threading.local()


def _stack():
    if not hasattr(_current, "devices"):
        _current.devices = [0]
    return _current.devices


class Device:
    """A device; as a context, the current one."""

    def __init__(self, device=None):
        self.id = _stack()[-1] if device is None else int(device)
        if self.id not in {0, 1}:
            msg = "cudaErrorInvalidDevice: invalid device ordinal"
            raise ValueError(msg)

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    __hash__ = None  # as that of CuPy

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    def __enter__(self):
        _stack().append(self.id)
        return self

    def __exit__(self, *_):
        _stack().pop()

    def use(self):
        _stack()[-1] = self.id

    def synchronize(self):
        _counts.wait("synchronize")
