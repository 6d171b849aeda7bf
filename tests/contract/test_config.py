"""Losses as plain data: to_config, JSON or YAML, from_config."""

import dataclasses
import json

import numpy as np
import pytest

import array_losses as al
from array_losses import presets
from array_losses.config import loss_classes
from tests.cases import CASES
from tests.contract.test_public_api import OBJECTS

NEEDED = {
    "presets.nnunet.DC_and_CE_loss": ({"smooth": 1e-5, "do_bg": False}, {"weight": [1.0, 2.0]}),
    "presets.nnunet.DC_and_topk_loss": ({"smooth": 1e-5}, {"k": 10}),
    "presets.nnunet.DC_and_BCE_loss": ({"pos_weight": 2.0}, {"smooth": 1e-5}),
    "presets.smp.DiceLoss": ("multiclass",),
    "presets.smp.JaccardLoss": ("multiclass",),
    "presets.smp.TverskyLoss": ("multiclass",),
    "presets.smp.FocalLoss": ("multiclass",),
    "presets.smp.LovaszLoss": ("multiclass",),
    "presets.toolbelt.DiceLoss": ("multiclass",),
    "presets.toolbelt.JaccardLoss": ("multiclass",),
    "presets.kornia.FocalLoss": (0.5,),
    "presets.kornia.BinaryFocalLossWithLogits": (0.5,),
    "presets.kornia.TverskyLoss": (0.5, 0.5),
}
PRESETS = [name for name in loss_classes() if name.startswith("presets.")]


def round_trip(loss):
    return al.from_config(json.loads(json.dumps(loss.to_config())))


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_every_loss_and_back(make):
    loss = make()
    config = loss.to_config()
    assert config["class"] == type(loss).__name__
    assert {*config} == {"class", *(one.name for one in dataclasses.fields(loss))}
    again = round_trip(loss)
    assert again == loss
    assert type(again) is type(loss)
    assert repr(again) == repr(loss)


def test_every_case_and_back():
    for case in CASES:
        assert round_trip(case.loss()) == case.loss()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_and_back(name):
    loss = loss_classes()[name](*NEEDED.get(name, ()))
    assert loss.to_config()["class"] == name
    again = round_trip(loss)
    assert type(again) is type(loss)
    assert again.to_config() == loss.to_config()


def test_the_config_is_plain():
    loss = al.CrossEntropyLoss(class_weights=np.asarray([1, 2]), ignore_index=[0, 255])
    config = (np.float32(0.5) * loss - al.DiceLoss()).to_config()
    assert config["weights"] == [0.5, -1.0]
    assert config["losses"][0]["class_weights"] == [1.0, 2.0]
    assert config["losses"][0]["ignore_index"] == [0, 255]
    kinds = (dict, list, str, float, int, bool, type(None))

    def check(x):
        assert type(x) in kinds
        for one in x.values() if isinstance(x, dict) else x if isinstance(x, list) else ():
            check(one)

    check(config)
    check(presets.torch.BCEWithLogitsLoss(pos_weight=np.ones((3, 1, 1))).to_config())
    check(presets.monai.DiceLoss(smooth_nr=np.float64(1.0)).to_config())


def test_arrays_in_presets_and_back():
    arrays = np.zeros((1, 3, 2)), np.ones((1, 3, 2))
    loss = presets.torch.BCEWithLogitsLoss(pos_weight=np.asarray([[1.0], [2.0], [3.0]]))
    assert round_trip(loss)(*arrays) == loss(*arrays)


def test_options_may_be_left_out():
    assert al.from_config({"class": "DiceLoss"}) == al.DiceLoss()
    loss = al.from_config({"class": "presets.monai.DiceLoss", "softmax": True})
    assert loss == presets.monai.DiceLoss(softmax=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mine(al.DiceLoss):
    """An own loss."""

    extra: float = 1.0


def test_own_losses():
    config = (Mine(extra=2.0) + al.MCCLoss()).to_config()
    assert config["losses"][0]["class"] == f"{Mine.__module__}.Mine"
    assert al.from_config(config) == Mine(extra=2.0) + al.MCCLoss()


def test_what_is_no_config():
    for wrong in ("DiceLoss", None, {"smooth": 1.0}, [{"class": "DiceLoss"}]):
        with pytest.raises(TypeError, match=r'`config` must be a mapping .* under "class", got'):
            al.from_config(wrong)
    for name in ("Loss", "PixelLoss", "Criterion", "os.system", "array_losses.DiceLoss", 3):
        with pytest.raises(
            ValueError, match=r'"class" must be a loss of .*CrossEntropyLoss.*, got'
        ):
            al.from_config({"class": name})
    with pytest.raises(TypeError, match=r"`sigmoid` is not an argument of DiceLoss; instead"):
        al.from_config({"class": "DiceLoss", "sigmoid": True})
    with pytest.raises(ValueError, match=r"`smooth`"):
        al.from_config({"class": "DiceLoss", "smooth": -1})


def test_functions_cannot_be_written():
    with pytest.raises(TypeError, match=r"`other_act` cannot be written as plain data, got"):
        presets.monai.DiceLoss(other_act=np.tanh).to_config()
