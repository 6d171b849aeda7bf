"""Writes cupy.json, what the stand-in knows of CuPy: signatures, ufunc loops, what waits.

Run where CuPy is installed; it needs no GPU: `python tests/cupy_stand_in/read_cupy.py`.
"""

import inspect
import json
import re
from pathlib import Path

import cupy

FACTS = Path(__file__).with_name("cupy.json")
WAITS = "may synchronize the device"


def parameters(function):
    """The parameters of a function as one would write them, all defaults as None."""
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:  # a function of Cython: the first line of its docstring has them
        return _from_docstring(function)
    found = [
        one.replace(annotation=one.empty, default=one.empty if one.default is one.empty else None)
        for one in found
    ]
    return str(inspect.Signature(found))[1:-1]


def _from_docstring(function):
    first = (function.__doc__ or "").split("\n", maxsplit=1)[0]
    found = re.fullmatch(r"(?:\w+\.)?\w+\((.*)\)(?: ->.*)?", first)
    if found is None:
        return None
    written = re.sub(r"=[^,)]+", "=None", found[1])
    # A type of Cython stands before the name.
    return ", ".join(one.split(" ")[-1] for one in written.split(", "))


def facts():
    """What is known of this CuPy."""
    every = {name: getattr(cupy, name) for name in dir(cupy) if not name.startswith("_")}
    methods = {
        name: getattr(cupy.ndarray, name)
        for name in dir(cupy.ndarray)
        if not name.startswith("_") and callable(getattr(cupy.ndarray, name))
    }
    functions = {
        name: parameters(one)
        for name, one in every.items()
        if inspect.isroutine(one) and not isinstance(one, cupy.ufunc)
    }
    ufuncs = {name: one.types for name, one in every.items() if isinstance(one, cupy.ufunc)}
    where = cupy._sorting.search._where_ufunc
    return {
        "version": cupy.__version__,
        "functions": {name: one for name, one in functions.items() if one is not None},
        "methods": {
            name: found for name, one in methods.items() if (found := parameters(one)) is not None
        },
        "loops": {
            name: " ".join(loops) for name, loops in (ufuncs | {"where": where.types}).items()
        },
        "waits": [name for name, one in every.items() if WAITS in (one.__doc__ or "")],
    }


if __name__ == "__main__":
    FACTS.write_text(json.dumps(facts(), indent=1) + "\n", encoding="utf-8")
