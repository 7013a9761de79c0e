"""The control loop: sensors to observation, policy, joint targets."""

from __future__ import annotations

import math

import numpy as np

from legged_cts.deploy.contract import ContractError
from legged_cts.deploy.observation import build_observation
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.robot import Array, RobotInterface


class Controller:
    """Runs a policy on a robot, one `step` per control period.

    Args:
        policy: its contract says what the robot must be.
        robot: any driver with the `RobotInterface`.

    Raises:
        ContractError: if the robot's joints or control period are not the policy's.
    """

    def __init__(self, policy: OnnxPolicy, robot: RobotInterface) -> None:
        """Check that robot and policy fit."""
        contract = policy.contract
        if tuple(robot.joints) != contract.joints:
            raise ContractError(f"joints: {list(contract.joints)} in the policy but {list(robot.joints)} in the robot")
        if not math.isclose(robot.control_dt, contract.control_dt, rel_tol=1e-6):
            raise ContractError(f"control_dt: {contract.control_dt} in the policy but {robot.control_dt} in the robot")
        self._policy, self._robot = policy, robot
        self._last_action = np.zeros(len(contract.joints), dtype=np.float32)
        gait = contract.gait
        self._phase_step = 0.0 if gait is None else gait.frequency * contract.control_dt
        self.phase = 0.0
        """Phase of the gait's clock at the next step, in cycles; 0 without a gait."""
        policy.reset()

    def reset(self) -> None:
        """Begins anew: forgets the history, the state and the last action, and starts the gait's clock."""
        self._policy.reset()
        self.phase = 0.0
        self._last_action = np.zeros_like(self._last_action)

    def step(self, command: Array) -> Array:
        """Reads the sensors, acts, and sends the targets.

        Args:
            command: (v_x, v_y, yaw rate) [m/s, m/s, rad/s].

        Returns:
            The action [d].
        """
        state = self._robot.read_state()
        frame = build_observation(self._policy.contract, state, command, self._last_action, self.phase)
        self._last_action = self._policy.act(frame)
        self._robot.send_targets(self._policy.joint_targets(self._last_action))
        self.phase = (self.phase + self._phase_step) % 1.0
        return self._last_action
