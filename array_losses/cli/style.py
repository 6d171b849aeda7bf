"""The style of all plots."""

from __future__ import annotations

from typing import Any

__all__ = ["FAINT", "STYLE"]

FAINT = "#8a9099"  # edges and reference lines
STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": "#3c424c",
    "xtick.color": "#3c424c",
    "ytick.color": "#3c424c",
    "text.color": "#1b1f27",
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
}
