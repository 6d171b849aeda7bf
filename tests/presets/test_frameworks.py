"""Presets on every framework: one of each kind gives NumPy's value and gradient there too."""

import numpy as np
import pytest

from array_losses.core.namespace import is_array_api_obj
from array_losses.presets import (
    keras,
    kornia,
    lovasz,
    monai,
    nnunet,
    optax,
    smp,
    toolbelt,
    torch,
    torchvision,
)
from tests.presets.options import Bound, Data

RNG = Data(21)
LOGITS, LABELS = RNG.logits(2, 3, 4, 5), RNG.labels(3, 2, 4, 5, ignored=255)
CLEAN = RNG.labels(3, 2, 4, 5)
ONE_HOT = np.eye(3)[CLEAN].transpose(0, 3, 1, 2)
BITS, WEIGHT = RNG.bits(2, 3, 4, 5), RNG.probabilities(4, 5)
ONE = LABELS[:, None].astype(np.float64)  # labels with an axis of one class, as floats
P = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
LAST = np.moveaxis(LOGITS, 1, -1), np.moveaxis(ONE_HOT, 1, -1)

# A preset and its arrays; of Keras the prediction is the second, otherwise the first.
PRESETS = {
    "torch-labels": (
        torch.CrossEntropyLoss([1.0, 2.0, 3.0], ignore_index=255),
        (LOGITS, LABELS),
    ),
    "torch-one-item": (torch.CrossEntropyLoss(), (LOGITS[0, :, 0, 0], CLEAN[0, 0, 0])),
    "torch-binary": (torch.BCEWithLogitsLoss(pos_weight=2.0), (LOGITS, BITS)),
    "torch-map": (torch.BCEWithLogitsLoss(reduction="none"), (LOGITS, BITS)),
    "optax-ce": (Bound(optax.softmax_cross_entropy), LAST),
    "optax-labels": (Bound(optax.softmax_cross_entropy_with_integer_labels), (LAST[0], CLEAN)),
    "optax-focal": (Bound(optax.sigmoid_focal_loss, alpha=0.25), (LOGITS, BITS)),
    "optax-poly": (Bound(optax.poly_loss_cross_entropy), LAST),
    "optax-dice": (Bound(optax.dice_loss, ignore_background=True), LAST),
    "kornia-micro": (kornia.DiceLoss(weight=[1, 2, 3], ignore_index=255), (LOGITS, LABELS)),
    "kornia-macro": (kornia.DiceLoss("macro", ignore_index=255), (LOGITS, LABELS)),
    "kornia-tversky": (kornia.TverskyLoss(0.3, 0.7), (LOGITS, CLEAN)),
    "kornia-focal": (kornia.FocalLoss(0.25, weight=[1, 2, 3]), (LOGITS, CLEAN)),
    "kornia-binary": (
        kornia.BinaryFocalLossWithLogits(0.25, 2.0, "mean", (1, 2, 3), (3, 2, 1)),
        (LOGITS, BITS),
    ),
    "kornia-lovasz": (kornia.LovaszSoftmaxLoss([1, 2, 3]), (LOGITS, CLEAN)),
    "monai-dice": (
        monai.DiceLoss(False, True, softmax=True, weight=[1.0, 2.0], ignore_index=255),
        (LOGITS, ONE),
    ),
    "monai-one-hot": (
        monai.DiceLoss(sigmoid=True, jaccard=True, ignore_index=1, reduction="none"),
        (LOGITS, ONE_HOT),
    ),
    "monai-generalized": (monai.GeneralizedDiceLoss(softmax=True), (LOGITS, ONE_HOT)),
    "monai-focal": (
        monai.FocalLoss(False, True, weight=[1.0, 2.0], reduction="sum", ignore_index=255),
        (LOGITS, ONE),
    ),
    "monai-softmax": (
        monai.FocalLoss(to_onehot_y=True, alpha=0.25, use_softmax=True, ignore_index=255),
        (LOGITS, ONE),
    ),
    "monai-soft": (monai.FocalLoss(alpha=0.25), (LOGITS, P)),
    "monai-maps": (
        monai.FocalLoss(use_softmax=True, weight=[1, 2, 3], reduction="none"),
        (LOGITS, BITS),
    ),
    "monai-ce": (monai.DiceCELoss(softmax=True), (LOGITS, ONE_HOT)),
    "monai-both": (monai.DiceFocalLoss(softmax=True), (LOGITS, ONE_HOT)),
    "smp-dice": (smp.DiceLoss("multiclass", [0, 2], ignore_index=255), (LOGITS, LABELS)),
    "smp-tversky": (
        smp.TverskyLoss("multilabel", log_loss=True, gamma=0.75, ignore_index=255),
        (LOGITS, BITS),
    ),
    "smp-focal": (
        smp.FocalLoss("multiclass", 0.25, ignore_index=255, from_logits=False),
        (P, LABELS),
    ),
    "smp-normalized": (
        smp.FocalLoss("multiclass", 0.25, 1.5, 255, normalized=True, class_weights=[1, 2, 3]),
        (LOGITS, LABELS),
    ),
    "smp-soft": (smp.FocalLoss("multilabel", from_logits=False), (P, P[::-1])),
    "smp-lovasz": (smp.LovaszLoss("multiclass", ignore_index=255), (LOGITS, LABELS)),
    "smp-hinge": (smp.LovaszLoss("multilabel", per_image=True), (LOGITS, BITS)),
    "smp-ce": (smp.SoftCrossEntropyLoss(smooth_factor=0.1, ignore_index=255), (LOGITS, LABELS)),
    "smp-bce": (smp.SoftBCEWithLogitsLoss(ignore_index=0, smooth_factor=0.1), (LOGITS, BITS)),
    "toolbelt-jaccard": (toolbelt.JaccardLoss("multiclass", log_loss=True), (LOGITS, CLEAN)),
    "toolbelt-focal": (
        toolbelt.BinaryFocalLoss(0.25, ignore_index=255, class_weights=[1, 2, 3]),
        (LOGITS, LABELS),
    ),
    "toolbelt-soft": (
        toolbelt.BinaryFocalLoss(normalized=True, reduced_threshold=0.3),
        (LOGITS, P),
    ),
    "toolbelt-map": (
        toolbelt.BinaryFocalLoss(0.25, ignore_index=255, reduction="none"),
        (LOGITS, LABELS),
    ),
    "torchvision-focal": (Bound(torchvision.sigmoid_focal_loss), (LOGITS, BITS)),
    "lovasz-lovasz": (Bound(lovasz.lovasz_softmax, classes=[0, 2], ignore=255), (P, LABELS)),
    "lovasz-hinge": (Bound(lovasz.lovasz_hinge), (LOGITS[:, 0], CLEAN // 2)),
    "keras-dice": (keras.Dice(axis=(1, 2)), (LAST[1], np.moveaxis(P, 1, -1))),
    "keras-tversky": (keras.Tversky(0.3, 0.7), (LAST[1], np.moveaxis(P, 1, -1))),
    "keras-ce": (
        keras.CategoricalCrossentropy(label_smoothing=0.1),
        (LAST[1], np.moveaxis(P, 1, -1)),
    ),
    "keras-sparse": (
        keras.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        (LABELS, LAST[0]),
    ),
    "keras-binary": (keras.BinaryCrossentropy(), (LAST[1], np.moveaxis(P, 1, -1))),
    "keras-focal": (keras.BinaryFocalCrossentropy(from_logits=True, reduction=None), LAST[::-1]),
    "nnunet-dice": (nnunet.SoftDiceLoss("softmax", do_bg=False), (LOGITS, CLEAN[:, None])),
    "nnunet-ce": (nnunet.DC_and_CE_loss({}, {}, ignore_label=255), (LOGITS, ONE)),
    "nnunet-topk": (nnunet.TopKLoss([1.0, 2.0, 3.0], 255, k=30), (LOGITS, ONE)),
    "nnunet-both": (nnunet.DC_and_topk_loss({}, {"k": 30}, ignore_label=255), (LOGITS, ONE)),
    "nnunet-bce": (nnunet.DC_and_BCE_loss({}, {}, use_ignore_label=True), (LOGITS[:, :2], BITS)),
    "kornia-hinge": (kornia.LovaszHingeLoss(), (LOGITS[:, :1], CLEAN // 2)),
}
COMPILED = (
    "torch-labels",
    "torch-binary",
    "kornia-macro",
    "monai-ce",
    "monai-soft",
    "smp-focal",
    "smp-normalized",
    "toolbelt-soft",
    "nnunet-ce",
    "keras-sparse",
)
SORTS = ("lovasz", "hinge")


@pytest.mark.parametrize("name", PRESETS)
def test_is_the_same_everywhere(backend, name):
    if backend.name == "strict-no_x64" and name.split("-")[1] in SORTS:
        pytest.skip("array-api-strict 2.6.1: argsort asks for int64, which the device lacks")
    preset, given = PRESETS[name]
    dtype = backend.dtypes[-1]
    there = [backend.asarray(x, dtype if x.dtype.kind == "f" else None) for x in given]
    given = [x.astype(dtype) if x.dtype.kind == "f" else x for x in given]
    tolerance = {"rtol": 1e-11 if dtype == "float64" else 2e-5, "atol": 1e-7}
    found = preset(*there)
    np.testing.assert_allclose(backend.to_numpy(found), preset(*given), **tolerance)
    if preset.translate(*given).is_number:
        value, grad = preset.value_and_grad(*there)
        expected_value, expected_grad = preset.value_and_grad(*given)
        np.testing.assert_allclose(backend.to_numpy(value), expected_value, **tolerance)
        np.testing.assert_allclose(backend.to_numpy(grad), expected_grad, **tolerance)


def test_numbers_of_numpy_are_arrays():
    """A preset may have to raise the number that a loss gave to a power."""
    assert is_array_api_obj(np.float64(0.5))
    assert not is_array_api_obj(0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_runs_under_jit(jax, name):
    preset, arrays = PRESETS[name]
    arrays = [jax.numpy.asarray(x) for x in arrays]
    found = jax.jit(preset.__call__)(*arrays)
    np.testing.assert_allclose(found, preset(*arrays), rtol=1e-12)
    if preset.translate(*arrays).is_number:
        _, expected = preset.value_and_grad(*arrays)
        of_prediction = 1 if name.startswith("keras") else 0
        found = jax.jit(jax.grad(preset.__call__, argnums=of_prediction))(*arrays)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", COMPILED)
def test_runs_under_compile(torch, name):
    preset, arrays = PRESETS[name]
    arrays = [torch.from_numpy(np.array(x)) for x in arrays]
    torch._dynamo.reset()  # else its numbers become symbols, which the options' checks refuse
    compiled = torch.compile(preset.__call__, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*arrays), preset(*arrays), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", PRESETS)
def test_takes_numpy_targets_beside_jax(jax, name):
    """As libraries for JAX do; a prediction of NumPy beside a target of JAX is an error."""
    preset, arrays = PRESETS[name]
    place = 1 if name.startswith("keras") else 0
    other = 1 - place
    there = [jax.numpy.asarray(x) if i == place else x for i, x in enumerate(arrays)]

    def of_prediction(x):
        return preset(*[x if i == place else one for i, one in enumerate(there)])

    expected = preset(*arrays)
    assert jax.eval_shape(of_prediction, there[place]).shape == np.shape(expected)
    if name in ("torch-labels", "optax-labels", "keras-sparse"):
        np.testing.assert_allclose(preset(*there), expected, rtol=2e-5)
    there = [jax.numpy.asarray(x) if i == other else x for i, x in enumerate(arrays)]
    with pytest.raises(TypeError, match=r"jnp\.asarray"):
        preset(*there)


@pytest.mark.filterwarnings("ignore:(?s).*the trace")
@pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning")
@pytest.mark.parametrize("name", PRESETS)
def test_is_traced(torch, name):
    """By torch.jit.trace, as it is; what was traced is called with other numbers."""
    preset, arrays = PRESETS[name]
    arrays = [torch.from_numpy(np.array(x)) for x in arrays]
    others = [x.flip(0) if x.ndim == arrays[0].ndim > 1 else x for x in arrays]
    # `Bound` is of the tests; a preset goes in as it is.
    call = preset.__call__ if isinstance(preset, Bound) else preset
    traced = torch.jit.trace(call, tuple(others))
    # In a trace lengths are tensors, and what is divided by one is float32.
    torch.testing.assert_close(traced(*arrays), preset(*arrays), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", ["torch-labels", "monai-both", "toolbelt-soft"])
def test_exports_with_open_sizes(torch, name):
    """Also where the other library divides by a number of elements."""
    preset, arrays = PRESETS[name]

    class Module(torch.nn.Module):
        def forward(self, prediction, target):
            return preset(prediction, target)

    names = {2: "batch", 4: "height", 5: "width"}
    sizes = {size: torch.export.Dim(name) for size, name in names.items()}
    given = tuple(torch.from_numpy(np.array(x)) for x in arrays)
    open_sizes = tuple({i: sizes[s] for i, s in enumerate(x.shape) if s in sizes} for x in given)
    exported = torch.export.export(Module(), given, dynamic_shapes=open_sizes).module()
    smaller = [x[:1, ..., :3, :2] for x in given]
    torch.testing.assert_close(exported(*smaller), preset(*smaller), rtol=1e-12, atol=0)
