"""Runs one engine from prescribed states under prescribed actions."""

from __future__ import annotations

import numpy as np
import torch
from envs_support import running

NUM_ENVS = 8
FLIGHT_STEPS = 10
CONTACT_STEPS = 25
# Uneven ground of the test's own, so that the training's may change: the tolerances hold for the edges of this one.
GROUND = (
    "terrain.levels=6",
    "terrain.initial_level=1",
    "terrain.kinds.stairs_up.step_height=[0.05,0.257]",
    "terrain.kinds.stairs_down.step_height=[0.05,0.257]",
    "terrain.kinds.obstacles.height=[0.05,0.275]",
    "terrain.kinds.waves.amplitude=[0.05,0.4]",
)


def trajectories_of(engine: str, terrain: str) -> dict[str, np.ndarray]:
    """Return trajectories in flight and in contact, ``<phase>_<quantity>``, and the robot's weight [N]."""
    overrides = [
        f"physics={engine}",
        f"terrain={terrain}",
        "randomization=none",
        "solver.longest_tick=null",
        f"env.scene.num_envs={NUM_ENVS}",
        "env.observations.noise.enabled=false",
        *(GROUND if terrain == "rough" else ()),
        # Nothing may reset a world while it is compared.
        *(f"env.terminations.{name}=false" for name in ("time_out", "base_contact", "tilt", "low_base", "off_terrain")),
        # The solvers stop at the same tolerance only if neither runs out of iterations.
        "solver.iterations=50",
        "solver.ls_iterations=50",
        "solver.tolerance=1e-8",
    ]
    with running(*overrides) as env:
        unwrapped = env.unwrapped
        records = {
            "flight": _trajectory(env, FLIGHT_STEPS, height=2.0, spread=1.0),
            "contact": _trajectory(env, CONTACT_STEPS, height=0.0, spread=0.1),
        }
        if terrain == "flat":
            records["standing"] = _standing_force(env)
        weight = float(unwrapped.scene["robot"].data.body_mass.torch[0].sum()) * 9.81
        flat = {f"{name}_{key}": value for name, record in records.items() for key, value in record.items()}
        return {"weight": np.array(weight), **flat}


def _place(env, height: float, spread: float, generator: torch.Generator) -> None:
    unwrapped = env.unwrapped
    robot = unwrapped.scene["robot"]
    unwrapped.reset()
    ids = torch.arange(NUM_ENVS, dtype=torch.int32)

    def draw(*shape: int) -> torch.Tensor:
        return 2.0 * torch.rand(shape, generator=generator) - 1.0

    pose = robot.data.default_root_pose.torch.clone()
    pose[:, :3] += unwrapped.scene.env_origins
    pose[:, 2] += height
    velocity = spread * draw(NUM_ENVS, 6)
    joint_pos = robot.data.default_joint_pos.torch + 0.2 * spread * draw(NUM_ENVS, 12)
    joint_vel = 2.0 * spread * draw(NUM_ENVS, 12)
    robot.write_root_pose_to_sim_index(root_pose=pose, env_ids=ids)
    robot.write_root_velocity_to_sim_index(root_velocity=velocity, env_ids=ids)
    robot.write_joint_position_to_sim_index(position=joint_pos, env_ids=ids)
    robot.write_joint_velocity_to_sim_index(velocity=joint_vel, env_ids=ids)


def _state(env) -> dict[str, np.ndarray]:
    robot = env.unwrapped.scene["robot"].data
    state = env.unwrapped.state
    return {
        "position": robot.root_pos_w.torch.numpy().copy(),
        "orientation": robot.root_quat_w.torch.numpy().copy(),
        "velocity": robot.root_vel_w.torch.numpy().copy(),
        "joint_pos": robot.joint_pos.torch.numpy().copy(),
        "joint_vel": robot.joint_vel.torch.numpy().copy(),
        "foot_force": state.current().foot_force.numpy().copy(),
    }


def _trajectory(env, steps: int, height: float, spread: float) -> dict[str, np.ndarray]:
    generator = torch.Generator().manual_seed(7)
    _place(env, height, spread, generator)
    records = []
    for _ in range(steps):
        env.step(0.5 * torch.randn(NUM_ENVS, 12, generator=generator))
        records.append(_state(env))
    return {key: np.stack([record[key] for record in records]) for key in records[0]}


def _standing_force(env) -> dict[str, np.ndarray]:
    """Net contact force on all bodies, averaged over a second after two seconds of standing."""
    _place(env, 0.0, 0.0, torch.Generator().manual_seed(7))
    forces = []
    for step in range(150):
        env.step(torch.zeros(NUM_ENVS, 12))
        if step >= 100:
            forces.append(env.unwrapped.scene["contact_forces"].data.net_forces_w.torch.sum(dim=1).numpy().copy())
    return {"force": np.stack(forces).mean(0)}
