"""The libraries that presets stand for, loaded without what their losses do not need.

The nox session `presets` installs them at the versions of the extra `presets`, and sets
ARRAY_LOSSES_PRESETS=required, so that none can be missing unseen. Elsewhere a test of a library
that is not installed is skipped.
"""

import importlib
import importlib.util
import os
import sys
import types
import warnings
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version

import pytest

VERSIONS = {
    "optax": "0.2.8",
    "kornia": "0.9.0",
    "segmentation_models_pytorch": "0.6.0",
    "monai": "1.6.1",
    "keras": "3.15.1",
    "pytorch_toolbelt": "0.8.0",
    "torchvision": "0.29.2",
}


def load(name, distribution=None):
    """The module `name`; the test file is skipped where its library is not installed."""
    distribution = distribution or name.split(".", maxsplit=1)[0]
    try:
        found = version(distribution)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(name)
    except (ImportError, PackageNotFoundError) as error:
        if os.environ.get("ARRAY_LOSSES_PRESETS") == "required":
            raise
        pytest.skip(f"{distribution}: {error}", allow_module_level=True)
    expected = VERSIONS.get(distribution, found)
    if found != expected:
        pytest.skip(
            f"{distribution} is {found}, presets are of {expected}", allow_module_level=True
        )
    return module


def bare(name):
    """Make a package importable without its `__init__`, which imports models and images."""
    if name in sys.modules:
        return
    parent, _, child = name.rpartition(".")
    if parent:
        bare(parent)
        places = [f"{one}/{child}" for one in getattr(sys.modules.get(parent), "__path__", ())]
    else:
        spec = importlib.util.find_spec(name)
        places = [] if spec is None else list(spec.submodule_search_locations)
    if places:
        module = types.ModuleType(name)
        module.__path__ = places
        module.__spec__ = ModuleSpec(name, None, is_package=True)  # `find_spec` asks for it
        sys.modules[name] = module
