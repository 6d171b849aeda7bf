"""Losses from configuration files: OmegaConf, Hydra, jsonargparse (the Lightning CLI), YAML."""

import hydra
import jsonargparse
import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.cli import LightningCLI
from omegaconf import OmegaConf

import array_losses as al
from array_losses import presets

LOSSES = {
    "one": al.TverskyLoss(ignore_index=(0, 255), gamma=(1, 2, 3), smooth=(1e-5, 1)),
    "sum": al.CrossEntropyLoss(class_weights=(1, 2)) - 1e-7 * al.DiceLoss(pool="image"),
    "preset": presets.nnunet.DC_and_CE_loss({"smooth": 1e-5}, {"ignore_index": 255}),
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@each_loss
def test_yaml(loss):
    assert al.from_config(yaml.safe_load(yaml.safe_dump(loss.to_config()))) == loss


@each_loss
def test_omegaconf(loss, tmp_path):
    config = OmegaConf.create({"loss": loss.to_config()})
    OmegaConf.save(config, tmp_path / "config.yaml")
    assert al.from_config(OmegaConf.load(tmp_path / "config.yaml").loss) == loss


@each_loss
def test_hydra(loss, tmp_path):
    node = {"_target_": "array_losses.from_config", "_args_": [loss.to_config()]}
    OmegaConf.save(OmegaConf.create({"loss": node, "weight": 1}), tmp_path / "train.yaml")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        config = hydra.compose("train", overrides=["weight=2"])
    assert hydra.utils.instantiate(config.loss) == loss


def test_hydra_makes_a_class_by_its_name():
    node = {"_target_": "array_losses.DiceLoss", "ignore_index": [0, 255], "class_weights": [1, 2]}
    loss = hydra.utils.instantiate(OmegaConf.create(node))
    assert loss == al.DiceLoss(ignore_index=(0, 255), class_weights=(1, 2))


def test_jsonargparse():
    parser = jsonargparse.ArgumentParser()
    parser.add_argument("--loss", type=al.Loss)
    text = "{class_path: array_losses.DiceLoss, init_args: {smooth: 1, ignore_index: [0, 255]}}"
    found = parser.instantiate(parser.parse_args([f"--loss={text}"]))
    assert found.loss == al.DiceLoss(smooth=1, ignore_index=(0, 255))


class Net(L.LightningModule):
    """A network whose loss comes from the command line."""

    def __init__(self, loss: dict):
        super().__init__()
        self.save_hyperparameters()
        self.criterion = al.torch_module(al.from_config(loss))
        self.model = torch.nn.Conv2d(1, 3, 1)


def test_lightning_cli(tmp_path):
    loss = LOSSES["sum"]
    (tmp_path / "net.yaml").write_text(yaml.safe_dump({"model": {"loss": loss.to_config()}}))
    arguments = ["--config", str(tmp_path / "net.yaml"), "--trainer.logger=false"]
    cli = LightningCLI(Net, run=False, args=arguments, save_config_callback=None)
    assert cli.model.criterion.loss == loss
