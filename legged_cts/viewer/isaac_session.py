"""A checkpoint in its own Isaac Lab environment, where the teacher's privileged observation exists."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch

from legged_cts.deploy.mujoco_robot import build_model
from legged_cts.deploy.robot import Array, yaw_of
from legged_cts.deploy.words import require
from legged_cts.envs.builder import resolve_device
from legged_cts.envs.freeze import solve_finely, undisturb
from legged_cts.envs.launch import make_env
from legged_cts.envs.privileged import resolve_privileged
from legged_cts.evaluation.policies import check_roles, checkpoint_policies
from legged_cts.models.policies import LatentPolicy, StudentPolicy
from legged_cts.robots.spec import load_robot
from legged_cts.robots.usd import cache_dir
from legged_cts.task.stages import changes
from legged_cts.terrain.heights import Heightfield
from legged_cts.training.checkpoint import latest_checkpoint, load_checkpoint, trained_steps
from legged_cts.training.compose import apply_overrides, plain
from legged_cts.training.stages import apply
from legged_cts.trust.plain import building
from legged_cts.viewer.session import Insight, Signals, State, World


@contextmanager
def isaac_session(
    checkpoint: str | Path,
    role: str = "student",
    physics: str = "auto",
    terrain: str | None = None,
    difficulty: float = 0.5,
    device: str = "auto",
    seed: int = 0,
) -> Iterator[IsaacSession]:
    """Starts the simulator with one environment, undisturbed and without noise.

    Args:
        checkpoint: file of a training run, or its folder.
        role: `student` or `teacher`.
        physics: engine, see `physics_cfg`.
        terrain: name of a terrain of the task tree; None is the one of the training.
        difficulty: 0 to 1; the highest level of a grid of terrains to start on.
        device: `auto`, `cpu` or a GPU.
        seed: of the environment.

    Raises:
        CheckpointError: if it cannot be read, or has no such role.
        ValueError: if there is no such terrain.
    """
    content = load_checkpoint(latest_checkpoint(checkpoint))
    with building("the task cannot be built from what the checkpoint says"):
        config = play_config(content["config"], physics, terrain, difficulty, device, seed)
        policies = checkpoint_policies(content, resolve_device(device))
    check_roles(policies, role)
    with make_env(config, log=cache_dir() / "setup.log") as env:
        yield IsaacSession(env, policies, content, config, role)


class IsaacSession:
    """One environment with the policies of a checkpoint, see `Simulation`; made by `isaac_session`.

    Args:
        env: rsl_rl's wrapper around the environment.
        policies: module per role, from an observation TensorDict to actions [1, d].
        checkpoint: where the policies come from.
        config: of the environment.
        role: which of the policies acts.
    """

    def __init__(
        self,
        env: Any,
        policies: Mapping[str, Any],
        checkpoint: Mapping[str, Any],
        config: Mapping[str, Any],
        role: str,
    ) -> None:
        self._env, self._robot = env, env.unwrapped.scene["robot"]
        self._command = env.unwrapped.command_manager.get_term("velocity")
        self._policies, self._trained_task = policies, self._task(checkpoint)
        self.spec = load_robot(config["robot"])
        self.control_dt = float(env.unwrapped.step_dt)
        # The environment was built with the weights of the stages that were reached by then.
        self._stages = len((checkpoint.get("stages") or {}).get("reached", ()))
        self._algorithm = config["algorithm"]["class_name"].rpartition(":")[2]
        self._begin(checkpoint)
        self.roles, self.role = tuple(self._policies), role
        self.world = World(config["terrain"]["name"])
        self.terrains = (self.world.terrain,)
        ground = heightfield(env.unwrapped.scene.terrain.heights)
        self.model = build_model(self.spec, 0.005, ground, friction=1.0, to_look_at=True)
        root = self.model.body_jntadr[self.model.body(self.spec.base).id]
        self._root = int(self.model.jnt_qposadr[root])
        self._joints = self.model.jnt_qposadr[[self.model.joint(joint).id for joint in self.spec.joints]]
        self._qpos = mujoco.MjData(self.model).qpos.copy()
        self.reset()

    def state(self) -> State:
        """The present state, see `Simulation.state`."""
        data = self._robot.data
        pose = data.root_link_pose_w.torch[0].cpu().numpy().astype(np.float64)
        qpos = self._qpos.copy()
        qpos[self._root : self._root + 3] = pose[:3]
        # XYZW in Isaac Lab, WXYZ in MuJoCo.
        qpos[self._root + 3 : self._root + 7] = quat = pose[[6, 3, 4, 5]]
        qpos[self._joints] = data.joint_pos.torch[0].cpu().numpy()
        linear = data.root_link_lin_vel_w.torch[0].cpu().numpy()
        yaw = yaw_of(quat)
        c, s = np.cos(yaw), np.sin(yaw)
        spin = float(data.root_link_ang_vel_w.torch[0, 2])
        velocity = np.array([c * linear[0] + s * linear[1], c * linear[1] - s * linear[0], spin])
        return State(qpos, pose[:3], velocity, self._fallen)

    def signals(self) -> Signals:
        """See `Simulation.signals`."""
        state = self._env.unwrapped.state
        values = (state.joint_pos, state.joint_torque.abs() / state.effort_limit, state.foot_contact)
        return Signals(*(value[0].cpu().numpy().copy() for value in values))

    def insight(self) -> Insight:
        """See `Simulation.insight`; a recurrent student has a latent of the present while it acts."""
        manager = self._env.unwrapped.reward_manager
        # Isaac Lab keeps what each term gave, weighted, per second.
        rewards = dict(zip(manager.active_terms, manager._step_reward[0].tolist(), strict=True))
        with torch.inference_mode():
            latents = {role: self._latent(policy) for role, policy in self._policies.items()}
        return Insight(rewards, {role: value for role, value in latents.items() if value is not None})

    def _latent(self, policy: Any) -> Array | None:
        """What a policy's encoder makes of the present observation [n]; None if it has no encoder."""
        if not isinstance(policy, LatentPolicy):
            return None
        context = policy.context(self._observation)
        if isinstance(policy, StudentPolicy) and policy.is_recurrent:
            return policy.advance(context, policy._kept_state(context))[0][0].cpu().numpy()
        return policy.latent(context)[0].cpu().numpy()

    def take(self, checkpoint: Mapping[str, Any], policies: Mapping[str, Any]) -> None:
        """Goes on with the networks of a later checkpoint of the same training; the robot and its history stay.

        Raises:
            ValueError: if it is of another training; the networks are then those of before.
        """
        if self._task(checkpoint) != self._trained_task:
            raise ValueError("it is of another task than the checkpoint that the viewer began with")
        shapes = [
            {name: value.shape for name, value in policy.state_dict().items()}
            for policy in (*self._policies.values(), *policies.values())
        ]
        half = len(self._policies)
        if tuple(policies) != self.roles or shapes[:half] != shapes[half:]:
            raise ValueError("its networks have other sizes than those that the viewer began with")
        for role, policy in self._policies.items():
            policy.load_state_dict(policies[role].state_dict())
        self._begin(checkpoint)

    @staticmethod
    def _task(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        """What stays the same as long as a training goes on; stages change the ranges of commands."""
        return {name: value for name, value in checkpoint["env_info"].items() if name != "command_ranges"}

    def _begin(self, checkpoint: Mapping[str, Any]) -> None:
        """Takes what a checkpoint says of the training: its age, its commands, and what its stages weigh."""
        reached = (checkpoint.get("stages") or {}).get("reached", ())
        for name in reached[self._stages :]:
            for key, value in changes(checkpoint["config"], name).items():
                if key.startswith("env.rewards."):
                    apply(self._env.unwrapped, None, key, value)
        self._stages = len(reached)
        ranges = checkpoint["env_info"]["command_ranges"]
        self.command_ranges = {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
        self.title = f"{self.spec.name}, {self._algorithm}, {trained_steps(checkpoint):,} steps"

    def step(self, command: Array) -> State:
        """One control period, see `Simulation.step`. A robot that falls starts anew at once."""
        self._give(command)
        policy = self._policies[self.role]
        with torch.inference_mode():
            self._observation, _, dones, _ = self._env.step(policy(self._observation))
            policy.reset(dones)
        self._fallen = bool(self._env.unwrapped.termination_manager.terminated[0])
        return self.state()

    def reset(self) -> State:
        """Starts anew, see `Simulation.reset`."""
        self._fallen = False
        with torch.inference_mode():
            self._observation = self._env.reset()[0]
            self._policies[self.role].reset()
        return self.state()

    def push(self, velocity: Array) -> None:
        """See `Simulation.push`."""
        with torch.inference_mode():
            changed = self._robot.data.root_com_vel_w.torch.clone()
            changed[:, :3] += torch.as_tensor(velocity, dtype=changed.dtype, device=changed.device)
            self._robot.write_root_velocity_to_sim_index(root_velocity=changed)

    def set_role(self, role: str) -> None:
        """Lets another role act from the next step on."""
        require("role", role, self.roles)
        self.role = role
        self._policies[role].reset()

    def set_world(self, world: World) -> None:
        """Refuses: the simulator builds its ground and robot once."""
        if world != self.world:
            raise ValueError("world: Isaac Lab builds it once; for another start again with terrain=... difficulty=...")

    def _give(self, command: Array) -> None:
        # The ranges too, so that a command drawn by a reset is this one.
        ranges = self._command.cfg.ranges
        ranges.lin_vel_x, ranges.lin_vel_y, ranges.ang_vel_z = ((float(value), float(value)) for value in command)
        target = self._command.vel_command_b
        target[:] = torch.as_tensor(command, dtype=target.dtype, device=target.device)


def play_config(
    config: Mapping[str, Any],
    physics: str,
    terrain: str | None,
    difficulty: float,
    device: str,
    seed: int,
) -> dict[str, Any]:
    """The configuration of a training run, changed for looking at one robot.

    Commands come from outside, episodes do not end by time, and nothing is random. The observations keep the sizes that
    the networks were trained with, whatever the terrain.

    Args:
        config: of the checkpoint.
        physics: engine.
        terrain: name of another terrain of the task tree, or None.
        difficulty: 0 to 1, of a grid of terrains.
        device: where to simulate.
        seed: of the environment.

    Raises:
        ValueError: if there is no such terrain.
    """
    task = copy.deepcopy(dict(config))
    env = task["env"]
    resolve_privileged(task)
    if terrain is not None:
        task = plain(apply_overrides(task, [f"terrain={terrain}"]))
        env = task["env"]
    if "levels" in task["terrain"]:
        task["terrain"]["initial_level"] = round(difficulty * (task["terrain"]["levels"] - 1))
    task |= {"physics": physics, "device": device}
    undisturb(task, seed)
    solve_finely(task)
    env["actions"]["delay_ms"] = [0]
    env["reset"] = {key: [0.0, 0.0] for key in env["reset"]}
    env["terminations"]["time_out"] = False
    return task


def heightfield(heights: Any) -> Heightfield | None:
    """The environment's ground as MuJoCo takes it; None is the plane.

    Args:
        heights: `TerrainHeights`, whose rows run along x and whose middle is the world's origin.
    """
    if heights.is_flat:
        return None
    return Heightfield(heights.grid.T.cpu().numpy().astype(np.float64), heights.spacing)
