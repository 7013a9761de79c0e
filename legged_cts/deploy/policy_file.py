"""Which file the word `policy=` means."""

from __future__ import annotations

import difflib
from pathlib import Path

from legged_cts.robots.spec import assets_dir

DEFAULT = "go2_flat"
"""The shipped policy that is taken where none is named."""


def shipped_model(name: str) -> Path | None:
    """The small checkpoint of a shipped policy; None if none has the name, or a file or folder does."""
    path = assets_dir() / "policies" / name / "model.pt"
    return path if Path(name).name == name and not Path(name).exists() and path.is_file() else None


def policy_file(name: str | None) -> Path:
    """The ONNX file for a file, a folder that holds a `policy.onnx`, or the name of a shipped policy.

    Args:
        name: what was given; None is the shipped policy of the Go2.

    Raises:
        FileNotFoundError: if there is none, naming the nearest shipped one.
        ValueError: if it is a checkpoint.
    """
    shipped = {path.parent.name: path for path in sorted((assets_dir() / "policies").glob("*/policy.onnx"))}
    name = name or DEFAULT
    path = Path(name).expanduser()
    if path.suffix == ".pt":
        raise ValueError(f"policy: {name} is no ONNX file; give checkpoint={name}, or export it")
    if path.is_dir() and (path / "policy.onnx").is_file():
        return path / "policy.onnx"
    if path.is_file():
        return path
    if name in shipped:
        return shipped[name]
    if path.is_dir():
        raise FileNotFoundError(f"policy: the folder {name} holds no policy.onnx; export one: checkpoint={name}")
    close = difflib.get_close_matches(name, shipped, n=1)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    raise FileNotFoundError(
        f"policy: there is no file {name}{hint}; give policy=<ONNX file, folder or one of {', '.join(shipped)}>"
    )
