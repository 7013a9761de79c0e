"""A robot in MuJoCo, at rest in a pose: what drafts, doctor, feet and simulation ask about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import mujoco
import numpy as np

from legged_cts.robots.mjcf import add_geom, robot_model, robot_scene
from legged_cts.robots.spec import RobotSpec

Array = np.ndarray
PHYSICS_DT = 0.005
"""The physics tick of training [s]."""
MIRROR = np.array([1.0, -1.0, 1.0])
"""Mirrors a vector at the sagittal plane; a pseudovector (an axis) needs the opposite signs."""
# No vendor's name has a space.
_GROUND = "posed ground"
# Under a foot, points this far above its lowest one carry no weight [m].
_SOLE = 0.01


class GroundPoint(NamedTuple):
    """The point of a collision shape that is next to the ground: body, shape, position on it [m] [3], height [m]."""

    body: int
    geom: int
    position: Array
    height: float


class Posed:
    """A robot whose base is upright, with the joints where `put` puts them; d joints, F feet.

    Args:
        model: Its model.
        spec: What it is; without one, all hinges are joints and the pose is the one nearest to 0 within their limits.
        feet: Names of the feet, where there is no spec.
        ground: Name of the geom that is the ground.

    Attributes:
        joints, ids, bodies, qpos, dofs: Of each joint its name, its index, its body's, and where its angle and speed
            are in the model's `qpos` and `qvel` [d].
        low, high, pose: Limits, and what `rest` takes and motors pull to [rad] [d]; `height` is the base's then [m].
        base, feet, ground: Index of the base's body, of the feet's [F], of the ground's geom (-1 without one).
        root, root_dof: Where the base is in `qpos` and `qvel`; -1 where it is held.
    """

    def __init__(
        self, model: mujoco.MjModel, spec: RobotSpec | None = None, feet: Sequence[str] = (), ground: str = _GROUND
    ):
        """Put the joints at `pose`, the base at the origin."""
        self.model, self.data = model, mujoco.MjData(model)
        hinges = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)
        self.ids = np.array([model.joint(name).id for name in spec.joints]) if spec else hinges
        self.joints = tuple(model.joint(i).name for i in self.ids)
        self.bodies, self.qpos, self.dofs = (
            a[self.ids] for a in (model.jnt_bodyid, model.jnt_qposadr, model.jnt_dofadr)
        )
        self.low, self.high = model.jnt_range[self.ids].T
        self.pose = np.array(spec.nominal_pose) if spec else np.clip(0.0, self.low, self.high)
        self.height = spec.nominal_height if spec else 0.0
        free = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
        self.base = model.body(spec.base).id if spec else int(model.jnt_bodyid[free[0]])
        self.root, self.root_dof = (int(a[free[0]]) if len(free) else -1 for a in (model.jnt_qposadr, model.jnt_dofadr))
        self.feet = np.array([model.body(foot).id for foot in (spec.feet if spec else feet)], int)
        self.ground = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, ground)
        self.put(self.pose)

    def put(self, pose: Array, at: Iterable[float] = (0, 0, 0), quat: Iterable[float] = (1, 0, 0, 0)) -> None:
        """Compute where everything is with the joints at `pose` [rad] [d] and the base `at` a place [m] [3]."""
        if self.root >= 0:
            self.data.qpos[self.root : self.root + 7] = (*at, *quat)
        self.data.qpos[self.qpos] = pose
        mujoco.mj_kinematics(self.model, self.data)

    def rest(self, height: float | None = None) -> None:
        """Put the robot at rest in `pose` over the origin, and compute all that MuJoCo does."""
        mujoco.mj_resetData(self.model, self.data)
        if self.model.nu:
            # A file may have actuators of its own before these.
            self.data.ctrl[-len(self.pose) :] = self.pose
        self.put(self.pose, (0.0, 0.0, self.height if height is None else height))
        mujoco.mj_forward(self.model, self.data)

    # Shapes.

    def colliders(self, bodies: Sequence[int]) -> list[int]:
        """Return the geoms of some bodies that can touch anything."""
        colliding = (self.model.geom_contype | self.model.geom_conaffinity) != 0
        return np.flatnonzero(np.isin(self.model.geom_bodyid, bodies) & colliding).tolist()

    def support(self, geom: int, direction: Array) -> float:
        """Return how far [m] a geom reaches along a direction [3] of the world, from the world's origin."""
        turned = self.data.geom_xmat[geom].reshape(3, 3).T @ direction
        return float(self.data.geom_xpos[geom] @ direction) + _support(self.model, geom, turned)

    def extent(self, geom: int, axis: int) -> tuple[float, float]:
        """Return the least and greatest coordinate [m] of a geom along an axis of the world."""
        direction = np.eye(3)[axis]
        return -self.support(geom, -direction), self.support(geom, direction)

    def lowest(self, geoms: Sequence[int]) -> tuple[float, int]:
        """Return the height [m] of the lowest point of some geoms, and the geom it is of."""
        return min((self.extent(geom, 2)[0], geom) for geom in geoms)

    def chain(self, body: int) -> list[int]:
        """Return the joints (indices into `joints`) between the base and a body, from the base outwards."""
        found = []
        while body not in (0, self.base):
            found += np.flatnonzero(self.bodies == body).tolist()[::-1]
            body = int(self.model.body_parentid[body])
        return found[::-1]

    def tips(self) -> dict[int, Array]:
        """Return the lowest point [3] of each leaf: a moving body, with what is welded to it, at the end of a limb."""
        welds = {int(weld) for weld in self.model.body_weldid} - {0, self.base}
        parents = {int(self.model.body_weldid[self.model.body_parentid[weld]]) for weld in welds}
        points = {}
        for leaf in sorted(welds - parents):
            if geoms := self.colliders(np.flatnonzero(self.model.body_weldid == leaf).tolist()):
                height, geom = self.lowest(geoms)
                points[leaf] = np.array([*self.data.geom_xpos[geom, :2], height])
        return points

    def reach(self) -> float:
        """Return the largest distance [m] from the base to a tip, the scale of the robot."""
        return max((float(np.linalg.norm(tip)) for tip in self.tips().values()), default=0.0)

    def body_name(self, body: int) -> str:
        """Return the name of a body."""
        return self.model.body(body).name

    def geom_name(self, geom: int) -> str:
        """Return the name of a shape, or of its body if it has none."""
        return self.model.geom(geom).name or f"a shape of {self.body_name(int(self.model.geom_bodyid[geom]))}"

    # Left and right.

    def mirror_errors(
        self, partner: Array, sign: Array, poses: Iterable[Array], look: Callable[[], Array], places: Array
    ) -> Iterator[Array]:
        """Yield, for each pose [rad] [d], what `look` sees [m] [n, 3] in its mirror image, less the image of that.

        `partner` and `sign` [d] mirror the joints; `places` [n] says which of what is seen is the image of which.
        """
        for pose in poses:
            self.put(pose)
            before = look().copy()
            self.put(sign * pose[partner])
            yield look() - MIRROR * before[places]

    # What stands on the ground, and what that takes.

    def ground_points(self) -> list[GroundPoint]:
        """Return the points of all shapes that can touch the ground, as MuJoCo's collision detection gives them."""
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
        contact, points = self.data.contact, []
        for pair, position, distance in zip(contact.geom, contact.pos, contact.dist, strict=True):
            if self.ground in pair:
                geom = int(pair[0] if pair[1] == self.ground else pair[1])
                # MuJoCo reports the middle between the two surfaces.
                on_shape = position + [0.0, 0.0, distance / 2]
                points.append(GroundPoint(int(self.model.geom_bodyid[geom]), geom, on_shape, float(distance)))
        mujoco.mj_forward(self.model, self.data)
        return points

    @cached_property
    def soles(self) -> list[list[GroundPoint]]:
        """For each foot, the points it stands on in `rest`: one of a ball, several of a flat foot."""
        self.rest()
        points, soles = self.ground_points(), []
        for foot in self.feet:
            own = [point for point in points if point.body == foot]
            lowest = min((point.height for point in own), default=0.0)
            soles.append([point for point in own if point.height < lowest + _SOLE])
        return soles

    @property
    def centre(self) -> Array:
        """Centre of mass of the robot [m] [3], after `rest`."""
        return self.data.subtree_com[self.base]

    def mass_matrix(self) -> Array:
        """Return the joint-space inertia at the present state, armature included [nv, nv]."""
        matrix = np.zeros((self.model.nv, self.model.nv))
        mujoco.mj_fullM(self.model, self.data, matrix)
        return matrix

    def foot_forces(self) -> tuple[Array, list[int], Array]:
        """Return the points under the feet [m] [n, 3], their bodies, and the forces that carry the weight [N] [n]."""
        points = [point for sole in self.soles for point in sole]
        positions = np.array([point.position for point in points]).reshape(-1, 3)
        weight = float(self.model.body_mass.sum() * -self.model.opt.gravity[2])
        self.rest()
        return positions, [point.body for point in points], vertical_forces(positions[:, :2], self.centre[:2], weight)

    def jacobian(self, points: Array, bodies: Sequence[int]) -> Array:
        """Return velocities of points [n, 3] of bodies, three rows each, per generalised velocity [3 n, nv]."""
        rows = np.zeros((len(bodies), 3, self.model.nv))
        for row, point, body in zip(rows, points, bodies, strict=True):
            mujoco.mj_jac(self.model, self.data, row, None, point, body)
        return rows.reshape(-1, self.model.nv)

    def load(self, points: Array, bodies: Sequence[int], forces: Array) -> Array:
        """Return what holds the robot against gravity at rest, less what vertical forces at its feet give [nv]."""
        return self.data.qfrc_bias - self.jacobian(points, bodies)[2::3].T @ forces

    def standing_torques(self) -> Array:
        """Return the torques that hold `pose` with the feet carrying the weight by vertical forces [N m] [d]."""
        return self.load(*self.foot_forces())[self.dofs]


def nominal(spec: RobotSpec) -> Posed:
    """Return a robot in its nominal pose, the base level at the origin, with neither ground nor motors."""
    return Posed(robot_model(spec), spec)


def standing(spec: RobotSpec, free: bool = True) -> Posed:
    """Return a robot with its PD controllers, at rest on a ground at height 0, or with its base held in the air."""
    mjcf = robot_scene(spec, PHYSICS_DT, "posed ")
    if free:
        add_ground(mjcf)
    else:
        for joint in mjcf.body(spec.base).joints:
            mjcf.delete(joint)
    posed = Posed(mjcf.compile(), spec)
    posed.rest()
    return posed


def add_ground(mjcf: mujoco.MjSpec) -> None:
    """Add the plane that `Posed` takes for the ground."""
    plane = mujoco.mjtGeom.mjGEOM_PLANE
    add_geom(mjcf.worldbody, name=_GROUND, type=plane, size=(0, 0, 1), friction=(0.8, 0.005, 1e-4))


def vertical_forces(points: Array, centre: Array, weight: float) -> Array:
    """Share a weight [N] among points [m] [n, 2]: the smallest upward forces [N] [n] (least squares) that carry it.

    The moments about its `centre` [m] [2] are carried too. Points that would have to pull carry nothing; the forces sum
    to the weight unless the centre is far off the points.
    """
    forces, active = np.zeros(len(points)), np.arange(len(points))
    while len(active):
        system = np.vstack((np.ones(len(active)), (points[active] - centre).T))
        found = np.linalg.lstsq(system, np.array([weight, 0.0, 0.0]), rcond=None)[0]
        if found.min() >= -1e-9 * weight:
            forces[active] = np.maximum(found, 0.0)
            break
        active = active[found > 0]
    return forces


def _support(model: mujoco.MjModel, geom: int, direction: Array) -> float:
    """Return how far [m] a shape reaches from its centre in a direction [3] of its own frame."""
    size, kind, geoms = model.geom_size[geom], model.geom_type[geom], mujoco.mjtGeom
    if kind == geoms.mjGEOM_SPHERE:
        return float(size[0])
    if kind == geoms.mjGEOM_CAPSULE:
        return float(size[0] + size[1] * abs(direction[2]))
    if kind == geoms.mjGEOM_CYLINDER:
        return float(size[0] * np.hypot(direction[0], direction[1]) + size[1] * abs(direction[2]))
    if kind == geoms.mjGEOM_ELLIPSOID:
        return float(np.linalg.norm(size * direction))
    if kind == geoms.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        first = model.mesh_vertadr[mesh]
        return float((model.mesh_vert[first : first + model.mesh_vertnum[mesh]] @ direction).max())
    # A box, and the box around anything else.
    half = size if kind == geoms.mjGEOM_BOX else model.geom_aabb[geom, 3:]
    return float(half @ np.abs(direction))
