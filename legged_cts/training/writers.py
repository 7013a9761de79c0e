"""Where scalars go: metrics.csv always, TensorBoard or Weights & Biases by choice."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from legged_cts.training.checkpoint import DRAFT
from legged_cts.training.panels import tensorboard_layout
from legged_cts.trust.plain import read_bounded

MAX_TABLE = 128 * 2**20
"""Bytes of a table; 50,000 iterations with 150 columns have half of it."""


class Writer(Protocol):
    """Takes the scalars of one iteration after the other."""

    def write(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Log the scalars of an iteration; what is not finite is left out."""
        ...

    def close(self) -> None:
        """Write out what is buffered."""
        ...


class CsvWriter:
    """One row per iteration in ``metrics.csv``.

    A metric that turns up later, or that an older version did not know when it began the run, gets a column at the end;
    its cells above stay empty.

    Args:
        path: The file.
        start: Iteration that is about to begin; rows from there on, of a run that went further than the checkpoint it
            resumes from, are dropped.
    """

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self._columns: list[str] = []
        rows: list[dict[str, str]] = []
        if start and path.is_file():
            self._columns, rows = read_metrics_rows(path)
            rows = [row for row in rows if row["iteration"].isdigit() and int(row["iteration"]) <= start]
        self._rewrite(rows)

    def write(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Append a row; numbers that are not finite are left empty."""
        new = [name for name in ("iteration", *metrics) if name not in self._columns]
        if new:
            self._extend(new)
        row = [iteration, *(_text(metrics.get(column)) for column in self._columns[1:])]
        csv.writer(self._file).writerow(row)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _extend(self, columns: list[str]) -> None:
        self._file.close()
        _, rows = read_rows(self._path)
        self._columns = [*self._columns, *columns]
        self._rewrite(rows)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        """Write the file anew and go on at its end; who reads it, or whoever kills us, finds the old or the new one."""
        draft = self._path.with_name(f".{self._path.stem}-{os.getpid()}{DRAFT}")
        with draft.open("w", newline="") as file:
            if self._columns:
                writer = csv.DictWriter(file, self._columns, restval="")
                writer.writeheader()
                writer.writerows(rows)
        os.replace(draft, self._path)
        self._file = self._path.open("a", newline="")


def read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and the whole rows of a table, such as ``metrics.csv``.

    Raises:
        ValueError: If it is no table with commas, a column is there twice, or a row has more cells than the first.
    """
    try:
        text = read_bounded(path, MAX_TABLE).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        columns = list(reader.fieldnames or [])
        rows = list(reader)
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{path} is no table: {error}") from error
    if len(set(columns)) < len(columns):
        raise ValueError(f"{path} is no table: a column is there twice")
    for number, row in enumerate(rows, start=2):
        if None in row:
            raise ValueError(f"{path} is no table: row {number} has more cells than the first")
    # A row that a killed process left half written is shorter than the others, which shows as None.
    return columns, [row for row in rows if None not in row.values()]


def read_metrics_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return what :func:`read_rows` does of a ``metrics.csv`` that a run can go on with.

    Raises:
        ValueError: If it is none.
    """
    columns, rows = read_rows(path)
    if columns[:1] not in ([], ["iteration"]):
        raise ValueError(f"{path} does not begin with the column 'iteration'; move it away to begin a new one")
    return columns, rows


class TensorBoardWriter:
    """Event files in the run's folder, with our pages under TensorBoard's tab "Custom Scalars".

    Args:
        folder: The run's folder.
        start: Iteration that is about to begin; TensorBoard hides what an older file has from there on.
    """

    def __init__(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None, flush_secs=30)
        self._writer.add_custom_scalars(tensorboard_layout())

    def write(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Log the scalars of an iteration."""
        for name, value in metrics.items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, iteration)

    def close(self) -> None:
        """Write out what is buffered."""
        self._writer.close()


class WandbWriter:
    """A Weights & Biases run; ``WANDB_MODE=offline`` keeps it on this machine.

    Args:
        folder: The run's folder; its name becomes the run's.
        project: Name of the project.
        config: What to store as the run's configuration.
        run_id: Run to continue, None for a new one.
    """

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any], run_id: str | None = None) -> None:
        import wandb

        try:
            self._run = wandb.init(
                project=project, name=folder.name, dir=str(folder), config=dict(config), id=run_id,
                resume="allow" if run_id else None,
            )  # fmt: skip
        except wandb.errors.Error as error:
            raise ValueError(f"logger=wandb: {' '.join(str(error).split())}") from error
        self.run_id: str = self._run.id

    def write(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Log the scalars of an iteration."""
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self._run.log(finite, step=iteration)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def check_wandb() -> None:
    """Check that a run can be logged to Weights and Biases.

    Raises:
        ValueError: If what it needs, such as an API key, is missing.
    """
    if importlib.util.find_spec("wandb") is None:
        raise ValueError("logger=wandb needs the package wandb; install it or set logger=tensorboard")
    if os.environ.get("WANDB_MODE", "online") in ("offline", "disabled", "dryrun") or os.environ.get("WANDB_API_KEY"):
        return
    import wandb

    try:
        known = wandb.api.api_key
    except Exception:
        known = None
    if not known:
        raise ValueError(
            "logger=wandb: no API key is known; run `wandb login`, set WANDB_API_KEY, or set WANDB_MODE=offline"
        )


def make_writer(
    name: str, folder: Path, start: int, config: Mapping[str, Any], project: str, wandb_run_id: str | None
) -> Writer | None:
    """Build the writer that ``logger`` names; None for ``none``."""
    if name == "tensorboard":
        return TensorBoardWriter(folder, start)
    if name == "wandb":
        return WandbWriter(folder, project, config, wandb_run_id)
    return None


def _text(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"
