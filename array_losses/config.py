"""Losses from plain data: the inverse of `to_config`, also after JSON or YAML."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from array_losses.core.plain_data import class_name
from array_losses.losses.loss_object import LossObject

__all__ = ["from_config", "loss_classes"]


def from_config(config: Any, /) -> Any:
    """Return the loss, the weighted sum or the preset that plain data describes.

    Parameters
    ----------
    config : mapping
        What ``loss.to_config()`` returns, also after JSON or YAML, or as an OmegaConf node: the
        name of the class under "class", and each option under its name. Options may be left out.
        The class is one of `array_losses`, one of `array_losses.presets` with its module in front
        (``presets.monai.DiceLoss``), or your own subclass of `Loss`, by its full name, if its
        module has been imported. Nothing but losses is created, and no module of yours is imported.

    Returns
    -------
    loss

    Raises
    ------
    TypeError, ValueError
        If it does not describe a loss, or an option has a wrong type or value.

    Examples
    --------
    >>> import json
    >>> import array_losses as al
    >>> criterion = al.CrossEntropyLoss(ignore_index=255) + 0.5 * al.DiceLoss()
    >>> al.from_config(json.loads(json.dumps(criterion.to_config()))) == criterion
    True
    >>> al.from_config({"class": "FocalLoss", "gamma": 1.5}).gamma
    1.5
    """
    if not isinstance(config, Mapping) or "class" not in config:
        msg = f'`config` must be a mapping with the name of a loss under "class", got {config!r}.'
        raise TypeError(msg)
    kind = _class_of(config["class"])
    return kind(**{key: _option(config[key]) for key in config if key != "class"})


def loss_classes() -> dict[str, type[LossObject]]:
    """Return the classes of losses, sums and presets by their names in plain data."""
    import array_losses as al

    importlib.import_module("array_losses.presets")  # their classes are among the subclasses then
    # The last class with a name wins: a notebook cell may have been run twice.
    known = {class_name(one): one for one in _subclasses(LossObject)}
    bases = {name for name in known if "." not in name and name not in al.__all__}
    return {name: one for name, one in known.items() if name not in bases | {"Loss"}}


def _subclasses(kind: type[LossObject]) -> Iterator[type[LossObject]]:
    for one in kind.__subclasses__():
        if "__dataclass_params__" in vars(one) and not one.__name__.startswith("_"):
            yield one
        yield from _subclasses(one)


def _class_of(name: Any) -> type[LossObject]:
    known = loss_classes()
    if name not in known:
        names = ", ".join(sorted(one for one in known if "." not in one))
        msg = (
            f'"class" must be a loss of array_losses ({names}), a preset such as '
            f"presets.monai.DiceLoss, or an imported subclass of Loss, got {name!r}."
        )
        raise ValueError(msg)
    return known[name]


def _option(value: Any) -> Any:
    """Return an option from plain data in the form that a loss takes."""
    if isinstance(value, Mapping):
        if "class" in value:
            return from_config(value)
        if set(value) == {"type"}:
            return _class_of(value["type"])
        return {key: _option(value[key]) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_option(one) for one in value)
    return value
