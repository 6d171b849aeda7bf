"""What is known of the real CuPy, from cupy.json: signatures, loops of ufuncs, what waits."""

import ast
import inspect
import json
from pathlib import Path

import numpy as np

try:
    import ml_dtypes
except ModuleNotFoundError:  # then there is no bfloat16, as with the real one
    ml_dtypes = None

FACTS = json.loads(Path(__file__).parents[1].joinpath("cupy.json").read_text(encoding="utf-8"))
VERSION = FACTS["version"]
# Those whose docstring says so, and those that are built on them.
WAITS = {*FACTS["waits"], "argwhere", "asnumpy"} - {"where"}  # with one argument only


def dtype_of(character):
    """The dtype of a character in a loop of a ufunc, None for a bfloat16 that is not there."""
    if character != "E":
        return np.dtype(character)
    return None if ml_dtypes is None else np.dtype(ml_dtypes.bfloat16)


def signature(text):
    """The signature of a function from its parameters as they are written."""
    arguments = ast.parse(f"lambda {text}: 0", mode="eval").body.args
    kinds = inspect.Parameter
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    found = [
        kinds(
            one.arg,
            kinds.POSITIONAL_ONLY if one in arguments.posonlyargs else kinds.POSITIONAL_OR_KEYWORD,
            default=kinds.empty if i < required else None,
        )
        for i, one in enumerate(positional)
    ]
    if arguments.vararg:
        found.append(kinds(arguments.vararg.arg, kinds.VAR_POSITIONAL))
    found += [
        kinds(one.arg, kinds.KEYWORD_ONLY, default=kinds.empty if default is None else None)
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg:
        found.append(kinds(arguments.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(found)
