"""All that is drawn of the players: the ground, the robots, their arrows and trails."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import viser

from legged_cts.deploy.robot import Array
from legged_cts.viewer.marks import Marks
from legged_cts.viewer.player import Player
from legged_cts.viewer.scene import RobotNodes, Scene
from legged_cts.viewer.session import State


class Figure:
    """A player's robot with its marks.

    Args:
        server: of the browser viewer.
        player: whom to draw.
        name: of the marks' node, below `/world`.
        robot: its bodies.
        update: moves them to a state [nq].
    """

    def __init__(
        self, server: viser.ViserServer, player: Player, name: str, robot: RobotNodes, update: Callable[[Array], Any]
    ) -> None:
        self.player, self.robot, self._update = player, robot, update
        self.marks = Marks(server, name)

    def draw(self) -> None:
        """Moves the robot and its arrows to the present state."""
        state = self.player.state
        self._update(state.qpos)
        self.marks.move(state.base_pos, self.player.yaw)

    def tell(self, ground_height: Callable[[Array], float]) -> None:
        """Sets the arrows' lengths and makes the trail longer."""
        player = self.player
        if player.fresh:
            player.fresh = False
            self.marks.forget()
        self.marks.point(player.command, player.velocity)
        x, y, _ = player.state.base_pos
        self.marks.trace(np.array([x, y, ground_height(player.state.base_pos[:2])]))


class Stage:
    """Draws some players in one world; the ground is the first one's, and so is who is followed.

    Args:
        server: of the browser viewer.
        players: by their place; the first is at 0.
    """

    def __init__(self, server: viser.ViserServer, players: Mapping[int, Player]) -> None:
        self._server = server
        self._drawn: list[State] = []
        session = players[0].session
        self.scene = Scene(server, session.model, session.spec.base)
        self.figures = [Figure(server, players[0], "marks", self.scene.robot, self.scene.update)]
        for place, player in players.items():
            if place:
                robot = RobotNodes(server, player.session.model, f"robot{place}")
                self.figures.append(Figure(server, player, f"marks{place}", robot, robot.update))

    def draw(self) -> None:
        """Moves everything to the present states; nothing is sent while they stay the same."""
        states = [figure.player.state for figure in self.figures]
        if len(states) == len(self._drawn) and all(map(operator.is_, states, self._drawn)):
            return
        self._drawn = states
        with self._server.atomic():
            for figure in self.figures:
                figure.draw()
        self._server.flush()

    def tell(self) -> None:
        """Sets arrows and trails, which cost more than to move what is there."""
        with self._server.atomic():
            for figure in self.figures:
                figure.tell(self.scene.ground_height)

    def show(self, follow: bool, marks: bool, collision: bool) -> None:
        """Follows the first robot or stays, shows or hides the marks and the shapes that meet the ground."""
        self.scene.follow = follow
        self._drawn = []
        for figure in self.figures:
            figure.marks.show(marks)
            figure.robot.show_collision(collision)

    def remove(self) -> None:
        """Takes everything away."""
        self.scene.remove()
