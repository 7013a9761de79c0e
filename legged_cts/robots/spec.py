"""The robot spec: what an MJCF cannot say about a robot, checked against its MJCF."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mujoco

from legged_cts import beside
from legged_cts.robots.fields import LARGEST, Fields, RobotSpecError, suggest
from legged_cts.robots.mjcf import fused_mjspec
from legged_cts.robots.mjcf_check import check_mjcf, check_model
from legged_cts.trust.plain import check_identifier, one_line, read_bounded
from legged_cts.trust.yaml_file import MAX_BYTES, parse_yaml

__all__ = ["MORPHOLOGIES", "ActuatorSpec", "RobotSpec", "RobotSpecError", "assets_dir", "load_robot"]

_FIELDS = (
    "name mjcf morphology base feet penalized_contacts joints nominal_pose nominal_height actuators action_scale mirror"
).split()
# A group of actuators gives its gains, or what they are derived from.
_GAINS = ("stiffness", "damping")
_DERIVED = ("natural_frequency", "damping_ratio")
# A gait: on four or more legs, on two point feet (it cannot stand still), on two flat feet.
MORPHOLOGIES = ("quadruped", "point_foot_biped", "humanoid")


@dataclass(frozen=True)
class ActuatorSpec:
    """A group of equal actuators.

    A spec may give a natural frequency f [Hz] and a damping ratio z instead of gains: with the armature I, the
    stiffness is then I (2 pi f)^2 and the damping 2 z I (2 pi f).
    """

    name: str
    joints: tuple[str, ...]  # that it drives, in the order of the robot's joints
    stiffness: float  # [N m/rad]
    damping: float  # [N m s/rad]
    velocity_limit: float  # no-load speed [rad/s]


@dataclass(frozen=True)
class RobotSpec:
    """A robot: names, nominal pose, actuators and mirror map, with the limits and masses of its MJCF.

    Per-joint tuples follow `joints`, the order of observations, actions and exported policies. Units are SI: rad,
    N m, N m/rad, N m s/rad, kg m^2, m, kg. `mirror_swap` maps each joint to its partner on the other side (itself if it
    lies in the middle), and a mirrored joint value is ``mirror_sign[joint] * value[mirror_swap[joint]]``. `locked` maps
    the joints of the MJCF that are held for good to their angle; they are no `joints` and have no actuator.
    `legged_cts.robots.mjcf` makes the model in which they are fused.
    """

    name: str
    mjcf: Path
    morphology: str
    base: str
    feet: tuple[str, ...]
    penalized_contacts: tuple[str, ...]
    joints: tuple[str, ...]
    nominal_pose: tuple[float, ...]
    stiffness: tuple[float, ...]
    damping: tuple[float, ...]
    velocity_limit: tuple[float, ...]
    effort_limit: tuple[float, ...]
    armature: tuple[float, ...]
    joint_lower: tuple[float, ...]
    joint_upper: tuple[float, ...]
    nominal_height: float
    action_scale: float
    total_mass: float
    actuators: tuple[ActuatorSpec, ...]
    mirror_swap: dict[str, str]
    mirror_sign: dict[str, float]
    hash: str
    locked: dict[str, float] = field(default_factory=dict)


def assets_dir() -> Path:
    """Return the folder of `robots/` and `policies/`, inside an installed wheel or beside the package in a clone.

    `LEGGED_CTS_ASSETS` names another one. Raises a FileNotFoundError if there is no such folder.
    """
    override = os.environ.get("LEGGED_CTS_ASSETS")
    folder = Path(override) if override else beside("assets")
    if folder.is_dir():
        return folder
    raise FileNotFoundError(
        f"no assets folder at {folder}: set LEGGED_CTS_ASSETS to a folder with robots/ in it, or name a robot by the "
        "path of its robot.yaml"
    )


def load_robot(name_or_path: str | Path) -> RobotSpec:
    """Load a robot spec and check it against its MJCF.

    Args:
        name_or_path: Name of a folder of `assets/robots`, or a path to anyone's robot.yaml or its folder. A string is a
            path if it has a path separator or ends in .yaml or .yml.

    Raises:
        RobotSpecError: If there is no such robot, or its spec or MJCF is wrong.
        FileNotFoundError: If a robot is asked for by name and there is no assets folder.
    """
    path = _spec_path(name_or_path)
    try:
        text = read_bounded(path, MAX_BYTES)
        content = parse_yaml(text)
    except OSError as error:
        raise RobotSpecError(f"{path}: cannot read the robot spec: {error.strerror}") from error
    except ValueError as error:
        raise RobotSpecError(f"{path}: {error}") from error
    return _Parser(path, text, content).parse()


def _spec_path(name_or_path: str | Path) -> Path:
    name = str(name_or_path)
    separated = any(separator in name for separator in (os.sep, os.altsep) if separator)
    if separated or isinstance(name_or_path, Path) or name.endswith((".yaml", ".yml")):
        path = Path(name_or_path).expanduser()
        if path.suffix in (".xml", ".urdf", ".mjcf", ".xacro"):
            raise RobotSpecError(f"{path}: no robot.yaml; give the one beside it, or draft one: new_robot.py {path}")
        return path / "robot.yaml" if path.is_dir() else path
    robots = assets_dir() / "robots"
    known = sorted(path.parent.name for path in robots.glob("*/robot.yaml"))
    if name not in known:
        raise RobotSpecError(f"{robots}: no robot named {name!r}{suggest(name, known)}")
    return robots / name / "robot.yaml"


class _Parser(Fields):
    """Reads one robot.yaml."""

    def __init__(self, path: Path, text: bytes, content: object):
        super().__init__(path)
        self.text = text
        self.content = self.mapping("", content)

    def parse(self) -> RobotSpec:
        content = self.content
        self.fields("", content, _FIELDS, "locked")
        try:
            name = check_identifier("name", content["name"])
        except ValueError as error:
            self.fail("", str(error))
        morphology = self.member("morphology", content["morphology"], MORPHOLOGIES)
        mjcf, model = self.model()
        bodies = [model.body(i).name for i in range(1, model.nbody)]
        base = self.base(model, bodies)
        feet = self.members("feet", content["feet"], bodies)
        self.colliding(model, feet)
        penalized = self.members("penalized_contacts", content["penalized_contacts"], bodies, empty=True)
        for body in penalized:
            self.need(body not in feet, "penalized_contacts", f"{body!r} is a foot, which must touch the ground")
        locked = self.locked(model, mjcf)
        joints = self.joints(model, locked)
        lower, upper, effort, armature = self.limits(model, joints)
        pose = self.pose(joints, lower, upper)
        actuators = self.actuators(joints, armature)
        swap, sign = self.mirror(pose, locked)
        driver = {joint: actuator for actuator in actuators for joint in actuator.joints}
        return RobotSpec(
            name=name,
            mjcf=mjcf,
            morphology=morphology,
            base=base,
            feet=feet,
            penalized_contacts=penalized,
            joints=joints,
            nominal_pose=tuple(pose.values()),
            stiffness=tuple(driver[joint].stiffness for joint in joints),
            damping=tuple(driver[joint].damping for joint in joints),
            velocity_limit=tuple(driver[joint].velocity_limit for joint in joints),
            effort_limit=effort,
            armature=armature,
            joint_lower=lower,
            joint_upper=upper,
            nominal_height=self.number("nominal_height", content["nominal_height"], positive=True),
            action_scale=self.number("action_scale", content["action_scale"], positive=True),
            total_mass=float(model.body_mass.sum()),
            actuators=actuators,
            mirror_swap=swap,
            mirror_sign=sign,
            locked=locked,
            hash=hashlib.sha256(self.text + mjcf.read_bytes()).hexdigest()[:16],
        )

    # What the MJCF says.

    def model(self) -> tuple[Path, mujoco.MjModel]:
        mjcf = (self.path.parent / self.string("mjcf", self.content["mjcf"])).resolve()
        if not mjcf.is_file():
            siblings = sorted(path.name for path in self.path.parent.glob("*.xml"))
            self.fail("mjcf", f"no file {str(mjcf)!r}{suggest(mjcf.name, siblings)}")
        try:
            check_mjcf(mjcf)
            model = mujoco.MjModel.from_xml_path(str(mjcf))
            check_model(model)
            return mjcf, model
        except (ValueError, OSError, MemoryError, mujoco.FatalError) as error:
            self.fail("mjcf", f"MuJoCo cannot load {str(mjcf)!r}: {one_line(error)}")

    def base(self, model: mujoco.MjModel, bodies: Sequence[str]) -> str:
        base = self.member("base", self.content["base"], bodies)
        free = [model.body(body).name for body in model.jnt_bodyid[model.jnt_type == mujoco.mjtJoint.mjJNT_FREE]]
        message = f"{base!r} must carry the MJCF's only free joint; bodies with one: {free or 'none'}"
        self.need(free == [base], "base", message)
        return base

    def colliding(self, model: mujoco.MjModel, feet: Sequence[str]) -> None:
        solid = set(model.geom_bodyid[(model.geom_contype | model.geom_conaffinity) != 0].tolist())
        for foot in feet:
            message = f"{foot!r} has no collision geom (all its contype and conaffinity are 0)"
            self.need(model.body(foot).id in solid, "feet", message)

    def locked(self, model: mujoco.MjModel, mjcf: Path) -> dict[str, float]:
        content = self.mapping("locked", self.content.get("locked", {}), empty=True)
        known = {model.joint(i).name: int(model.jnt_type[i]) for i in range(model.njnt)}
        hinges = [joint for joint, kind in known.items() if kind == mujoco.mjtJoint.mjJNT_HINGE]
        for pattern in content:
            if pattern in known and pattern not in hinges:
                self.fail("locked", f"{pattern!r} is not a hinge; only hinges can be locked{suggest(pattern, hinges)}")
        locked = self.values("locked", content, hinges, some=True)
        for joint, angle in locked.items():
            lower, upper = model.joint(joint).range
            message = f"{joint!r} at {angle} rad is outside its limits [{lower}, {upper}]"
            self.need(not model.jnt_limited[model.joint(joint).id] or lower <= angle <= upper, "locked", message)
        try:
            # Fused only to fail here, with the name of the file, and not where the model is used.
            fused_mjspec(mjcf, locked).compile()
        except ValueError as error:
            self.fail("locked", f"these joints cannot be fused: {error}")
        return locked

    def joints(self, model: mujoco.MjModel, locked: Mapping[str, float]) -> tuple[str, ...]:
        known = [model.joint(i).name for i in range(model.njnt) if model.jnt_type[i] != mujoco.mjtJoint.mjJNT_FREE]
        joints = self.members("joints", self.content["joints"], known)
        for joint in joints:
            self.need(joint not in locked, "joints", f"{joint!r} is also locked; name it under one of the two")
        absent = [joint for joint in known if joint not in joints and joint not in locked]
        message = f"the MJCF also has {absent}; list every joint, lock it, or remove it from the MJCF"
        self.need(not absent, "joints", message)
        for joint in joints:
            hinge = model.joint(joint).type[0] == mujoco.mjtJoint.mjJNT_HINGE
            self.need(hinge, "joints", f"{joint!r} is not a hinge; only hinges are supported")
        return joints

    def limits(self, model: mujoco.MjModel, joints: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        rows = []
        for joint in joints:
            index = model.joint(joint).id
            self.need(
                model.jnt_limited[index], "joints", f'{joint!r} has no range in the MJCF; add range="lower upper"'
            )
            limited, (low, high) = model.jnt_actfrclimited[index], model.jnt_actfrcrange[index]
            message = f"{joint!r} has the torque limit {high:g} N m in the MJCF; it must be above 0"
            self.need(0 < high <= LARGEST or not limited, "joints", message)
            message = f'{joint!r} needs a symmetric actuatorfrcrange="-limit limit" [N m] in the MJCF'
            self.need(limited and math.isclose(-low, high), "joints", message)
            rows.append((*model.jnt_range[index], high, model.dof_armature[model.jnt_dofadr[index]]))
        return tuple(tuple(float(value) for value in column) for column in zip(*rows, strict=True))

    # What the spec adds.

    def pose(self, joints: Sequence[str], lower: Sequence[float], upper: Sequence[float]) -> dict[str, float]:
        pose = self.values("nominal_pose", self.content["nominal_pose"], joints)
        for joint, low, high in zip(joints, lower, upper, strict=True):
            message = f"{joint!r} at {pose[joint]} rad is outside its limits [{low}, {high}]"
            self.need(low <= pose[joint] <= high, "nominal_pose", message)
        return pose

    def actuators(self, joints: Sequence[str], armature: Sequence[float]) -> tuple[ActuatorSpec, ...]:
        groups = self.mapping("actuators", self.content["actuators"])
        patterns = []
        for name, group in groups.items():
            field = f"actuators.{name}"
            gains = _DERIVED if any(key in self.mapping(field, group) for key in _DERIVED) else _GAINS
            self.fields(field, group, ("joints", *gains, "velocity_limit"))
            patterns += [(pattern, name) for pattern in self.strings(f"{field}.joints", group["joints"])]
        found = self.match("actuators", patterns, joints)
        actuators = []
        for name, group in groups.items():
            inertia = {joint: value for joint, value in zip(joints, armature, strict=True) if found[joint] == name}
            stiffness, damping = self.gains(f"actuators.{name}", group, inertia)
            limit = self.number(f"actuators.{name}.velocity_limit", group["velocity_limit"], positive=True)
            actuators.append(ActuatorSpec(name, tuple(inertia), stiffness, damping, limit))
        return tuple(actuators)

    def gains(self, field: str, group: Mapping[str, Any], armature: Mapping[str, float]) -> tuple[float, float]:
        """Read the two gains, or derive them from the armature, which must then be the same for the whole group."""
        if "stiffness" in group:
            stiffness = self.number(f"{field}.stiffness", group["stiffness"], positive=True)
            return stiffness, self.number(f"{field}.damping", group["damping"], minimum=0.0)
        where = f"{field}.natural_frequency"
        frequency = self.number(where, group["natural_frequency"], positive=True)
        ratio = self.number(f"{field}.damping_ratio", group["damping_ratio"], minimum=0.0)
        (first, inertia), *others = armature.items()
        for joint, value in others:
            message = f"{first!r} has the armature {inertia} and {joint!r} has {value} in the MJCF; split the group"
            self.need(value == inertia, where, message)
        self.need(inertia > 0, where, f"{first!r} has no armature [kg m^2] in the MJCF")
        speed = 2 * math.pi * frequency
        return inertia * speed**2, 2 * ratio * inertia * speed

    def mirror(self, pose: Mapping[str, float], locked: Mapping[str, float]) -> tuple[dict[str, str], dict[str, float]]:
        mirror = self.mapping("mirror", self.content["mirror"])
        self.fields("mirror", mirror, ("swap", "sign"))
        hinges = [*pose, *locked]
        swap = self.swap(self.mapping("mirror.swap", mirror["swap"], empty=True), hinges)
        for joint in pose:
            self.need(
                swap[joint] not in locked, "locked", f"{swap[joint]!r} is locked, but its mirror {joint!r} is not"
            )
        sign = self.values("mirror.sign", mirror["sign"], hinges)
        for joint, partner in swap.items():
            one = sign[joint]
            self.need(one in (-1.0, 1.0), "mirror.sign", f"{one} is not a sign of {joint!r} (allowed: -1, 1)")
            same = f"{joint!r} and its mirror {partner!r} must have the same sign"
            self.need(one == sign[partner], "mirror.sign", same)
            for name, angles in (("nominal_pose", pose), ("locked", locked)):
                if joint in angles and not math.isclose(angles[joint], one * angles[partner], abs_tol=1e-9):
                    self.fail(name, f"{joint!r} at {angles[joint]} is no mirror of {partner!r} at {angles[partner]}")
        return {joint: swap[joint] for joint in pose}, {joint: sign[joint] for joint in pose}

    def swap(self, pairs: Mapping[str, str], hinges: Sequence[str]) -> dict[str, str]:
        """Return the mirror partner of each hinge, found by swapping sides in its name."""
        sides: dict[str, str] = {}
        for left, right in pairs.items():
            for side in (left, self.string(f"mirror.swap.{left}", right)):
                message = f"{side!r} stands in two pairs, so mirroring twice is not the identity"
                self.need(side not in sides, "mirror.swap", message)
            sides |= {left: right, right: left}
        # A side counts only as a whole word between underscores, so that "L" is not found in "FL".
        word = re.compile("|".join(rf"(?<![^\W_]){re.escape(side)}(?![^\W_])" for side in sides) or r"(?!)")
        swap = {joint: word.sub(lambda match: sides[match[0]], joint) for joint in hinges}
        for joint, partner in swap.items():
            if partner not in swap:
                self.fail("mirror.swap", f"{joint!r} mirrors to {partner!r}, no joint{suggest(partner, hinges)}")
            if swap[partner] != joint:
                self.fail("mirror.swap", f"{joint!r} mirrors to {partner!r}, which mirrors to {swap[partner]!r}")
        return swap
