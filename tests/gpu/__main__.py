"""``python -m tests.gpu first`` and ``rest``, run in a checkout: all that is to run on a GPU.

Each part takes less than ten minutes, both less than fifteen: a step that takes longer than it may
is stopped, and counts as failed. A step's output goes to a file. With ``--rehearse`` the same steps
run without a GPU, on what stands in for one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple


class Step(NamedTuple):
    """A command, the seconds it may take, and how it ends on a GPU, and rehearsed.

    So do the backends of its tests.
    """

    name: str
    seconds: int
    command: tuple[str, ...]
    ends: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    backends: tuple[str, str] = ("", "")


# Plugins that may be there, and warn of each other.
_PYTEST = ("pytest", "-v", "--tb=short", "-p", "no:benchmark", "-p", "no:cacheprovider")
_NUMBERS = ("tests/contract", "tests/losses", "tests/scores", "tests/engine", "tests/presets")
_WHERE = """
import importlib, platform
print("python", platform.python_version(), platform.platform())
for name in ("array_api_compat", "array_api_strict", "numpy", "torch", "jax", "cupy"):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        print(name, "-", error)
    else:
        print(name, module.__version__)
        if name == "torch" and module.cuda.is_available():
            print("  ", module.cuda.get_device_name(), "CUDA", module.version.cuda)
        if name == "jax":
            print("  ", module.devices())
"""

PARTS = {
    "first": (
        Step("where", 60, ("-c", _WHERE)),
        Step(
            "gpu-tests",
            240,
            ("-m", *_PYTEST, "-n", "6", "tests/gpu"),
            backends=("torch-cuda,cupy,jax-cuda", "torch-as-cuda,jax"),
        ),
        Step(
            "benchmark",
            150,
            ("-m", "tests.benchmarks.gpu"),
            ends=((), ("--device", "cpu", "--tiny", "--seconds", "0.01")),
        ),
    ),
    "rest": (
        Step(
            "numbers",
            200,
            ("-m", *_PYTEST, "-n", "8", *_NUMBERS),
            backends=("torch-cuda,cupy", "torch-as-cuda"),
        ),
        Step(
            "jax",
            180,
            ("-m", *_PYTEST, "-n", "8", *_NUMBERS),
            backends=("jax-cuda", "jax"),
        ),
        Step(
            "crosscheck",
            60,
            ("-m", "array_losses", "crosscheck", "--dtypes", "float32", "--frameworks"),
            ends=(("torch,cupy", "--devices", "cuda"), ("torch",)),
        ),
    ),
}


def main() -> int:
    """Run a part; return 0 if every step of it succeeded."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--output", type=Path, default=Path("gpu-run"), metavar="FOLDER")
    parser.add_argument("--rehearse", action="store_true", help="without a GPU")
    parser.add_argument("--only", metavar="STEP", help="one step of the part")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    steps = [one for one in PARTS[options.part] if options.only in {None, one.name}]
    said = [run(one, options.output, rehearse=options.rehearse) for one in steps]
    return 0 if said and all(said) else 1


def run(step: Step, folder: Path, *, rehearse: bool) -> bool:
    """Run a step, print how it ended, and return whether it succeeded."""
    command = [sys.executable, *step.command, *step.ends[rehearse]]
    environment = {
        **os.environ,
        "ARRAY_LOSSES_BACKENDS": step.backends[rehearse],
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # others want memory too
    }
    path, start = folder / f"{step.name}.txt", time.monotonic()
    with path.open("w", encoding="utf-8") as output:
        try:
            status: int | str = subprocess.run(
                command,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=None if rehearse else step.seconds,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            status = f"stopped after {step.seconds} s"
    lines = path.read_text("utf-8", errors="replace").splitlines()
    print(f"=== {step.name}: status {status}, {time.monotonic() - start:.0f} s", flush=True)
    print("\n".join(lines[-12:]), flush=True)
    return status == 0


if __name__ == "__main__":
    sys.exit(main())
