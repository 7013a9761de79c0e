"""Compares checkpoints entry by entry, and metrics row by row."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import torch

TIMINGS = ("train_time",)
"""Entries of a checkpoint that depend on the clock."""
_CLOCK = ("train_time_s", "perf/", "machine/")
"""Beginnings of the names of metrics that depend on the clock and on what else runs."""


def differences(a: Any, b: Any, but: tuple[str, ...] = (), name: str = "") -> list[str]:
    """Names of the entries of two trees that are not equal bit by bit, NaN being equal to itself."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = [key for key in dict.fromkeys([*a, *b]) if key not in but]
        absent = [f"{name}.{key}" for key in keys if key not in a or key not in b]
        both = [key for key in keys if key in a and key in b]
        return absent + [found for key in both for found in differences(a[key], b[key], but, f"{name}.{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return [found for i, (x, y) in pairs for found in differences(x, y, but, f"{name}[{i}]")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        same = a.dtype == b.dtype and a.shape == b.shape and bool((a.eq(b) | (a.ne(a) & b.ne(b))).all())
        return [] if same else [name]
    nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    return [] if type(a) is type(b) and (a == b or nan) else [name]


def metrics_rows(folder: Path) -> list[dict[str, str]]:
    """Rows of ``metrics.csv`` without what depends on the clock."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [
            {key: value for key, value in row.items() if not key.startswith(_CLOCK)} for row in csv.DictReader(file)
        ]
