"""The names of the presets; names, order and defaults of their options are the libraries'."""

import importlib
import inspect

import pytest

from array_losses import presets
from tests.presets import packages

torch = pytest.importorskip("torch")
# Where a preset's names are in the library.
HOMES = {
    "torch": ["torch.nn.functional", "torch.nn"],
    "torchvision": ["torchvision.ops.focal_loss"],
    "optax": ["optax.losses"],
    "kornia": ["kornia.losses"],
    "smp": ["segmentation_models_pytorch.losses"],
    "monai": ["monai.losses"],
    "keras": ["keras.losses"],
    "toolbelt": [
        f"pytorch_toolbelt.losses.{m}" for m in ("dice", "jaccard", "lovasz", "focal", "soft_ce")
    ],
}
BARE = ("segmentation_models_pytorch", "torchvision.ops", "pytorch_toolbelt.losses")
NAMES = [
    (library, name)
    for library in presets.__all__
    for name in importlib.import_module(f"array_losses.presets.{library}").__all__
]


@pytest.mark.parametrize(("source", "name"), [one for one in NAMES if one[0] in HOMES])
def test_options_are_those_of_the_library(source, name):
    for one in BARE:
        packages.bare(one)
    for home in HOMES[source]:
        if home.startswith("pytorch_toolbelt"):
            pytest.importorskip("tests.presets.test_toolbelt")
        module = packages.load(home)
        if hasattr(module, name):
            theirs = getattr(module, name)
    mine = getattr(importlib.import_module(f"array_losses.presets.{source}"), name)
    mine, theirs = (inspect.signature(one).parameters for one in (mine, theirs))
    assert list(mine) == list(theirs)
    for option in mine:
        assert mine[option].kind == theirs[option].kind
        default = theirs[option].default
        assert mine[option].default == getattr(default, "value", default), option


@pytest.mark.parametrize(("source", "name"), NAMES)
def test_is_documented(source, name):
    thing = getattr(importlib.import_module(f"array_losses.presets.{source}"), name)
    assert inspect.getdoc(thing).splitlines()[0].endswith(".")
    assert ">>>" in thing.__doc__
    assert callable(thing.value_and_grad)
