"""Sizes that a compiler leaves open: one compilation, one exported program, for all of them."""

import io

import numpy as np
import pytest

import array_losses as al
from array_losses.core.arguments import check
from array_losses.core.block import View
from array_losses.core.pixels import Mode, Pixels
from array_losses.core.whole import whole
from array_losses.frameworks import library_of
from tests.cases import ALL_CLASSES, LOVASZ_LOSSES, MAPPED, PIXEL_LOSSES, Data

# PyTorch's own: what is exported loads what torch.jit once compiled.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")

TABLE = {name: (name, {}) for name in ALL_CLASSES}
TABLE |= {
    f"{name} per image": (name, {"pool": "image"})
    for name in ALL_CLASSES
    if name not in (*PIXEL_LOSSES, *MAPPED)
}
TABLE |= {
    "cross_entropy sum": ("cross_entropy", {"reduction": "sum"}),
    "cross_entropy none": ("cross_entropy", {"reduction": "none"}),
    "cross_entropy all": ("cross_entropy", {"normalize": "all"}),
    "cross_entropy top-k": ("cross_entropy", {"top_k": 0.7}),
    "binned": ("lovasz_softmax", {"bins": 8}),
    "binned per image": ("lovasz_hinge", {"bins": 8, "pool": "image"}),
}
# What has a shape of its own under the compiler, or had a number in place of one.
COMPILED = [*PIXEL_LOSSES, *LOVASZ_LOSSES, *(f"{name} per image" for name in LOVASZ_LOSSES)]
COMPILED += ["dice", "unified_focal", "boundary", "binned per image"]
# No two of them alike: sizes that are equal in the first call would be taken to be equal always.
SHAPES = [(2 + i % 5, 4 + i, 17 - i) for i in range(12)]

each_entry = pytest.mark.parametrize("entry", TABLE)
compiled_entry = pytest.mark.parametrize("entry", COMPILED)


def loss_of(entry):
    name, options = TABLE[entry]
    return getattr(al, ALL_CLASSES[name])(**options)


def arrays_of(entry, batch, height, width):
    kind = "distances" if TABLE[entry][0] in MAPPED else "labels"
    return Data(batch=batch, spatial=(height, width), target=kind, seed=height).build()[:2]


def assert_close(found, expected):
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-12, atol=1e-14)


@compiled_entry
def test_torch_compiles_once(entry, torch):
    loss, count = loss_of(entry), 0

    def backend(module, _):
        nonlocal count
        count += 1
        return module.forward

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend=backend)
    for shape in SHAPES:
        logits, target = arrays_of(entry, *shape)
        found = compiled(torch.tensor(logits), torch.tensor(target))
        assert_close(found, loss(logits, target))
    torch._dynamo.reset()
    assert count == 1


@each_entry
def test_torch_export(entry, torch):
    """Exported with open sizes, saved, loaded, and run at others."""
    loss = loss_of(entry)

    class Module(torch.nn.Module):
        def forward(self, logits, target):
            return loss(logits, target)

    batch, height, width = (torch.export.Dim(name) for name in ("batch", "height", "width"))
    arrays = tuple(map(torch.tensor, arrays_of(entry, 2, 4, 5)))
    sizes = tuple({0: batch, x.ndim - 2: height, x.ndim - 1: width} for x in arrays)
    file = io.BytesIO()
    torch.export.save(torch.export.export(Module(), arrays, dynamic_shapes=sizes), file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    for shape in ((2, 4, 5), (3, 7, 6), (1, 1, 1)):
        logits, target = arrays_of(entry, *shape)
        found = loaded(torch.tensor(logits), torch.tensor(target))
        assert_close(found, loss(logits, target))


@each_entry
def test_jax_export(entry, jax):
    """Value and gradient, exported with open sizes."""
    loss = loss_of(entry)
    with_gradient = TABLE[entry][1].get("reduction") != "none"
    call = loss.value_and_grad if with_gradient else loss
    batch, height, width = jax.export.symbolic_shape("batch, height, width")
    with jax.enable_x64(True):
        logits, target = arrays_of(entry, 2, 4, 5)
        inside = (3,) * (target.ndim - 3)
        exported = jax.export.export(jax.jit(call))(
            jax.ShapeDtypeStruct((batch, 3, height, width), logits.dtype),
            jax.ShapeDtypeStruct((batch, *inside, height, width), target.dtype),
        )
        logits, target = arrays_of(entry, 1, 2, 6)
        found, expected = exported.call(logits, target), call(logits, target)
        pairs = zip(found, expected, strict=True) if with_gradient else [(found, expected)]
        for one, other in pairs:
            assert_close(one, other)


MANY = (1 << 24) + 2


def number_of_pixels(logits, target):
    lib = library_of(logits)
    block = whole(lib, check(lib, logits, target, None, class_axis=1))
    pixels = Pixels(block, View("sigmoid", ()), Mode(traced=True, autodiff=True))
    return pixels.counts(by_class=False)


def test_an_open_number_of_pixels_is_exact_in_torch(torch):
    compiled = torch.compile(number_of_pixels, fullgraph=True, dynamic=True, backend="eager")
    for many in (5, MANY):
        logits, target = torch.zeros(1, 1).expand(many, 1), torch.zeros(1).expand(many).bool()
        assert compiled(logits, target).item() == many
    torch._dynamo.reset()


def test_an_open_number_of_pixels_is_exact_in_jax(jax):
    (many,) = jax.export.symbolic_shape("many")
    exported = jax.export.export(jax.jit(number_of_pixels))(
        jax.ShapeDtypeStruct((many, 1), "float32"), jax.ShapeDtypeStruct((many,), "bool")
    )
    logits, target = np.zeros((MANY, 1), np.float32), np.zeros(MANY, bool)
    assert exported.call(logits, target).item() == MANY
