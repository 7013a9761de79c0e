"""One robot of the page: its session, and what was seen of it."""

from __future__ import annotations

import numpy as np

from legged_cts.deploy.robot import Array, yaw_of
from legged_cts.viewer.crossing import Crossing
from legged_cts.viewer.headless import within
from legged_cts.viewer.session import Falls, Simulation, State

SMOOTHING = 0.4
"""Time constant of the velocities shown [s]: a gait sways the base with every step."""
LYING = 1.5
"""How long a fallen robot lies there before it starts anew [s]."""


class Player:
    """A session and the course of its robot.

    Args:
        session: what to play.
        name: what the page calls it.

    Attributes:
        state: the present state.
        command: what the policy was told last, within its own ranges [3].
        velocity: what the page shows, smoothed [3].
        falls: how often the robot fell.
        fresh: whether the robot was put somewhere since somebody cleared this.
        crossing: its attempts at the course that it is on.
    """

    def __init__(self, session: Simulation, name: str = "") -> None:
        self.session, self.name = session, name
        self.state = session.state()
        self.command, self.velocity = np.zeros(3), np.zeros(3)
        self.fresh = True
        self._falls = Falls()
        self.crossing = Crossing()
        root = session.model.jnt_qposadr[session.model.body(session.spec.base).jntadr[0]]
        self._quat = slice(root + 3, root + 7)

    @property
    def yaw(self) -> float:
        """Heading of the base [rad]."""
        return yaw_of(self.state.qpos[self._quat])

    def step(self, command: Array) -> State:
        """One control period under a command, cut to the policy's ranges; a robot that lay long enough starts anew."""
        session = self.session
        self.command = within(command, session.command_ranges)
        if session.world.is_course:
            self.command = self.crossing.steer(self.command, self.yaw, session.command_ranges["ang_vel_z"])
        self.state = session.step(self.command)
        self.follow(self.state, session.control_dt)
        on_its_way = session.world.is_course and not self.lying
        if on_its_way and self.crossing.follow(self.state.base_pos[0], self.command[0], session.control_dt):
            self.reset()
        return self.state

    def follow(self, state: State, dt: float) -> None:
        """Takes notice of a state, `dt` seconds after the last."""
        self.velocity += min(1.0, dt / SMOOTHING) * (state.velocity - self.velocity)
        self._falls.look(state.fallen, dt)
        if state.fallen and self.lying > LYING:
            self.reset()

    @property
    def lying(self) -> float:
        """For how long the robot has been lying there [s]."""
        return self._falls.lying

    @property
    def falls(self) -> int:
        """How often the robot fell."""
        return self._falls.count

    def reset(self) -> None:
        """Puts the robot back to where it started."""
        self.state = self.session.reset()
        self.velocity, self.fresh = np.zeros(3), True
        self._falls.rise()
        self.crossing.begin()

    def begin(self) -> None:
        """Puts the robot back, and forgets how it fared."""
        self._falls, self.crossing = Falls(), Crossing()
        self.reset()
