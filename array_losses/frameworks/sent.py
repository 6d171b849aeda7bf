"""Numbers that are known before any call, as arrays on a device: they travel there once.

To send them at each call takes a copy, for which PyTorch waits, and which no CUDA graph can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from array_losses.core.namespace import Array

__all__ = ["Sent"]

# A row takes 512 bytes of a device, as any small array.
_MOST = 4096


class Sent:
    """Arrays by what they hold, dtype and device.

    None is thrown away: a captured CUDA graph reads it at every replay, another stream perhaps
    still now. Once there are very many, as with weights that change at each step, further ones are
    not kept.

    Parameters
    ----------
    kind : the type of arrays; what a mode of the library makes in their place must not outlive it
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._arrays: dict[Hashable, Array] = {}

    def get(self, key: Hashable, send: Callable[[], Array]) -> Array:
        """Return the array of a key, sent if it was not before."""
        found = self._arrays.get(key)
        if found is not None:
            return found
        array = send()
        if type(array) is not self._kind or len(self._arrays) >= _MOST:
            return array
        return self._arrays.setdefault(key, array)  # of two threads that send at once, one's
