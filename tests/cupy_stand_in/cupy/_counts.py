"""What the stand-in counts: kernels, waits of the host for the device, and copies to the device.

A wait that the library asks for is refused: the innermost caller that is neither the stand-in nor
array_api_compat is looked at, so tests, and functions of users that a loss calls, may wait.
"""

import sys
from collections import Counter
from contextlib import contextmanager

kernels, waits, copies = Counter(), Counter(), Counter()

# Where the library may wait: in these functions of these modules.
MAY_WAIT = {
    # Options that are arrays become numbers of Python: once for each array.
    ("array_losses.core.options", "_plain"),
    ("array_losses.presets.arrays", "numbers"),
    # Numbers of classes are sent once.
    ("array_losses.frameworks.cupy", "send"),
    # Maps of more axes than its transform takes, and the numbers of cells, which are to be found.
    ("array_losses.frameworks.ndimage", "_on_cpu"),
    ("array_losses.distance_maps", "unet_weight_map"),
}
# What tests and commands do with results, to compare and to show them.
OUTSIDE = ("array_losses.testing", "array_losses.cli")
BETWEEN = ("cupy", "cupyx", "array_api_compat", "contextlib")


class WaitError(RuntimeError):
    """The library waited for the device."""


def launch(name, number=1):
    """Count kernels."""
    if number:
        kernels[name] += number


def wait(name):
    """Count a wait, and refuse one of the library's."""
    waits[name] += 1
    module, function = _caller()
    of_library = module.partition(".")[0] == "array_losses" and not module.startswith(OUTSIDE)
    if of_library and (module, function) not in MAY_WAIT:
        msg = f"{name} waits for the device, called by {function} of {module}"
        raise WaitError(msg)


def copy(name):
    """Count a copy from the memory of the host, where the library asks for it."""
    module, function = _caller()
    if module.partition(".")[0] == "array_losses" and not module.startswith(OUTSIDE):
        copies[name, module, function] += 1


def _caller():
    """The module and function of the innermost frame that is of neither library of arrays."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in BETWEEN:
            return module, frame.f_code.co_name
        frame = frame.f_back
    return "", ""


@contextmanager
def counted():
    """Count from nothing in a block; yields kernels, waits and copies, filled at its end."""
    found = Counter(), Counter(), Counter()
    before = [Counter(one) for one in (kernels, waits, copies)]
    yield found
    for one, now, then in zip(found, (kernels, waits, copies), before, strict=True):
        one.update(now - then)
