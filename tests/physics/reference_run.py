"""One robot in the training environment and in plain MuJoCo, from the same states under the same actions."""

from __future__ import annotations

import mujoco
import numpy as np
import torch

from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.envs.launch import make_env
from legged_cts.robots.mjcf import IMPRATIO
from legged_cts.robots.usd import FRICTION_SPEED
from legged_cts.training.compose import compose_task

NUM_ENVS = 4
STEPS = 25
NOMINAL = ("randomization=none", "env.observations.noise.enabled=false")


def both(name: str) -> dict[str, np.ndarray]:
    """Return base positions [steps, N, 3] and joint angles [steps, N, d] of both; plain MuJoCo's are ``own_``."""
    # Nothing may reset a world while it is compared. Neither solver may run out of iterations.
    going_on = [f"env.terminations.{key}=false" for key in ("base_contact", "tilt", "low_base")]
    solver = ["solver.iterations=100", "solver.ls_iterations=50", "solver.tolerance=1e-8", "solver.longest_tick=null"]
    solver += ["solver.cone=elliptic", f"solver.impratio={IMPRATIO}"]
    words = [f"robot={name}", "physics=mujoco_cpu", "device=cpu", f"env.scene.num_envs={NUM_ENVS}"]
    cfg = compose_task([*words, *NOMINAL, *going_on, *solver])
    records: dict[str, list[np.ndarray]] = {"position": [], "joint_pos": [], "own_position": [], "own_joint_pos": []}
    with make_env(cfg) as env:
        env.reset()
        unwrapped = env.unwrapped
        spec = unwrapped.robot_spec
        own = [_copy(unwrapped, MujocoRobot(spec, unwrapped.step_dt, unwrapped.physics_dt), i) for i in range(NUM_ENVS)]
        generator = torch.Generator().manual_seed(7)
        for _ in range(STEPS):
            # Small ones: where a torque saturates, Newton's model and ours integrate damping differently.
            action = 0.1 * torch.randn(NUM_ENVS, len(spec.joints), generator=generator)
            env.step(action)
            base, joints = _truth(unwrapped)
            records["position"].append(base)
            records["joint_pos"].append(joints)
            for robot, raw in zip(own, action.numpy(), strict=True):
                robot.send_targets(np.asarray(spec.nominal_pose) + spec.action_scale * raw)
            records["own_position"].append(np.stack([robot.base_pos for robot in own]))
            records["own_joint_pos"].append(np.stack([robot.read_state().joint_pos for robot in own]))
    return {key: np.stack(value) for key, value in records.items()}


def _truth(env) -> tuple[np.ndarray, np.ndarray]:
    data = env.scene["robot"].data
    base = (data.root_link_pos_w.torch - env.scene.env_origins).numpy().astype(float)
    return base, env.state.current().joint_pos.numpy().astype(float)


def _copy(env, robot: MujocoRobot, index: int) -> MujocoRobot:
    """Put a robot into the state of a world."""
    data, (base, joints) = env.scene["robot"].data, _truth(env)
    x, y, z, w = data.root_link_quat_w.torch[index].tolist()
    _friction_as_damping(robot.model)
    robot.data.qpos[:7] = (*base[index], w, x, y, z)
    robot.data.qvel[:3] = data.root_link_lin_vel_w.torch[index].numpy()
    robot.data.qvel[3:6] = data.root_link_ang_vel_b.torch[index].numpy()
    robot.data.qpos[7:] = joints[index]
    robot.data.qvel[6:] = env.state.current().joint_vel[index].numpy()
    return robot


def _friction_as_damping(model: mujoco.MjModel) -> None:
    """The one thing in which training differs by intent, done to plain MuJoCo as the converted robot has it."""
    model.dof_damping += model.dof_frictionloss / FRICTION_SPEED
    model.dof_frictionloss[:] = 0.0
