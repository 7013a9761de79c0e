"""The browser viewer: sliders for the command, and what the robot makes of it."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable

import numpy as np

from legged_cts.deploy.robot import Array, yaw_of
from legged_cts.viewer import drive
from legged_cts.viewer.choices import Choices
from legged_cts.viewer.folders import CommandFolder, TimeFolder, ViewFolder, WorldFolder
from legged_cts.viewer.marks import Marks
from legged_cts.viewer.own_page import open_server
from legged_cts.viewer.player import Player
from legged_cts.viewer.plots import Plots
from legged_cts.viewer.scene import Scene
from legged_cts.viewer.session import Simulation

FRAME = 1 / 30
READOUT = 0.2
"""Seconds between two pictures, and between two readouts with arrows and trail."""


class App:
    """Shows a session in the browser; whoever opens the page may steer.

    Args:
        session: what to play.
        host: address to listen on; 127.0.0.1 is reachable from this machine alone.
        port: port to listen on, or the next free one; 0 is any free one.
        choices: other policies to change to; None is none.

    Raises:
        ValueError: if one cannot listen there.
    """

    def __init__(
        self, session: Simulation, host: str = "127.0.0.1", port: int = 8080, choices: Choices | None = None
    ) -> None:
        _check_address(host, port)
        self._player, self._choices = Player(session), choices
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._speed, self._time = 1.0, 0.0
        driver = drive.Drive(lambda shares: self._jobs.put(lambda: self._drive(shares)))
        self._server = open_server(host, port, "legged_cts", {drive.PATH: driver.answer})
        self.url = f"http://{host}:{self._server.get_port()}"
        self._server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        self._server.initial_camera.position = (1.1, -1.7, 0.6)
        self._server.initial_camera.look_at = (0.0, 0.0, -0.05)
        self._server.initial_camera.fov = float(np.deg2rad(45))
        self._build_gui()
        self._plots = Plots(self._server)
        self._plots.build(session)
        self._rebuild_scene()
        drive.install(self._server)
        self._server.on_client_connect(lambda _: self._jobs.put(self._list_policies))

    def _build_gui(self) -> None:
        gui, session = self._server.gui, self._session
        self._title = gui.add_markdown(f"**{session.title}**")
        self._readout = gui.add_markdown("")
        self._trouble = gui.add_markdown("", visible=False)
        self._running = self._choices.running if self._choices else session.title
        self._policy = gui.add_dropdown(
            "Policy",
            self._choices.names() if self._choices else (self._running,),
            initial_value=self._running,
            visible=self._choices is not None,
            hint="shipped policies, and trainings in logs/",
        )
        self._policy.on_update(lambda _: self._jobs.put(self._change_policy))
        # An exported policy is the student alone; Isaac Lab has both, with checkpoint=... physics=auto.
        self._role = gui.add_dropdown("Role", session.roles, initial_value=session.role)
        self._role.visible = len(session.roles) > 1
        self._role.on_update(lambda _: self._jobs.put(self._change_role))
        self._command = CommandFolder(gui, session.command_ranges)
        self._world = WorldFolder(
            gui,
            session,
            lambda: self._jobs.put(self._change_world),
            lambda degrees: self._jobs.put(lambda: self._push(degrees)),
        )
        self._timing = TimeFolder(gui, lambda: self._jobs.put(self._single_step), lambda: self._jobs.put(self._reset))
        self._view = ViewFolder(gui, lambda: self._jobs.put(self._apply_view))

    @property
    def _session(self) -> Simulation:
        return self._player.session

    @property
    def command(self) -> Array:
        """(v_x, v_y, yaw rate) as the sliders stand [m/s, m/s, rad/s] [3]."""
        return self._command.command

    def set_command(self, command: Array) -> None:
        """Moves the sliders, as far as they go."""
        self._command.set(command)

    def run(self, seconds: float | None = None) -> None:
        """Plays in real time, until `stop` or for some seconds."""
        begun = due = drawn = told = time.monotonic()
        counted = (self._time, begun)
        while not self._stop.is_set():
            while not self._jobs.empty():
                self._jobs.get()()
            if not self._timing.pause.value:
                self._step()
            now = time.monotonic()
            if now - drawn >= FRAME:
                drawn = now
                self._draw()
            if now - told >= READOUT:
                self._speed, told = (self._time - counted[0]) / (now - counted[1]), now
                counted = (self._time, now)
                self._tell()
            self._plots.draw(now)
            if seconds is not None and now - begun >= seconds:
                return
            # A machine too slow for real time must not try to catch up.
            period = self._session.control_dt / self._timing.speed
            due = max(due + period, now - period)
            self._stop.wait(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        """Ends `run`."""
        self._stop.set()

    def close(self) -> None:
        """Ends `run` and the server."""
        self.stop()
        self._server.stop()

    def readout(self) -> str:
        """Commanded against measured velocity, as a table in Markdown."""
        player = self._player
        rows = "\n".join(
            f"| {name} | " + " | ".join(f"{value:+.2f}" for value in values) + " |"
            for name, values in (("command", self.command), ("measured", player.velocity))
        )
        pace = "paused" if self._timing.pause.value else f"{self._speed:.1f} x real time"
        return f"| | v_x | v_y | yaw |\n|---|---|---|---|\n{rows}\n\n{pace}, falls: {player.falls}"

    def _step(self) -> None:
        player = self._player
        player.step(self.command)
        self._time += self._session.control_dt
        if self._plots.shown:
            self._plots.take(self._time, player.command, player.state.velocity, self._session.signals())

    def _single_step(self) -> None:
        if self._timing.pause.value:
            self._step()

    def _draw(self) -> None:
        state = self._player.state
        self._scene.update(state.qpos)
        self._marks.move(state.base_pos, state.qpos[self._quat])

    def _tell(self) -> None:
        self._readout.content = self.readout()
        player = self._player
        if player.fresh:
            player.fresh = False
            self._marks.forget()
        self._marks.point(player.command, player.velocity)
        base = player.state.base_pos
        self._marks.trace(np.array([base[0], base[1], self._scene.ground_height(base[:2])]))

    def _reset(self) -> None:
        self._player.reset()

    def _push(self, degrees: float) -> None:
        heading = yaw_of(self._player.state.qpos[self._quat]) + np.deg2rad(degrees)
        self._session.push(self._world.push_speed * np.array([np.cos(heading), np.sin(heading), 0.0]))

    def _drive(self, shares: Array) -> None:
        self.set_command(drive.command_of(shares, self._command.ranges))

    def _change_role(self) -> None:
        if self._role.value in self._session.roles:
            self._session.set_role(self._role.value)

    def _list_policies(self) -> None:
        if self._choices is not None:
            # What runs stays in the list though its folder be gone.
            self._policy.options = tuple(dict.fromkeys((*self._choices.names(), self._running)))

    def _change_policy(self) -> None:
        name = self._policy.value
        if self._choices is None or name == self._running:
            return
        try:
            session = self._choices.open(name, self._session.world)
        except (ValueError, OSError, RuntimeError) as error:
            self._complain(f"{name}: {error}")
            self._policy.value = self._running
            return
        self._running = name
        self._complain("")
        self._show(session)

    def _show(self, session: Simulation) -> None:
        """Plays another session from now on."""
        self._player = Player(session)
        self._title.content = f"**{session.title}**"
        self._role.options, self._role.visible = session.roles, len(session.roles) > 1
        self._command.take(session.command_ranges)
        self._world.take(session)
        self._plots.build(session)
        self._scene.remove()
        self._rebuild_scene()

    def _complain(self, text: str) -> None:
        """Shows one line of trouble, or none."""
        # A path or message is no Markdown.
        line = " ".join(text.replace("`", "'").split())
        self._trouble.content, self._trouble.visible = f"**cannot play** `{line}`", bool(line)

    def _change_world(self) -> None:
        session = self._session
        world, model = self._world.world(session.world), session.model
        if world == session.world or len(session.terrains) < 2:
            return
        session.set_world(world)
        self._world.take_terrain(world.terrain)
        if session.model is not model:
            self._player.reset()
            self._scene.remove()
            self._rebuild_scene()

    def _rebuild_scene(self) -> None:
        session = self._session
        self._scene = Scene(self._server, session.model, session.spec.base)
        self._marks = Marks(self._server)
        root = session.model.jnt_qposadr[session.model.body(session.spec.base).jntadr[0]]
        self._quat = slice(root + 3, root + 7)
        self._apply_view()
        self._draw()

    def _apply_view(self) -> None:
        view = self._view
        self._scene.follow = view.follow.value
        self._scene.robot.show_collision(view.collision.value)
        self._marks.show(view.marks.value)
        if view.plots.value != self._plots.shown:
            self._plots.show(view.plots.value)


def _check_address(host: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise ValueError(f"port must lie in [0, 65535], got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        raise ValueError(f"host: cannot listen on '{host}': {error}") from error
