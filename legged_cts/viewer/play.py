"""From the words of a command line to a session, and from there to the browser or to a video."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from legged_cts.deploy.policy_file import policy_file
from legged_cts.deploy.words import need_checkpoint, option
from legged_cts.trust.plain import check_number
from legged_cts.viewer.session import TERRAINS, MujocoSession, Simulation, require

LONGEST = 86_400.0
"""Longest play [s]."""
WIDEST = 4096
"""Largest picture [pixels]."""


@dataclass(frozen=True)
class PlayOptions:
    """The words of `scripts/play.py`."""

    policy: str | None = option(None, "ONNX file, a folder with one, or a shipped policy's name; none is go2_flat")
    checkpoint: str | None = option(None, "checkpoint of a training run, or the run's folder, instead of a policy")
    role: str = option("student", "student, or teacher (of a checkpoint, in Isaac Lab)")
    physics: str | None = option(None, "engine of Isaac Lab to play a checkpoint in; none is plain MuJoCo, auto suits")
    robot: str | None = option(None, "name or robot.yaml of the robot; none takes the policy's")
    terrain: str | None = option(None, "flat or rough; none is flat, in Isaac Lab the one of the training")
    difficulty: float = option(0.5, "of rough terrain, 0 to 1")
    device: str = option("auto", "of Isaac Lab: auto, cpu or cuda:0")
    seed: int = option(0, "of rough terrain and pushes")
    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0 lets other machines steer, too")
    port: int = option(8080, "port to listen on, or the next free one")
    video: str | None = option(None, "mp4 to write instead of opening the viewer")
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
        if self.video and Path(self.video).suffix != ".mp4":
            raise ValueError(f"video: the file must end in .mp4, got {self.video}")
        if self.policy and self.checkpoint:
            raise ValueError("policy and checkpoint exclude each other: give one of them")
        if self.checkpoint and self.checkpoint.endswith(".onnx"):
            raise ValueError(f"checkpoint: {self.checkpoint} is an ONNX file; give policy={self.checkpoint}")
        if self.role == "teacher" and not self.checkpoint:
            raise ValueError("role: an ONNX policy holds the student alone; for the teacher give checkpoint=model.pt")
        if self.physics and not self.checkpoint:
            raise ValueError("physics: an ONNX policy plays in plain MuJoCo; for Isaac Lab give checkpoint=model.pt")
        if self.in_isaac and self.robot:
            raise ValueError("robot: in Isaac Lab a checkpoint plays on the robot it was trained for")
        if not self.in_isaac and self.terrain:
            require("terrain", self.terrain, TERRAINS)
        if self.policy:
            policy_file(self.policy)
        need_checkpoint(self.checkpoint)

    @property
    def in_isaac(self) -> bool:
        """Whether Isaac Lab simulates, and not plain MuJoCo."""
        return self.checkpoint is not None and (self.physics is not None or self.role == "teacher")


@contextmanager
def open_session(options: PlayOptions) -> Iterator[Simulation]:
    """Starts what the options ask for.

    Raises:
        FileNotFoundError: if there is no such policy.
        ValueError: if the policy or checkpoint cannot be played, with the reason.
    """
    if options.in_isaac:
        # Playing an ONNX file needs neither torch nor Isaac Lab.
        from legged_cts.viewer.isaac_session import isaac_session

        assert options.checkpoint is not None
        with isaac_session(
            options.checkpoint,
            options.role,
            options.physics or "auto",
            options.terrain,
            options.difficulty,
            options.device,
            options.seed,
        ) as session:
            yield session
        return
    ground = (options.robot, options.terrain or "flat", options.difficulty, options.seed)
    if options.checkpoint:
        from legged_cts.export.checkpoint import export_checkpoint

        with tempfile.TemporaryDirectory() as folder:
            path, _ = export_checkpoint(options.checkpoint, Path(folder) / "policy.onnx")
            yield MujocoSession(path, *ground)
        return
    yield MujocoSession(policy_file(options.policy), *ground)


def play(options: PlayOptions) -> None:
    """Opens the viewer until an interrupt ends it, or writes the video and prints how the commands were followed.

    Raises:
        ValueError: if an option is wrong or the policy cannot be played.
        OSError: if a file cannot be read or written.
    """
    with open_session(options) as session:
        if options.video:
            from legged_cts.viewer.headless import record, table

            results = record(
                session,
                options.video,
                options.duration or 20.0,
                options.width,
                options.height,
                options.renderer,
                text=options.text,
            )
            print(f"{table(results)}\nvideo: {options.video}")
            return
        from legged_cts.viewer.app import App

        app = App(session, options.host, options.port, options.seed)
        print(f"{session.title}\nopen {app.url} in a browser; Ctrl+C ends", flush=True)
        try:
            app.run(options.duration)
        finally:
            app.close()
