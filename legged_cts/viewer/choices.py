"""The policies that the page offers: the shipped ones, and those of the trainings in `logs/`."""

from __future__ import annotations

from pathlib import Path

from legged_cts.deploy.policy_file import policy_file
from legged_cts.robots.spec import assets_dir
from legged_cts.viewer.session import MujocoSession, World

LOGS = Path("logs")
MOST = 40
"""Runs that are offered, the newest first."""
SPACING = 1.2
"""Distance between the starts of robots side by side [m]."""


class Choices:
    """What can be played in plain MuJoCo.

    Args:
        running: what the first policy is called in the list.
        path: its ONNX file.
        robot: name or robot.yaml of the robot that the first policy plays on; None is its own.
        seed: of rough terrain.
    """

    def __init__(self, running: str, path: Path, robot: str | None = None, seed: int = 0) -> None:
        self.running = running
        self._first, self._robot, self._seed = path, robot, seed

    def names(self) -> tuple[str, ...]:
        """The first policy, the shipped ones, and the runs that are there now."""
        shipped = sorted(path.parent.name for path in (assets_dir() / "policies").glob("*/policy.onnx"))
        return tuple(dict.fromkeys((self.running, *shipped, *runs())))

    def open(self, name: str, world: World, place: int = 0) -> MujocoSession:
        """Starts a policy of the list.

        Args:
            name: one of `names`.
            world: what it shall walk on.
            place: 0 is the middle, 1 to its left, 2 to its right, and so on.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if there is no such policy, or it cannot be played.
        """
        start = (0.0, SPACING * ((place + 1) // 2) * (1 if place % 2 else -1))
        if name == self.running:
            return MujocoSession(self._first, self._robot, world, self._seed, start)
        if name not in self.names():
            raise ValueError(f"policy: {name} is not in the list any more")
        return MujocoSession(policy_file(name), None, world, self._seed, start)


def runs() -> list[str]:
    """Folders below `logs/` with a policy.onnx, the newest first, `MOST` at most."""
    found = [path for depth in ("*", "*/*", "*/*/*") for path in LOGS.glob(f"{depth}/policy.onnx")]
    found.sort(key=_changed, reverse=True)
    return [str(path.parent) for path in found[:MOST]]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed since it was found
        return 0.0
