"""What the commands of a deployment show in the browser: a record, or a simulated robot while it runs."""

from __future__ import annotations

import time

import numpy as np

from legged_cts.deploy.commands import ReplayOptions, RobotSimOptions
from legged_cts.deploy.onboard.replay import Recorded, replay
from legged_cts.deploy.onboard.robot_sim import robot_sim
from legged_cts.deploy.onboard.simulated import SimulatedBody
from legged_cts.deploy.policy_file import policy_file
from legged_cts.deploy.robot import Array
from legged_cts.viewer.session import MujocoSession, Signals, State


class RecordedSession(MujocoSession):
    """What was recorded, again and again; commands and pushes change nothing.

    Args:
        options: the words of `scripts/replay.py`.
    """

    terrains: tuple[str, ...] = ("flat",)

    def __init__(self, options: ReplayOptions) -> None:
        super().__init__(policy_file(options.policy))
        self._record = Recorded(options.record)
        self._index = 0
        self.title = f"{options.record}: {len(self._record.rows) * self.control_dt:.0f} s, again and again"

    def step(self, command: Array) -> State:
        """The next period, or the first again."""
        self._index = (self._index + 1) % len(self._record.rows)
        return self.state()

    def state(self) -> State:
        """The present period; who fell is left lying as was recorded."""
        record, index = self._record, self._index
        self._robot.place(record.state(index), record.pos[index], record.velocity[index])
        return State(self._robot.data.qpos.copy(), self._robot.base_pos, self._robot.velocity, fallen=False)

    def reset(self) -> State:
        """The first period."""
        self._index = 0
        return self.state()

    def signals(self) -> Signals:
        """The angles; torques and contacts are not simulated."""
        feet = len(self.spec.feet)
        return Signals(self._robot.joint_pos, np.zeros(len(self.spec.joints)), np.zeros(feet, dtype=bool))

    def push(self, velocity: Array) -> None:
        """Nothing can be pushed any more."""


def show(options: ReplayOptions) -> None:
    """Says what differs, then shows the record if that was asked for, until an interrupt ends it."""
    replay(options)
    if not options.view:
        return
    from legged_cts.viewer.app import App

    app = App(RecordedSession(options), port=options.port)
    print(f"open {app.url} in a browser; Ctrl+C ends", flush=True)
    try:
        app.run()
    finally:
        app.close()


class Window:
    """A page that shows a simulated body whenever it is called with it, 30 times a second at most."""

    def __init__(self, port: int) -> None:
        from legged_cts.viewer.own_page import open_server

        self._server, self._scene, self._drawn = open_server("127.0.0.1", port, "legged_cts"), None, 0.0
        self.url = f"http://127.0.0.1:{self._server.get_port()}"

    def close(self) -> None:
        """Ends the page."""
        self._server.stop()

    def __call__(self, body: SimulatedBody) -> None:
        """Draws the body as it is."""
        from legged_cts.viewer.scene import Scene

        if self._scene is None:
            self._scene = Scene(self._server, body.model, body.spec.base)
        if time.monotonic() - self._drawn > 1 / 30:
            self._drawn = time.monotonic()
            self._scene.update(body.data.qpos)


def simulate(options: RobotSimOptions) -> None:
    """Simulates the robot, in sight if that was asked for."""
    if not options.view:
        robot_sim(options)
        return
    window = Window(options.port)
    print(f"open {window.url} in a browser", flush=True)
    try:
        robot_sim(options, window)
    finally:
        window.close()
