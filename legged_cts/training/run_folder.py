"""A run's folder: one run at a time, no abandoned branch taken for the newest, and what to do if it fails."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from legged_cts.training.checkpoint import (
    BEST,
    CheckpointError,
    checkpoint_iteration,
    latest_checkpoint,
    numbered_checkpoints,
)

LOCK = ".lock"
METRICS = "metrics.csv"
RESULTS = (
    "policy.onnx", "evaluation.csv", "evaluation.json", "evaluation.png", "response.csv", "response.json",
    "learning.png", "diagnostics.png", "dashboard.html",
)  # fmt: skip
"""What the end of a run leaves of its best checkpoint."""


class FolderError(ValueError):
    """A run's folder that cannot be used, or no longer."""


class FolderGone(FolderError):
    """A run's folder that was deleted or moved while the run was alive."""


class FolderWatch:
    """Looks with every iteration whether a folder is still the one that it was; a writer that writes nothing.

    A checkpoint would make a deleted folder anew, and the run go on without the rest.
    """

    def __init__(self, folder: Path) -> None:
        """Remember the folder; while it is open, no other gets its number."""
        self._folder, self._handle = folder, os.open(folder, os.O_RDONLY)

    def write(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Check.

        Raises:
            FolderGone: If there is no such folder any more, or another one.
        """
        try:
            same = os.path.samestat(os.stat(self._folder), os.fstat(self._handle))
        except FileNotFoundError:
            same = False
        if not same:
            raise FolderGone(f"{self._folder}: the run's folder was deleted or moved while the run was alive")

    def close(self) -> None:
        """Forget the folder."""
        os.close(self._handle)


def new_folder(path: Path) -> Path:
    """Make a folder that nobody has, and return it: ``path``, or with ``_2``, ``_3``, ... appended.

    Raises:
        OSError: If it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number, folder = 1, path
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = path.with_name(f"{path.name}_{number}")


def hold(folder: Path, inheritable: bool = False) -> IO[str]:
    """Hold a folder, made if need be, for this process alone until the returned file is closed or the process ends.

    Args:
        folder: The folder.
        inheritable: Whether child processes hold it too, beyond the end of this one.

    Raises:
        BlockingIOError: If somebody holds it.
        OSError: If it cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / LOCK).open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        file.close()
        raise
    os.set_inheritable(file.fileno(), inheritable)
    return file


def set_aside(folder: Path, iteration: int | None) -> Path | None:
    """Move what lies ahead of an iteration out of the way of a run that goes on from there.

    Otherwise the checkpoints of the abandoned branch would be the newest: the next resume and the export would take
    them, and what the new branch saves would be deleted as old. Checkpoints move in the order of their iterations, so
    that whoever is killed meanwhile finds the newest of the old branch as before.

    Args:
        folder: The run's folder.
        iteration: Where the run goes on; None if it does not go on from what the folder holds.

    Returns:
        The folder inside it that now holds them, in which the old branch can be resumed; None if there are none.
    """
    last = -1 if iteration is None else iteration
    ahead = [(number, path) for number, path in numbered_checkpoints(folder) if number > last]
    best = folder / BEST
    if best.is_file() and (iteration is None or checkpoint_iteration(best) > last):
        ahead.append((checkpoint_iteration(best), best))
    if not ahead:
        return None
    aside = new_folder(folder / ("earlier_run" if iteration is None else f"abandoned_from_{iteration}"))
    logs = [folder / METRICS, folder / "config.yaml", *folder.glob("events.out.tfevents.*")]
    for path in logs:
        if path.is_file():
            # The part up to the iteration belongs to both branches.
            (shutil.move if iteration is None else shutil.copy2)(path, aside / path.name)
    moved = [folder / name for name in (*RESULTS, "faults")[: None if iteration is None else -1]]
    for path in [path for path in moved if path.exists()] + [path for _, path in sorted(ahead)]:
        os.replace(path, aside / path.name)
    return aside


@contextmanager
def writing(folder: Path | None) -> Iterator[None]:
    """Turn an operating system's error into one line that names the newest good checkpoint.

    Raises:
        FolderError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        if folder is None:
            raise
        reason = (error.strerror or str(error)).lower()
        raise FolderError(f"{reason}: {error.filename or folder}; {newest_good(folder)}") from error


def newest_good(folder: Path) -> str:
    """Return what can be said about the newest checkpoint of a folder, and how to go on from it."""
    try:
        newest = latest_checkpoint(folder)
    except CheckpointError:
        return "no checkpoint was written before"
    return (
        f"the newest good checkpoint is {newest} (iteration {checkpoint_iteration(newest)}); go on with resume={folder}"
    )
