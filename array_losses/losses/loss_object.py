"""What every loss object answers, a preset too: options that stay, plain data, a clear refusal."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import TYPE_CHECKING, Any

from array_losses.core import plain_data

__all__ = ["LossObject"]

# What is asked of an `nn.Module`, as far as a loss is taken for one.
_OF_A_MODULE = frozenset(
    {
        "apply",
        "bfloat16",
        "buffers",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "eval",
        "float",
        "forward",
        "half",
        "load_state_dict",
        "modules",
        "named_parameters",
        "parameters",
        "register_buffer",
        "register_forward_hook",
        "requires_grad_",
        "state_dict",
        "to",
        "train",
        "zero_grad",
    }
)
_NO_MODULE = (
    "a loss is not an `nn.Module`. It holds no arrays and runs where its arguments are, so call it "
    "as it is; where a module is needed, pass `array_losses.torch_module(loss)`."
)


class _KeepsSetattr(type):
    """A class whose dataclass decorator cannot replace `__setattr__`.

    ``dataclass(frozen=True)`` writes one into every class, with a message that cannot be chosen.
    """

    def __setattr__(cls, name: str, value: Any) -> None:
        if name != "__setattr__":
            super().__setattr__(name, value)


class LossObject(metaclass=_KeepsSetattr):
    """A frozen dataclass of options."""

    if not TYPE_CHECKING:  # A type checker would take every name for an attribute.

        @property
        def __name__(self) -> str:
            """The name that functions have: `torch.jit.trace` asks for it."""
            return type(self).__name__

        def __getattr__(self, name: str) -> Any:
            """Raise the AttributeError that a name deserves."""
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(f"{msg}: {_NO_MODULE}" if name in _OF_A_MODULE else msg)

        def __setattr__(self, name: str, value: Any) -> None:
            """Refuse: equal losses stay equal, and compiled code stays right."""
            if name in self._option_names():
                trainer = "; for a trainer that sets it, pass `array_losses.torch_module(loss)`"
                msg = (
                    f"`{name}` cannot be set: a loss is frozen. Make another one, "
                    f"`dataclasses.replace(loss, {name}=...)`"
                    f"{trainer if name == 'reduction' else ''}."
                )
            else:
                msg = (
                    f"`{name}` cannot be set: a loss is frozen. Where attributes must be set, pass "
                    "`array_losses.torch_module(loss)`."
                )
            raise FrozenInstanceError(msg)

    def __dir__(self) -> list[str]:
        """Return the options, what can be called, and the names with an underscore."""
        shown = {*self._option_names(), *_SHOWN}
        return sorted(name for name in object.__dir__(self) if name[0] == "_" or name in shown)

    def to_config(self) -> dict[str, Any]:
        """Return the loss as plain data, for JSON or YAML; `array_losses.from_config` reads it.

        Returns
        -------
        dict
            The name of the class by "class", and all options by their names: numbers, texts,
            True, False, None, lists and dicts.

        Raises
        ------
        TypeError
            If an option of a preset is a function, which plain data cannot hold.
        """
        return {"class": plain_data.class_name(type(self))} | {
            name: plain_data.plain(name, getattr(self, name)) for name in self._option_names()
        }

    @classmethod
    def _option_names(cls) -> tuple[str, ...]:
        return tuple(one.name for one in fields(cls) if one.init)  # type: ignore[arg-type]


_SHOWN = ("ce", "dc", "get_config", "to_config", "value_and_grad", "value_and_terms")
