"""presets.torchvision against torchvision, in float64."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from array_losses.presets import torchvision as presets
from tests.presets import packages
from tests.presets.agreement import with_torch
from tests.presets.options import MANY, Bound, Data, seeds, shapes, some
from tests.presets.table import check_row

torch = pytest.importorskip("torch")
# Without the compiled operators, which are for one build of PyTorch each.
packages.bare("torchvision")
packages.bare("torchvision.ops")
theirs = packages.load("torchvision.ops.focal_loss").sigmoid_focal_loss


@MANY
@given(
    seeds,
    shapes,
    some(alpha=[-1, 0.0, 0.25, 1.0], gamma=[0.0, 0.5, 2, 3.7], reduction=["mean", "sum", "none"]),
    st.booleans(),
)
def test_sigmoid_focal_loss(seed, shape, options, soft):
    data = Data(seed)
    target = data.probabilities(2, *shape) if soft else data.bits(2, *shape)
    with_torch(
        "torchvision",
        Bound(presets.sigmoid_focal_loss, **options),
        lambda *x: theirs(*x, **options),
        [data.logits(2, *shape), target],
    )


def test_positional_options():
    data = Data(1)
    arrays = data.logits(5), data.bits(5)
    mine = presets.sigmoid_focal_loss(*arrays, 0.3, 1.5, "sum")
    assert mine == pytest.approx(float(theirs(*map(torch.from_numpy, arrays), 0.3, 1.5, "sum")))


def test_bad_alpha_is_an_error():
    data = Data(2)
    with pytest.raises(ValueError, match="`alpha`"):
        presets.sigmoid_focal_loss(data.logits(5), data.bits(5), alpha=-0.5)


def test_departure_at_saturation():
    """(1 - p)^gamma with gamma below 1 has an infinite derivative at p = 1."""
    logits, target = torch.tensor([800.0]).double().requires_grad_(), torch.ones(1).double()
    (grad,) = torch.autograd.grad(theirs(logits, target, gamma=0.5, reduction="sum"), logits)
    _, mine = presets.sigmoid_focal_loss.value_and_grad(
        logits.detach().numpy(), target.numpy(), gamma=0.5, reduction="sum"
    )
    what = "gradient with gamma=0.5 at a right logit of 800"
    check_row("torchvision", what, grad[0], abs(mine[0]))
