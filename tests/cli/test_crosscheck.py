"""`array-losses crosscheck`: its exit status, its three outputs, and the table of its cases."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import array_losses as al
from array_losses.cli.main import main
from array_losses.testing import frameworks
from array_losses.testing.cases import crosscheck

FOUND = [framework.name for framework in frameworks()]
QUICK = ["crosscheck", "--frameworks", "numpy,strict", "--losses", "DiceLoss"]


class Wrong:
    """Right on NumPy, 1.001 times that on array-api-strict."""

    def __call__(self, logits, target, /, *, pixel_weights=None):
        return self.value_and_grad(logits, target, pixel_weights=pixel_weights)[0]

    def value_and_grad(self, logits, target, /, *, pixel_weights=None):
        value, gradient = al.DiceLoss().value_and_grad(logits, target, pixel_weights=pixel_weights)
        return (value if isinstance(logits, np.ndarray) else value * 1.001), gradient


@pytest.fixture
def with_a_wrong_loss(monkeypatch):
    """Put a wrong loss in the place of the first case's."""
    original = crosscheck.crosscheck_cases

    def replaced(losses=crosscheck.LOSSES):
        first, *others = original(losses)
        object.__setattr__(first, "loss", Wrong)
        return [first, *others]

    monkeypatch.setattr(crosscheck, "crosscheck_cases", replaced)


def test_status_0_and_a_table_of_80_columns_if_all_agree(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(QUICK) == 0
    out, err = capsys.readouterr()
    assert not err
    assert "All 72 checks agree" in out
    assert max(map(len, out.splitlines())) <= 80
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("  ")][-2:] == [
        ["numpy", "cpu"],
        ["strict", "cpu"],
    ]


@pytest.mark.parametrize("form", [[], ["--markdown"], ["--all-rows"]], ids=str)
@pytest.mark.usefixtures("with_a_wrong_loss")
def test_status_1_and_the_row_in_full_if_one_disagrees(capsys, form):
    assert main([*QUICK, *form]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "2 of 72 checks disagree" in out
    assert "DiceLoss: defaults (labels, pixel mask)" in out
    assert "strict cpu float64: value 0." in out
    assert "4.5e+12 eps off (limit 64)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frameworks", "tensorflow"], "got 'tensorflow'"),
        (["--frameworks", "numpy", "--devices", "cuda"], "cuda was asked for"),
        (["--frameworks", "numpy,strict", "--dtypes", "float16"], "float16 was asked for"),
        (["--devices", "tpu"], "got 'tpu'"),
        (["--losses", "DiceLoss,HausdorffLoss"], "got 'HausdorffLoss'"),
    ],
)
def test_status_2_and_one_line_if_something_is_missing(capsys, arguments, message):
    assert main(["crosscheck", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert err.count("\n") == 1


def test_status_2_if_a_named_framework_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr("array_losses.testing.framework._Jax.module", "no_such_module")
    assert main(["crosscheck", "--frameworks", "numpy,jax"]) == 2
    assert 'pip install ".[jax]"' in capsys.readouterr().err


def test_status_2_and_both_packages_if_cupy_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr("array_losses.testing.framework._CuPy.module", "no_such_module")
    assert main(["crosscheck", "--frameworks", "cupy"]) == 2
    either = 'pip install ".[cupy-cuda12x]" or pip install ".[cupy-cuda13x]"'
    assert either in capsys.readouterr().err


@pytest.mark.parametrize("module", ["rich", "numpy"])
def test_status_2_and_the_extra_if_a_package_is_not_installed(capsys, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(QUICK) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"array-losses crosscheck: {module} is not installed")
    assert 'pip install ".[crosscheck]"' in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--frameworks", "numpy,,strict"], ["--json", "no/such/folder/file.json"], ["--nonsense"]],
)
def test_mistakes_in_the_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*QUICK, *arguments])
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.usefixtures("with_a_wrong_loss")
def test_json_has_every_row(tmp_path):
    path = tmp_path / "rows.json"
    assert main([*QUICK, "--json", str(path)]) == 1
    content = json.loads(path.read_text("utf-8"))
    assert content["agrees"] is False
    assert content["frameworks"]["numpy"] == np.__version__
    assert len(content["rows"]) == 72
    (first,) = [
        row
        for row in content["rows"]
        if not row["ok"] and row["framework"] == "strict" and row["dtype"] == "float64"
    ]
    assert first["value"] == pytest.approx(1.001 * first["reference"])
    assert first["value_error"] > first["value_limit"] == 64.0


def test_json_of_what_could_not_be_evaluated_is_still_json(tmp_path, monkeypatch):
    path = tmp_path / "rows.json"
    first = crosscheck.crosscheck_cases(("DiceLoss",))[0]
    broken = dataclasses.replace(first, terms=((1.0, "dice", {"class_weights": (1.0,)}),))
    monkeypatch.setattr(crosscheck, "crosscheck_cases", lambda _: [broken])
    assert main([*QUICK, "--json", str(path)]) == 1
    rows = json.loads(path.read_text("utf-8"))["rows"]
    assert {row["value"] for row in rows} == {"nan"}
    assert all("ValueError" in row["problem"] for row in rows)


def test_markdown_is_one_well_formed_table(capsys):
    assert main([*QUICK, "--markdown"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 2
    assert {line.count("|") for line in lines} == {3 + 2 * 3 + 1}


def test_all_rows_has_a_section_for_each_option_set(capsys):
    assert main([*QUICK, "--all-rows"]) == 0
    out = capsys.readouterr().out
    cases = crosscheck.crosscheck_cases(("DiceLoss",))
    assert all(f"DiceLoss: {case.options} ({case.about})" in out for case in cases)


def test_every_option_of_every_loss_occurs():
    cases = crosscheck.crosscheck_cases()
    for name in crosscheck.LOSSES[:-1]:
        own = [case.loss() for case in cases if case.kind == name]
        assert len(own) >= (6 if name == "BoundaryLoss" else 12)
        for field in dataclasses.fields(getattr(al, name)):
            # Of no use with a map of distances.
            if (name, field.name) != ("BoundaryLoss", "ignore_index"):
                assert any(getattr(loss, field.name) != field.default for loss in own), (
                    f"{name}: {field.name}"
                )


def test_cases_are_the_same_at_every_call():
    pairs = zip(crosscheck.crosscheck_cases(), crosscheck.crosscheck_cases(), strict=True)
    for one, other in pairs:
        assert one.loss() == other.loss()
        for a, b in zip(one.inputs(), other.inputs(), strict=True):
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def test_every_loss_agrees_on_numpy_and_strict(capsys):
    assert main(["crosscheck", "--frameworks", "numpy,strict"]) == 0, capsys.readouterr().out


@pytest.mark.skipif("torch" not in FOUND, reason="torch is not installed")
def test_every_loss_agrees_on_torch(capsys):
    assert main(["crosscheck", "--frameworks", "torch"]) == 0, capsys.readouterr().out


@pytest.mark.skipif("jax" not in FOUND, reason="jax is not installed")
def test_weighted_sums_agree_on_jax(capsys):
    arguments = ["--frameworks", "jax", "--losses", "WeightedSum", "--dtypes", "float32"]
    assert main(["crosscheck", *arguments]) == 0, capsys.readouterr().out


def test_help_and_version_import_no_framework():
    code = (
        "import sys, contextlib\n"
        "from array_losses.cli.main import main\n"
        "for arguments in (['--help'], ['--version'], ['crosscheck', '--help']):\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main(arguments)\n"
        "loaded = {'numpy', 'torch', 'jax', 'cupy', 'rich'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "array_losses.cli", "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"array_losses {al.__version__}"
