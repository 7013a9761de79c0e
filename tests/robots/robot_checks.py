"""What holds for every robot of the project; the robots' own tests call these with their own figures."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np
import pytest

from legged_cts.robots.mjcf import robot_mjspec
from legged_cts.robots.spec import RobotSpec

MIRROR = np.array([1.0, -1.0, 1.0])


def tensor(quat: list[float] | np.ndarray, diagonal: list[float] | np.ndarray) -> np.ndarray:
    """Tensor [3, 3] about the centre of mass in the axes of the body, of principal axes (w x y z) and moments."""
    unit = np.asarray(quat, float) / np.linalg.norm(quat)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, unit)
    rotation = rotation.reshape(3, 3)
    return rotation @ np.diag(diagonal) @ rotation.T


def body_tensor(model: mujoco.MjModel, name: str) -> np.ndarray:
    body = model.body(name)
    return tensor(body.iquat, body.inertia)


def joined(model: mujoco.MjModel, parent: str, child: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre [3] and tensor [3, 3] of a body and its jointless child as one, in the axes of the parent."""
    names = (parent, child)
    masses = np.array([model.body(name).mass[0] for name in names])
    centres = np.stack([model.body(parent).ipos, model.body(child).pos + model.body(child).ipos])
    centre = masses @ centres / masses.sum()
    arms = centres - centre
    parallel_axes = [
        m * (arm @ arm * np.eye(3) - np.outer(arm, arm)) + body_tensor(model, name)
        for m, arm, name in zip(masses, arms, names, strict=True)
    ]
    return masses.sum(), centre, np.sum(parallel_axes, axis=0)


def check_mirror_images(model: mujoco.MjModel, left_name: str, right_name: str) -> None:
    """Two bodies are mirror images: place, mass, tensor and shapes."""
    left, right = model.body(left_name), model.body(right_name)
    assert left.mass == right.mass
    np.testing.assert_allclose(left.pos, right.pos * MIRROR)
    np.testing.assert_allclose(left.ipos, right.ipos * MIRROR, atol=1e-12)
    flip = np.outer(MIRROR, MIRROR)
    np.testing.assert_allclose(body_tensor(model, left_name), body_tensor(model, right_name) * flip, atol=1e-12)
    assert left.geomnum == right.geomnum
    for i in range(left.geomnum[0]):
        a, b = model.geom(left.geomadr[0] + i), model.geom(right.geomadr[0] + i)
        assert (a.type, a.matid) == (b.type, b.matid)
        np.testing.assert_allclose(a.size, b.size)
        np.testing.assert_allclose(a.pos, b.pos * MIRROR, atol=1e-12)


def place(model: mujoco.MjModel, spec: RobotSpec, joints: np.ndarray) -> mujoco.MjData:
    """Positions of everything with the base at the origin, level, and the joints [d] of the spec at these angles."""
    data = mujoco.MjData(model)
    data.qpos[:7] = (0, 0, 0, 1, 0, 0, 0)
    for joint, value in zip(spec.joints, joints, strict=True):
        data.qpos[model.joint(joint).qposadr[0]] = value
    mujoco.mj_forward(model, data)
    return data


def check_mirror_law(model: mujoco.MjModel, spec: RobotSpec, words: dict[str, str]) -> None:
    """Joint values mirrored as the spec says put every body at the mirror image of its partner's place.

    Args:
        model: The robot's model.
        spec: The robot.
        words: Left to right parts of the bodies' names, such as ``{"FL_": "FR_"}``.
    """
    both = words | {right: left for left, right in words.items()}

    def partner(body: str) -> str:
        return next((body.replace(a, b) for a, b in both.items() if a in body), body)

    generator = np.random.default_rng(0)
    bodies = [model.body(i).name for i in range(1, model.nbody)]
    assert {partner(body) for body in bodies} == set(bodies)
    assert sum(partner(body) != body for body in bodies) >= 2 * len(spec.feet)
    for _ in range(10):
        # Uniform within the limits: a joint with a wrong sign or range shows in any one of these poses.
        pose = dict(zip(spec.joints, generator.uniform(spec.joint_lower, spec.joint_upper), strict=True))
        mirrored = [spec.mirror_sign[joint] * pose[spec.mirror_swap[joint]] for joint in spec.joints]
        assert (np.array(spec.joint_lower) <= mirrored).all() and (mirrored <= np.array(spec.joint_upper)).all()
        here, there = place(model, spec, np.array(list(pose.values()))), place(model, spec, np.array(mirrored))
        for body in bodies:
            expected = here.body(body).xpos * MIRROR
            np.testing.assert_allclose(there.body(partner(body)).xpos, expected, atol=1e-12, err_msg=body)


def check_colliders(model: mujoco.MjModel, count: int, visual_limit: int = 70) -> None:
    """Colliders meet the ground only and decide the friction; they and the visual shapes are in their own groups."""
    colliding = (model.geom_contype | model.geom_conaffinity) != 0
    assert colliding.sum() == count
    assert not model.geom_contype.any()
    assert (model.geom_conaffinity[colliding] == 1).all()
    assert (model.geom_priority[colliding] == 1).all()
    assert (model.geom_group[colliding] == 3).all()
    assert (model.geom_group[~colliding] == 2).all()
    assert (~colliding).sum() <= visual_limit


def check_feet_on_the_ground(model: mujoco.MjModel, spec: RobotSpec, radius: float, tolerance: float) -> None:
    """In the nominal pose at the nominal height, the lowest point of each ball foot is on the ground [m]."""
    data = place(model, spec, np.array(spec.nominal_pose))
    for foot in spec.feet:
        assert model.geom(model.body(foot).geomadr[0]).size[0] == radius
        assert spec.nominal_height + data.body(foot).xpos[2] - radius == pytest.approx(0.0, abs=tolerance)


class PdSimulation:
    """The robot on a plane, its PD holding the nominal pose.

    Args:
        spec: The robot.
        fixed_base: Hold the base in the air instead of letting it stand.
    """

    def __init__(self, spec: RobotSpec, fixed_base: bool = False):
        scene = robot_mjspec(spec)
        if fixed_base:
            base = scene.body(spec.base)
            scene.delete(base.joints[0])
            base.pos = [0, 0, 3]
        scene.worldbody.add_geom(name="ground", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[5, 5, 1])
        # MuJoCo's friction is soft: without this a loaded stance creeps by millimetres a second.
        scene.option.noslip_iterations = 10
        self.spec, self.model = spec, scene.compile()
        self.data = mujoco.MjData(self.model)
        self.target = np.array(spec.nominal_pose)
        self.qpos = [self.model.joint(joint).qposadr[0] for joint in spec.joints]
        self.dofs = [self.model.joint(joint).dofadr[0] for joint in spec.joints]
        if not fixed_base:
            self.data.qpos[2] = spec.nominal_height
        self.data.qpos[self.qpos] = spec.nominal_pose

    def advance(self, seconds: float) -> None:
        spec, limit = self.spec, np.array(self.spec.effort_limit)
        for _ in range(round(seconds / self.model.opt.timestep)):
            position, velocity = self.data.qpos[self.qpos], self.data.qvel[self.dofs]
            torque = spec.stiffness * (self.target - position) - spec.damping * velocity
            self.data.qfrc_applied[self.dofs] = np.clip(torque, -limit, limit)
            mujoco.mj_step(self.model, self.data)

    def joint_error(self) -> np.ndarray:
        """How far each joint [d] is from the nominal pose [rad]."""
        return self.data.qpos[self.qpos] - self.target


def check_it_stands(spec: RobotSpec, sag: float = 0.06) -> None:
    """PD of the spec in its nominal pose on a plane: still, level, on its feet and nothing else, with its weight."""
    robot = PdSimulation(spec)
    robot.advance(3.0)
    before = robot.data.qpos.copy()
    robot.advance(2.0)
    data, model = robot.data, robot.model
    assert np.linalg.norm(data.qpos[:3] - before[:3]) < 1e-3
    assert np.abs(data.qvel).max() < 1e-2
    assert spec.nominal_height - sag < data.qpos[2] < spec.nominal_height
    upright = data.body(spec.base).xmat.reshape(3, 3)[2, 2]
    assert upright > np.cos(0.1)
    ground = model.geom("ground").id
    touching = {model.geom(geom).name for pair in data.contact.geom for geom in pair if geom != ground}
    assert touching == {f"{foot}_collision" for foot in spec.feet}
    force = np.zeros(6)
    weight = 0.0
    for i in range(data.ncon):
        mujoco.mj_contactForce(model, data, i, force)
        weight += force[0]
    assert weight == pytest.approx(spec.total_mass * 9.81, rel=1e-3)
