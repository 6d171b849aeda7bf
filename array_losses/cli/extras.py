"""What a command needs beyond the library itself, and what it says when that is not installed."""

from __future__ import annotations

from importlib import import_module


class MissingExtraError(Exception):
    """A package that an extra brings is not installed; the message is one line for the user."""


def require(module: str, extra: str) -> None:
    """Import `module`, or say which extra of array-losses brings it."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        message = (
            f'{module} is not installed; run: pip install "array-losses[{extra}]" '
            f'(in a clone of the repository: pip install ".[{extra}]")'
        )
        raise MissingExtraError(message) from error
