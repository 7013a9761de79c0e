"""The browser viewer: sliders for the command, and what the robot makes of it."""

from __future__ import annotations

import math
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import viser

from legged_cts.deploy.robot import Array
from legged_cts.viewer import drive
from legged_cts.viewer.choices import Choices
from legged_cts.viewer.folders import BesideFolder, CommandFolder, RecordFolder, TimeFolder, ViewFolder, WorldFolder
from legged_cts.viewer.own_page import open_server
from legged_cts.viewer.player import Player
from legged_cts.viewer.plots import Plots
from legged_cts.viewer.recorder import Recorder
from legged_cts.viewer.session import Simulation
from legged_cts.viewer.stage import Stage
from legged_cts.viewer.usage import Usage

if TYPE_CHECKING:
    from legged_cts.viewer.watch import Watch

FRAME = 1 / 30
READOUT = 0.2
"""Seconds between two pictures, and between two readouts with arrows and trail."""
REST = 5.0
"""Nobody looks at a training that goes on: so often one asks whether somebody does [s]."""
MEASURED = 2.0
"""Seconds over which it is measured what the viewer takes."""
COURSE_SPEED = 0.5
"""Robots are told to go along a course [m/s]."""


class App:
    """Shows a session in the browser; whoever opens the page may steer.

    Args:
        session: what to play.
        host: address to listen on; 127.0.0.1 is reachable from this machine alone.
        port: port to listen on, or the next free one; 0 is any free one.
        choices: other policies to change to or to show beside; None is none.

    Raises:
        ValueError: if one cannot listen there.
    """

    def __init__(
        self, session: Simulation, host: str = "127.0.0.1", port: int = 8080, choices: Choices | None = None
    ) -> None:
        _check_address(host, port)
        self._choices = choices
        self._players = {0: Player(session, choices.running if choices else "measured")}
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._speed, self._time = 1.0, 0.0
        self._drawn, self._counted = 0.0, (0.0, time.monotonic())
        self._watch: Watch | None = None
        self._resting, self._usage, self._takes = False, Usage(), ""
        driver = drive.Drive(lambda shares: self._jobs.put(lambda: self._drive(shares)))
        self._server = open_server(host, port, "legged_cts", {drive.PATH: driver.answer})
        self.url = f"http://{host}:{self._server.get_port()}"
        self._server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        self._server.initial_camera.position = (1.1, -1.7, 0.6)
        self._server.initial_camera.look_at = (0.0, 0.0, -0.05)
        self._server.initial_camera.fov = float(np.deg2rad(45))
        self._recorder = Recorder()
        self._asked: viser.ClientHandle | None = None
        self._build_gui()
        self._plots = Plots(self._server, self._jobs.put)
        self._plots.build(session)
        self._stage = Stage(self._server, self._players)
        self._apply_view()
        self._stage.draw()
        drive.install(self._server)
        self._server.on_client_connect(lambda _: self._jobs.put(self._list_policies))

    def _build_gui(self) -> None:
        gui, session, later = self._server.gui, self._session, self._later
        self._title = gui.add_markdown(f"**{session.title}**")
        self._readout = gui.add_markdown("")
        self._trouble = gui.add_markdown("", visible=False)
        names = self._choices.names() if self._choices else (self._player.name,)
        self._policy = gui.add_dropdown(
            "Policy",
            names,
            initial_value=self._player.name,
            visible=self._choices is not None,
            hint="shipped policies, and trainings in logs/",
        )
        self._policy.on_update(lambda _: self._jobs.put(self._change_policy))
        # An exported policy is the student alone; Isaac Lab has both, with checkpoint=... physics=auto.
        self._role = gui.add_dropdown("Role", session.roles, initial_value=session.role)
        self._role.visible = len(session.roles) > 1
        self._role.on_update(lambda _: self._jobs.put(self._change_role))
        self._command = CommandFolder(gui, session.command_ranges)
        self._world = WorldFolder(gui, session, later(self._change_world), self._push_later)
        self._timing = TimeFolder(gui, later(self._single_step), later(self._reset))
        self._view = ViewFolder(gui, later(self._apply_view))
        self._beside = BesideFolder(gui, names, later(self._change_companions)) if self._choices else None
        self._record = RecordFolder(gui, lambda client: self._jobs.put(lambda: self._press_record(client)))

    def _later(self, job: Callable[[], None]) -> Callable[[], None]:
        """What leaves a job to the thread that plays."""
        return lambda: self._jobs.put(job)

    def _push_later(self, degrees: float) -> None:
        self._jobs.put(lambda: self._push(degrees))

    @property
    def _player(self) -> Player:
        return self._players[0]

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

    def follow(self, folder: Path) -> None:
        """Follows the training of a run's folder, of which the session is a checkpoint."""
        # A policy's file is played without torch.
        from legged_cts.viewer.training_plots import TrainingPlots
        from legged_cts.viewer.watch import Watch

        def hand_on(checkpoint: Mapping[str, Any], policies: Mapping[str, Any]) -> None:
            self._jobs.put(lambda: self._swap(checkpoint, policies))

        curves = TrainingPlots(self._server, self._plots.add_tab)
        self._watch = Watch(folder, hand_on, curves.show, lambda line: self._jobs.put(lambda: self._complain(line)))
        self._resting, self._usage = True, Usage()
        self._watch.start()

    def run(self, seconds: float | None = None) -> None:
        """Plays in real time, until `stop` or for some seconds."""
        end = math.inf if seconds is None else time.monotonic() + seconds
        due = time.monotonic()
        while not self._stop.is_set():
            if self._rest():
                self._work(min(time.monotonic() + REST, end))
                due = time.monotonic()
            else:
                paused = self._timing.pause.value
                if not paused:
                    self._step()
                self._draw(time.monotonic())
                now, period = time.monotonic(), READOUT if paused else self._session.control_dt / self._timing.speed
                # A machine too slow for real time must not try to catch up.
                due = max(due + period, now - period)
                self._work(min(due, end))
            if time.monotonic() >= end:
                return

    def _work(self, until: float) -> None:
        """Does what the page asks for, until it is time to go on [s]; who rests goes on at once when asked."""
        while not self._stop.is_set():
            try:
                job = self._jobs.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            job()
            if self._resting:
                return

    def _draw(self, now: float) -> None:
        if now - self._drawn >= FRAME:
            self._drawn = now
            self._stage.draw()
        time_then, then = self._counted
        if now - then >= READOUT:
            self._speed, self._counted = (self._time - time_then) / (now - then), (self._time, now)
            self._tell()
        self._plots.draw(now)

    def _rest(self) -> bool:
        """Whether nobody looks at a training that goes on, which then has the machine for itself."""
        if self._watch is None:
            return False
        resting = not self._server.get_clients()
        if resting != self._resting:
            self._resting = resting
            self._watch.wake(not resting)
            seconds, share = self._usage.share()
            did = "looked" if resting else "rested"
            print(f"{did} for {seconds:.0f} s, took {100 * share:.1f} % of a core", flush=True)
        return resting

    def stop(self) -> None:
        """Ends `run`."""
        self._stop.set()
        self._jobs.put(lambda: None)

    def close(self) -> None:
        """Ends `run` and the server."""
        self.stop()
        if self._watch is not None:
            self._watch.close()
        self._recorder.close()
        self._server.stop()

    def readout(self) -> str:
        """Commanded against measured velocity of each robot, as a table in Markdown."""
        measured = [(player.name if number else "measured", player) for number, player in self._players.items()]
        rows = "\n".join(
            f"| {name} | " + " | ".join(f"{value:+.2f}" for value in values) + f" | {falls} |"
            for name, values, falls in (
                ("command", self.command, ""),
                *((name, player.velocity, player.falls) for name, player in measured),
            )
        )
        pace = "paused" if self._timing.pause.value else f"{self._speed:.1f} x real time"
        course = self._course() if self._session.world.is_course else ""
        return f"| | v_x | v_y | yaw | falls |\n|---|---|---|---|---|\n{rows}\n\n{course}{pace}{self._takes}"

    def _course(self) -> str:
        """How each robot fares on the course, as lines of Markdown."""
        lines = [f"**{self._session.world.terrain}**"]
        for number, player in self._players.items():
            one = player.crossing
            where = "fell" if player.lying else str(one)
            name = f"{player.name}: " if number or len(self._players) > 1 else ""
            lines.append(f"{name}{one.arrived} arrived, {one.late} late; {where}")
        return "\n\n".join(lines) + "\n\n"

    def _step(self) -> None:
        command, player = self.command, self._player
        for one in self._players.values():
            one.step(command)
        self._time += self._session.control_dt
        if self._plots.shown:
            session = self._session
            self._plots.take(self._time, player.command, player.state.velocity, session.signals(), session.insight)
        self._recorder.take(self._time, player.state.qpos, player.state.base_pos)

    def _single_step(self) -> None:
        if self._timing.pause.value:
            self._step()

    def _tell(self) -> None:
        if self._watch is not None and self._usage.age >= MEASURED:
            self._takes = f", takes {100 * self._usage.share()[1]:.0f} % of a core"
        self._readout.content = self.readout()
        self._stage.tell()
        text, path = self._recorder.poll(self._time)
        self._record.say(text, self._recorder.recording, self._recorder.busy)
        if path is not None and self._asked is not None:
            self._asked.send_file_download(path.name, path.read_bytes())

    def _reset(self) -> None:
        for player in self._players.values():
            player.reset()

    def _push(self, degrees: float) -> None:
        for figure in self._stage.figures:
            heading = figure.player.yaw + np.deg2rad(degrees)
            figure.player.session.push(self._world.push_speed * np.array([np.cos(heading), np.sin(heading), 0.0]))

    def _drive(self, shares: Array) -> None:
        self.set_command(drive.command_of(shares, self._command.ranges))

    def _change_role(self) -> None:
        if self._role.value in self._session.roles:
            self._session.set_role(self._role.value)

    def _list_policies(self) -> None:
        if self._choices is None or self._beside is None:
            return
        names = self._choices.names()
        # What runs stays in the list though its folder be gone.
        self._policy.options = tuple(dict.fromkeys((*names, self._player.name)))
        self._beside.take(names)

    def _open(self, name: str, place: int) -> Player | None:
        """Starts a policy of the list; None if it cannot be played, which the page then says."""
        assert self._choices is not None
        try:
            player = Player(self._choices.open(name, self._session.world, place), name)
            self._check_period(player, place)
        except (ValueError, OSError, RuntimeError) as error:
            self._complain(f"{name}: {error}")
            return None
        self._trouble.visible = False
        return player

    def _complain(self, text: str) -> None:
        # A path or a message is no Markdown.
        line = " ".join(text.replace("`", "'").split())
        self._trouble.content, self._trouble.visible = f"**cannot play** `{line}`", True

    def _swap(self, checkpoint: Mapping[str, Any], policies: Mapping[str, Any]) -> None:
        """Lets the robot go on with the networks of a later checkpoint."""
        session: Any = self._session
        try:
            session.take(checkpoint, policies)
        except (ValueError, RuntimeError) as error:
            self._complain(f"iteration {checkpoint['iter']}: {error}")
            return
        self._trouble.visible = False
        self._title.content = f"**{session.title}**"
        self._command.take(session.command_ranges)
        print(f"iteration {checkpoint['iter']} is at work{self._takes}", flush=True)

    def _check_period(self, player: Player, place: int) -> None:
        """Refuses who would walk at a place in another time than the others."""
        for number, other in self._players.items():
            ours, theirs = player.session.control_dt, other.session.control_dt
            if number != place and abs(ours - theirs) > 1e-9:
                raise ValueError(f"its control period is {ours} s, that of {other.name} beside it {theirs} s")

    def _change_policy(self) -> None:
        name = self._policy.value
        if self._choices is None or name == self._player.name:
            return
        player = self._open(name, 0)
        if player is None:
            self._policy.value = self._player.name
            return
        self._players[0], session = player, player.session
        self._title.content = f"**{session.title}**"
        self._role.options, self._role.visible = session.roles, len(session.roles) > 1
        self._command.take(session.command_ranges)
        self._world.take(session)
        self._plots.build(session)
        self._reset()
        self._set_stage()

    def _change_companions(self) -> None:
        """Brings those who shall walk beside the first, and takes away who shall not."""
        assert self._beside is not None
        wanted, changed = self._beside.wanted, False
        for place in {*wanted, *self._players} - {0}:
            present = self._players.get(place)
            name = wanted.get(place)
            if name == (present.name if present else None):
                continue
            player = self._open(name, place) if name else None
            if name and player is None:
                self._beside.leave(place, present.name if present else None)
                continue
            changed = True
            self._players.pop(place, None)
            if player is not None:
                self._players[place] = player
        if changed:
            self._players = dict(sorted(self._players.items()))
            self._reset()
            self._set_stage()

    def _change_world(self) -> None:
        session = self._session
        world, model = self._world.world(session.world), session.model
        if world == session.world or len(session.terrains) < 2:
            return
        for player in self._players.values():
            player.session.set_world(world)
        self._world.take_terrain(world)
        if session.model is not model:
            for player in self._players.values():
                player.begin()
            self._set_stage()
            if world.is_course:
                self.set_command(np.array([COURSE_SPEED, 0.0, 0.0]))

    def _set_stage(self) -> None:
        """Draws everything anew."""
        if self._recorder.recording:
            # What was recorded is another robot, or on another ground.
            self._recorder.finish()
        self._stage.remove()
        self._stage = Stage(self._server, self._players)
        self._apply_view()
        self._stage.draw()

    def _apply_view(self) -> None:
        view = self._view
        self._stage.show(view.follow.value, view.marks.value, view.collision.value)
        if view.plots.value != self._plots.shown:
            self._plots.show(view.plots.value)

    def _press_record(self, client: viser.ClientHandle | None) -> None:
        recorder, self._asked = self._recorder, client
        if recorder.recording:
            recorder.finish()
        elif not recorder.busy:
            try:
                recorder.start(self._session.model, self._session.spec, self._record.kind, self._time)
            except OSError as error:
                self._record.say(f"cannot record: {error.strerror}", False, False)


def _check_address(host: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise ValueError(f"port must lie in [0, 65535], got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        raise ValueError(f"host: cannot listen on '{host}': {error}") from error
