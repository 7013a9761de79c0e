"""The evaluation application: from a checkpoint or an ONNX file to tables and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from legged_cts.deploy import passages
from legged_cts.deploy.contract import COMMANDS, check
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.policy_file import policy_file
from legged_cts.deploy.response import as_record, describe
from legged_cts.envs.fit import check_task_and_robot
from legged_cts.evaluation.courses import courses_config, cross, deal
from legged_cts.evaluation.measured import Measured
from legged_cts.evaluation.options import EvaluateOptions
from legged_cts.evaluation.policies import (
    check_roles,
    check_task,
    checkpoint_policies,
    contract_overrides,
)
from legged_cts.evaluation.report import Row
from legged_cts.evaluation.response import responses
from legged_cts.evaluation.rollout import evaluation_config, run_episodes
from legged_cts.mdp.terrain_columns import terrain_kinds
from legged_cts.task.words import given_keys, plain_words
from legged_cts.terrain.courses import choose, speeds
from legged_cts.training.checkpoint import latest_checkpoint, load_checkpoint
from legged_cts.training.compose import apply_overrides, compose_task, plain
from legged_cts.training.env_info import task_info
from legged_cts.training.progress import step_progress
from legged_cts.training.random_state import seed_everything
from legged_cts.trust.plain import building

MAX_ENVS = 256


def evaluate(options: EvaluateOptions, overrides: Sequence[str], console: Console) -> list[Row]:
    """Measure the policy, print the tables and write the files of :meth:`Measured.write`.

    Args:
        options: The script's own words.
        overrides: Hydra overrides on top of the checkpoint's configuration (or of the contract's task).
        console: Where the tables go.

    Raises:
        ValueError: If an option, an override or the policy is wrong.
    """
    from legged_cts.envs.launch import make_env
    from legged_cts.robots.usd import cache_dir

    with building("the task cannot be built from what the file says"):
        source, config, info, contract, policies = _asked_for(options, overrides)
        given = plain_words(overrides)
        asked = "env.scene.num_envs" in given_keys(given)
        num_envs = config["env"]["scene"]["num_envs"] if asked else min(options.episodes, MAX_ENVS)
        if options.courses is None:
            config = evaluation_config(config, num_envs, options.duration, given)
        else:
            config = courses_config(config, choose(options.courses), options.episodes, given)
        check_task_and_robot(config)
        seed = config["seed"]
    seed_everything(seed)
    conditions = _conditions(config, info, source)
    folder = Path(options.output) if options.output else source.parent
    with make_env(config, log=cache_dir() / "setup.log") as env:
        if contract is not None:
            check(contract, env.unwrapped.robot_spec)
        if options.courses is not None:
            _cross_courses(options, env, policies, info, config, folder, conditions, console)
            return []
        kinds, _ = terrain_kinds(env.unwrapped.scene.terrain, env.num_envs)
        measured = Measured(conditions, options.duration, kinds)
        for role, policy in policies.items():
            with step_progress(f"evaluation of the {role}", console) as progress:
                measured.episodes[role] = run_episodes(env, policy, options.episodes, seed, progress)
        measured.show(console)
        measured.write(folder)  # what comes now may be interrupted
        for role, policy in policies.items() if options.response else ():
            with step_progress(f"constant commands, {role}", console) as progress:
                found = responses(env, policy, info["command_ranges"], seed, progress)
            measured.answers[role] = [as_record(answer) for answer in found]
            text = f"{role} under constant commands, no pushes, ground {conditions['task']}\n{describe(found)}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    for path in measured.write(folder):
        console.print(f"written to {path}")
    return measured.rows()


def _asked_for(options: EvaluateOptions, overrides: Sequence[str]) -> tuple[Path, Any, Any, Any, dict[str, Any]]:
    """Return the file, its task as configuration and info, its contract if it is an ONNX file, and its policies."""
    if options.policy:
        source = policy_file(options.policy)
        student = OnnxPolicy(source)
        contract = student.contract
        config = plain(compose_task([*contract_overrides(contract), *overrides]))
        info = task_info(config)
        check_task(info, contract)
        policies: dict[str, Any] = {"student": student}
    else:
        source, contract = latest_checkpoint(str(options.checkpoint)), None
        checkpoint = load_checkpoint(source)
        config = plain(apply_overrides(checkpoint["config"], overrides))
        info = task_info(config)
        # `runner.average_iterations=0` asks for the newest weights in place of their mean.
        asked_for = {**checkpoint["config"], "runner": config["runner"]}
        policies = checkpoint_policies({**checkpoint, "config": asked_for}, info["device"])
    return source, config, info, contract, check_roles(policies, options.role)


def _cross_courses(
    options: EvaluateOptions,
    env: Any,
    policies: dict[str, Any],
    info: dict[str, Any],
    config: dict[str, Any],
    folder: Path,
    conditions: dict[str, Any],
    console: Console,
) -> None:
    """Send robots along courses instead of letting them walk about."""
    friction = (config["env"].get("randomization") or {}).get("friction")
    conditions = conditions | {"friction": friction if friction is None else " .. ".join(map(str, friction))}
    del conditions["commands"]  # a course has one speed
    deal(env.unwrapped, friction)
    found = {}
    for role, policy in policies.items():
        yaw_limits = tuple(info["command_ranges"]["ang_vel_z"])
        with step_progress(f"courses, {role}", console) as progress:
            found[role] = cross(
                env, policy, choose(str(options.courses)), speeds(options.speeds), yaw_limits, options.episodes,
                config["seed"], progress,
            )  # fmt: skip
        title = ", ".join(f"{name} {value}" for name, value in ({"role": role} | conditions).items())
        text = f"{title}\n{passages.describe(found[role])}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    for path in passages.write(folder / "courses", found, conditions):
        console.print(f"written to {path}")


def _conditions(config: dict[str, Any], info: dict[str, Any], source: Path) -> dict[str, Any]:
    """Under which what follows is measured."""
    pushes = config["env"]["pushes"]
    return {
        "seed": config["seed"],
        "robot": info["robot"],
        "task": config["terrain"]["name"],
        "physics": info["physics"],
        "pushes_m_s": pushes["lin_vel"] if pushes["enabled"] else 0.0,
        "commands": " ".join(
            f"{low:g}..{high:g}" for low, high in (config["env"]["commands"][axis] for axis in COMMANDS)
        ),
        "policy": source.name,
    }
