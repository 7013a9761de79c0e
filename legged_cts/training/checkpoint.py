"""Checkpoints: written whole or not at all, read without running code from the file."""

from __future__ import annotations

import io
import os
import pickle
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from legged_cts.deploy.policy_file import shipped_model
from legged_cts.training.foreign import check_archive, check_content, check_tree
from legged_cts.trust.plain import one_line

CHECKPOINT_VERSION = 1
REQUIRED = ("version", "config", "env_info", "iter", "total_steps", "actor_state_dict")
"""What every checkpoint holds. ``iter`` counts finished iterations, so it is also the index of the next one."""

BEST = "best_student.pt"
SMALL = "model.pt"
"""Name of the networks alone, as shipped policies have them: see :mod:`legged_cts.export.weights`."""
DRAFT = ".tmp"


class CheckpointError(ValueError):
    """A file that is no checkpoint, or not one that this version can read."""


def save_checkpoint(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a checkpoint so that a crash at any moment leaves the old file or the new one, never a part.

    Args:
        path: File to write; its folder is made.
        content: Tensors, numbers, strings, None and lists, tuples and dicts of them.

    Raises:
        CheckpointError: If ``content`` lacks an entry of :data:`REQUIRED` or holds objects that could not be read back.
    """
    path = Path(path)
    content = {"version": CHECKPOINT_VERSION, **content}
    _require(content, path)
    return write_whole(path, content)


def write_whole(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a file of tensors and plain values as a whole: to a draft first, which is read back and then renamed.

    Raises:
        OSError: Naming the file and its size, if it cannot be written.
        CheckpointError: If ``content`` holds objects that could not be read back.
    """
    # In memory first: torch's words for a full disk would be those for a damaged file.
    archive = io.BytesIO()
    torch.save(content, archive)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=DRAFT, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(archive.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        read_plain(Path(draft), "cpu")
        # mkstemp makes files for their owner alone.
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException as error:
        Path(draft).unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = f"{path} ({archive.tell() / 1e6:.1f} MB)"
        raise
    return path


def remove_drafts(folder: Path) -> None:
    """Delete what killed processes left half written in a run's folder; no other process may be writing there."""
    for draft in folder.glob(f".*-*{DRAFT}"):
        draft.unlink(missing_ok=True)


def load_checkpoint(path: str | Path, map_location: str = "cpu") -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        path: File written by :func:`save_checkpoint`.
        map_location: Device of its tensors.

    Raises:
        CheckpointError: Saying what is wrong with the file and what to give instead.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"checkpoint: {path} is a folder; give a file in it, such as {path / BEST}")
    if not path.is_file():
        raise CheckpointError(f"checkpoint: there is no file {path}")
    content = read_plain(path, map_location)
    if not isinstance(content, dict):
        raise CheckpointError(f"checkpoint: {path} holds a {type(content).__name__}, not a checkpoint of legged_cts")
    version = content.get("version")
    if isinstance(version, int) and version > CHECKPOINT_VERSION:
        raise CheckpointError(
            f"checkpoint: {path} has format {version}, this code reads up to {CHECKPOINT_VERSION}; update legged_cts"
        )
    _require(content, path)
    try:
        check_content(content)
    except ValueError as error:
        raise CheckpointError(f"checkpoint: {path}: {error}") from error
    return content


def latest_checkpoint(path: str | Path) -> Path:
    """Return ``path`` if it is a file, the checkpoint of the highest iteration in a run folder, or a shipped one.

    The second is a ``model_<iteration>.pt``, or ``best_student.pt`` if the run was killed soon after it was written:
    going on from there repeats less, and never replaces the best student by a worse one.

    Raises:
        CheckpointError: If there is none.
    """
    name, path = str(path), Path(path)
    shipped = shipped_model(name)
    if shipped is not None:
        return shipped
    if not path.is_dir():
        if not path.is_file():
            raise CheckpointError(f"checkpoint: there is no file or run folder {path}, and no shipped policy")
        return path
    numbered = numbered_checkpoints(path)
    best = path / BEST
    if best.is_file() and checkpoint_iteration(best) > (numbered[-1][0] if numbered else -1):
        return best
    if not numbered and (path / SMALL).is_file():
        return path / SMALL
    if not numbered:
        raise CheckpointError(f"checkpoint: the folder {path} holds no model_<iteration>.pt")
    return numbered[-1][1]


def trained_steps(checkpoint: Mapping[str, Any]) -> int:
    """Return the environment steps of a checkpoint's whole lineage: of its run, and of those that it began from."""
    return int(checkpoint["total_steps"]) + int(checkpoint.get("previous_steps", 0))


def numbered_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return (iteration, file) of all ``model_<iteration>.pt`` in a folder, in ascending order."""
    found = []
    for file in folder.glob("model_*.pt"):
        match = re.fullmatch(r"model_(\d+)\.pt", file.name)
        if match:
            found.append((int(match[1]), file))
    return sorted(found)


def read_plain(path: Path, map_location: str = "cpu") -> Any:
    """Read a file of tensors and plain values.

    Raises:
        CheckpointError: If it is damaged, or holds anything else.
    """
    try:
        check_archive(path)
        content = torch.load(path, map_location=map_location, weights_only=True)
        check_tree(content)
        return content
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"checkpoint: {path} is no checkpoint, is damaged, or holds objects beside tensors and plain values, which "
            "are never loaded because they could run code"
        ) from error
    except Exception as error:  # a damaged pickle makes torch raise anything
        raise CheckpointError(f"checkpoint: {path} is not a checkpoint or is damaged: {one_line(error)}") from error


def checkpoint_iteration(path: Path) -> int:
    """Return the finished iterations of a checkpoint, -1 if it cannot be read."""
    try:
        return int(load_checkpoint(path)["iter"])
    except CheckpointError:
        return -1


def _require(content: Mapping[str, Any], path: Path) -> None:
    missing = [key for key in REQUIRED if key not in content]
    if missing:
        raise CheckpointError(
            f"checkpoint: {path} lacks {', '.join(missing)}; it was not written by a training run of legged_cts"
        )
