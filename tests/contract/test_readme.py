"""The README's table of options is true for each loss."""

import ast
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import array_losses as al
from tests.cases import ALL_CLASSES

README = Path(__file__).parents[2] / "README.md"
OVERLAP = {"DiceLoss", "JaccardLoss", "TverskyLoss", "GeneralizedDiceLoss"}
# What the table calls the losses.
WORDS = {
    "all": {*ALL_CLASSES.values()},
    "cross entropy": {"CrossEntropyLoss"},
    "Poly-1": {"PolyLoss"},
    "focal": {"FocalLoss"},
    "boundary": {"BoundaryLoss"},
    "the boundary loss": {"BoundaryLoss"},
    "overlap": OVERLAP,
    "Dice": {"DiceLoss"},
    "Jaccard": {"JaccardLoss"},
    "Tversky": {"TverskyLoss"},
    "generalised Dice": {"GeneralizedDiceLoss"},
    "MCC": {"MCCLoss"},
    "unified focal": {"UnifiedFocalLoss"},
    "Lovász": {"LovaszSoftmaxLoss", "LovaszHingeLoss"},
    "hinge": {"LovaszHingeLoss"},
    "the hinge": {"LovaszHingeLoss"},
}
# It has them, as all do, and its target, a map, is an error with them.
WITHOUT_USE = {("ignore_index", "BoundaryLoss")}


def losses_of(text):
    named, _, left_out = text.partition(" except ")
    every = set().union(*(WORDS[one] for one in named.split(", ")))
    return every - (WORDS[left_out] if left_out else set())


def defaults_of(text, losses, count):
    """The defaults of each loss: "x, y; focal z" says those of most, and those of some."""
    usual, *others = text.split("; ")
    found = dict.fromkeys(losses, literals(usual))
    for one in others:
        name, _, values = one.partition(" ")
        found |= dict.fromkeys(WORDS[name], literals(values))
    assert all(len(values) == count for values in found.values())
    return found


def literals(text):
    return [ast.literal_eval(one.strip("`")) for one in text.split(", ")]


def rows():
    text = README.read_text(encoding="utf-8")
    table = text[text.index("| Option | Default | Losses |") :].split("\n\n", maxsplit=1)[0]
    for line in table.splitlines()[2:]:
        names, default, losses, what = line.strip("| ").split(" | ", maxsplit=3)
        if "in the call" not in names:
            yield re.findall(r"`(\w+)`", names), default, losses_of(losses), what


def test_every_option_is_in_the_table_with_its_losses():
    said = {(name, loss) for names, _, losses, _ in rows() for name in names for loss in losses}
    kinds = {name: getattr(al, name) for name in ALL_CLASSES.values()}
    true = {(one.name, name) for name, kind in kinds.items() for one in dataclasses.fields(kind)}
    assert said == true - WITHOUT_USE
    with pytest.raises(ValueError, match="`ignore_index` must be None"):
        al.BoundaryLoss(ignore_index=1)(np.zeros((1, 2, 3)), np.zeros((1, 2, 3)))


def test_the_defaults_are_right():
    for names, default, losses, _ in rows():
        for loss, values in defaults_of(default, losses, len(names)).items():
            own = {one.name: one.default for one in dataclasses.fields(getattr(al, loss))}
            assert [own[name] for name in names] == values, (names, loss)


def test_the_values_that_are_named_exist():
    """A text in quotes in the last column is a value of the option; some losses lack some."""
    pools = WORDS["all"] - {"DiceLoss", "JaccardLoss", "TverskyLoss"}
    lacking = {
        ("reduction", "none", "UnifiedFocalLoss"),
        ("absent", "zero", "GeneralizedDiceLoss"),
        *(("normalize", "focal", one) for one in WORDS["all"] - {"FocalLoss"}),
        *(("pool", f"{one}+class", loss) for one in ("batch", "image") for loss in pools),
    }
    for (name, *more), _, losses, what in rows():
        for value in [] if more else re.findall(r'`"([^"]+)"`', what):
            for loss in losses:
                if (name, value, loss) in lacking:
                    with pytest.raises(ValueError, match=f"`{name}` must"):
                        getattr(al, loss)(**{name: value})
                else:
                    getattr(al, loss)(**{name: value})
