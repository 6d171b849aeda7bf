"""What is imported: no array library before an array of it comes in."""

import subprocess
import sys
import textwrap

import pytest

FRAMEWORKS = ("numpy", "torch", "jax", "cupy", "scipy", "dask", "array_api_strict")
SETUP = """
    z = xp.zeros((1, 2, 3), dtype=xp.float32)
    t = xp.zeros((1, 3), dtype=xp.int32)
    loss = al.CrossEntropyLoss() + 0.5 * al.LovaszSoftmaxLoss()
    loss(z, t), loss.value_and_grad(z, t), al.dice_loss(z, t)
"""


def imported_by(code):
    """The frameworks that a fresh interpreter has imported after the code."""
    code = f"{textwrap.dedent(code)}\nimport sys\nprint(*sys.modules, sep='\\n')"
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    modules = found.stdout.split()
    return {name for name in FRAMEWORKS if name in modules}, modules


@pytest.mark.parametrize(
    "module",
    ["array_losses", "array_losses.functional", "array_losses.presets", "array_losses.cli.main"],
)
def test_importing_imports_no_framework(module):
    frameworks, modules = imported_by(f"import {module}")
    assert not frameworks
    assert "array_api_compat" in modules
    assert "array_losses.testing" not in modules


def test_losses_can_be_made_without_a_framework():
    frameworks, _ = imported_by("""
        import array_losses as al
        loss = al.CrossEntropyLoss(class_weights=[1, 2]) + 0.5 * al.DiceLoss(ignore_index=255)
        repr(loss), hash(loss)
    """)
    assert not frameworks


def test_testing_imports_numpy_only():
    frameworks, _ = imported_by("import array_losses.testing")
    assert frameworks <= {"numpy"}


def test_numpy_arrays_need_numpy_only():
    frameworks, _ = imported_by(
        "import numpy as xp\nimport array_losses as al\n" + textwrap.dedent(SETUP)
    )
    assert frameworks == {"numpy"}


def test_strict_arrays_need_no_other():
    pytest.importorskip("array_api_strict")
    frameworks, _ = imported_by(
        "import array_api_strict as xp\nimport array_losses as al\n" + textwrap.dedent(SETUP)
    )
    assert frameworks == {"numpy", "array_api_strict"}


def test_tensors_do_not_need_jax(torch):
    frameworks, _ = imported_by(
        "import torch as xp\nimport array_losses as al\n" + textwrap.dedent(SETUP)
    )
    assert "torch" in frameworks
    assert not frameworks & {"jax", "cupy", "dask", "array_api_strict"}


def test_jax_arrays_do_not_need_torch(jax):
    frameworks, _ = imported_by(
        "import jax.numpy as xp\nimport array_losses as al\n" + textwrap.dedent(SETUP)
    )
    assert "jax" in frameworks
    assert not frameworks & {"torch", "cupy", "dask", "array_api_strict"}


def test_plain_data_need_no_framework():
    frameworks, modules = imported_by("""
        import array_losses as al
        loss = al.from_config({"class": "presets.monai.DiceLoss"})
        al.from_config((al.CrossEntropyLoss() - al.DiceLoss()).to_config())
    """)
    assert not frameworks
    assert "array_losses.frameworks.torch_module" not in modules
