"""The backends that a check runs on: those that were asked for, or all that are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from array_losses.testing.framework import (
    KNOWN_DEVICES,
    KNOWN_DTYPES,
    Framework,
    UnavailableError,
    frameworks,
    named,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Backend", "find_backends"]


@dataclass(frozen=True)
class Backend:
    """A framework, one of its devices and one of its dtypes."""

    framework: Framework
    device: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.framework.name} {self.device} {self.dtype}"


def find_backends(
    framework_names: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
) -> list[Backend]:
    """Return the backends that were asked for; the first that is missing is an UnavailableError.

    None stands for all that are found. A framework that is named must have every device and every
    dtype that is named; a device or dtype that is named must be found somewhere.
    """
    if framework_names is None:
        candidates = frameworks()
    else:
        candidates = tuple(named(name) for name in dict.fromkeys(framework_names))
    for option, wanted, known in (
        ("devices", devices, KNOWN_DEVICES),
        ("dtypes", dtypes, KNOWN_DTYPES),
    ):
        for name in wanted or ():
            _check_there(option, name, known, candidates, by_name=framework_names is not None)
    found = [
        Backend(framework, device, dtype)
        for framework in candidates
        for device in framework.devices
        for dtype in framework.dtypes
        if (devices is None or device in devices) and (dtypes is None or dtype in dtypes)
    ]
    if not found:
        msg = "Nothing found has all of these at once: " + _asked(framework_names, devices, dtypes)
        raise UnavailableError(msg)
    return found


def _check_there(
    option: str,
    name: str,
    known: tuple[str, ...],
    candidates: tuple[Framework, ...],
    *,
    by_name: bool,
) -> None:
    if name not in known:
        msg = f"`{option}` must be among {', '.join(known)}; got {name!r}."
        raise UnavailableError(msg)
    without = [one for one in candidates if name not in getattr(one, option)]
    if without and (by_name or len(without) == len(candidates)):
        have = "; ".join(f"{one.name} has {', '.join(getattr(one, option))}" for one in without)
        msg = f"`{option}`: {name} was asked for, but here {have}."
        raise UnavailableError(msg)


def _asked(*names: Sequence[str] | None) -> str:
    return "; ".join(", ".join(one) for one in names if one)
