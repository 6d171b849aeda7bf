"""Options as plain data: what JSON and YAML can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["class_name", "plain"]


def class_name(kind: type) -> str:
    """Return by what name plain data calls a class."""
    package, _, rest = kind.__module__.partition(".")
    if package != "array_losses":
        return f"{kind.__module__}.{kind.__qualname__}"
    return f"{rest}.{kind.__name__}" if rest.startswith("presets.") else kind.__name__


def plain(name: str, value: Any) -> Any:
    """Return the option `name` as plain data."""
    if isinstance(value, type):
        return {"type": class_name(value)}
    if hasattr(value, "to_config"):
        return value.to_config()
    if hasattr(value, "tolist"):  # an array, or a NumPy number, which YAML does not know
        return value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {key: plain(name, one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(name, one) for one in value]
    msg = f"`{name}` cannot be written as plain data, got {value!r}."
    raise TypeError(msg)
