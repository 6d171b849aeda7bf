"""Hides installed packages from a Python process and all that it starts.

Python imports this file at startup if its folder is on PYTHONPATH. The packages named in the
environment variable ARRAY_LOSSES_HIDDEN are then not found, as if they were not installed: nox runs
the tests of one framework after another in an environment that has all of them.
"""

import os
from importlib.machinery import PathFinder

_hidden = set(os.environ.get("ARRAY_LOSSES_HIDDEN", "").split(","))
_find_spec = PathFinder.find_spec


def find_spec(_, name, path=None, target=None):
    """Find what PathFinder finds, except the hidden packages."""
    return None if name in _hidden else _find_spec(name, path, target)


# Bound to the class: pytest keeps it as an attribute of its own finder, and calls it there.
PathFinder.find_spec = classmethod(find_spec)
