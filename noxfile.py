"""What continuous integration runs: ``nox`` alone runs every session that is on by default.

As many sessions run side by side as there are cores; the output of each is printed when it ends.
They use virtualenv and pip (not uv) and plain extras of pyproject.toml. Installing takes minutes,
so most sessions share two environments, which sessions of their own make: `tools`, and
`frameworks`, where packages are hidden from tests that are to run without them.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2026.10.20"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True  # `newest` would be skipped, as if it had passed
nox.options.parallel = "auto"
nox.options.allow_parallel = True
# What `nox` alone runs. Sessions start in this order: what takes longest early, so that no core is
# left idle at the end.
nox.options.sessions = (
    "tools",
    "frameworks",
    "tests(jax)",
    "agreement",
    "presets",
    "tests(torch)",
    "tests(numpy)",
    "tests(cupy)",
    "lint",
    "types",
    "docs",
    "wheel",
    "minimums",
)

ROOT = Path(__file__).parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# One version, so that every run is of the same PyTorch; it is also the floor of the extra.
TORCH = "torch==2.13.0"

# The names that conftest.py gives the backends. One that is named here and missing is an error.
STRICT = (
    "strict-2024",
    "strict-2025",
    "strictest",
    "strict-device1",
    "strict-device2",
    "strict-no_float64",
    "strict-no_x64",
)
BACKENDS = {
    "numpy": ("numpy", "numpy-readonly", *STRICT),
    "torch": ("torch", "torch-float64-default", "torch-as-cuda"),
    "jax": ("jax", "jax-x64", "jax-strict-promotion"),
    "cupy": ("cupy-stand-in",),
}
# Without the stand-in for CuPy, which other packages would take for the real one.
IN_ONE_PROCESS = ("numpy", "torch", "jax")
GPU_BACKENDS = ("torch-cuda", "jax-cuda", "cupy")
# What the tests of one framework run without.
HIDDEN = {
    "numpy": ("jax", "matplotlib", "torch"),
    "torch": ("jax", "matplotlib"),
    "jax": ("matplotlib", "torch"),
    "cupy": ("jax", "matplotlib", "torch"),
}

# Tests that need several frameworks at once, or that are about a command as a whole.
TOGETHER = (
    "tests/testing",
    "tests/cli/test_crosscheck.py",
    "tests/cli/test_compare.py",
    "tests/cli/test_bench.py",
    "tests/contract/test_import_footprint.py",
    "tests/losses/test_gradients.py::test_sharp_places",
)
# Every case of the table, its value and its gradient.
EVERY_CASE = (
    "tests/losses/test_values.py",
    "tests/losses/test_gradients.py::test_value_and_grad",
    "tests/losses/test_gradients.py::test_jax_grad",
)
# What the losses compute, whatever the versions.
FORMULAS = (
    "tests/contract/test_contract.py",
    "tests/losses/test_values.py",
    "tests/losses/test_gradients.py",
    "tests/losses/test_cross_entropy.py",
    "tests/losses/test_focal.py",
    "tests/losses/test_overlap.py",
    "tests/losses/test_correlation.py",
    "tests/losses/test_unified_focal.py",
    "tests/losses/test_lovasz.py",
    "tests/losses/test_boundary.py",
)
# Pages whose examples import PyTorch or JAX.
FRAMEWORK_EXAMPLES = ("README.md", "docs/frameworks.md", "array_losses/frameworks")
# What the losses of the extra `presets` import.
PRESETS_NEED = (
    "absl-py",
    "chex",
    "h5py",
    "huggingface-hub",
    "kornia-rs",
    "ml-dtypes",
    "namex",
    "optree",
    "pillow",
    "requests",
    "rich",
    "scipy",
    "tqdm",
)
# What trainers import that come without their dependencies: those bring torchvision.
TRAINERS = ("fastai==2.8.12", "fastcore>=2.2", "fastdownload", "fastprogress<1.1", "fasttransform")
TRAINERS_NEED = (
    "cloudpickle",
    "matplotlib",
    "pandas",
    "pillow",
    "plum-dispatch",
    "requests",
    "scikit-learn",
    "scipy",
)
DOCTEST = ("--doctest-modules", "--doctest-glob=*.md", "-o", "addopts=--import-mode=importlib")
# JAX compiles in about half of the time. Code as users get it, optimised, is for `tests(jax)`.
UNOPTIMISED = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


def backends(*frameworks: str) -> dict[str, str]:
    """The environment in which the tests use these frameworks' backends, and insist on them."""
    return {"ARRAY_LOSSES_BACKENDS": ",".join(b for f in frameworks for b in BACKENDS[f])}


def hidden(*packages: str) -> dict[str, str]:
    """The environment in which these packages are not found, though they are installed."""
    folder = ROOT / "tests" / "hiding"
    return {"ARRAY_LOSSES_HIDDEN": ",".join(packages), "PYTHONPATH": str(folder)}


def jax_cache(session: nox.Session) -> dict[str, str]:
    """Keep what JAX compiles beside the environments: most of the time of its tests goes there."""
    cache = session.cache_dir.parent / "jax-cache"
    return {
        "JAX_COMPILATION_CACHE_DIR": str(cache.resolve()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def run_in(
    session: nox.Session, environment: str, *command: str, env: dict[str, str] | None = None
) -> None:
    """Run a command that is installed in another session's environment."""
    folder = session.cache_dir.parent / environment / ("Scripts" if os.name == "nt" else "bin")
    session.run(str(folder.resolve() / command[0]), *command[1:], env=env, external=True)


def floors(*extras: str) -> list[str]:
    """The lowest versions that pyproject.toml claims for the library and these extras."""
    project = PYPROJECT["project"]
    requirements = list(project["dependencies"])
    for extra in extras:
        requirements += project["optional-dependencies"][extra]
    pairs = [re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in requirements]
    return sorted({f"{pair[1]}=={pair[2]}" for pair in pairs if pair})


@nox.session
def tools(session: nox.Session) -> None:
    """The environment of `lint`, `types` and `docs`."""
    session.install("-e", ".[docs,lint,types]")


@nox.session(venv_backend="none", requires=["tools"])
def lint(session: nox.Session) -> None:
    """Rules and format of the source."""
    run_in(session, "tools", "ruff", "check")
    run_in(session, "tools", "ruff", "format", "--check")


@nox.session(venv_backend="none", requires=["tools"])
def types(session: nox.Session) -> None:
    """Static types, strict."""
    run_in(session, "tools", "mypy")


@nox.session(venv_backend="none", requires=["tools"])
def docs(session: nox.Session) -> None:
    """The documentation; a warning is an error."""
    command = ("sphinx-build", "-n", "-W", "--keep-going", "docs", "docs/_build/html")
    run_in(session, "tools", *command)


@nox.session
def frameworks(session: nox.Session) -> None:
    """The environment of `tests`, `agreement`, `presets` and `doctest`.

    The libraries of presets come without their dependencies, which would bring torchvision's
    operators and another PyTorch; what their losses import is installed by name.
    """
    session.install("-e", ".[test,compare,jax]", TORCH, *PRESETS_NEED)
    session.install("--no-deps", *PYPROJECT["project"]["optional-dependencies"]["presets"])


@nox.session(venv_backend="none", requires=["frameworks"])
@nox.parametrize("framework", list(BACKENDS), ids=list(BACKENDS))
def tests(session: nox.Session, framework: str) -> None:
    """The tests with one framework, the others hidden; NumPy is always there, inputs need it."""
    env = backends(framework) | hidden(*HIDDEN[framework]) | jax_cache(session)
    # One process that holds all programs of the JAX tests ends in a segmentation fault.
    workers = ("-n", "3") if framework == "jax" else ()
    # `presets` runs them with the others, and with the packages whose names they have.
    left_out = () if framework == "cupy" else ("--ignore=tests/presets",)
    command = ("pytest", *workers, *left_out, *session.posargs)
    run_in(session, "frameworks", *command, env=env)


@nox.session(venv_backend="none", requires=["frameworks"])
def presets(session: nox.Session) -> None:
    """Presets on every framework, and against the libraries whose names they have."""
    env = backends(*IN_ONE_PROCESS) | jax_cache(session) | UNOPTIMISED
    env |= {"ARRAY_LOSSES_PRESETS": "required", "KERAS_BACKEND": "torch"}
    run_in(session, "frameworks", "pytest", "tests/presets", *session.posargs, env=env)


@nox.session(venv_backend="none", requires=["frameworks"])
def agreement(session: nox.Session) -> None:
    """All frameworks at once: they agree, the commands run, every example is true."""
    env = backends(*IN_ONE_PROCESS) | jax_cache(session) | UNOPTIMISED
    run_in(session, "frameworks", "pytest", *TOGETHER, *session.posargs, env=env)
    # tests/cli/test_crosscheck.py checks the other frameworks, `tests(jax)` the other dtypes.
    crosscheck = ("crosscheck", "--frameworks", "jax", "--dtypes", "float32")
    run_in(session, "frameworks", "array-losses", *crosscheck, env=env)
    examples = (*DOCTEST, "README.md", "docs", "array_losses")
    run_in(session, "frameworks", "pytest", *examples, env=jax_cache(session))
    picture = Path(session.create_tmp()) / "compare.png"
    compare = ("compare", "--steps", "3", "--output", str(picture))
    run_in(session, "frameworks", "array-losses", *compare)
    if not picture.exists():
        session.error("array-losses compare wrote no picture")


@nox.session(venv_backend="none", requires=["frameworks"])
def doctest(session: nox.Session) -> None:
    """The examples that need NumPy only, without the other frameworks."""
    skipped = [f"--ignore={path}" for path in FRAMEWORK_EXAMPLES]
    command = ("pytest", *DOCTEST, *skipped, "array_losses", "docs")
    run_in(session, "frameworks", *command, env=hidden("jax", "torch"))


ALONE = """
import importlib.util, pathlib, sys
for name in ("numpy", "torch", "jax", "cupy"):
    assert importlib.util.find_spec(name) is None, f"{name} is installed: this shows nothing"
import array_losses
assert "site-packages" in array_losses.__file__, array_losses.__file__
assert (pathlib.Path(array_losses.__file__).parent / "py.typed").exists(), "py.typed is missing"
missing = [name for name in array_losses.__all__ if not hasattr(array_losses, name)]
assert not missing, missing
print(array_losses.CrossEntropyLoss() + 0.5 * array_losses.DiceLoss())
print("array_losses", array_losses.__version__, "imports with array-api-compat alone")
"""


@nox.session
def wheel(session: nox.Session) -> None:
    """The built wheel, alone in a fresh environment, imports, and imports no array library."""
    session.install("build")
    tmp = Path(session.create_tmp()).resolve()
    shutil.rmtree(tmp / "dist", ignore_errors=True)
    shutil.rmtree(tmp / "fresh", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(tmp / "dist"))
    (built,) = (tmp / "dist").glob("*.whl")
    session.run("python", "-m", "venv", str(tmp / "fresh"))
    bin_dir = tmp / "fresh" / ("Scripts" if (tmp / "fresh" / "Scripts").exists() else "bin")
    python = str(bin_dir / "python")
    session.run(python, "-m", "pip", "install", "--quiet", str(built), external=True)
    session.chdir(tmp)
    session.run(python, "-I", "-c", ALONE, external=True)
    session.run(str(bin_dir / "array-losses"), "--help", external=True)


@nox.session
def minimums(session: nox.Session) -> None:
    """The lowest versions that pyproject.toml claims.

    PyTorch is not among them here: its floor, 2.13, is what `tests(torch)` runs already, because
    that is the one CPU build which every machine of the project can install.
    """
    session.install("-e", ".[test]", *floors("numpy", "jax", "crosscheck", "compare"))
    session.run("pip", "list")
    # array-api-strict's floor is what the other sessions run too: one of its modes is enough.
    env = {"ARRAY_LOSSES_BACKENDS": "numpy,strict-2024"}
    session.run("pytest", *FORMULAS, *session.posargs, env=env)
    # Every case calls what the losses need of JAX; the other tests say nothing about its version.
    env = {"ARRAY_LOSSES_BACKENDS": "jax"} | jax_cache(session)
    session.run("pytest", *EVERY_CASE, *session.posargs, env=env)
    # As commands: their oldest dependencies warn of each other, which is an error in the tests.
    session.run("array-losses", "crosscheck", "--frameworks", "numpy,strict")
    picture = str(Path(session.create_tmp()).resolve() / "compare.png")
    session.run("array-losses", "compare", "--steps", "3", "--output", picture)


NEWEST_PYTHON = "3.13"


def interpreter(version: str) -> str:
    """The interpreter of this version in pyenv, or the version: nox looks for it on the PATH.

    pyenv puts a `python3.13` on the PATH that does not run unless that version is switched on.
    """
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(versions.glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else version


@nox.session(python=interpreter(NEWEST_PYTHON))
def newest(session: nox.Session) -> None:
    """The newest NumPy, JAX and array-api-strict of the registry, on the newest Python.

    Without PyTorch: `tests(torch)` runs the one version that the project pins.
    """
    newest_of_all = ("--upgrade", "--upgrade-strategy", "eager")
    session.install(*newest_of_all, "-e", ".[test,jax]")
    session.run("pip", "list")
    files = (
        "tests/contract/test_contract.py",
        "tests/contract/test_low_precision.py",
        "tests/losses/test_values.py",
        "tests/losses/test_gradients.py",
        "tests/losses/test_lovasz.py",
    )
    env = backends("numpy", "jax") | jax_cache(session)
    session.run("pytest", *files, *session.posargs, env=env)


@nox.session
def integrations(session: nox.Session) -> None:
    """Two steps in each trainer of docs/trainers.md; a package that is missing is an error.

    On demand: its environment takes some five minutes to make, its tests two and a half.
    """
    session.install("-e", ".[test,jax,integrations]", TORCH, *TRAINERS_NEED)
    monai = next(
        one for one in PYPROJECT["project"]["optional-dependencies"]["presets"] if "monai" in one
    )
    session.install("--no-deps", *TRAINERS, monai)
    env = {"JAX_PLATFORMS": "cpu"}
    # Their warnings are theirs.
    command = ("pytest", "-W", "default", "--disable-warnings")
    session.run(
        *command, "tests/integrations", *session.posargs, env=env | {"KERAS_BACKEND": "torch"}
    )
    keras = "tests/integrations/test_keras.py"
    session.run(*command, keras, env=env | {"KERAS_BACKEND": "jax"})


@nox.session
def coverage(session: nox.Session) -> None:
    """Lines and branches that the tests reach, with every framework installed."""
    session.install("-e", ".[test,compare,jax]", TORCH, "coverage>=7.6")
    session.run("coverage", "erase")
    env = backends("numpy", "torch", "jax")
    session.run("coverage", "run", "-m", "pytest", *session.posargs, env=env)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def bench(session: nox.Session) -> None:
    """Time and memory beside other packages; options of `python -m tests.benchmarks` follow `--`.

    The machine should be idle. segmentation-models-pytorch is installed without its dependencies:
    torchvision has no build for this PyTorch on every machine, and the losses do not need it.
    """
    session.install("-e", ".[test,bench]", TORCH)
    session.install("--no-deps", "segmentation-models-pytorch>=0.6")
    session.run("pytest", "tests/benchmarks")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session
def launches(session: nox.Session) -> None:
    """What losses launch and move on a GPU beside other packages' losses, counted without one.

    `nox -s launches -- --markdown docs/performance/launches.md` writes the tables.
    """
    session.install("-e", ".[test,bench]", TORCH)
    session.run("python", "-m", "tests.devices.launches", *session.posargs)


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """The GPU backends in the interpreter that is there; `nox -s gpu -- torch-cuda` names some.

    It makes no environment: which build of which framework fits the driver is the machine's
    matter. conftest.py lets it fail if a backend is missing, and if one ran no test.
    """
    wanted = session.posargs or list(GPU_BACKENDS)
    unknown = sorted(set(wanted) - set(GPU_BACKENDS))
    if unknown:
        session.error(f"not GPU backends: {unknown}; expected some of {list(GPU_BACKENDS)}")
    python = shutil.which("python") or shutil.which("python3") or "python"
    session.run(python, "-m", "tests.gpu", "first", "--only", "where", external=True)
    env = {"ARRAY_LOSSES_BACKENDS": ",".join(wanted), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    session.run(python, "-m", "pytest", env=env, external=True)
