"""The training application: from a composed configuration to a run's folder."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from legged_cts import beside, told
from legged_cts.envs.fit import check_task_and_robot
from legged_cts.envs.morphology import morphology_override
from legged_cts.envs.privileged import resolve_privileged
from legged_cts.mdp.terrain_columns import left_out
from legged_cts.robots.spec import load_robot
from legged_cts.task.words import quoted
from legged_cts.training.checkpoint import BEST, latest_checkpoint, load_checkpoint
from legged_cts.training.command_line import CommandLine, given
from legged_cts.training.compose import apply_overrides, hold_given, plain
from legged_cts.training.display import say
from legged_cts.training.distributed import Processes, from_environment, leave, run_time, single_environment
from legged_cts.training.interrupt import STOPPED, on_interrupt, run_child
from legged_cts.training.random_state import seed_everything
from legged_cts.training.writers import check_wandb, read_metrics_rows
from legged_cts.trust.plain import building

SCRIPTS = beside("scripts")


def robot_name(robot: str) -> str:
    """Return what a run's folder calls a robot: its name, or for a path that of the folder with its robot.yaml."""
    path = Path(robot)
    folder = path.parent if path.suffix in (".yaml", ".yml") else path
    return folder.resolve().name if folder != path or len(path.parts) > 1 else robot


OmegaConf.register_new_resolver("robot_name", robot_name, replace=True)
OmegaConf.register_new_resolver("run_time", run_time, replace=True)


def pack_word(line: CommandLine) -> list[str]:
    """Return the word that chooses the pack of the robot's morphology, if it is not given.

    The robot of a run to resume is the checkpoint's; that the run can go on is checked too, because Hydra writes into
    its folder as soon as it starts.

    Raises:
        ValueError: If there is no such robot or checkpoint, no pack, or nothing to resume.
    """
    resume = given(line.words, "resume")
    words = [*(word for word in line.words if not word.startswith("hydra.")), *line.search]
    if resume is not None:
        config = resumed_config(resume, [word for word in line.words if not word.startswith("hydra.")])
        words.append(quoted("robot", str(config["robot"])))
    return morphology_override(words, line.options.config_name or "train")


@building("resume: the checkpoint's configuration is not whole")
def resumed_config(path: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of a run to resume, with the command line's overrides on top, checked.

    Raises:
        ValueError: If a word is wrong, there is no such checkpoint, or it has had all its iterations.
    """
    file = latest_checkpoint(path)
    content = load_checkpoint(file)
    if content.get("weights_only"):
        raise ValueError(f"resume: {file} holds the networks alone; begin a new run from them: checkpoint={path}")
    own = [word for word in overrides if not word.lstrip("+").startswith(("resume=", "checkpoint="))]
    config = plain(apply_overrides(content["config"], own))
    config["resume"], config["checkpoint"] = str(file), None
    check_task_and_robot(config)
    if not any(word.startswith("robot=") for word in own):
        check_robot_unchanged(config["robot"], content["env_info"])
    if config["max_iterations"] <= content["iter"]:
        raise ValueError(
            f"max_iterations={config['max_iterations']}: {file} already has {content['iter']} iterations; "
            "give more to continue"
        )
    if file.with_name("metrics.csv").is_file():
        read_metrics_rows(file.with_name("metrics.csv"))
    return config


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
    config = plain(hold_given(cfg, overrides))
    if config["resume"]:
        config = resumed_config(config["resume"], overrides)
    else:
        check_task_and_robot(config)
    if robot_name(config["robot"]) != config["robot"]:
        # The checkpoint is evaluated and exported from other folders too.
        config["robot"] = str(Path(config["robot"]).resolve())
    if config["checkpoint"]:
        check_networks(config, load_checkpoint(latest_checkpoint(config["checkpoint"]))["config"])
    # Isaac Lab takes seconds to import, so what needs it comes last.
    from legged_cts.algorithms.config import runner_cfg
    from legged_cts.envs.builder import resolve_num_envs
    from legged_cts.physics import resolve_physics

    runner_cfg(config["algorithm"], config["networks"], config["runner"])
    if config["logger"] == "wandb":
        check_wandb()
    device = from_environment().device(config["device"])
    resolve_physics(config["physics"], device)
    resolve_privileged(config)
    scene = config["env"]["scene"]
    scene["num_envs"] = resolve_num_envs(scene["num_envs"], device)
    return config


def check_networks(config: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Check that networks to begin with have the widths of this configuration; a student encoder may be another.

    Args:
        config: The configuration.
        stored: That of the checkpoint.

    Raises:
        ValueError: Naming the first key that differs.
    """
    keys = [f"networks.{name}.{key}" for name in ("actor", "critic") for key in ("hidden_dims", "latent_dim")]
    for key in [*keys, "networks.teacher_encoder.hidden_dims"]:
        here, there = (OmegaConf.select(OmegaConf.create(dict(one)), key) for one in (config, stored))
        if here is not None and there is not None and here != there:
            raise ValueError(f"checkpoint: its networks were trained with {key}={there}, this run has {here}")


def check_robot_unchanged(robot: str, info: Mapping[str, Any]) -> None:
    """Check that a robot is still the one that a run to resume began with.

    Args:
        robot: Its name or path.
        info: The checkpoint's ``env_info``.

    Raises:
        ValueError: Naming what differs, and how to go on on purpose.
    """
    spec = load_robot(robot)
    if info.get("robot_hash", spec.hash) == spec.hash:
        return
    now = {"joints": spec.joints, "default_joint_pos": spec.nominal_pose, "stiffness": spec.stiffness}
    now |= {"damping": spec.damping, "effort_limit": spec.effort_limit}
    names = [name for name, value in now.items() if name in info and list(info[name]) != list(value)]
    what = f"{', '.join(names)} differ" if names else "not in joints, pose or gains, so in its MJCF or another field"
    raise ValueError(
        f"resume: robot.yaml or {spec.mjcf.name} of the robot '{robot}' changed since the run began: {what}; put them "
        f"back, or give robot={robot} on this command line to go on with them as they are now"
    )


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
        if (line := left_out(env.unwrapped.scene.terrain)) and processes.is_main:
            print(line, flush=True)
        if config["resume"]:
            runner.load(config["resume"])
        elif config["checkpoint"]:
            runner.load(str(latest_checkpoint(config["checkpoint"])), {"actor": True, "critic": True})
        left = config["max_iterations"] - runner.current_learning_iteration
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
    from legged_cts.evaluation.dashboard import leave_drawings

    say("export: policy.onnx")
    best = run_dir / BEST
    checkpoint = best if best.is_file() else latest_checkpoint(run_dir)
    _export(checkpoint, run_dir / "policy.onnx")
    content = load_checkpoint(latest_checkpoint(run_dir))
    say("drawings: dashboard.html, learning.png, diagnostics.png")
    leave_drawings(run_dir, int(content.get("previous_steps", 0)))
    wanted = config["evaluation"]
    episodes = evaluation_episodes(wanted["episodes"], content["iter"])
    command = [sys.executable, str(SCRIPTS / "evaluate.py"), f"checkpoint={checkpoint}", f"output={run_dir}"]
    command += [
        f"episodes={episodes}",
        f"duration={wanted['duration']}",
    ]
    if evaluate and wanted["enabled"]:
        say(f"evaluation: {episodes} episodes of student and teacher, then constant commands")
        status = run_child(command, single_environment())
        if status == STOPPED:
            sys.exit(STOPPED)
        if status:
            raise ValueError(
                f"the evaluation failed; the policy is saved in {run_dir}; repeat it: {shlex.join(command)}"
            )
    print(f"run: {run_dir}\nwatch it: {told('play')} checkpoint={checkpoint}")


def run_job_apart(line: CommandLine, overrides: Sequence[str], run_dir: Path) -> None:
    """Run one job of a multirun in a process of its own, because Isaac Lab builds one environment per process.

    Args:
        line: The whole command line.
        overrides: The job's own overrides of the task.
        run_dir: The job's folder.

    Raises:
        ValueError: If this is one of several processes, or the job failed.
    """
    if from_environment().many:
        raise ValueError("--multirun does not go with several processes; start torchrun once for each job")
    words = [*overrides, *line.search, quoted("hydra.run.dir", str(run_dir))]
    options = {"--config-name": line.options.config_name, "--config-path": line.options.config_path}
    root = [f"{name}={value}" for name, value in options.items() if value]
    status = run_child([sys.executable, str(SCRIPTS / "train.py"), *words, *root])
    if status == STOPPED:
        sys.exit(STOPPED)
    if status:
        raise ValueError(f"the job in {run_dir} ended with status {status}")


def evaluation_episodes(wanted: int, iterations: int) -> int:
    """Return how many of the ``wanted`` episodes measure a run of so many iterations."""
    return min(wanted, max(16, iterations))


def _export(checkpoint: Path, path: Path) -> None:
    from legged_cts.export.checkpoint import export_checkpoint

    try:
        export_checkpoint(checkpoint, path)
    except ValueError as error:
        # A baseline without a student is trained for comparison, not to run on a robot.
        print(f"no policy.onnx: {error}", file=sys.stderr)
