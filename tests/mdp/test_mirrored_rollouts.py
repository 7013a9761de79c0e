"""A mirrored robot does mirrored things: plain MuJoCo against the mirrors of states, observations and actions.

The shipped models are mirror images of themselves but for the mass distribution of their middle bodies, where the real
robots are not symmetric either. So each robot is simulated twice: with those bodies made symmetric, where the two
rollouts agree to rounding, and as shipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import pytest

from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.robot import projected_gravity
from legged_cts.mdp import observations as obs
from legged_cts.mdp.mirrors import term_mirror
from legged_cts.robots.feet import foot_frames
from legged_cts.robots.posed import nominal
from legged_cts.robots.proprioception import frame_mirror
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.robots.symmetry import joint_gain_mirror, joint_mirror, planar_velocity_mirror

ROBOTS = ("go2", "go1", "tron1", "g1", "g1_12")
FLIP = np.array([1.0, -1.0, 1.0])
QUAT = np.array([1.0, -1.0, 1.0, -1.0])  # its vector part turns like a pseudovector
SPIN = np.array([-1.0, 1.0, -1.0])


@dataclass
class World:
    """One robot's start, its randomised physics and what it is told to do."""

    pos: np.ndarray
    quat: np.ndarray
    lin_vel: np.ndarray
    ang_vel: np.ndarray
    joint_pos: np.ndarray
    joint_vel: np.ndarray
    com_shift: np.ndarray
    joint_zero: np.ndarray
    gain_scale: np.ndarray
    push: np.ndarray
    actions: np.ndarray

    @classmethod
    def random(cls, spec: RobotSpec, steps: int, seed: int) -> World:
        rng, d = np.random.default_rng(seed), len(spec.joints)
        quat = np.array([1.0, *rng.uniform(-0.1, 0.1, 2), rng.uniform(-1, 1)])
        return cls(
            pos=np.array([0.3, 0.2, spec.nominal_height + 0.02]),
            quat=quat / np.linalg.norm(quat),
            lin_vel=rng.uniform(-0.3, 0.3, 3),
            ang_vel=rng.uniform(-0.5, 0.5, 3),
            joint_pos=np.clip(
                np.array(spec.nominal_pose) + rng.uniform(-0.15, 0.15, d), spec.joint_lower, spec.joint_upper
            ),
            joint_vel=rng.uniform(-1, 1, d),
            com_shift=rng.uniform(-0.03, 0.03, 3),
            joint_zero=rng.uniform(-0.035, 0.035, d),
            gain_scale=rng.uniform(0.9, 1.1, 2 * d),
            push=rng.uniform(-0.4, 0.4, 3) * [1, 1, 0],
            actions=rng.uniform(-1, 1, (steps, d)),
        )

    def mirrored(self, spec: RobotSpec) -> World:
        joints = joint_mirror(spec)
        return World(
            pos=self.pos * FLIP,
            quat=self.quat * QUAT,
            lin_vel=self.lin_vel * FLIP,
            ang_vel=self.ang_vel * SPIN,
            joint_pos=joints(self.joint_pos),
            joint_vel=joints(self.joint_vel),
            com_shift=term_mirror(obs.com_shift, spec)(self.com_shift),
            joint_zero=joints(self.joint_zero),
            gain_scale=joint_gain_mirror(spec)(self.gain_scale),
            push=self.push * FLIP,
            actions=joints(self.actions),
        )


class Simulation:
    """A robot in plain MuJoCo, started and randomised as its world says."""

    def __init__(self, spec: RobotSpec, world: World, symmetric: bool) -> None:
        self.spec, self.world = spec, world
        self.robot = MujocoRobot(
            spec, 0.02, 0.005, action_delay=0.005, base_mass=0.7, com_shift=(0, 0, 0), joint_zero=world.joint_zero
        )
        model, data, d = self.robot.model, self.robot.data, len(spec.joints)
        if symmetric:
            make_symmetric(model, spec)
        model.body_ipos[model.body(spec.base).id] += world.com_shift
        model.actuator_gainprm[:, 0] *= world.gain_scale[:d]
        model.actuator_biasprm[:, 1] *= world.gain_scale[:d]
        model.actuator_biasprm[:, 2] *= world.gain_scale[d:]
        mujoco.mj_setConst(model, mujoco.MjData(model))
        # The solver must not stop early, or it stops at another place for a mirrored order of the contacts.
        model.opt.tolerance, model.opt.ls_tolerance, model.opt.iterations = 0.0, 1e-10, 200
        root, dof = self.robot.root, self.robot.root_dof
        data.qpos[root : root + 7] = (*world.pos, *world.quat)
        data.qvel[dof : dof + 6] = (*world.lin_vel, *world.ang_vel)
        data.qpos[self.robot.qpos], data.qvel[self.robot.dofs] = world.joint_pos, world.joint_vel
        mujoco.mj_forward(model, data)
        self.feet = [model.body(foot).id for foot in spec.feet]
        self.reach = foot_frames(spec).reach

    def step(self, index: int) -> None:
        if index == 5:
            self.robot.push(self.world.push)
        self.action = self.world.actions[index]
        self.robot.send_targets(np.asarray(self.spec.nominal_pose) + self.spec.action_scale * self.action)

    def frame(self, command: np.ndarray) -> np.ndarray:
        state = self.robot.read_state()
        joints = (state.joint_pos - np.asarray(self.spec.nominal_pose), state.joint_vel, self.action)
        return np.concatenate([state.ang_vel, projected_gravity(state.quat), command, *joints])

    def terms(self) -> dict[str, np.ndarray]:
        """What the simulator determines of s_t, in other units than the terms', which are the same on both sides."""
        data, dof = self.robot.data, self.robot.root_dof
        inverse, lin_vel = np.empty(4), np.empty(3)
        mujoco.mju_negQuat(inverse, self.robot.base_quat)
        mujoco.mju_rotVecQuat(lin_vel, data.qvel[dof : dof + 3], inverse)
        return {
            "base_lin_vel": lin_vel,
            "foot_contact_force": self.foot_forces(),
            "foot_height": data.xpos[self.feet, 2] - self.reach,
            "joint_torque": self.robot.torques,
            "joint_acc": data.qacc[self.robot.dofs],
        }

    def foot_forces(self) -> np.ndarray:
        model, data, wrench = self.robot.model, self.robot.data, np.empty(6)
        forces = np.zeros((len(self.feet), 3))
        for index, contact in enumerate(data.contact):
            mujoco.mj_contactForce(model, data, index, wrench)
            for body in model.geom_bodyid[contact.geom]:
                if body in self.feet:
                    forces[self.feet.index(body)] += wrench[:3] @ contact.frame.reshape(3, 3)
        return np.linalg.norm(forces, axis=1)


def make_symmetric(model: mujoco.MjModel, spec: RobotSpec) -> None:
    """Replace the inertia of each body in the middle by its mean with its mirror image."""
    data = nominal(spec).data
    for body in range(1, model.nbody):
        if abs(data.xpos[body, 1]) > 1e-6 or abs(data.xipos[body, 1]) > 5e-3:  # bodies at the side have a partner
            continue
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, model.body_iquat[body])
        rotation = rotation.reshape(3, 3)
        tensor = rotation @ np.diag(model.body_inertia[body]) @ rotation.T
        moments, axes = np.linalg.eigh(0.5 * (tensor + np.outer(FLIP, FLIP) * tensor))
        axes[:, 0] *= np.linalg.det(axes)
        mujoco.mju_mat2Quat(model.body_iquat[body], np.ascontiguousarray(axes).ravel())
        model.body_inertia[body] = moments
        model.body_ipos[body, 1] = 0.0


def largest_difference(name: str, steps: int, symmetric: bool, seed: int) -> tuple[float, dict[str, float], int]:
    """Simulate a world and its mirror image side by side.

    Returns:
        The largest difference of pose and joint angles [m, rad, 1], the largest of o_t and of each term of s_t
        relative to its largest value, and how many contacts there were.
    """
    spec = load_robot(name)
    world = World.random(spec, steps, seed)
    here, there = (Simulation(spec, w, symmetric) for w in (world, world.mirrored(spec)))
    joints, frame = joint_mirror(spec), frame_mirror(spec, None)
    command = np.array([0.7, 0.3, -0.5])
    pose, seen, size, contacts = 0.0, {}, {}, 0
    for step in range(steps):
        here.step(step), there.step(step)
        contacts += here.robot.data.ncon
        pairs = (
            (here.robot.base_pos * FLIP, there.robot.base_pos),
            (here.robot.base_quat * QUAT, there.robot.base_quat),
            (joints(here.robot.data.qpos[here.robot.qpos]), there.robot.data.qpos[there.robot.qpos]),
        )
        pose = max(pose, *(float(np.abs(a - b).max()) for a, b in pairs))
        values = {"frame": (frame(here.frame(command)), there.frame(planar_velocity_mirror(spec)(command)))}
        for term, value in there.terms().items():
            values[term] = (term_mirror(obs.PRIVILEGED[term], spec)(here.terms()[term]), value)
        for term, (a, b) in values.items():
            seen[term] = max(seen.get(term, 0.0), float(np.abs(a - b).max()))
            size[term] = max(size.get(term, 0.0), float(np.abs(b).max()))
    assert all(size.values())
    return pose, {term: value / size[term] for term, value in seen.items()}, contacts


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ROBOTS)
def test_a_symmetric_robot_in_a_mirrored_world_does_mirrored_things(name: str, seed: int):
    """One second with contacts, random targets, and a push. Equal but for rounding, which contacts amplify: 1e-15 is
    measured, 1e-9 is demanded."""
    pose, terms, contacts = largest_difference(name, 50, symmetric=True, seed=seed)
    assert contacts > 50
    assert pose < 1e-9
    assert max(terms.values()) < 1e-8, terms


# The unevenness of the shipped robots as a difference after 0.1 s [m, rad]: the centre of mass of the Go1's trunk is
# 2 mm to the left, that of the G1's torso 0.3 mm; of Go2 and TRON1 products of inertia of the base are not zero.
SHIPPED = {"go2": 5e-4, "go1": 6e-3, "tron1": 1e-3, "g1": 1e-3, "g1_12": 1e-3}


@pytest.mark.parametrize("name", ROBOTS)
def test_a_shipped_robot_in_a_mirrored_world_does_nearly_so(name: str):
    pose, _, _ = largest_difference(name, 5, symmetric=False, seed=0)
    assert 1e-7 < pose < SHIPPED[name]


def test_a_wrong_sign_would_be_seen(monkeypatch):
    """The tolerances can tell a mirror from a mistake."""
    spec = load_robot("go2")
    hip = {joint: 1.0 if joint == "FL_hip_joint" else sign for joint, sign in spec.mirror_sign.items()}
    original = joint_mirror(spec)
    wrong = type(original)(original.index, np.array([hip[joint] for joint in spec.joints]))
    monkeypatch.setitem(globals(), "joint_mirror", lambda spec: wrong)
    pose, _, _ = largest_difference("go2", 5, symmetric=False, seed=0)
    assert pose > 0.05
