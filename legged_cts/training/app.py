"""The training application: from a composed configuration to a run's folder."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from legged_cts.envs.morphology import morphology_override
from legged_cts.envs.privileged import resolve_privileged
from legged_cts.robots.spec import load_robot
from legged_cts.training.checkpoint import BEST, latest_checkpoint, load_checkpoint
from legged_cts.training.compose import TASKS, apply_overrides, plain
from legged_cts.training.distributed import Processes, from_environment, leave, run_time, single_environment
from legged_cts.training.interrupt import STOPPED, on_interrupt, run_child
from legged_cts.training.random_state import seed_everything
from legged_cts.training.writers import check_logger, read_metrics_rows
from legged_cts.trust.plain import building

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def robot_name(robot: str) -> str:
    """Return what a run's folder calls a robot: its name, or for a path that of the folder with its robot.yaml."""
    path = Path(robot)
    folder = path.parent if path.suffix in (".yaml", ".yml") else path
    return folder.resolve().name if folder != path or len(path.parts) > 1 else robot


OmegaConf.register_new_resolver("robot_name", robot_name, replace=True)
OmegaConf.register_new_resolver("run_time", run_time, replace=True)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn errors about the user's input into one line on stderr and exit status 2.

    ``HYDRA_FULL_ERROR=1`` shows the trace instead.
    """
    try:
        yield
    except (ValueError, OSError, FloatingPointError) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        rank = os.environ.get("RANK", "0")
        who = "" if rank == "0" else f" (rank {rank})"
        print(f"error{who}: {error}\n(HYDRA_FULL_ERROR=1 shows where)", file=sys.stderr)
        sys.exit(2)


def check_options(argv: Sequence[str]) -> None:
    """Check the options that a command line chooses for groups of the task tree, where Hydra's own message is long.

    Raises:
        ValueError: Naming the group and its options.
    """
    for word in argv:
        group, sign, names = word.partition("=")
        if sign and (TASKS / group).is_dir() and group:
            options = sorted(path.stem for path in (TASKS / group).glob("*.yaml"))
            unknown = [name for name in names.split(",") if re.fullmatch(r"\w+", name) and name not in options]
            if unknown and unknown != ["null"]:
                close = difflib.get_close_matches(unknown[0], options, n=1)
                hint = f"; did you mean '{close[0]}'?" if close else ""
                raise ValueError(f"{group}='{unknown[0]}' is unknown{hint or '.'} Allowed: {', '.join(options)}")


def resume_into_run_dir(argv: Sequence[str]) -> list[str]:
    """Return the command line with ``hydra.run.dir`` set to the folder that ``resume=`` continues, unless given."""
    argv = list(argv)
    given = [word.partition("=")[2] for word in argv if word.startswith("resume=")]
    if not given or given[-1] in ("", "null") or any(word.startswith("hydra.run.dir=") for word in argv):
        return argv
    path = Path(given[-1].strip("'\""))
    folder = path if path.is_dir() else path.parent
    return [*argv, f"hydra.run.dir='{folder}'"] if folder.is_dir() else argv


def choose_morphology(argv: Sequence[str]) -> list[str]:
    """Return what to append to a command line so that the robot's morphology chooses its pack; nothing if it is given.

    The robot of a run to resume is the checkpoint's.

    Raises:
        ValueError: If there is no such robot, or no pack for its morphology.
    """
    words = [word for word in argv[1:] if not word.startswith("-")]
    resumed = [word.partition("=")[2].strip("'\"") for word in words if word.startswith("resume=")]
    if resumed and resumed[-1] not in ("", "null"):
        with building("resume: the checkpoint's configuration is not whole"):
            words.append(f"robot='{load_checkpoint(latest_checkpoint(resumed[-1]))['config']['robot']}'")
    return morphology_override(words)


@building("the configuration is not whole")
def resolve_task(cfg: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Resolve and check the configuration of a run before anything heavy starts.

    With ``resume`` it is the checkpoint's configuration with the command line's overrides on top.

    Args:
        cfg: The composed configuration.
        overrides: The command line's overrides of the task.

    Returns:
        Plain configuration, with ``auto`` resolved where networks or statistics depend on it; ``resume`` names a file.

    Raises:
        ValueError: Naming the key and what it may be.
    """
    config = plain(cfg)
    if config["resume"]:
        path = latest_checkpoint(config["resume"])
        own = [word for word in overrides if not word.lstrip("+").startswith(("resume=", "checkpoint="))]
        config = plain(apply_overrides(load_checkpoint(path)["config"], own))
        config["resume"], config["checkpoint"] = str(path), None
        if path.with_name("metrics.csv").is_file():
            read_metrics_rows(path.with_name("metrics.csv"))
    load_robot(config["robot"])
    if robot_name(config["robot"]) != config["robot"]:
        # The checkpoint is evaluated and exported from other folders too.
        config["robot"] = str(Path(config["robot"]).resolve())
    check_logger(config["logger"])
    _positive("max_iterations", config["max_iterations"], int)
    if config["max_minutes"] is not None:
        _positive("max_minutes", config["max_minutes"], (int, float))
    # Isaac Lab takes seconds to import, so what needs it comes last.
    from legged_cts.algorithms.config import runner_cfg
    from legged_cts.envs.builder import resolve_num_envs
    from legged_cts.physics import resolve_physics

    runner_cfg(config["algorithm"], config["networks"], config["runner"])
    device = from_environment().device(config["device"])
    resolve_physics(config["physics"], device)
    resolve_privileged(config)
    scene = config["env"]["scene"]
    scene["num_envs"] = resolve_num_envs(scene["num_envs"], device)
    return config


def process_config(config: Mapping[str, Any], processes: Processes) -> dict[str, Any]:
    """Return the configuration of one process's environments: its device, its seed and its share of the cores.

    A number of solver threads that was given is kept; it is per process, as ``env.scene.num_envs`` is.
    """
    if not processes.many:
        return dict(config)
    device, solver = processes.device(config["device"]), dict(config["solver"])
    if device == "cpu":
        solver["threads"] = solver["threads"] or processes.threads()
    return {**config, "device": device, "seed": processes.seed(config["seed"]), "solver": solver}


def train(config: dict[str, Any], run_dir: Path) -> None:
    """Train, then leave the policy, its evaluation and a plot in the run's folder.

    Under ``torchrun`` every process trains, and rank 0 does the rest.

    Args:
        config: From :func:`resolve_task`.
        run_dir: The run's folder.

    Raises:
        ValueError: If a checkpoint does not fit, or the run to resume has had all its iterations.
    """
    from legged_cts.algorithms.config import runner_cfg
    from legged_cts.envs.launch import make_env, setup_output
    from legged_cts.training.display import make_display
    from legged_cts.training.env_info import env_info
    from legged_cts.training.runner import Ending, Runner

    kept = {**config, "resume": None, "checkpoint": None}
    processes = from_environment()
    own = process_config(config, processes)
    seed_everything(own["seed"])
    train_cfg = runner_cfg(config["algorithm"], config["networks"], config["runner"])
    device, display = processes.device(config["device"]), make_display(sys.stdout)
    if processes.many and device == "cpu" and os.environ.get("OMP_NUM_THREADS", "1") == "1":
        # torchrun sets it to 1 where nobody did, however many cores there are.
        torch.set_num_threads(own["solver"]["threads"])
    with ExitStack() as stack:
        with (
            on_interrupt("interrupted before anything was trained"),
            setup_output(run_dir / processes.file("setup.log")),
        ):
            env = stack.enter_context(make_env(own))
            info = env_info(config, env)
            runner = Runner(env, train_cfg, str(run_dir), device, config=kept, env_info=info, display=display)
        if config["resume"]:
            runner.load(config["resume"])
        elif config["checkpoint"]:
            runner.load(str(latest_checkpoint(config["checkpoint"])), {"actor": True, "critic": True})
        left = config["max_iterations"] - runner.current_learning_iteration
        if left <= 0:
            raise ValueError(
                f"max_iterations={config['max_iterations']}: {config['resume']} already has "
                f"{runner.current_learning_iteration} iterations; give more to continue"
            )
        run_dir.mkdir(parents=True, exist_ok=True)
        if processes.is_main:
            OmegaConf.save(OmegaConf.create(kept), run_dir / "config.yaml")
        # Also after a resume: episodes that begin together end together, and falls and returns swing with their length.
        ending = runner.learn(left, init_at_random_ep_len=True, max_minutes=config["max_minutes"])
        # Together, so that nobody waits for the evaluation.
        leave()
        if processes.is_main:
            with on_interrupt(f"interrupted; what was trained is saved in {run_dir}"):
                finish(config, run_dir, evaluate=ending is not Ending.SIGNAL)


def finish(config: Mapping[str, Any], run_dir: Path, evaluate: bool = True) -> None:
    """Write ``policy.onnx``, plots and, if asked to, ``evaluation.csv``, and say how to go on.

    The evaluation runs in a process of its own, because Isaac Lab builds one environment per process.

    Raises:
        ValueError: If the evaluation failed.
    """
    from legged_cts.evaluation.dashboard import draw
    from legged_cts.evaluation.report import plot_learning

    best = run_dir / BEST
    checkpoint = best if best.is_file() else latest_checkpoint(run_dir)
    _export(checkpoint, run_dir / "policy.onnx")
    plot_learning(run_dir / "metrics.csv", run_dir / "learning.png")
    draw([run_dir])
    wanted = config["evaluation"]
    command = [sys.executable, str(SCRIPTS / "evaluate.py"), f"checkpoint={checkpoint}", f"output={run_dir}"]
    command += [f"episodes={wanted['episodes']}", f"duration_s={wanted['duration_s']}"]
    if evaluate and wanted["enabled"]:
        status = run_child(command, single_environment())
        if status == STOPPED:
            sys.exit(STOPPED)
        if status:
            raise ValueError(
                f"the evaluation failed; the policy is saved in {run_dir}; repeat it: {shlex.join(command)}"
            )
    print(f"run: {run_dir}\nwatch it: python scripts/play.py checkpoint={checkpoint}")


def run_jobs_apart(argv: Sequence[str], overrides: Sequence[str], run_dir: Path) -> None:
    """Run one job of a multirun in a process of its own, because Isaac Lab builds one environment per process.

    Args:
        argv: ``sys.argv``.
        overrides: The job's own overrides of the task.
        run_dir: The job's folder.

    Raises:
        ValueError: If this is one of several processes, or the job failed.
    """
    if from_environment().many:
        raise ValueError("--multirun does not go with several processes; start torchrun once for each job")
    command = [sys.executable, argv[0], *overrides, f"hydra.run.dir='{run_dir}'"]
    status = run_child(command)
    if status == STOPPED:
        sys.exit(STOPPED)
    if status:
        raise ValueError(f"the job in {run_dir} ended with status {status}")


def _export(checkpoint: Path, path: Path) -> None:
    from legged_cts.export.checkpoint import export_checkpoint

    try:
        export_checkpoint(checkpoint, path)
    except ValueError as error:
        # A baseline without a student is trained for comparison, not to run on a robot.
        print(f"no policy.onnx: {error}", file=sys.stderr)


def _positive(name: str, value: Any, kind: type | tuple[type, ...]) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or value <= 0:
        raise ValueError(f"{name} must be a positive number, got {value!r}")
