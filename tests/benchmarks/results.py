"""What was measured, all of it: kept in one JSON file, to which further parts can be added."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks.floor import Floor
from tests.benchmarks.memory import MemoryRow
from tests.benchmarks.scaling import ScalingRow
from tests.benchmarks.timing import Row, Seconds

__all__ = ["Results", "about_this_machine", "cores"]

_PACKAGES = (
    *("array-losses", "array-api-compat", "numpy", "torch", "jax"),
    *("monai", "segmentation-models-pytorch", "kornia", "keras", "optax"),
)


def about_this_machine() -> dict[str, str]:
    """Return what figures depend on: processor, cores, memory, system, versions, load, date."""
    about = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": str(cores()),
        "system": platform.platform(aliased=True, terse=True),
        "python": platform.python_version(),
    }
    if hasattr(os, "getloadavg"):
        about["load before"] = f"{os.getloadavg()[0]:.1f}"
    for package in _PACKAGES:
        try:
            about[package] = version(package)
        except PackageNotFoundError:
            about[package] = "not installed"
    return about


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Results:
    """Rows of the parts, with the floors and the machine they were measured with."""

    about: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    floors: dict[int, Floor] = field(default_factory=dict)
    times: list[Row] = field(default_factory=list)
    memory: list[MemoryRow] = field(default_factory=list)
    scaling: list[ScalingRow] = field(default_factory=list)

    def add_times(self, rows: list[Row]) -> None:
        """Add the rows of a group, in the place of the group's rows of an earlier run."""
        groups = {row.group for row in rows}
        self.times = [
            row
            for row in self.times
            if (row.mode, row.workload, row.loss, row.threads) not in groups
        ] + rows

    def add_memory(self, rows: list[MemoryRow]) -> None:
        """Add rows, in the place of those of an earlier run."""
        keys = {(row.workload, row.loss, row.contender) for row in rows}
        self.memory = [
            row for row in self.memory if (row.workload, row.loss, row.contender) not in keys
        ] + rows

    def add_scaling(self, rows: list[ScalingRow]) -> None:
        """Add rows, in the place of those of an earlier run."""
        losses = {row.loss for row in rows}
        self.scaling = [row for row in self.scaling if row.loss not in losses] + rows

    def write(self, path: Path) -> None:
        """Write the JSON file."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Return what a JSON file holds."""
        content = json.loads(path.read_text("utf-8"))
        return cls(
            about=content["about"],
            missing=content["missing"],
            floors={int(threads): Floor(**one) for threads, one in content["floors"].items()},
            times=[_row(one) for one in content["times"]],
            memory=[MemoryRow(**one) for one in content["memory"]],
            scaling=[ScalingRow(**one) for one in content["scaling"]],
        )


def _row(content: dict[str, Any]) -> Row:
    for name in ("forward", "gradient"):
        if content[name] is not None:
            content[name] = Seconds(**content[name])
    return Row(**content)
