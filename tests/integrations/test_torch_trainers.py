"""Trainers of PyTorch, two steps each: Lightning, fastai, MONAI, Ignite, accelerate."""

import subprocess
import sys

import accelerate
import ignite.engine
import lightning as L
import monai.engines
import numpy as np
import pytest
import torch
from fastai.callback.progress import ProgressCallback
from fastai.data.core import DataLoader as FastaiLoader
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from monai.data import MetaTensor
from torch.utils.data import DataLoader, TensorDataset

import array_losses as al
from array_losses import presets

CRITERION = al.CrossEntropyLoss(ignore_index=255) + 0.5 * al.DiceLoss(ignore_index=255)
PRESET = presets.monai.DiceCELoss(softmax=True, to_onehot_y=True)


def data(*, channel=False):
    """Four images of eight by eight pixels, and labels of three classes."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(4, 1, 8, 8)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(3, size=(4, 8, 8)))
    if not channel:
        labels[:, 0] = 255
    return TensorDataset(images, labels[:, None] if channel else labels)


def network():
    torch.manual_seed(0)
    return torch.nn.Conv2d(1, 3, 3, padding=1)


def moved(model):
    """Whether the model is no longer as it was made."""
    return not torch.equal(model.weight.detach().cpu(), network().weight.detach())


# --- Lightning ------------------------------------------------------------------------------------


class Net(L.LightningModule):
    """A network with its loss; the loss by its object, by a module, or by plain data."""

    def __init__(self, loss):
        super().__init__()
        self.save_hyperparameters()
        self.model = network()
        loss = al.from_config(loss) if isinstance(loss, dict) else loss
        self.criteria = torch.nn.ModuleDict(
            {"mask": loss if isinstance(loss, torch.nn.Module) else al.torch_module(loss)}
        )

    def training_step(self, batch, _):
        images, labels = batch
        value = self.criteria["mask"](self.model(images), labels)
        self.log("loss", value)
        return value

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(net, folder):
    trainer = L.Trainer(
        max_steps=2,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(net, DataLoader(data(), batch_size=2))
    assert moved(net.model)
    assert np.isfinite(float(trainer.callback_metrics["loss"]))
    path = folder / "net.ckpt"
    trainer.save_checkpoint(path)
    return path


@pytest.mark.parametrize(
    "loss",
    [CRITERION, al.torch_module(CRITERION), CRITERION.to_config()],
    ids=["object", "module", "plain"],
)
def test_lightning(loss, tmp_path):
    path = fit(Net(loss), tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    assert not [name for name in checkpoint["state_dict"] if "criteria" in name]
    loaded = Net.load_from_checkpoint(path, weights_only=True)
    assert loaded.criteria["mask"].loss == CRITERION


def test_a_checkpoint_with_plain_data_loads_anywhere(tmp_path):
    path = fit(Net(CRITERION.to_config()), tmp_path)
    code = f"import torch; print(torch.load({str(path)!r}, weights_only=True)['hyper_parameters'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "CrossEntropyLoss" in found.stdout


# --- fastai ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", [CRITERION, al.DiceLoss(), PRESET], ids=["sum", "dice", "p"])
def test_fastai(criterion, tmp_path):
    images = data(channel=criterion is PRESET)
    loaders = DataLoaders(*(FastaiLoader(images, bs=2) for _ in range(2)), device="cpu")
    model, loss = network(), al.torch_module(criterion)
    learner = Learner(loaders, model, loss_func=loss, path=tmp_path)
    learner.remove_cb(ProgressCallback)
    if criterion == al.DiceLoss():  # it has no ignore_index
        images.tensors[1][:] %= 3
    with learner.no_logging():
        learner.fit(1, lr=0.1)  # two steps: four images, two by two
    assert moved(model)
    found, target, decoded, losses = learner.get_preds(with_loss=True, with_decoded=True)
    assert loss.reduction == "mean"  # set to "none" for the call, and back
    logits = model(images.tensors[0]).detach()
    torch.testing.assert_close(torch.as_tensor(found), loss.activation(logits))
    torch.testing.assert_close(torch.as_tensor(decoded), logits.argmax(1))
    each = [criterion(logits[i : i + 1], images.tensors[1][i : i + 1]) for i in range(4)]
    torch.testing.assert_close(torch.as_tensor(losses), torch.stack(each))
    assert len(target) == 4


# --- MONAI ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda x: x, al.torch_module], ids=["object", "module"])
@pytest.mark.parametrize("criterion", [CRITERION, PRESET], ids=["ours", "preset"])
def test_monai(criterion, wrap):
    keys, images = ("image", "label"), data(channel=criterion is PRESET)
    model, values = network(), []
    trainer = monai.engines.SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(
            [{k: MetaTensor(x) for k, x in zip(keys, one, strict=True)} for one in images],
            batch_size=2,
            collate_fn=monai.data.list_data_collate,
        ),
        network=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        loss_function=wrap(criterion),
        decollate=False,
    )
    trainer.add_event_handler(
        ignite.engine.Events.ITERATION_COMPLETED,
        lambda engine: values.append(float(engine.state.output["loss"])),
    )
    trainer.run()
    assert len(values) == 2
    assert np.isfinite(values).all()
    assert moved(model)


# --- Ignite, accelerate ---------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda x: x, al.torch_module], ids=["object", "module"])
def test_ignite(wrap):
    model, criterion = network(), wrap(CRITERION)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = ignite.engine.create_supervised_trainer(model, optimizer, criterion)
    state = trainer.run(DataLoader(data(), batch_size=2))
    assert state.iteration == 2
    assert np.isfinite(state.output)
    assert moved(model)
    metric = ignite.metrics.Loss(criterion)
    metric.attach(ignite.engine.create_supervised_evaluator(model), "loss")
    metric.update((model(data().tensors[0]), data().tensors[1]))
    assert metric.compute() == pytest.approx(
        float(CRITERION(model(data().tensors[0]), data()[:][1]))
    )


@pytest.mark.parametrize("wrap", [lambda x: x, al.torch_module], ids=["object", "module"])
def test_accelerate(wrap):
    accelerator = accelerate.Accelerator(cpu=True)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer, loader, criterion = accelerator.prepare(
        model, optimizer, DataLoader(data(), batch_size=2), wrap(CRITERION)
    )
    for images, labels in loader:
        value = criterion(model(images), labels)
        accelerator.backward(value)
        optimizer.step()
        optimizer.zero_grad()
    assert np.isfinite(float(accelerator.gather(value.detach())))
    assert moved(model)
