"""The last seconds of what is measured, kept for plots."""

from __future__ import annotations

import mujoco
import numpy as np

from legged_cts.deploy.robot import Array
from legged_cts.robots.spec import RobotSpec


class Rolling:
    """The newest rows of a table, oldest first.

    Args:
        rows: how many are kept.
        columns: numbers in a row.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self._table = np.zeros((columns, 2 * rows))
        self._rows, self._end, self._count = rows, 0, 0

    def append(self, row: Array) -> None:
        """Adds a row [columns]; the oldest goes."""
        # Twice as long as what is kept: it is moved to the front once in so many rows, and read without copying.
        if self._end == self._table.shape[1]:
            self._table[:, : self._rows] = self._table[:, self._rows :]
            self._end = self._rows
        self._table[:, self._end] = row
        self._end += 1
        self._count = min(self._count + 1, self._rows)

    @property
    def columns(self) -> Array:
        """What is kept [columns, count]."""
        return self._table[:, self._end - self._count : self._end]

    def clear(self) -> None:
        """Forgets all rows."""
        self._end = self._count = 0


def legs(spec: RobotSpec, model: mujoco.MjModel) -> dict[str, list[int]]:
    """The joints that carry each foot, from the base down.

    Args:
        spec: the robot.
        model: its model.

    Returns:
        By the name of the foot's body, indices of `spec.joints`.
    """
    index = {name: number for number, name in enumerate(spec.joints)}
    found = {}
    for foot in spec.feet:
        body, joints = model.body(foot).id, []
        while body > 0:
            first, count = model.body_jntadr[body], model.body_jntnum[body]
            joints += [model.joint(joint).name for joint in range(first + count - 1, first - 1, -1)]
            body = model.body_parentid[body]
        found[foot] = [index[name] for name in reversed(joints) if name in index]
    return found
