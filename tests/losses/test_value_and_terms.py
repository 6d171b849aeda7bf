"""`value_and_terms`: the value of a call, and that of each loss in a sum, from one evaluation."""

import numpy as np
import pytest

import array_losses as al
from tests.cases import ALL_CLASSES, MAPPED


def arrays():
    rng = np.random.default_rng(7)
    return rng.normal(size=(2, 3, 8)), rng.integers(3, size=(2, 8))


def summed():
    """Losses of every kind: by pixels, by classes, sorted, of images; one is not evaluated."""
    return (
        2 * al.CrossEntropyLoss(top_k=0.5)
        - 0.5 * al.DiceLoss(pool="image")
        + 0 * al.MCCLoss()
        + al.LovaszHingeLoss()
        + al.FocalLoss(activation="sigmoid")
    )


def test_the_terms_are_what_each_loss_gives(library):
    criterion = summed()
    value, terms = criterion.value_and_terms(*library.on(arrays(), library.dtypes[0]))
    close = {"rtol": 64 * float(np.finfo(library.dtypes[0]).eps)}
    values = [loss(*arrays()) for loss in criterion.losses]
    pairs = list(zip(criterion.weights, values, strict=True))
    expected = [one if weight else np.nan for weight, one in pairs]
    np.testing.assert_allclose([float(one) for one in terms], expected, **close)
    assert all(one.dtype == value.dtype for one in terms)
    total = sum(weight * one for weight, one in pairs)
    np.testing.assert_allclose(float(value), total, **close)


@pytest.mark.parametrize("name", ALL_CLASSES)
def test_one_loss_has_one_term(name):
    logits, target = arrays()
    loss = getattr(al, ALL_CLASSES[name])()
    target = logits if name in MAPPED else target
    value, terms = loss.value_and_terms(logits, target)
    assert value == loss(logits, target)
    assert terms == (value,)


def test_weights_and_many_devices():
    logits, target = arrays()
    criterion, calls = al.CrossEntropyLoss() + al.DiceLoss(), []
    weights = np.linspace(0.5, 2.0, 16).reshape(2, 8)
    value, terms = criterion.value_and_terms(
        logits, target, pixel_weights=weights, all_reduce=lambda sums: calls.append(1) or sums
    )
    assert calls == [1]
    assert value == criterion(logits, target, pixel_weights=weights)
    expected = [loss(logits, target, pixel_weights=weights) for loss in criterion.losses]
    np.testing.assert_allclose(terms, expected, rtol=1e-14)


def test_maps():
    logits, target = arrays()
    criterion = al.CrossEntropyLoss(reduction="none") + 3 * al.FocalLoss(reduction="none")
    value, terms = criterion.value_and_terms(logits, target)
    assert value.shape == (2, 8)
    for loss, term in zip(criterion.losses, terms, strict=True):
        np.testing.assert_array_equal(term, loss(logits, target))


def test_nothing_but_weight_0():
    value, terms = (0 * al.DiceLoss() + 0 * al.MCCLoss()).value_and_terms(*arrays())
    assert value == 0
    assert len(terms) == 2
    assert np.isnan(terms).all()


def test_one_evaluation(monkeypatch):
    calls = []
    own = al.DiceLoss.sums_of
    monkeypatch.setattr(
        al.DiceLoss, "sums_of", lambda self, pixels: calls.append(1) or own(self, pixels)
    )
    (al.CrossEntropyLoss() + al.DiceLoss()).value_and_terms(*arrays())
    assert calls == [1]


def test_torch_gradient(torch):
    logits, target = (torch.from_numpy(x) for x in arrays())
    for criterion in (summed(), al.CrossEntropyLoss() + al.PolyLoss(), al.DiceLoss()):
        pair = [logits.clone().requires_grad_() for _ in range(2)]
        value, terms = criterion.value_and_terms(pair[0], target)
        assert not any(one.requires_grad for one in terms)
        value.backward()
        criterion(pair[1], target).backward()
        assert torch.equal(pair[0].grad, pair[1].grad)


def test_torch_transformations(torch):
    logits, target = (torch.from_numpy(x) for x in arrays())
    criterion = al.CrossEntropyLoss() + 0.5 * al.DiceLoss()
    value, terms = criterion.value_and_terms(logits, target)
    compiled = torch.compile(criterion.value_and_terms, fullgraph=True, backend="aot_eager")
    again = compiled(logits.requires_grad_(), target)
    torch.testing.assert_close(again, (value, terms))
    assert again[0].requires_grad
    assert not any(one.requires_grad for one in again[1])
    both = torch.func.grad_and_value(criterion.value_and_terms, has_aux=True)
    gradient, (value_too, terms_too) = both(logits.detach(), target)
    torch.testing.assert_close((value_too, terms_too), (value, terms))
    torch.testing.assert_close(gradient, criterion.value_and_grad(logits, target)[1])


def test_jax_gradient(jax):
    logits, target = (jax.numpy.asarray(x) for x in arrays())
    criterion = al.CrossEntropyLoss() + 0.5 * al.DiceLoss()
    expected, slope = criterion.value_and_grad(*arrays())

    def and_sum(z):
        value, terms = criterion.value_and_terms(z, target)
        return value + sum(terms), (value, terms)

    gradient, (value, terms) = jax.jit(jax.grad(and_sum, has_aux=True))(logits)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(terms, [loss(*arrays()) for loss in criterion.losses], rtol=1e-13)
    np.testing.assert_allclose(gradient, slope, rtol=1e-12, atol=1e-15)  # none by the terms
