"""Names and orders of joints and bodies, in the spec and in everything made from it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence

import mujoco

from legged_cts.robots.doctor.report import Row, Status, names
from legged_cts.robots.feet import foot_pairs
from legged_cts.robots.mjcf import robot_model
from legged_cts.robots.posed import Posed
from legged_cts.robots.spec import RobotSpec, RobotSpecError


def check(spec: RobotSpec, posed: Posed, usd: bool) -> Iterator[Row]:
    """The MJCF holds a robot alone, its joints ordered as in the spec, both sides alike; USD, if asked, has them."""
    model = posed.model
    yield _alone(spec)
    # The ground's body is the world; a robot's joints are those of the model except for the free one.
    bodies = [posed.body_name(i) for i in range(1, model.nbody)]
    in_mjcf = [model.joint(i).name for i in range(model.njnt) if model.jnt_type[i] != mujoco.mjtJoint.mjJNT_FREE]
    locked = f", {len(spec.locked)} locked" if spec.locked else ""
    yield Row("names", Status.OK, f"{len(bodies)} bodies, {len(spec.joints)} joints{locked}, {len(spec.feet)} feet")
    yield _order(spec.joints, in_mjcf)
    yield _sides(spec)
    yield _left(spec)
    yield _legs(spec)
    yield _one_hinge_each(model)
    if usd:
        yield _articulation(spec, bodies)
    yield Row("joint order, SDK", Status.SKIP, "the spec names no order of the robot's own SDK")


def _alone(spec: RobotSpec) -> Row:
    """The MJCF must hold nothing that each scene adds itself, and nothing that training cannot keep."""
    name, model = "robot alone in its MJCF", robot_model(spec)
    shapes = int((model.geom_bodyid == 0).sum())
    measured = f"{model.nu} actuators, {shapes} shapes of the world"
    if model.nu or shapes:
        hint = f"take <actuator> and the worldbody's own geoms out of {spec.mjcf.name}: each scene adds its own"
        return Row(name, Status.FAIL, measured, "0 and 0", hint)
    if model.neq or model.ntendon:
        loops = sum(int(kind) in (mujoco.mjtEq.mjEQ_CONNECT, mujoco.mjtEq.mjEQ_WELD) for kind in model.eq_type)
        measured = f"{loops} closed loops, {model.neq - loops} couplings of joints, {model.ntendon} tendons"
        hint = (
            "training drops <equality> and <tendon>, while sim2sim and these checks keep them: open the loop, lock or "
            "drive the joint, and take them out"
        )
        return Row(name, Status.FAIL, measured, "none", hint)
    return Row(name, Status.OK, measured, "0 and 0")


def _legs(spec: RobotSpec) -> Row:
    """Whether the feet are as many, and paired, as the morphology's clock and rewards take for granted."""
    name = f"feet of a {spec.morphology.replace('_', ' ')}"
    try:
        pairs = foot_pairs(spec)
    except ValueError as error:
        hint = "mirror.swap must map the joints of its leg to those of another foot"
        return Row(name, Status.WARN, str(error).removeprefix(f"{spec.name}: "), "pairs", hint)
    measured = f"{len(spec.feet)} feet, {len(pairs)} left and right"
    if spec.morphology != "quadruped" and (len(spec.feet), len(pairs)) != (2, 1):
        hint = "this morphology walks on one left and one right foot: mend feet or mirror.swap, or choose another one"
        return Row(name, Status.FAIL, measured, "2 feet, 1 pair", hint)
    return Row(name, Status.OK, measured)


def _one_hinge_each(model: mujoco.MjModel) -> Row:
    name = "one joint in each body"
    many = [model.body(i).name for i in range(1, model.nbody) if model.body_jntnum[i] > 1]
    if many:
        hint = "Isaac Lab wants a link for each joint: make a chain of bodies, each with a mass (new_robot.py does)"
        return Row(name, Status.FAIL, f"more in {names(many)}", "at most 1", hint)
    return Row(name, Status.OK, f"{model.njnt} joints in {model.nbody - 1} bodies")


def _order(joints: Sequence[str], in_mjcf: Sequence[str]) -> Row:
    if list(joints) == list(in_mjcf):
        return Row("joint order, MJCF", Status.OK, "as in the spec")
    first = next(i for i, pair in enumerate(zip(joints, in_mjcf, strict=True)) if pair[0] != pair[1])
    measured = f"joint {first}: {joints[first]!r} in the spec, {in_mjcf[first]!r} in the MJCF"
    hint = "everything here goes by name, but whoever reads qpos by index is misled: list `joints` as in the MJCF"
    return Row("joint order, MJCF", Status.WARN, measured, "the same", hint)


def _sides(spec: RobotSpec) -> Row:
    """Whether the joints of one side stand in the same order as their partners."""
    place = {joint: i for i, joint in enumerate(spec.joints)}
    paired = [joint for joint in spec.joints if place[joint] < place[spec.mirror_swap[joint]]]
    for one, other in zip(paired, paired[1:], strict=False):
        a, b = spec.mirror_swap[one], spec.mirror_swap[other]
        if place[a] > place[b]:
            measured = f"{one!r} stands before {other!r}, but {a!r} after {b!r}"
            hint = "put the joints of both sides in one order: policies and logs are read in blocks of a leg"
            return Row("joint order, sides", Status.FAIL, measured, "the same on both sides", hint)
    return Row("joint order, sides", Status.OK, f"{len(paired)} pairs, in the same order left and right")


def _left(spec: RobotSpec) -> Row:
    """Whether feet that names call left lie to the left: else the base's frame faces the rear, and so do commands."""
    name = "left is left"
    try:
        pairs = foot_pairs(spec)
    except ValueError:
        return Row(name, Status.SKIP, "its feet are no pairs")
    wrong = [spec.feet[a] for a, b in pairs if (_side(spec.feet[a]), _side(spec.feet[b])) == ("right", "left")]
    if wrong:
        hint = "x must point ahead and y to the left in the base's frame: turn it, or rename what is called left"
        return Row(name, Status.FAIL, f"{names(wrong)} on the left (y > 0) by a name that says right", "", hint)
    return Row(name, Status.OK, f"{len(pairs)} pairs of feet")


def _side(name: str) -> str | None:
    """Return the side that a name says: FL, LF, left, right."""
    for side, letter in ("left", "L"), ("right", "R"):
        word = rf"(?<![^\W_])(?:[FRHBMC]?{letter}|{letter}[FRHBMC]|{side})(?![^\W_])"
        if re.search(word, name, re.IGNORECASE):
            return side
    return None


def _articulation(spec: RobotSpec, bodies: Sequence[str]) -> Row:
    name = "Isaac Lab articulation"
    try:
        usd = importlib.import_module("legged_cts.robots.usd")
        pxr = importlib.import_module("pxr")
    except ImportError as error:
        return Row(name, Status.SKIP, f"{error.name} is not installed")
    try:
        stage = pxr.Usd.Stage.Open(str(usd.usd_path(spec)))
    except (RobotSpecError, ValueError, RuntimeError) as error:
        hint = "Isaac Lab cannot load this robot: mend or simplify what the message names"
        return Row(name, Status.FAIL, f"no USD: {error}", "", hint)
    # Isaac Lab goes by the prims' own names; the display name is that of the MJCF.
    prims = list(stage.Traverse())
    joints = [prim.GetName() for prim in prims if prim.IsA(pxr.UsdPhysics.RevoluteJoint)]
    rigid = [prim.GetName() for prim in prims if prim.HasAPI(pxr.UsdPhysics.RigidBodyAPI)]
    missing = sorted(set(spec.joints) - set(joints)) + sorted(set(bodies) - set(rigid))
    wrong = sorted(set(joints) - set(spec.joints)) + sorted(set(rigid) - set(bodies))
    if wrong or missing:
        hint = (
            "names are changed or lost on the way to USD: use letters, digits and underscores, no digit first, no name "
            "twice, and no joint named like a shape or a child of its own body (new_robot.py names so)"
        )
        measured = f"missing {names(missing)}; instead {names(wrong)}"
        return Row(name, Status.FAIL, measured, "the names of the MJCF", hint)
    order = "as in the spec" if joints == list(spec.joints) else "differs, taken by name"
    return Row(name, Status.OK, f"{len(rigid)} bodies, {len(joints)} joints; order in the USD {order}")
