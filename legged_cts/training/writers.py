"""Where scalars go: metrics.csv always, TensorBoard or Weights & Biases by choice."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from legged_cts.training.checkpoint import DRAFT

LOGGERS = ("tensorboard", "wandb", "none")


class Writer(Protocol):
    """Takes the scalars of one iteration after the other."""

    def write(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Log the scalars of an iteration; what is not finite is left out."""
        ...

    def close(self) -> None:
        """Write out what is buffered."""
        ...


class CsvWriter:
    """One row per iteration in ``metrics.csv``, with the columns of the first row.

    Args:
        path: The file.
        start: Iteration that is about to begin; rows from there on, of a run that went further than the checkpoint it
            resumes from, are dropped.
    """

    def __init__(self, path: Path, start: int) -> None:
        self._columns: list[str] = []
        rows: list[list[str]] = []
        if start and path.is_file():
            with path.open(newline="") as file:
                lines = [line for line in csv.reader(file) if line]
            if lines:
                self._columns = lines[0]
                # A row that a killed process left half written is shorter than the others.
                whole = [line for line in lines[1:] if len(line) == len(self._columns) and line[0].isdigit()]
                rows = [line for line in whole if int(line[0]) <= start]
        # Written beside and renamed, so that being killed here does not lose the rows.
        draft = path.with_name(f".{path.stem}-{os.getpid()}{DRAFT}")
        with draft.open("w", newline="") as file:
            csv.writer(file).writerows([self._columns, *rows] if self._columns else [])
        os.replace(draft, path)
        self._file = path.open("a", newline="")
        self._writer = csv.writer(self._file)

    def write(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Append a row; numbers that are not finite are left empty."""
        if not self._columns:
            self._columns = ["iteration", *metrics]
            self._writer.writerow(self._columns)
        self._writer.writerow([iteration, *(_text(metrics.get(column)) for column in self._columns[1:])])
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardWriter:
    """Event files in the run's folder.

    Args:
        folder: The run's folder.
        start: Iteration that is about to begin; TensorBoard hides what an older file has from there on.
    """

    def __init__(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None, flush_secs=30)

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
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise ValueError("logger=wandb needs the package wandb; install it or set logger=tensorboard") from error
        self._run = wandb.init(
            project=project, name=folder.name, dir=str(folder), config=dict(config), id=run_id,
            resume="allow" if run_id else None,
        )  # fmt: skip
        self.run_id: str = self._run.id

    def write(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Log the scalars of an iteration."""
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self._run.log(finite, step=iteration)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def check_logger(name: str) -> str:
    """Return ``name`` if it is one of :data:`LOGGERS`.

    Raises:
        ValueError: If it is not.
    """
    if name not in LOGGERS:
        raise ValueError(f"logger='{name}' is unknown; choose from {', '.join(LOGGERS)}")
    return name


def make_writer(
    name: str, folder: Path, start: int, config: Mapping[str, Any], project: str, wandb_run_id: str | None
) -> Writer | None:
    """Build the writer that ``logger`` names; None for ``none``."""
    check_logger(name)
    if name == "tensorboard":
        return TensorBoardWriter(folder, start)
    if name == "wandb":
        return WandbWriter(folder, project, config, wandb_run_id)
    return None


def _text(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"
