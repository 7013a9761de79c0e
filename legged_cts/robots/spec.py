"""The robot spec: what an MJCF cannot say about a robot, checked against its MJCF."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import difflib
import hashlib
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import mujoco
import yaml

_FIELDS = (
    "name",
    "mjcf",
    "morphology",
    "base",
    "feet",
    "penalized_contacts",
    "joints",
    "nominal_pose",
    "nominal_height",
    "actuators",
    "action_scale",
    "mirror",
)
_MORPHOLOGIES = ("quadruped", "biped", "humanoid")


class RobotSpecError(ValueError):
    """A robot spec is wrong; the message names the file, the field, the bad value and the allowed ones."""


@dataclass(frozen=True)
class ActuatorSpec:
    """A group of equal actuators.

    Attributes:
        name: Name of the group.
        joints: Joints it drives, in the order of the robot's joints.
        stiffness: Proportional gain [N m/rad].
        damping: Derivative gain [N m s/rad].
        velocity_limit: No-load speed [rad/s].
    """

    name: str
    joints: tuple[str, ...]
    stiffness: float
    damping: float
    velocity_limit: float


@dataclass(frozen=True)
class RobotSpec:
    """A robot: names, nominal pose, actuators and mirror map, with the limits and masses of its MJCF.

    Per-joint tuples follow `joints`, the order of observations, actions and exported policies. Units are SI: rad,
    N m, N m/rad, N m s/rad, kg m^2, m, kg. `mirror_swap` maps each joint to its partner on the other side (itself if it
    lies in the middle), and a mirrored joint value is ``mirror_sign[joint] * value[mirror_swap[joint]]``.
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


def assets_dir() -> Path:
    """Find the folder that holds `robots/` and `policies/`.

    Returns:
        `LEGGED_CTS_ASSETS` if set, else `assets` beside the package as in a clone, else `assets` inside the package as
        in an installed wheel.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    override = os.environ.get("LEGGED_CTS_ASSETS")
    package = Path(__file__).resolve().parents[1]
    folders = [Path(override)] if override else [package.parent / "assets", package / "assets"]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"no assets folder at {' or '.join(map(str, folders))}: set LEGGED_CTS_ASSETS to a folder with robots/ in it, "
        "or name a robot by the path of its robot.yaml"
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
        text = path.read_bytes()
    except OSError as error:
        raise RobotSpecError(f"{path}: cannot read the robot spec: {error.strerror}") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RobotSpecError(f"{path}: not valid YAML: {error}") from error
    return _Parser(path, text, content).parse()


def _spec_path(name_or_path: str | Path) -> Path:
    name = str(name_or_path)
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    if (
        isinstance(name_or_path, Path)
        or any(separator in name for separator in separators)
        or name.endswith((".yaml", ".yml"))
    ):
        path = Path(name_or_path).expanduser()
        return path / "robot.yaml" if path.is_dir() else path
    robots = assets_dir() / "robots"
    known = sorted(path.parent.name for path in robots.glob("*/robot.yaml"))
    if name not in known:
        raise RobotSpecError(f"{robots}: no robot named {name!r}{_suggest(name, known)}")
    return robots / name / "robot.yaml"


def _suggest(value: object, allowed: Iterable[str]) -> str:
    allowed = list(allowed)
    close = difflib.get_close_matches(str(value), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (allowed: {', '.join(allowed) or 'none'})"


class _Parser:
    """Reads one robot.yaml; every error goes through `fail`, so that it names the file and the field."""

    def __init__(self, path: Path, text: bytes, content: object):
        self.path = path
        self.text = text
        self.content = self.mapping("", content)

    def parse(self) -> RobotSpec:
        content = self.content
        self.fields("", content, _FIELDS)
        morphology = self.member("morphology", content["morphology"], _MORPHOLOGIES)
        mjcf, model = self.model()
        bodies = [model.body(i).name for i in range(1, model.nbody)]
        base = self.base(model, bodies)
        feet = self.members("feet", content["feet"], bodies)
        self.colliding(model, feet)
        penalized = self.members("penalized_contacts", content["penalized_contacts"], bodies, empty=True)
        for body in penalized:
            if body in feet:
                self.fail("penalized_contacts", f"{body!r} is a foot, which must touch the ground")
        joints = self.joints(model)
        lower, upper, effort, armature = self.limits(model, joints)
        pose = self.pose(joints, lower, upper)
        actuators = self.actuators(joints)
        swap, sign = self.mirror(joints, pose)
        by_joint = {joint: actuator for actuator in actuators for joint in actuator.joints}
        return RobotSpec(
            name=self.string("name", content["name"]),
            mjcf=mjcf,
            morphology=morphology,
            base=base,
            feet=feet,
            penalized_contacts=penalized,
            joints=joints,
            nominal_pose=tuple(pose[joint] for joint in joints),
            stiffness=tuple(by_joint[joint].stiffness for joint in joints),
            damping=tuple(by_joint[joint].damping for joint in joints),
            velocity_limit=tuple(by_joint[joint].velocity_limit for joint in joints),
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
            hash=hashlib.sha256(self.text + mjcf.read_bytes()).hexdigest()[:16],
        )

    # What the MJCF says.

    def model(self) -> tuple[Path, mujoco.MjModel]:
        mjcf = (self.path.parent / self.string("mjcf", self.content["mjcf"])).resolve()
        if not mjcf.is_file():
            self.fail("mjcf", f"no file {str(mjcf)!r}{_suggest(mjcf.name, self.siblings())}")
        try:
            return mjcf, mujoco.MjModel.from_xml_path(str(mjcf))
        except ValueError as error:
            self.fail("mjcf", f"MuJoCo cannot load {str(mjcf)!r}: {error}")

    def siblings(self) -> list[str]:
        return sorted(path.name for path in self.path.parent.glob("*.xml"))

    def base(self, model: mujoco.MjModel, bodies: Sequence[str]) -> str:
        base = self.member("base", self.content["base"], bodies)
        carriers = [model.body(body).name for body in model.jnt_bodyid]
        free = [body for body, kind in zip(carriers, model.jnt_type, strict=True) if kind == mujoco.mjtJoint.mjJNT_FREE]
        if free != [base]:
            self.fail("base", f"{base!r} must carry the MJCF's only free joint; bodies with one: {free or 'none'}")
        return base

    def colliding(self, model: mujoco.MjModel, feet: Sequence[str]) -> None:
        for foot in feet:
            body = model.body(foot).id
            geoms = range(model.body_geomadr[body], model.body_geomadr[body] + model.body_geomnum[body])
            if not any(model.geom_contype[i] or model.geom_conaffinity[i] for i in geoms):
                self.fail("feet", f"{foot!r} has no collision geom (all its contype and conaffinity are 0)")

    def joints(self, model: mujoco.MjModel) -> tuple[str, ...]:
        known = [model.joint(i).name for i in range(model.njnt) if model.jnt_type[i] != mujoco.mjtJoint.mjJNT_FREE]
        joints = self.members("joints", self.content["joints"], known)
        if absent := [joint for joint in known if joint not in joints]:
            self.fail("joints", f"the MJCF also has {absent}; list every joint, or remove it from the MJCF")
        for joint in joints:
            if model.joint(joint).type[0] != mujoco.mjtJoint.mjJNT_HINGE:
                self.fail("joints", f"{joint!r} is not a hinge; only hinges are supported")
        return joints

    def limits(self, model: mujoco.MjModel, joints: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        rows = []
        for joint in joints:
            index = model.joint(joint).id
            if not model.jnt_limited[index]:
                self.fail("joints", f'{joint!r} has no range in the MJCF; add range="lower upper"')
            low, high = model.jnt_actfrcrange[index]
            if not model.jnt_actfrclimited[index] or not math.isclose(-low, high):
                self.fail("joints", f'{joint!r} needs a symmetric actuatorfrcrange="-limit limit" [N m] in the MJCF')
            lower, upper = model.jnt_range[index]
            rows.append((lower, upper, high, model.dof_armature[model.jnt_dofadr[index]]))
        return tuple(tuple(float(value) for value in column) for column in zip(*rows, strict=True))

    # What the spec adds.

    def pose(self, joints: Sequence[str], lower: Sequence[float], upper: Sequence[float]) -> dict[str, float]:
        patterns = self.mapping("nominal_pose", self.content["nominal_pose"])
        found = self.cover("nominal_pose", [(pattern, f"nominal_pose.{pattern}") for pattern in patterns], joints)
        pose = {joint: self.number(field, patterns[pattern]) for joint, (pattern, field) in found.items()}
        for joint, low, high in zip(joints, lower, upper, strict=True):
            if not low <= pose[joint] <= high:
                self.fail("nominal_pose", f"{joint!r} at {pose[joint]} rad is outside its limits [{low}, {high}]")
        return pose

    def actuators(self, joints: Sequence[str]) -> tuple[ActuatorSpec, ...]:
        groups = self.mapping("actuators", self.content["actuators"])
        patterns = []
        for name, group in groups.items():
            field = f"actuators.{name}"
            self.fields(field, self.mapping(field, group), ("joints", "stiffness", "damping", "velocity_limit"))
            patterns += [(pattern, name) for pattern in self.strings(f"{field}.joints", group["joints"])]
        found = self.cover("actuators", patterns, joints)
        return tuple(
            ActuatorSpec(
                name=name,
                joints=tuple(joint for joint in joints if found[joint][1] == name),
                stiffness=self.number(f"actuators.{name}.stiffness", group["stiffness"], positive=True),
                damping=self.number(f"actuators.{name}.damping", group["damping"], minimum=0.0),
                velocity_limit=self.number(f"actuators.{name}.velocity_limit", group["velocity_limit"], positive=True),
            )
            for name, group in groups.items()
        )

    def mirror(self, joints: Sequence[str], pose: Mapping[str, float]) -> tuple[dict[str, str], dict[str, float]]:
        mirror = self.mapping("mirror", self.content["mirror"])
        self.fields("mirror", mirror, ("swap", "sign"))
        pairs = self.mapping("mirror.swap", mirror["swap"], empty=True)
        sides: dict[str, str] = {}
        for left, right in pairs.items():
            right = self.string(f"mirror.swap.{left}", right)
            for side in (left, right):
                if side in sides:
                    self.fail("mirror.swap", f"{side!r} stands in two pairs, so mirroring twice is not the identity")
            sides |= {left: right, right: left}
        # A side counts only as a whole word between underscores, so that "L" is not found in "FL".
        word = re.compile("|".join(rf"(?<![^\W_]){re.escape(side)}(?![^\W_])" for side in sides) or r"(?!)")
        swap = {joint: word.sub(lambda match: sides[match[0]], joint) for joint in joints}
        for joint, partner in swap.items():
            if partner not in swap:
                self.fail("mirror.swap", f"{joint!r} mirrors to {partner!r}, no joint{_suggest(partner, joints)}")
            if swap[partner] != joint:
                self.fail("mirror.swap", f"{joint!r} mirrors to {partner!r}, which mirrors to {swap[partner]!r}")

        patterns = self.mapping("mirror.sign", mirror["sign"])
        found = self.cover("mirror.sign", [(pattern, f"mirror.sign.{pattern}") for pattern in patterns], joints)
        sign = {joint: self.number(field, patterns[pattern]) for joint, (pattern, field) in found.items()}
        for joint, partner in swap.items():
            if sign[joint] not in (-1.0, 1.0):
                self.fail(f"mirror.sign.{found[joint][0]}", f"{sign[joint]} is not a sign (allowed: -1, 1)")
            if sign[joint] != sign[partner]:
                self.fail("mirror.sign", f"{joint!r} and its mirror {partner!r} must have the same sign")
            if not math.isclose(pose[joint], sign[joint] * pose[partner], abs_tol=1e-9):
                self.fail("nominal_pose", f"{joint!r} at {pose[joint]} is no mirror of {partner!r} at {pose[partner]}")
        return swap, sign

    def cover(
        self, field: str, patterns: Sequence[tuple[str, str]], joints: Sequence[str]
    ) -> dict[str, tuple[str, str]]:
        """Match each joint with the one (pattern, tag) that fits its whole name."""
        found: dict[str, tuple[str, str]] = {}
        for pattern, tag in patterns:
            try:
                expression = re.compile(pattern)
            except re.error as error:
                self.fail(field, f"{pattern!r} is not a regular expression: {error}")
            matched = [joint for joint in joints if expression.fullmatch(joint)]
            if not matched:
                self.fail(field, f"{pattern!r} matches no joint{_suggest(pattern, joints)}")
            for joint in matched:
                if joint in found:
                    self.fail(field, f"{joint!r} is matched twice, by {found[joint][0]!r} and by {pattern!r}")
                found[joint] = (pattern, tag)
        if absent := [joint for joint in joints if joint not in found]:
            self.fail(field, f"no pattern matches {absent} (patterns: {[pattern for pattern, _ in patterns]})")
        return found

    # Types.

    def fail(self, field: str, message: str) -> NoReturn:
        raise RobotSpecError(f"{self.path}: {field}: {message}" if field else f"{self.path}: {message}")

    def fields(self, field: str, mapping: Mapping[str, Any], allowed: Sequence[str]) -> None:
        for key in mapping:
            if key not in allowed:
                self.fail(field, f"unknown field {key!r}{_suggest(key, allowed)}")
        for key in allowed:
            if key not in mapping:
                self.fail(field, f"missing field {key!r}")

    def mapping(self, field: str, value: object, empty: bool = False) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value) or not (value or empty):
            self.fail(field, f"must be a mapping with names as keys, got {value!r}")
        return value

    def string(self, field: str, value: object) -> str:
        if not isinstance(value, str) or not value:
            self.fail(field, f"must be a string, got {value!r}")
        return value

    def strings(self, field: str, value: object, empty: bool = False) -> tuple[str, ...]:
        if not isinstance(value, list) or not (value or empty):
            self.fail(field, f"must be a list of strings, got {value!r}")
        return tuple(self.string(f"{field}[{i}]", item) for i, item in enumerate(value))

    def number(self, field: str, value: object, positive: bool = False, minimum: float = -math.inf) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.fail(field, f"must be a finite number, got {value!r}")
        if (positive and value <= 0) or value < minimum:
            self.fail(field, f"must be {'positive' if positive else f'at least {minimum}'}, got {value!r}")
        return float(value)

    def member(self, field: str, value: object, allowed: Sequence[str]) -> str:
        name = self.string(field, value)
        if name not in allowed:
            self.fail(field, f"unknown {name!r}{_suggest(name, allowed)}")
        return name

    def members(self, field: str, value: object, allowed: Sequence[str], empty: bool = False) -> tuple[str, ...]:
        names = self.strings(field, value, empty)
        for i, name in enumerate(names):
            self.member(f"{field}[{i}]", name, allowed)
            if name in names[:i]:
                self.fail(f"{field}[{i}]", f"{name!r} is listed twice")
        return names
