"""Sim to sim: a policy trained in one simulator, measured and filmed in plain MuJoCo."""

from __future__ import annotations

import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legged_cts.deploy import passages
from legged_cts.deploy.contract import check
from legged_cts.deploy.courses import plain_courses
from legged_cts.deploy.evaluate import Conditions, evaluate, make_robot, run_episode
from legged_cts.deploy.metrics import METRICS
from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.plots import draw_results
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.policy_file import policy_file
from legged_cts.deploy.response import as_record, as_row, describe, plain_responses
from legged_cts.deploy.results import write_json, write_table
from legged_cts.deploy.robot import Array
from legged_cts.deploy.video import BACKENDS, FPS, VideoWriter, robot_camera, write_video
from legged_cts.deploy.words import option, require
from legged_cts.robots.spec import load_robot
from legged_cts.terrain.courses import choose, speeds
from legged_cts.trust.plain import check_number


@dataclass(frozen=True)
class Sim2SimOptions:
    """The words of `scripts/sim2sim.py`."""

    policy: str | None = option(None, "ONNX file, a folder with one, or a shipped policy's name; none is go2_flat")
    robot: str | None = option(None, "name or robot.yaml of the robot; none takes the policy's")
    terrain: str = option("flat", "flat or rough")
    difficulty: float = option(0.5, "of rough terrain, 0 to 1")
    episodes: int = option(20, "number of episodes")
    duration: float = option(20.0, "of an episode [s]")
    seed: int = option(0, "of the first episode; the next one has the next seed")
    randomize: bool = option(True, "noise, delays, friction and mass drawn for each episode")
    pushes: float = option(0.0, "largest velocity of a push every 5 s [m/s]")
    response: bool = option(True, "also measure standing, and commanded against achieved speed, on level ground")
    courses: str | None = option(None, "instead of episodes: all, or names and groups of courses, as stairs_up,flat")
    speeds: str = option("0.4,0.8", "commanded on courses [m/s], negative backwards")
    workers: int | None = option(None, "processes; none is one per core")
    output: str | None = option(
        None, "file for the metrics, .json or .csv; the other, more tables and a picture are put beside it"
    )
    video: str | None = option(None, "mp4 of the first episode")
    renderer: str = option("auto", "of the video: gl, cpu, or auto")

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be.

        Raises:
            ValueError: naming the word and its bounds.
        """
        check_number("difficulty", self.difficulty, 0, 1)
        check_number("episodes", self.episodes, 1, 10**6, whole=True)
        check_number("seed", self.seed, 0, 2**31, whole=True)
        check_number("pushes", self.pushes, 0, 100)
        require("renderer", self.renderer, BACKENDS)
        if self.courses is not None:
            choose(self.courses)
            for key in ("terrain", "difficulty", "duration", "video", "renderer"):
                if getattr(self, key) != getattr(Sim2SimOptions, key):
                    raise ValueError(f"{key}: has no effect on courses; leave it out, or leave out courses=")
        speeds(self.speeds)
        if self.workers is not None:
            check_number("workers", self.workers, 1, 1024, whole=True)

    def conditions(self) -> Conditions:
        """What the episodes take place under."""
        make = Conditions if self.randomize else Conditions.ideal
        return dataclasses.replace(make(self.terrain, self.difficulty), push_velocity=self.pushes)


def sim2sim(options: Sim2SimOptions) -> dict[str, Any]:
    """Evaluates, prints the table, writes the files that were asked for.

    Returns:
        What `evaluate` returns.

    Raises:
        ContractError: if the policy does not fit the robot.
        ValueError: if an option is wrong; this is found before the episodes run.
    """
    output = Path(options.output) if options.output else None
    if output is not None and output.suffix not in (".json", ".csv"):
        raise ValueError(f"output: the file must end in .json or .csv, got {output.name}")
    if options.video:
        VideoWriter(options.video)  # asks for the encoder, the ending and the folder
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"output: no folder {output.parent} can be made: {error.strerror}") from error
    path = policy_file(options.policy)
    policy = OnnxPolicy(path)
    robot = options.robot or policy.contract.robot
    spec = load_robot(robot)
    check(policy.contract, spec)
    conditions = options.conditions()
    if options.courses is not None:
        return _courses(options, policy, path, robot, conditions, output)
    result = evaluate(path, robot, conditions, options.episodes, options.seed, options.duration, options.workers)
    print(table(result))
    if options.response:
        responses = plain_responses(policy, spec, options.seed)
        result["response"] = [as_record(response) for response in responses]
        print(describe(responses))
    if output is not None:
        print(f"metrics: {', '.join(map(str, write_metrics(result, output)))}")
    if options.video:
        backend = record_episode(options, policy, conditions, robot)
        print(f"video: {options.video} (drawn by {backend})")
    return result


def _courses(
    options: Sim2SimOptions, policy: OnnxPolicy, path: Path, robot: str, conditions: Conditions, output: Path | None
) -> dict[str, Any]:
    """Send robots along courses instead."""
    began, asked = time.monotonic(), speeds(options.speeds)
    low, high = policy.contract.command_ranges["lin_vel_x"]
    for speed in asked:
        if not low <= speed <= high:
            raise ValueError(f"speeds: {speed:g} m/s is outside of the policy's {low:g} to {high:g}")

    def progress(done: int, total: int) -> None:
        eta = (time.monotonic() - began) / done * (total - done)
        print(f"courses: {done} of {total}, eta {eta:.0f} s", file=sys.stderr)

    found = plain_courses(
        path, robot, choose(str(options.courses)), asked, conditions, options.episodes, options.seed,
        options.workers, progress,
    )  # fmt: skip
    print(passages.describe(found))
    header = {
        "policy": str(options.policy), "robot": robot, "physics": "mujoco", "seed": options.seed,
        "pushes_m_s": options.pushes, "friction": "0.4 .. 1.2" if options.randomize else "0.8",
    }  # fmt: skip
    if output is not None:
        print(f"courses: {', '.join(map(str, passages.write(output.with_suffix(''), {'student': found}, header)))}")
    return {**header, "courses": [passages.as_record(one) for one in found]}


def record_episode(options: Sim2SimOptions, policy: OnnxPolicy, conditions: Conditions, robot: str) -> str:
    """Runs the first episode again and films it.

    Returns:
        The backend that drew the video.
    """
    spec = load_robot(robot)
    states: list[tuple[Array, Array]] = []

    def keep(simulated: MujocoRobot, _: Array) -> None:
        # A video has fewer frames than there are control steps, at no fixed ratio.
        if simulated.data.time * FPS >= len(states):
            states.append((simulated.data.qpos.copy(), simulated.base_pos))

    run_episode(policy, spec, conditions, options.seed, options.duration, on_step=keep)
    model = make_robot(policy.contract, spec, conditions, options.seed).model
    assert options.video is not None
    camera = robot_camera(model, spec)
    return write_video(options.video, model, states, FPS, options.renderer, total=len(states), camera=camera)


def table(result: dict[str, Any]) -> str:
    """The metrics as lines of text, with their 95 % intervals."""
    ground = result["terrain"] if result["terrain"] == "flat" else f"rough, difficulty {result['difficulty']}"
    lines = [
        f"{result['robot']} ({result['algorithm']}, {result['trained_steps']} steps) on {ground}: "
        f"{len(result['seeds'])} episodes of {result['duration']:g} s, seeds {result['seeds'][0]} to "
        f"{result['seeds'][-1]}",
        f"{'':<20}{'mean':>9}  {'95 % interval':<20}{'n':>4}",
    ]
    for name, value in result["metrics"].items():
        mean = "-" if value["mean"] is None else f"{value['mean']:.3f}"
        interval = "-" if value["low"] is None else f"[{value['low']:.3f}, {value['high']:.3f}]"
        lines.append(f"{METRICS[name][0]:<20}{mean:>9}  {interval:<20}{value['episodes']:>4}".rstrip())
    return "\n".join(lines)


def write_metrics(result: dict[str, Any], path: Path) -> list[Path]:
    """Writes everything as JSON, each table of it as CSV, and a picture where matplotlib is.

    Args:
        result: What `evaluate` returns, with the `response`.
        path: `<name>.json` or `<name>.csv`; the others are put beside it.

    Returns:
        What was written: `<name>.json`, `<name>.csv` with a row per episode, `<name>_summary.csv`,
        `<name>_response.csv` and `<name>.png`.
    """
    tables = {
        "": result["episodes"],
        "_summary": [{"metric": name, **value} for name, value in result["metrics"].items()],
    }
    if "response" in result:
        tables["_response"] = [as_row(record) for record in result["response"]]
    written = [path.with_suffix(".json")]
    write_json(written[0], result)
    for ending, rows in tables.items():
        written.append(path.with_name(f"{path.stem}{ending}.csv"))
        write_table(written[-1], rows)
    picture = path.with_suffix(".png")
    return [*written, picture] if draw_results(result, picture) else written
