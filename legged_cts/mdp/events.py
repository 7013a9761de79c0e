"""Randomised physics, resets and pushes. What is drawn is kept in ``env.physics_params`` for the teacher to see.

Only the articulation's public writers are used where they exist, so these terms run on every physics engine; Newton
hears of changed friction through its model-change flags.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import isaaclab.utils.math as math_utils
import torch
from isaaclab.envs import mdp as isaaclab_mdp
from isaaclab.managers import EventTermCfg, SceneEntityCfg

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv

Range = tuple[float, float]
FOOTPRINT = tuple(0.05 * step for x in range(-8, 9) for y in range(-8, 9) for step in (x, y))
"""Points beneath a robot that starts, x and y [m] by turns: a square of 0.8 m."""


def _uniform(shape: tuple[int, ...], bounds: Range, device: str) -> torch.Tensor:
    return torch.empty(shape, device=device).uniform_(*bounds)


def randomize_friction(env: LeggedEnv, env_ids: torch.Tensor | None, bounds: Range) -> None:
    """Draw one friction coefficient per environment, for all the robot's shapes."""
    value = _uniform((env.num_envs,), bounds, env.device)
    env.physics_params.friction.copy_(value)
    set_friction(env, value)


def set_friction(env: LeggedEnv, value: torch.Tensor) -> None:
    """Give all shapes of each robot a friction coefficient [N].

    MuJoCo takes the larger coefficient of a pair of shapes, so the ground's is set to zero and the robot's counts.
    """
    if not env.on_newton:
        _set_physx_friction(env, value)
        return
    import warp as wp
    from isaaclab_newton.physics import NewtonManager
    from newton import ModelFlags

    model = NewtonManager.get_model()
    friction: torch.Tensor = wp.to_torch(cast(wp.array, model.shape_material_mu))
    friction[wp.to_torch(cast(wp.array, model.shape_body)) < 0] = 0.0
    shapes = wp.to_torch(env.scene["robot"].root_view.get_attribute("shape_material_mu", model)[:, 0])
    shapes.copy_(value[:, None].expand_as(shapes))
    NewtonManager.add_model_change(ModelFlags.SHAPE_PROPERTIES)


def _set_physx_friction(env: LeggedEnv, value: torch.Tensor) -> None:
    # Isaac Lab's own term hides which material each environment got, so it is called once per environment with a
    # range of zero width.
    for index, friction in enumerate(value.tolist()):
        params: dict[str, Any] = {
            "asset_cfg": SceneEntityCfg("robot", body_names=".*"),
            "static_friction_range": (friction, friction),
            "dynamic_friction_range": (friction, friction),
            "restitution_range": (0.0, 0.0),
            "num_buckets": 1,
        }
        cfg = EventTermCfg(func=cast(Any, isaaclab_mdp.randomize_rigid_body_material), mode="startup", params=params)
        term = isaaclab_mdp.randomize_rigid_body_material(cfg, env)
        term(env, torch.tensor([index], device=env.device), **params)


def randomize_mass(
    env: LeggedEnv,
    env_ids: torch.Tensor | None,
    added: Range | None,
    base_scale: Range | None,
    link_scale: Range | None,
) -> None:
    """Scale every link's mass and inertia by its own factor, then add a mass to the base's centre of mass.

    What is added is drawn in kg (``added``), as a factor of the base's mass (``base_scale``), or both. It does not
    change the inertia about the centre, but a payload is not a point: the base's inertia grows with its mass, as a body
    of the same shape and higher density would.
    """
    robot = env.scene["robot"]
    default = robot.data.body_mass.torch.clone()
    base = robot.find_bodies(env.robot_spec.base)[0][0]
    mass = default.clone()
    if link_scale is not None:
        mass *= _uniform(tuple(mass.shape), link_scale, env.device)
    extra = torch.zeros(env.num_envs, device=env.device)
    if added is not None:
        extra += _uniform((env.num_envs,), added, env.device)
    if base_scale is not None:
        extra += (_uniform((env.num_envs,), base_scale, env.device) - 1.0) * default[:, base]
    env.physics_params.added_mass.copy_(extra)
    mass[:, base] += extra
    mass.clamp_(min=1.0e-3)
    inertia = robot.data.body_inertia.torch * (mass / default.clamp(min=1.0e-9))[..., None]
    robot.set_masses_index(masses=mass)
    robot.set_inertias_index(inertias=inertia)


def randomize_com(env: LeggedEnv, env_ids: torch.Tensor | None, bounds: Range) -> None:
    """Shift the base's centre of mass by a random vector, each component [m] within ``bounds``."""
    robot = env.scene["robot"]
    shift = _uniform((env.num_envs, 3), bounds, env.device)
    env.physics_params.com_shift.copy_(shift)
    base = robot.find_bodies(env.robot_spec.base)[0][0]
    with warnings.catch_warnings():
        # Newton has no orientation of the centre of mass and says so; PhysX has one, which must be kept.
        warnings.simplefilter("ignore", UserWarning)
        com = robot.data.body_com_pose_b.torch.clone()[:, base : base + 1]
    com[:, 0, :3] += shift
    robot.set_coms_index(coms=com, body_ids=[base])


def randomize_gains(
    env: LeggedEnv,
    env_ids: torch.Tensor | None,
    stiffness: Range | None,
    damping: Range | None,
    motor_strength: Range | None,
) -> None:
    """Scale each joint's gains; the motor's strength scales both of a joint's gains by one factor."""
    robot, params = env.scene["robot"], env.physics_params
    shape = tuple(params.stiffness_scale.shape)
    for scale, bounds in ((params.stiffness_scale, stiffness), (params.damping_scale, damping)):
        if bounds is not None:
            scale.mul_(_uniform(shape, bounds, env.device))
    if motor_strength is not None:
        strength = _uniform(shape, motor_strength, env.device)
        params.stiffness_scale.mul_(strength)
        params.damping_scale.mul_(strength)
    robot.write_joint_stiffness_to_sim_index(stiffness=robot.data.joint_stiffness.torch * params.stiffness_scale)
    robot.write_joint_damping_to_sim_index(damping=robot.data.joint_damping.torch * params.damping_scale)


def randomize_armature(env: LeggedEnv, env_ids: torch.Tensor | None, bounds: Range) -> None:
    """Scale each joint's armature."""
    robot, params = env.scene["robot"], env.physics_params
    params.armature_scale.copy_(_uniform(tuple(params.armature_scale.shape), bounds, env.device))
    robot.write_joint_armature_to_sim_index(armature=robot.data.joint_armature.torch * params.armature_scale)


def randomize_joint_zero(env: LeggedEnv, env_ids: torch.Tensor | None, bounds: Range) -> None:
    """Give each joint's encoder a constant error [rad], which shifts observations and targets alike."""
    params = env.physics_params
    params.joint_zero.copy_(_uniform(tuple(params.joint_zero.shape), bounds, env.device))


def reset_base(env: LeggedEnv, env_ids: torch.Tensor | slice, position: Range, yaw: Range, velocity: Range) -> None:
    """Put robots near the middle of their sub-terrain, upright, just above the highest ground beneath them.

    Whatever the ground, no part of the robot starts inside it; on level ground the feet touch it.

    Args:
        env: The environment.
        env_ids: Which robots.
        position: Range of the offset from the middle along x and y [m].
        yaw: Range of the heading [rad].
        velocity: Range of each linear [m/s] and angular [rad/s] velocity.
    """
    robot, heights = env.scene["robot"], env.terrain.heights
    axes = ("x", "y", "z", "roll", "pitch", "yaw")
    default = robot.data.default_root_pose.torch[env_ids]
    bounds = {"x": position, "y": position, "yaw": yaw}
    offset = math_utils.sample_uniform_from_ranges(bounds, axes, len(default), device=env.device)
    place = default[:, :3] + env.scene.env_origins[env_ids] + offset[:, :3]
    if not heights.is_flat:
        around = place[:, None, :2] + env.constant(FOOTPRINT).view(1, -1, 2)
        place[:, 2] = default[:, 2] + heights.sample(around).amax(dim=1)
    turn = math_utils.quat_from_euler_xyz(offset[:, 3], offset[:, 4], offset[:, 5])
    pose = torch.cat([place, math_utils.quat_mul(default[:, 3:7], turn)], dim=-1)
    speed = math_utils.sample_uniform_from_ranges(dict.fromkeys(axes, velocity), axes, len(default), device=env.device)
    robot.write_root_pose_to_sim_index(root_pose=pose, env_ids=env_ids)
    robot.write_root_velocity_to_sim_index(
        root_velocity=robot.data.default_root_vel.torch[env_ids] + speed, env_ids=env_ids
    )


def reset_joints(env: LeggedEnv, env_ids: torch.Tensor | slice, position: Range, velocity: Range) -> None:
    """Put joints at the nominal pose plus a random offset [rad], with a random velocity [rad/s]."""
    robot, spec = env.scene["robot"], env.robot_spec
    default = env.state.default_joint_pos
    shape = (env.state.joint_pos[env_ids].shape[0], default.shape[0])
    angle = default + _uniform(shape, position, env.device)
    angle = torch.clamp(angle, env.constant(spec.joint_lower), env.constant(spec.joint_upper))
    robot.write_joint_position_to_sim_index(position=angle, env_ids=env_ids)
    robot.write_joint_velocity_to_sim_index(velocity=_uniform(shape, velocity, env.device), env_ids=env_ids)


def push(env: LeggedEnv, env_ids: torch.Tensor | slice, lin_vel: float, ang_vel: float) -> None:
    """Change the base's horizontal velocity [m/s] and yaw rate [rad/s] at once, as a shove would."""
    robot = env.scene["robot"]
    velocity = robot.data.root_com_vel_w.torch[env_ids].clone()
    change = torch.empty(velocity.shape[0], 3, device=env.device).uniform_(-1.0, 1.0)
    change *= env.constant((lin_vel, lin_vel, ang_vel))
    velocity[:, :2] += change[:, :2]
    velocity[:, 5] += change[:, 2]
    env.push_velocity[env_ids] = change
    robot.write_root_velocity_to_sim_index(root_velocity=velocity, env_ids=env_ids)
