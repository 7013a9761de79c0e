"""From the words of a command line to a session, and from there to the browser or to a video."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legged_cts.deploy.policy_file import DEFAULT, policy_file
from legged_cts.deploy.words import need_checkpoint, option, require
from legged_cts.trust.plain import check_number
from legged_cts.viewer.choices import Choices
from legged_cts.viewer.headless import SCRIPT, Segment
from legged_cts.viewer.script import check_ranges, read_command
from legged_cts.viewer.session import GROUNDS, Simulation, World

LONGEST = 86_400.0
"""Longest play [s]."""
WIDEST = 4096
"""Largest picture [pixels]."""


@dataclass(frozen=True)
class PlayOptions:
    """The words of `scripts/play.py`."""

    policy: str | None = option(None, "ONNX file, a folder with one, or a shipped policy's name; none is go2_flat")
    checkpoint: str | None = option(None, "checkpoint of a training run, or the run's folder, instead of a policy")
    run: str | None = option(None, "folder of a training that goes on: every new checkpoint is taken over")
    role: str = option("student", "student, or teacher (of a checkpoint, in Isaac Lab)")
    physics: str | None = option(None, "engine of Isaac Lab to play a checkpoint in; none is plain MuJoCo, auto suits")
    robot: str | None = option(None, "name or robot.yaml of the robot; none takes the policy's")
    terrain: str | None = option(
        None, "flat, rough, a kind of it or a course (stairs_up_10); none is flat, in Isaac Lab the training's"
    )
    difficulty: float = option(0.5, "of rough terrain, 0 to 1")
    device: str = option("auto", "of Isaac Lab: auto, cpu or cuda:0")
    command: str | None = option(None, "v_x,v_y,yaw [m/s, rad/s]; with video= also a .csv of seconds,vx,vy,yaw rows")
    seed: int = option(0, "of rough terrain")
    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0 lets other machines steer, too")
    port: int = option(8080, "port to listen on, or the next free one")
    video: str | None = option(None, "mp4 or gif to write instead of opening the viewer")
    duration: float | None = option(None, "length of the video (none is 20 s), or until the viewer ends")
    width: int = option(640, "of the video [pixels]")
    height: int = option(360, "of the video [pixels]")
    text: bool = option(True, "whether the video names commanded and measured velocities")
    renderer: str = option("auto", "of the video: gl, cpu, or auto")

    def __post_init__(self) -> None:
        """Refuses what does not go together, before anything is loaded.

        Raises:
            ValueError: naming the word and the fix.
        """
        require("role", self.role, ("student", "teacher"))
        if not 0.0 <= self.difficulty <= 1.0:
            raise ValueError(f"difficulty must lie in [0, 1], got {self.difficulty}")
        check_number("seed", self.seed, 0, 2**32 - 1, whole=True)
        check_number("port", self.port, 0, 65535, whole=True)
        if self.duration is not None and not 0 < self.duration <= LONGEST:
            raise ValueError(f"duration must be above 0 and at most {LONGEST:g}, got {self.duration}")
        if not (2 <= self.width <= WIDEST and 2 <= self.height <= WIDEST) or self.width % 2 or self.height % 2:
            size = f"{self.width} x {self.height}"
            raise ValueError(f"width and height must be even and above 0, at most {WIDEST}, got {size}")
        require("renderer", self.renderer, ("auto", "gl", "cpu"))
        if self.video and Path(self.video).suffix not in (".mp4", ".gif"):
            raise ValueError(f"video: the file must end in .mp4 or .gif, got {self.video}")
        if sum(map(bool, (self.policy, self.checkpoint, self.run))) > 1:
            raise ValueError("policy, checkpoint and run exclude each other: give one of them")
        if self.run and self.video:
            raise ValueError(f"video: a training that goes on is for the page; give checkpoint={self.run}")
        if self.checkpoint and self.checkpoint.endswith(".onnx"):
            raise ValueError(f"checkpoint: {self.checkpoint} is an ONNX file; give policy={self.checkpoint}")
        if self.role == "teacher" and not (self.checkpoint or self.run):
            raise ValueError("role: an ONNX policy holds the student alone; for the teacher give checkpoint=model.pt")
        if self.physics and not (self.checkpoint or self.run):
            raise ValueError("physics: an ONNX policy plays in plain MuJoCo; for Isaac Lab give checkpoint=model.pt")
        if self.in_isaac and self.robot:
            raise ValueError("robot: in Isaac Lab a checkpoint plays on the robot it was trained for")
        if not self.in_isaac and self.terrain:
            require("terrain", self.terrain, GROUNDS)
        if self.command is not None:
            read_command(self.command)
        if self.scripted and not self.video:
            raise ValueError("command: a file of commands needs video=out.mp4; the page takes one: command=0.5,0,0")
        if self.scripted and self.duration is not None:
            raise ValueError("duration: the file of commands says how long; leave duration out")
        if self.policy:
            policy_file(self.policy)
        need_checkpoint(self.checkpoint)

    @property
    def scripted(self) -> bool:
        """Whether the command is a file."""
        return self.command is not None and self.command.endswith(".csv")

    @property
    def in_isaac(self) -> bool:
        """Whether Isaac Lab simulates, and not plain MuJoCo."""
        return (
            self.run is not None or self.checkpoint is not None and (self.physics is not None or self.role == "teacher")
        )


@contextmanager
def open_session(options: PlayOptions) -> Iterator[tuple[Simulation, Choices | None]]:
    """Starts what the options ask for, with what else could be played instead; Isaac Lab cannot change.

    Raises:
        FileNotFoundError: if there is no such policy.
        ValueError: if the policy or checkpoint cannot be played, with the reason.
    """
    if options.in_isaac:
        # Playing an ONNX file needs neither torch nor Isaac Lab.
        from legged_cts.viewer.isaac_session import isaac_session

        checkpoint, device = options.checkpoint, options.device
        if options.run:
            from legged_cts.viewer.watch import await_checkpoint

            checkpoint = await_checkpoint(Path(options.run))
            # The training comes first, and a GPU is its own.
            device = "cpu" if device == "auto" else device
            os.nice(5)
        assert checkpoint is not None
        with isaac_session(
            checkpoint,
            options.role,
            options.physics or "auto",
            options.terrain,
            options.difficulty,
            device,
            options.seed,
        ) as session:
            yield session, None
        return
    world = World(options.terrain or "flat", options.difficulty)
    if options.checkpoint:
        from legged_cts.export.checkpoint import export_checkpoint

        with tempfile.TemporaryDirectory() as folder:
            path, _ = export_checkpoint(options.checkpoint, Path(folder) / "policy.onnx")
            # Two names where the run holds a policy of its own beside its checkpoints.
            choices = Choices(f"checkpoint {options.checkpoint}", path, options.robot, options.seed)
            yield choices.open(choices.running, world), choices
        return
    name = options.policy or DEFAULT
    choices = Choices(name, policy_file(name), options.robot, options.seed)
    yield choices.open(choices.running, world), choices


def play(options: PlayOptions) -> None:
    """Opens the viewer until an interrupt ends it, or writes the video and prints how the commands were followed.

    Raises:
        ValueError: if an option is wrong or the policy cannot be played.
        OSError: if a file cannot be read or written.
    """
    segments = read_command(options.command) if options.command is not None else None
    with open_session(options) as (session, choices):
        if segments:
            check_ranges(segments, session.command_ranges)
        if options.video:
            film(options, session, segments or SCRIPT)
            return
        from legged_cts.viewer.app import App

        app = App(session, options.host, options.port, choices)
        if options.run:
            app.follow(Path(options.run))
        if segments:
            app.set_command(np.array(segments[0].command))
        print(f"{session.title}\nopen {app.url} in a browser; Ctrl+C ends", flush=True)
        try:
            app.run(options.duration)
        finally:
            app.close()


def film(options: PlayOptions, session: Simulation, script: tuple[Segment, ...]) -> None:
    """Writes the video and prints how the commands were followed."""
    from legged_cts.viewer.headless import record, table

    assert options.video is not None
    seconds = sum(part.share for part in script) if options.scripted else options.duration or 20.0
    size = (options.width, options.height)
    results = record(session, options.video, seconds, *size, options.renderer, script, options.text)
    print(f"{table(results)}\nvideo: {options.video}")
