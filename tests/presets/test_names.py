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


def both(source, name):
    """The preset and what it stands for."""
    for one in BARE:
        packages.bare(one)
    if source in {"toolbelt", "keras"}:
        pytest.importorskip(f"tests.presets.test_{source}")  # what they need is made there
    modules = [packages.load(home) for home in HOMES[source]]
    theirs = next(getattr(module, name) for module in modules if hasattr(module, name))
    return getattr(importlib.import_module(f"array_losses.presets.{source}"), name), theirs


each_in_a_library = pytest.mark.parametrize(
    ("source", "name"), [one for one in NAMES if one[0] in HOMES]
)


@each_in_a_library
def test_options_are_those_of_the_library(source, name):
    mine, theirs = (inspect.signature(one).parameters for one in both(source, name))
    assert list(mine) == list(theirs)
    for option in mine:
        assert mine[option].kind == theirs[option].kind
        default = theirs[option].default
        assert mine[option].default == getattr(default, "value", default), option


@each_in_a_library
def test_arrays_are_those_of_the_library(source, name):
    """A loss object is called with the library's arrays, by its names and in its order."""
    mine, theirs = both(source, name)
    if inspect.isclass(mine):
        theirs = theirs.__call__ if source == "keras" else theirs.forward
        mine, theirs = (inspect.signature(one).parameters for one in (mine.translate, theirs))
        assert list(mine) == list(theirs)


@pytest.mark.parametrize(("source", "name"), NAMES)
def test_is_documented(source, name):
    thing = getattr(importlib.import_module(f"array_losses.presets.{source}"), name)
    assert inspect.getdoc(thing).splitlines()[0].endswith(".")
    assert ">>>" in thing.__doc__
    assert callable(thing.value_and_grad)
