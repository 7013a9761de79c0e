"""What a checkpoint says about the environment it was trained in: all that a policy contract needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from legged_cts.envs.builder import proprioception_terms, resolve_device
from legged_cts.envs.fit import action_scale
from legged_cts.envs.gait import task_gait
from legged_cts.envs.privileged import PRIVILEGED_GROUPS
from legged_cts.physics import resolve_physics
from legged_cts.robots.spec import load_robot


def task_info(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of ``env_info`` that a resolved configuration determines, as plain values.

    Joint values are in the order of ``joints``; angles in rad, gains in N m/rad and N m s/rad, times in s.
    """
    spec = load_robot(config["robot"])
    env = config["env"]
    actions = env["actions"]
    dt = float(env["sim"]["dt"])
    terms = proprioception_terms(config)
    scale = action_scale(actions["scale"], spec)
    gait = task_gait(env, spec)
    device = resolve_device(config["device"])
    return {
        "robot": spec.name,
        "robot_hash": spec.hash,
        "joints": list(spec.joints),
        "default_joint_pos": list(spec.nominal_pose),
        "stiffness": list(spec.stiffness),
        "damping": list(spec.damping),
        "effort_limit": list(spec.effort_limit),
        "proprioception_terms": [list(term) for term in terms],
        "proprioception": sum(size for _, size, _ in terms),
        "history_length": int(env["observations"]["history_length"]),
        "actions": len(spec.joints),
        "action_scale": list(scale) if isinstance(scale, tuple) else scale,
        "action_clip": float(actions["clip"]),
        "control_dt": int(env["decimation"]) * dt,
        "physics_dt": dt,
        "command_ranges": {
            name: [float(bound) for bound in env["commands"][name]] for name in ("lin_vel_x", "lin_vel_y", "ang_vel_z")
        },
        "gait": None if gait is None else dataclasses.asdict(gait) | {"offsets": list(gait.offsets)},
        "physics": resolve_physics(config["physics"], device),
        "device": device,
    }


def env_info(config: Mapping[str, Any], env: Any) -> dict[str, Any]:
    """Return ``env_info`` of a running environment.

    Raises:
        ValueError: If its observations are not what the configuration says.
    """
    info = task_info(config)
    obs = env.get_observations()
    n, history = info["proprioception"], info["history_length"]
    if obs["proprioception"].shape[1:] != (n,) or obs["history"].shape[1:] != (history, n):
        raise ValueError(
            f"env.observations: expected proprioception [{n}] and history [{history}, {n}], the environment gives "
            f"{list(obs['proprioception'].shape[1:])} and {list(obs['history'].shape[1:])}"
        )
    return info | {name: int(obs[name].shape[-1]) for name in PRIVILEGED_GROUPS if name in obs.keys()}
