"""How the robots that can be deployed to are wired: their protocol, their motors by name, and how they lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from legged_cts.deploy.robot import Array
from legged_cts.robots.spec import RobotSpec, load_robot

_LEGS = ("FR", "FL", "RR", "RL")
_G1_LEG = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
_G1_ARM = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw")
_G1_MOTORS = (
    *(f"{side}_{joint}_joint" for side in ("left", "right") for joint in _G1_LEG),
    *(f"waist_{axis}_joint" for axis in ("yaw", "roll", "pitch")),
    *(f"{side}_{joint}_joint" for side in ("left", "right") for joint in _G1_ARM),
)
_G1_LYING = {".*_hip_pitch_joint": -1.6, ".*_knee_joint": 2.4, ".*_ankle_pitch_joint": -0.8}


@dataclass(frozen=True)
class Wiring:
    """How one robot is driven.

    Attributes:
        protocol: `unitree_go`, `unitree_hg` or `limx`.
        whole: the robot whose joints all the motors are; that of a policy may have locked some of them.
        motors: names of its joints in the order of the protocol's motors.
        lying: angle [rad] of joints, by pattern, on the robot that lies or crouches; the others keep their nominal one.
        mode_machine: what a `unitree_hg` state must say of the robot's build, None where there is nothing to compare.
    """

    protocol: str
    whole: str
    motors: tuple[str, ...]
    lying: Mapping[str, float]
    mode_machine: int | None = None

    def lying_pose(self, spec: RobotSpec) -> Array:
        """The pose in which the robot lies [rad], in the order of the spec's joints."""
        pose = list(spec.nominal_pose)
        for index, joint in enumerate(spec.joints):
            for pattern, angle in self.lying.items():
                if re.fullmatch(pattern, joint):
                    pose[index] = angle
        return np.clip(pose, spec.joint_lower, spec.joint_upper)


_QUADRUPED_MOTORS = tuple(f"{leg}_{joint}_joint" for leg in _LEGS for joint in ("hip", "thigh", "calf"))
_QUADRUPED_LYING = {".*_hip_joint": 0.0, ".*_thigh_joint": 1.36, ".*_calf_joint": -2.65}

WIRINGS = {
    "go2": Wiring("unitree_go", "go2", _QUADRUPED_MOTORS, _QUADRUPED_LYING),
    "g1": Wiring("unitree_hg", "g1", _G1_MOTORS, _G1_LYING, mode_machine=5),
    "g1_12": Wiring("unitree_hg", "g1", _G1_MOTORS, _G1_LYING, mode_machine=5),
    "tron1": Wiring(
        "limx",
        "tron1",
        tuple(f"{joint}_{side}_Joint" for side in "LR" for joint in ("abad", "hip", "knee")),
        {"hip_L_Joint": 0.6, "hip_R_Joint": -0.6, "knee_L_Joint": 1.1, "knee_R_Joint": -1.1},
    ),
}


def wiring_of(robot: str) -> Wiring:
    """The wiring of a robot.

    Raises:
        ValueError: naming the robots that have one.
    """
    if robot not in WIRINGS:
        raise ValueError(f"robot: '{robot}' has no wiring (allowed: {', '.join(WIRINGS)})")
    return WIRINGS[robot]


class MotorMap:
    """Carries arrays between the joints of a policy and the motors of its robot, by name.

    Args:
        spec: the policy's robot.
        wiring: the motors.

    Raises:
        ValueError: if a joint has no motor.
    """

    def __init__(self, spec: RobotSpec, wiring: Wiring) -> None:
        """Find each joint's motor, and how the motors of locked joints are held."""
        if absent := [joint for joint in spec.joints if joint not in wiring.motors]:
            raise ValueError(f"robot: the joints {absent} of '{spec.name}' have no motor")
        whole = load_robot(wiring.whole)
        self.motors = np.array([wiring.motors.index(joint) for joint in spec.joints])
        """Index of each joint's motor [d]."""
        held = [joint for joint in wiring.motors if joint in spec.locked]
        self._held = np.array([wiring.motors.index(joint) for joint in held], dtype=int)
        index = [whole.joints.index(joint) for joint in held]
        self._held_q = np.array([spec.locked[joint] for joint in held])
        self._held_kp, self._held_kd = (np.array(gains)[index] for gains in (whole.stiffness, whole.damping))
        self.count = len(wiring.motors)

    def spread(self, q: Array, kp: Array, kd: Array) -> tuple[Array, Array, Array]:
        """A command for all motors: (q, kp, kd), each [motors]; locked joints are held, or limp where all are limp."""
        whole = np.zeros((3, self.count))
        whole[:, self.motors] = q, kp, kd
        if self._held.size:
            stiff = float(np.any(kp))
            whole[:, self._held] = self._held_q, stiff * self._held_kp, self._held_kd
        return whole[0], whole[1], whole[2]
