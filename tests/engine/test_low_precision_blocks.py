"""Half precision: blocks are widened and narrowed as if by one rounding each."""

import numpy as np
import pytest

import array_losses as al
from array_losses.core import low_precision
from array_losses.frameworks import library_of

LIB = library_of(np.zeros(1))
XP = LIB.xp


def _all_ties():
    """Every float16, the points half-way to the next, and their float32 neighbours."""
    low = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (low[:-1] + low[1:]) / 2
    near = [np.nextafter(ties, np.float32(end)) for end in (0, np.inf)]
    return np.concatenate([low, ties, *near])


@pytest.mark.parametrize("sign", [1, -1])
def test_float16_is_rounded_as_numpy_rounds(sign):
    x = sign * _all_ties()
    narrowed = low_precision.conversion(LIB, XP.float16, XP.float32).narrow(x)
    np.testing.assert_array_equal(narrowed, x.astype(np.float16))
    assert narrowed.dtype == np.float16


def test_what_is_not_finite_stays_so():
    x = np.array([np.nan, np.inf, -np.inf, 1e-6], np.float32)
    narrowed = low_precision.conversion(LIB, XP.float16, XP.float32).narrow(x)
    np.testing.assert_array_equal(narrowed, x.astype(np.float16))


def test_same_dtypes_share_memory():
    x = np.ones(3, np.float32)
    same = low_precision.conversion(LIB, XP.float32, XP.float32)
    assert same.widen(x) is x
    assert same.narrow(x) is x


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_backward_pass_can_be_repeated(name, scale, torch):
    """Strided logits, more pixels than one conversion takes, the same bits each time."""
    dtype = getattr(torch, name)
    logits = torch.randn(2, 300, 3, 130, generator=torch.Generator().manual_seed(0))
    logits = logits.to(dtype).permute(0, 2, 1, 3).requires_grad_()
    target = torch.arange(2 * 300 * 130).reshape(2, 300, 130) % 3
    for criterion in (al.CrossEntropyLoss(), al.CrossEntropyLoss() + al.DiceLoss()):
        loss = scale * criterion(logits, target)
        first, second = (
            torch.autograd.grad(loss, logits, retain_graph=keep)[0] for keep in (True, False)
        )
        assert first.dtype == dtype
        assert torch.equal(first, second)
        exact = logits.detach().double().requires_grad_()
        (expected,) = torch.autograd.grad(scale * criterion(exact, target), exact)
        torch.testing.assert_close(
            first.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-7
        )
