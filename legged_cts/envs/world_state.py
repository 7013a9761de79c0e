"""The state and the physics of single worlds, read before something goes wrong and written to see it again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from legged_cts.mdp.events import set_friction

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv

State = dict[str, torch.Tensor]


def read_worlds(env: LeggedEnv) -> State:
    """Return copies of what the next control step of each world [N, ...] starts from, straight from the simulator.

    ``root_pose``: position and orientation XYZW of the base link, world frame; ``root_velocity``: velocity of the
    base's centre of mass [m/s, rad/s], world frame; ``joint_pos``, ``joint_vel``: in the spec's order [rad, rad/s];
    ``action``, ``previous_action``, ``target`` [rad]: of the last step, which still holds for ``delay_ticks``;
    ``command``: v_x, v_y, yaw rate; ``phase`` and ``stopped`` [s]: of the gait's clock, if there is one.
    """
    data, term = env.scene["robot"].data, env.joint_action
    state = {
        "root_pose": data.root_link_pose_w.torch,
        "root_velocity": data.root_com_vel_w.torch,
        "joint_pos": data.joint_pos.torch,
        "joint_vel": data.joint_vel.torch,
        "action": term.action,
        "previous_action": term.previous_action,
        "target": term.current_target,
        "delay_ticks": term.delay_ticks,
        "command": env.command,
    }
    if env.gait is not None:
        state["phase"], state["stopped"] = env.gait.phase, env.gait.stopped
    return {name: value.clone() for name, value in state.items()}


def write_world(env: LeggedEnv, world: int, state: Mapping[str, torch.Tensor]) -> None:
    """Put one world into a state that :func:`read_worlds` returned, given without the leading axis.

    What the solver remembers of the last step (the warm start) is not part of it.
    """
    robot, term, ids = env.scene["robot"], env.joint_action, torch.tensor([world], device=env.device)
    state = {name: value.to(env.device)[None] for name, value in state.items()}
    robot.write_root_pose_to_sim_index(root_pose=state["root_pose"], env_ids=ids)
    robot.write_root_velocity_to_sim_index(root_velocity=state["root_velocity"], env_ids=ids)
    robot.write_joint_position_to_sim_index(position=state["joint_pos"], env_ids=ids)
    robot.write_joint_velocity_to_sim_index(velocity=state["joint_vel"], env_ids=ids)
    term.action[ids], term.previous_action[ids] = state["action"], state["previous_action"]
    term.current_target[ids], term.delay_ticks[ids] = state["target"], state["delay_ticks"]
    env.command[ids] = state["command"]
    if env.gait is not None:
        env.gait.phase[ids] = state["phase"]
        env.gait.stopped[ids] = state.get("stopped", torch.inf)


def read_physics(env: LeggedEnv, world: int) -> State:
    """Return the physics of one world: bodies' masses [kg], inertias and centres of mass, joints' gains and armature,
    and what randomisation drew, under ``drawn_``."""
    data = env.scene["robot"].data
    with warnings.catch_warnings():
        # Newton has no orientation of the centre of mass and says so.
        warnings.simplefilter("ignore", UserWarning)
        com = data.body_com_pose_b.torch
    values = {
        "mass": data.body_mass.torch,
        "inertia": data.body_inertia.torch,
        "com": com,
        "stiffness": data.joint_stiffness.torch,
        "damping": data.joint_damping.torch,
        "armature": data.joint_armature.torch,
    }
    values |= {f"drawn_{name}": value for name, value in vars(env.physics_params).items()}
    return {name: value[world].cpu().clone() for name, value in values.items()}


def write_physics(env: LeggedEnv, physics: Mapping[str, torch.Tensor], friction: bool) -> None:
    """Give all worlds the physics that :func:`read_physics` returned.

    Args:
        env: The environment, without randomisation of its own.
        physics: Of one world.
        friction: Whether friction was randomised; else it is the engine's default and stays so.
    """
    robot = env.scene["robot"]
    values = {name: value.to(env.device).expand(env.num_envs, *value.shape) for name, value in physics.items()}
    values = {name: value.contiguous() for name, value in values.items()}
    robot.set_masses_index(masses=values["mass"])
    robot.set_inertias_index(inertias=values["inertia"])
    robot.set_coms_index(coms=values["com"])
    robot.write_joint_stiffness_to_sim_index(stiffness=values["stiffness"])
    robot.write_joint_damping_to_sim_index(damping=values["damping"])
    robot.write_joint_armature_to_sim_index(armature=values["armature"])
    for name, own in vars(env.physics_params).items():
        own.copy_(values[f"drawn_{name}"])
    if friction:
        set_friction(env, env.physics_params.friction)
