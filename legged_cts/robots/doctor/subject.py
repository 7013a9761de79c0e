"""The robot in its nominal pose on a plane, which most checks look at."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np

from legged_cts.robots.mjcf import add_geom, add_motors, robot_mjspec
from legged_cts.robots.spec import RobotSpec

PHYSICS_DT = 0.005
"""The physics tick of training [s]."""
MIRROR = np.array([1.0, -1.0, 1.0])
"""Mirrors a vector at the sagittal plane; a pseudovector (an axis) needs the opposite signs."""
_GROUND = "doctor ground"
# Under a foot, points this far above its lowest one carry no weight [m].
_SOLE = 0.01


@dataclass(frozen=True)
class GroundPoint:
    """The point of a collision shape that is next to the ground.

    Attributes:
        body: index of the body.
        geom: index of the shape.
        position: in the world [m] [3], on the shape.
        height: above the ground [m].
    """

    body: int
    geom: int
    position: np.ndarray
    height: float


class Subject:
    """A robot with a ground at height 0 and its PD controllers, at rest in its nominal pose.

    Args:
        spec: the robot.
        free: whether its base floats; else it is held in the air.
    """

    def __init__(self, spec: RobotSpec, free: bool = True):
        """Build the model and put the robot into its nominal pose."""
        self.spec = spec
        self.model = _scene(spec, free)
        self.data = mujoco.MjData(self.model)
        ids = [self.model.joint(name).id for name in spec.joints]
        self.joint_ids = np.array(ids)
        self.qpos = self.model.jnt_qposadr[ids]
        self.dofs = self.model.jnt_dofadr[ids]
        self.bodies = self.model.jnt_bodyid[ids]
        self.base = self.model.body(spec.base).id
        self.feet = np.array([self.model.body(foot).id for foot in spec.feet])
        self.ground = self.model.geom(_GROUND).id if free else -1
        self.pose = np.array(spec.nominal_pose)
        self.place(self.pose)

    def place(self, pose: np.ndarray, height: float | None = None) -> None:
        """Put the robot at rest, upright over the origin, with the joints at `pose` [d] [rad]."""
        mujoco.mj_resetData(self.model, self.data)
        if self.ground >= 0:
            root = self.model.jnt_qposadr[self.model.body_jntadr[self.base]]
            height = self.spec.nominal_height if height is None else height
            self.data.qpos[root : root + 7] = (0.0, 0.0, height, 1.0, 0.0, 0.0, 0.0)
        self.data.qpos[self.qpos] = pose
        self.data.ctrl[:] = self.pose
        mujoco.mj_forward(self.model, self.data)

    def ground_points(self) -> list[GroundPoint]:
        """The points of all shapes that can touch the ground, as MuJoCo's collision detection gives them."""
        # With a margin larger than the robot every shape is reported, however high; the body's decides which shapes of
        # another body are looked at.
        margins = (self.model.geom_margin, self.ground), (self.model.body_margin, 0)
        before = [float(values[i]) for values, i in margins]
        for values, i in margins:
            values[i] = 10.0
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_collision(self.model, self.data)
        for (values, i), value in zip(margins, before, strict=True):
            values[i] = value
        points = []
        for pair, position, distance in zip(
            self.data.contact.geom, self.data.contact.pos, self.data.contact.dist, strict=True
        ):
            if self.ground in pair:
                geom = int(pair[0] if pair[1] == self.ground else pair[1])
                # MuJoCo reports the middle between the two surfaces.
                on_shape = position + [0.0, 0.0, distance / 2]
                points.append(GroundPoint(int(self.model.geom_bodyid[geom]), geom, on_shape, float(distance)))
        mujoco.mj_forward(self.model, self.data)
        return points

    @cached_property
    def soles(self) -> list[list[GroundPoint]]:
        """For each foot, the points it stands on in the nominal pose: one of a ball, several of a flat foot."""
        self.place(self.pose)
        points = self.ground_points()
        soles = []
        for foot in self.feet:
            own = [point for point in points if point.body == foot]
            lowest = min((point.height for point in own), default=0.0)
            soles.append([point for point in own if point.height < lowest + _SOLE])
        return soles

    def foot_positions(self) -> np.ndarray:
        """Positions of the feet's frames in the world [feet, 3] [m]."""
        return self.data.xpos[self.feet].copy()

    def body_name(self, body: int) -> str:
        """Name of a body."""
        return self.model.body(body).name

    def geom_name(self, geom: int) -> str:
        """Name of a shape, or of its body if it has none."""
        return self.model.geom(geom).name or f"a shape of {self.body_name(int(self.model.geom_bodyid[geom]))}"

    def mass_matrix(self) -> np.ndarray:
        """Joint-space inertia at the present state, armature included [nv, nv]."""
        matrix = np.zeros((self.model.nv, self.model.nv))
        mujoco.mj_fullM(self.model, self.data, matrix)
        return matrix


def _scene(spec: RobotSpec, free: bool) -> mujoco.MjModel:
    mjcf = robot_mjspec(spec)
    mjcf.option.timestep = PHYSICS_DT
    mjcf.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    mjcf.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    mjcf.option.iterations, mjcf.option.ls_iterations = 100, 50
    add_motors(mjcf, spec, "doctor ")
    if free:
        plane, friction = mujoco.mjtGeom.mjGEOM_PLANE, (0.8, 0.005, 1e-4)
        add_geom(mjcf.worldbody, name=_GROUND, type=plane, size=(0, 0, 1), friction=friction)
    else:
        for joint in mjcf.body(spec.base).joints:
            mjcf.delete(joint)
    return mjcf.compile()
