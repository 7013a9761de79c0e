"""Trains two iterations on the real environment, or resumes them in a new process, and writes down what it finds.

Words: ``train`` or ``resume``, the run's folder, overrides of the task. A training puts one world into a NaN state in
its first iteration, and in the stage ``paid``, if the task has it.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import torch

from legged_cts.algorithms.config import runner_cfg
from legged_cts.envs.launch import make_env
from legged_cts.train import resolve_task
from legged_cts.training.checkpoint import latest_checkpoint, load_checkpoint, write_whole
from legged_cts.training.compose import compose_task
from legged_cts.training.env_info import env_info
from legged_cts.training.random_state import seed_everything
from legged_cts.training.runner import Runner

WORLD, STEP = 2, 10


def simulated(env: Any) -> dict[str, Any]:
    """What the simulator itself holds of each world's physics, of the ground, and of the episodes."""
    inner = env.unwrapped
    data, grid = inner.scene["robot"].data, inner.terrain.heights
    return {
        "mass": data.body_mass.torch.clone(),
        "inertia": data.body_inertia.torch.clone(),
        "com": data.body_com_pos_b.torch.clone(),
        "stiffness": data.joint_stiffness.torch.clone(),
        "damping": data.joint_damping.torch.clone(),
        "armature": data.joint_armature.torch.clone(),
        "origins": inner.scene.env_origins.clone(),
        "ground": torch.zeros(0) if grid.is_flat else grid.grid.clone(),
        "weight": inner.reward_manager.get_term_cfg("alive").weight,
    }


def breaking(env: Any, folder: Path, config: dict[str, Any]) -> None:
    """Let one world's joint speed be NaN before a step, and dump the same step of a sound world too."""
    step, calls = env.step, []

    def broken(actions: torch.Tensor) -> Any:
        calls.append(None)
        if len(calls) == STEP:
            robot = env.unwrapped.scene["robot"]
            velocity = robot.data.joint_vel.torch[WORLD : WORLD + 1].clone()
            velocity[0, 3] = math.nan
            robot.write_joint_velocity_to_sim_index(velocity=velocity, env_ids=torch.tensor([WORLD]))
        result = step(actions)
        if len(calls) == STEP:
            world = int((result[2] == 0).nonzero()[-1])
            dump = {"version": 1, "kind": "obs", "world": world, "iteration": 0, "config": config}
            dump |= {"action": actions[world].clone(), "state": env.unwrapped.fault_state(world)}
            speed = env.unwrapped.scene["robot"].data.joint_vel.torch[world].abs().max()
            write_whole(folder / "sound.pt", {**dump, "speed": float(speed)})
        return result

    env.step = broken


def main(mode: str, folder: Path, overrides: list[str]) -> None:
    """Run one of the two."""
    newest = latest_checkpoint(folder) if mode == "resume" else None
    config = load_checkpoint(newest)["config"] if newest else resolve_task(compose_task(overrides), [])
    seed_everything(config["seed"])
    train_cfg = runner_cfg(config["algorithm"], config["networks"], config["runner"])
    with make_env(config) as env:
        runner = Runner(env, train_cfg, str(folder), "cpu", config=config, env_info=env_info(config, env))
        if newest:
            runner.load(str(newest))
            runner.save(str(folder / "resumed.pt"))
            write_whole(folder / "simulated_resumed.pt", simulated(env))
            assert not env.unwrapped.episode_length_buf.any()
            runner.learn(1)
        else:
            breaking(env, folder, config)
            runner._stages.take_over({"reached": ["paid"]})
            runner.learn(2, init_at_random_ep_len=True)
            write_whole(folder / "simulated.pt", simulated(env))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
