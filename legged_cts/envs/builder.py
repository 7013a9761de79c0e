"""One builder: robot spec + composed Hydra configuration -> Isaac Lab environment configuration."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import isaaclab.sim as sim_utils
from isaaclab.actuators import ImplicitActuatorCfg
from isaaclab.assets import ArticulationCfg, AssetBaseCfg
from isaaclab.managers import (
    CurriculumTermCfg,
    EventTermCfg,
    ObservationGroupCfg,
    ObservationTermCfg,
    TerminationTermCfg,
)
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sensors import ContactSensorCfg
from isaaclab.sim import SimulationCfg
from isaaclab.terrains import TerrainImporterCfg
from isaaclab.utils import configclass
from omegaconf import DictConfig, OmegaConf

from legged_cts.envs.env import LeggedEnvCfg
from legged_cts.envs.fit import action_scale, check_task_and_robot
from legged_cts.envs.gait import task_gait
from legged_cts.envs.morphology import TASKS
from legged_cts.envs.own_terms import own_events, own_observations, own_terminations
from legged_cts.envs.privileged import SCAN_GROUP
from legged_cts.envs.rewards import reward_terms
from legged_cts.envs.terrain import terrain_cfg
from legged_cts.mdp import events
from legged_cts.mdp import observations as obs
from legged_cts.mdp.actions import DelayedJointPositionActionCfg
from legged_cts.mdp.commands import AcrossVelocityCommandCfg
from legged_cts.mdp.curriculum import TerrainLevels
from legged_cts.mdp.terminations import TERMINATIONS, TIME_OUTS
from legged_cts.physics import physics_cfg, resolve_physics
from legged_cts.robots.proprioception import layout
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.robots.usd import usd_path
from legged_cts.task.stages import staged_rewards

AUTO_NUM_ENVS = {"cpu": 512, "cuda": 4096}
"""Environments where the configuration says ``auto``, by kind of device."""


def resolve_device(device: str) -> str:
    """Return the device for ``auto``: the first GPU if there is one, else the CPU.

    Raises:
        ValueError: If a GPU is asked for that is not there.
    """
    if device == "cpu":
        return device
    import torch

    if device != "auto":
        index, count = int(device.partition(":")[2] or 0), torch.cuda.device_count()
        if index >= count:
            has = f"{count} GPUs" if count else "no GPU"
            raise ValueError(f"device={device}: torch sees {has} here; give device=cpu, or install torch for CUDA")
        return device
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def resolve_num_envs(num_envs: Any, device: str) -> int:
    """Return the number of environments, ``auto`` being one that suits the device."""
    return AUTO_NUM_ENVS["cpu" if device == "cpu" else "cuda"] if num_envs == "auto" else num_envs


def build_env_cfg(cfg: DictConfig | Mapping[str, Any]) -> LeggedEnvCfg:
    """Build the environment's configuration.

    Args:
        cfg: The composed configuration (``tasks/train.yaml`` or alike).

    Raises:
        ValueError: Naming the key, if a name in the configuration is unknown or a value is out of range.
    """
    task: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(cfg), resolve=True)  # type: ignore[assignment]
    env = task["env"]
    spec = check_task_and_robot(task)
    device = resolve_device(task["device"])
    gait = task_gait(env, spec)
    rewards = reward_terms(env["rewards"], spec, gait, staged_rewards(task))
    events_cfg = _events(env, spec)
    terrain = terrain_cfg(task["terrain"], resolve_physics(task["physics"], device))
    scene = SceneCfg(
        num_envs=resolve_num_envs(env["scene"]["num_envs"], device),
        env_spacing=float(env["scene"]["env_spacing"]),
    )
    scene.terrain = terrain
    scene.terrain.env_spacing = scene.env_spacing
    scene.robot = _articulation(spec)
    scene.contact_forces = _contact_sensor(spec, track_air_time="feet_air_time" in rewards)
    dt, decimation = float(env["sim"]["dt"]), int(env["decimation"])
    scene.contact_forces.update_period = dt
    levels = bool(env["curriculum"]["terrain_levels"]) and terrain.terrain_type == "generator"
    return LeggedEnvCfg(
        robot=str(task["robot"]),
        gait=None if gait is None else dataclasses.asdict(gait),
        seed=task["seed"],
        decimation=decimation,
        episode_length_s=float(env["episode_length_s"]),
        sim=SimulationCfg(
            device=device,
            dt=dt,
            render_interval=decimation,
            physics=physics_cfg(task["physics"], device, task.get("solver")),
            use_newton_actuators=True,
            physics_material=_ground_material(),
        ),
        scene=scene,
        observations=_observations(env["observations"], terrain.terrain_type == "generator"),
        actions=_named(Terms(), joint_pos=_action(env["actions"], spec)),
        commands=_named(Terms(), velocity=_command(env["commands"])),
        rewards=_named(Terms(), **rewards),
        terminations=_named(Terms(), **_terminations(env["terminations"])),
        events=_named(Terms(), **events_cfg),
        curriculum=_named(Terms(), **_curriculum(levels)),
    )


def _curriculum(levels: bool) -> dict[str, CurriculumTermCfg]:
    return {"terrain_levels": CurriculumTermCfg(func=cast(Any, TerrainLevels))} if levels else {}


@configclass
class Terms:
    """Terms of a manager, set as attributes: which ones there are is only known when the task is composed."""


@configclass
class Group(ObservationGroupCfg):
    """An observation group whose terms are set as attributes."""


def _named(node: Any, **terms: Any) -> Any:
    for name, term in terms.items():
        if hasattr(node, name):
            raise ValueError(f"'{name}' cannot name a term of your own, for Isaac Lab has it; take another")
        setattr(node, name, term)
    return node


@configclass
class SceneCfg(InteractiveSceneCfg):
    """Ground, robot, contact sensor and a light."""

    terrain: TerrainImporterCfg | None = None
    robot: ArticulationCfg | None = None
    contact_forces: ContactSensorCfg | None = None
    light: AssetBaseCfg = AssetBaseCfg(
        prim_path="/World/light",
        spawn=sim_utils.DistantLightCfg(intensity=3000.0, color=(0.75, 0.75, 0.75)),
    )


def _ground_material() -> sim_utils.RigidBodyMaterialCfg:
    # PhysX multiplies the two coefficients, so that the robot's randomised one is the friction.
    return sim_utils.RigidBodyMaterialCfg(
        friction_combine_mode="multiply", restitution_combine_mode="multiply", static_friction=1.0, dynamic_friction=1.0
    )


def _articulation(spec: RobotSpec) -> ArticulationCfg:
    actuators = {}
    armature = dict(zip(spec.joints, spec.armature, strict=True))
    effort = dict(zip(spec.joints, spec.effort_limit, strict=True))
    for group in spec.actuators:
        actuators[group.name] = ImplicitActuatorCfg(
            joint_names_expr=[re.escape(joint) for joint in group.joints],
            stiffness=group.stiffness,
            damping=group.damping,
            actuator_velocity_limit=group.velocity_limit,
            joint_effort_limit={re.escape(joint): effort[joint] for joint in group.joints},
            armature={re.escape(joint): armature[joint] for joint in group.joints},
        )
    return ArticulationCfg(
        prim_path="{ENV_REGEX_NS}/Robot",
        spawn=sim_utils.UsdFileCfg(
            usd_path=str(usd_path(spec)),
            activate_contact_sensors=True,
            articulation_props=sim_utils.ArticulationRootPropertiesCfg(enabled_self_collisions=False),
        ),
        init_state=ArticulationCfg.InitialStateCfg(
            pos=(0.0, 0.0, spec.nominal_height + 0.01),
            joint_pos={re.escape(j): p for j, p in zip(spec.joints, spec.nominal_pose, strict=True)},
            joint_vel={".*": 0.0},
        ),
        joint_ordering=list(spec.joints),
        actuators=actuators,
    )


def _contact_sensor(spec: RobotSpec, track_air_time: bool) -> ContactSensorCfg:
    bodies = "|".join(re.escape(body) for body in (*spec.feet, *spec.penalized_contacts, spec.base))
    # A converted MJCF nests its bodies: Newton matches the whole path, so they are looked for at any depth; PhysX
    # splits the expression at its slashes and matches the last part with the name alone.
    return ContactSensorCfg(
        prim_path=r"{ENV_REGEX_NS}/Robot/.*\b(?:" + bodies + ")",
        track_air_time=track_air_time,
        force_threshold=1.0,
    )


def _action(node: dict[str, Any], spec: RobotSpec) -> DelayedJointPositionActionCfg:
    return DelayedJointPositionActionCfg(
        scale=action_scale(node["scale"], spec),
        clip=float(node["clip"]),
        delay_ms=[float(delay) for delay in node["delay_ms"]],
    )


def _observations(node: dict[str, Any], uneven: bool) -> Terms:
    length = int(node["history_length"])
    noise = {name: float(width) for name, width in node["noise"].items() if name != "enabled"}
    if not node["noise"].get("enabled", True):
        noise = {}
    frame = ObservationTermCfg(
        func=cast(Any, obs.ProprioceptiveFrame), params={"scales": dict(node["scales"]), "noise": noise}
    )
    own = own_observations(node["privileged"])
    wanted = {name: uneven if use == "auto" else bool(use) for name, use in node["privileged"].items()}
    terms = tuple(name for name in obs.PRIVILEGED if wanted.get(name))
    privileged = ObservationTermCfg(func=obs.privileged, params={"terms": terms})
    scan = (
        {SCAN_GROUP: _named(Group(), heights=ObservationTermCfg(func=obs.height_scan))}
        if wanted.get(SCAN_GROUP)
        else {}
    )
    return _named(
        Terms(),
        history=_named(Group(history_length=length, flatten_history_dim=False), frame=frame),
        proprioception=_named(Group(), frame=ObservationTermCfg(func=obs.newest_frame)),
        privileged=_named(Group(), state=privileged, **own),
        **scan,
    )


def _command(node: dict[str, Any]) -> AcrossVelocityCommandCfg:
    heading = float(node["heading"])
    resampling = float(node["resampling_s"])
    return AcrossVelocityCommandCfg(
        across=float(node.get("across", 0.0)),  # checkpoints of before have none
        asset_name="robot",
        resampling_time_range=(resampling, resampling),
        rel_standing_envs=float(node["zero_probability"]),
        rel_heading_envs=heading,
        heading_command=heading > 0.0,
        heading_control_stiffness=float(node["heading_stiffness"]),
        debug_vis=False,
        ranges=AcrossVelocityCommandCfg.Ranges(
            lin_vel_x=_range(node["lin_vel_x"]),
            lin_vel_y=_range(node["lin_vel_y"]),
            ang_vel_z=_range(node["ang_vel_z"]),
            heading=(-math.pi, math.pi) if heading else None,
        ),
    )


def _terminations(node: dict[str, Any]) -> dict[str, TerminationTermCfg]:
    terms = {}
    # nan_state goes first: it reads the state anew and clears what the others must not see.
    for name, function in TERMINATIONS.items():
        params = node.get(name, False)
        if params is False or params is None:
            continue
        params = {} if params is True else dict(params)
        terms[name] = TerminationTermCfg(func=function, params=params, time_out=name in TIME_OUTS)
    return terms | own_terminations(node)


def _events(env: dict[str, Any], spec: RobotSpec) -> dict[str, EventTermCfg]:
    drawn: dict[str, Any] = defaultdict(lambda: None)
    drawn |= {name: _range(bounds) for name, bounds in env["randomization"].items() if bounds is not None}
    terms: dict[str, EventTermCfg] = {}

    def startup(name: str, function: Any, **params: Any) -> None:
        if any(value is not None for value in params.values()):
            terms[name] = EventTermCfg(func=function, mode="startup", params=params)

    startup("friction", events.randomize_friction, bounds=drawn["friction"])
    masses = {"added": "added_mass", "base_scale": "base_mass_scale", "link_scale": "link_mass_scale"}
    startup("mass", events.randomize_mass, **{word: drawn[key] for word, key in masses.items()})
    startup("com", events.randomize_com, bounds=drawn["com_shift"])
    startup(
        "gains",
        events.randomize_gains,
        stiffness=drawn["stiffness_scale"],
        damping=drawn["damping_scale"],
        motor_strength=drawn["motor_strength"],
    )
    startup("armature", events.randomize_armature, bounds=drawn["armature_scale"])
    startup("joint_zero", events.randomize_joint_zero, bounds=drawn["joint_zero"])

    reset = env["reset"]
    terms["reset_base"] = EventTermCfg(
        func=events.reset_base,
        mode="reset",
        params={key: _range(reset[key]) for key in ("position", "yaw", "velocity")},
    )
    terms["reset_joints"] = EventTermCfg(
        func=events.reset_joints,
        mode="reset",
        params={
            "position": _range(reset["joint_pos"]),
            "velocity": _range(reset["joint_vel"]),
        },
    )
    pushes = env["pushes"]
    if pushes["enabled"]:
        terms["push"] = EventTermCfg(
            func=events.push,
            mode="interval",
            interval_range_s=_range(pushes["interval_s"]),
            params={"lin_vel": float(pushes["lin_vel"]), "ang_vel": float(pushes["ang_vel"])},
        )
    own = own_events(env.get("events"))  # checkpoints of before have none
    for name in own:
        if name in terms:
            raise ValueError(f"env.events.{name}: there is an event of this name; take another")
    return terms | own


def _range(bounds: Sequence[float]) -> tuple[float, float]:
    low, high = bounds
    return float(low), float(high)


def proprioception_terms(cfg: DictConfig | Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """Return (name, size, scale) of the terms of o_t in order, for the policy contract.

    Args:
        cfg: The composed configuration.
    """
    spec = load_robot(cfg["robot"])
    gait = task_gait(cfg["env"], spec) is not None
    return layout(len(spec.joints), cfg["env"]["observations"]["scales"], gait)


def tasks_dir() -> Path:
    """Return the folder of the Hydra tree, ``tasks``.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not (TASKS / "train.yaml").is_file():
        raise FileNotFoundError(f"no task configurations at {TASKS}")
    return TASKS
