"""Text for any terminal: characters that its encoding lacks are replaced."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata

__all__ = ["displayable", "print_anywhere"]

_SPELLINGS = {"×": "x", "–": "-", "—": "-", "…": "..."}


def print_anywhere() -> None:
    """Make stdout and stderr accept any text: in ASCII, Lovász becomes Lovasz."""
    codecs.register_error("array_losses", _spelt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="array_losses")


def _spelt(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(map(_spelling, missing)), error.end


def _spelling(character: str) -> str:
    if character in _SPELLINGS:
        return _SPELLINGS[character]
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or character.encode("ascii", "backslashreplace").decode()


def displayable(text: str) -> str:
    r"""Escape control characters, and bytes that are not text, in the name of a file: \x1b."""
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
