"""A draft must be the robot that it was drafted from: places, axes, masses, compared at random joint angles."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np

from legged_cts.robots.draft_plain import Plain, Plan, base_frame, placed
from legged_cts.robots.draft_source import DraftError, Source

_TOLERANCE = 1e-6
_POSES = 5


def check_kinematics(source: Source, plan: Plan, plain: Plain) -> None:
    """Compare a draft with its source.

    Raises:
        DraftError: If a body, a joint's axis, a shape or the centre of mass is more than 1e-6 (metres, or the sine of
            an angle) from where the source has it.
    """
    model = plain.compile()
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    hinges = [i for i in range(model.njnt) if model.jnt_type[i] == mujoco.mjtJoint.mjJNT_HINGE]
    index = {i: source.joints.index(model.joint(i).name) for i in hinges}
    for _ in range(_POSES):
        angles = {source_joint: float(rng.uniform(-1, 1)) for source_joint in index.values()}
        there = placed(source, plan.held, angles)
        mujoco.mj_comPos(source.model, there)
        place, axes = base_frame(source, plan, there)
        data.qpos[:7] = (0, 0, 0, 1, 0, 0, 0)
        for joint, source_joint in index.items():
            data.qpos[model.jnt_qposadr[joint]] = angles[source_joint]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        for name, here, right in _pairs(source, plain, model, data, there, index):
            turned = axes.T @ (right - place) if name[0] == "place" else axes.T @ right
            error = float(np.abs(turned - here).max())
            if not error <= _TOLERANCE:
                raise DraftError(
                    f"{source.path}: the draft does not keep the {name[0]} of {name[1]!r} (off by {error:.2g}): please "
                    "report this file"
                )


def _pairs(source: Source, plain: Plain, model: mujoco.MjModel, data: mujoco.MjData, there: mujoco.MjData, index):
    """Yield what is compared and its name: vectors in the draft's base frame and in the world of the source."""
    for body, owner in plain.owner.items():
        if body and source.bodies[body] == owner and owner in source.bodies:
            here = model.body(owner).id
            if here != 1:
                yield ("place", owner), data.xpos[here], there.xpos[body]
                yield ("frame", owner), data.xmat[here].reshape(3, 3), there.xmat[body].reshape(3, 3)
    for joint, other in index.items():
        yield ("place", source.joints[other]), data.xanchor[joint], there.xanchor[other]
        yield ("axis", source.joints[other]), data.xaxis[joint], there.xaxis[other]
    for geom, name in plain.shapes.items():
        here = model.geom(name).id
        yield ("place", name), data.geom_xpos[here], there.geom_xpos[geom]
        yield ("frame", name), data.geom_xmat[here].reshape(3, 3), there.geom_xmat[geom].reshape(3, 3)
    own = [body for body in plain.owner if body]
    mass = source.model.body_mass[own]
    if 0 not in plain.owner and mass.sum() > 0:
        centre = mass @ there.xipos[own] / mass.sum()
        yield ("place", "the centre of mass"), data.subtree_com[0], centre
