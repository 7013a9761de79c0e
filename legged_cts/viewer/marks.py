"""What is drawn around a robot: where it shall go, where it goes, and where it was."""

from __future__ import annotations

from collections import deque

import numpy as np
import viser

from legged_cts.deploy.robot import Array
from legged_cts.viewer.poses import Poses

WANTED, MEASURED, TRAIL = (46, 160, 67), (47, 111, 222), (235, 137, 52)
LENGTH = 0.5
"""Length of an arrow [m] per m/s, or per rad/s."""
LEAST = 0.05
"""Speeds below this have no arrow [m/s, rad/s]."""
AHEAD = 0.3
"""How far in front of the base a turn is drawn [m]."""
ABOVE = 0.25
"""Height of the arrows above the base [m]."""
SPACING, DOTS = 0.05, 400
"""Distance between two points of the trail [m], and how many it has."""


class Marks:
    """Two arrows over a robot, green for the command and blue for the velocity, and a trail on the ground behind it.

    Args:
        server: of the browser viewer.
        name: of the node, below `/world`.
    """

    def __init__(self, server: viser.ViserServer, name: str = "marks") -> None:
        self._server = server
        self._root = server.scene.add_frame(f"/world/{name}", show_axes=False)
        self._frame = server.scene.add_frame(f"/world/{name}/arrows", show_axes=False)
        self._pose = Poses(server, [self._frame])
        self._arrows = [
            server.scene.add_arrows(
                f"/world/{name}/arrows/{kind}",
                np.zeros((1, 2, 3)),
                color,
                shaft_radius=0.012,
                head_radius=0.03,
                head_length=0.06,
                visible=False,
            )
            for kind, color in (("wanted", WANTED), ("measured", MEASURED))
        ]
        self._line = server.scene.add_line_segments(
            f"/world/{name}/trail", np.zeros((1, 2, 3)), TRAIL, thickness=0.015, visible=False
        )
        self._trail: deque[Array] = deque(maxlen=DOTS)

    def move(self, base_pos: Array, yaw: float) -> None:
        """Takes the arrows along with the base at a position [m] [3] and with a heading [rad]."""
        half = yaw / 2
        turn = np.array([[np.cos(half), 0.0, 0.0, np.sin(half)]])
        self._pose.move(base_pos[None] + np.array([0.0, 0.0, ABOVE]), turn)

    def point(self, command: Array, velocity: Array) -> None:
        """Sets the arrows to two velocities (v_x, v_y, yaw rate) [m/s, m/s, rad/s] [3]."""
        for height, arrows, motion in zip((0.0, 0.05), self._arrows, (command, velocity), strict=True):
            points = arrow_points(motion, height)
            arrows.visible = len(points) > 0
            if len(points):
                arrows.points = points

    def trace(self, ground_pos: Array) -> None:
        """Makes the trail longer by a point of the ground [m] [3], if the robot moved there from the last one."""
        if self._trail and np.linalg.norm(ground_pos[:2] - self._trail[-1][:2]) < SPACING:
            return
        self._trail.append(np.asarray(ground_pos, dtype=np.float64) + np.array([0.0, 0.0, 0.01]))
        if len(self._trail) > 1:
            points = np.array(self._trail)
            self._line.points = np.stack((points[:-1], points[1:]), axis=1)
            self._line.visible = True

    def forget(self) -> None:
        """Begins a new trail."""
        self._trail.clear()
        self._line.visible = False

    def show(self, show: bool) -> None:
        """Shows or hides all of it."""
        self._root.visible = show


def arrow_points(motion: Array, height: float = 0.0) -> Array:
    """The arrows of a velocity in the base's yaw-aligned frame: one of v_x and v_y, one in front for the yaw rate.

    Args:
        motion: (v_x, v_y, yaw rate) [m/s, m/s, rad/s] [3].
        height: of the arrows [m].

    Returns:
        Their ends [n, 2, 3] in m; what is slower than `LEAST` has none.
    """
    arrows = []
    if np.linalg.norm(motion[:2]) >= LEAST:
        arrows.append([(0.0, 0.0, height), (LENGTH * motion[0], LENGTH * motion[1], height)])
    if abs(motion[2]) >= LEAST:
        arrows.append([(AHEAD, 0.0, height), (AHEAD, LENGTH * motion[2], height)])
    return np.array(arrows, dtype=np.float64).reshape(-1, 2, 3)
