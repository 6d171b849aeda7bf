"""What a command cannot go on from, and how it says so: in one line, with exit status 2."""

from __future__ import annotations

from importlib import import_module

__all__ = ["CommandError", "require"]


class CommandError(Exception):
    """Something that the user can mend; the message is one line for the user."""


def require(module: str, extra: str) -> None:
    """Import `module`, or say which extra of array-losses brings it."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        msg = (
            f'{module} is not installed; run, in a clone of array_losses: pip install ".[{extra}]"'
        )
        raise CommandError(msg) from error
