"""The CUDA runtime of the stand-in."""


class CUDARuntimeError(RuntimeError):
    """An error of the runtime; the stand-in has none."""


def getDeviceCount():  # noqa: N802
    return 2


def getDeviceProperties(device):  # noqa: N802
    return {"name": b"a stand-in", "totalGlobalMem": 0}
