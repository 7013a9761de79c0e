"""The control loop: sensors to observation, policy, joint targets."""

from __future__ import annotations

import logging
import math

import numpy as np

from legged_cts.deploy.contract import COMMANDS, ContractError
from legged_cts.deploy.observation import build_observation
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.robot import Array, RobotInterface

_log = logging.getLogger(__name__)


class Controller:
    """Runs a policy on a robot, one `step` per control period.

    Args:
        policy: its contract says what the robot must be.
        robot: any driver with the `RobotInterface`.
        clip_commands: whether commands are brought into the contract's `command_ranges`, outside which nobody knows
            what the policy does; the first command that is clipped is reported to this module's logger.

    Raises:
        ContractError: if the robot's joints or control period are not the policy's.
    """

    def __init__(self, policy: OnnxPolicy, robot: RobotInterface, clip_commands: bool = True) -> None:
        """Check that robot and policy fit."""
        contract = policy.contract
        if tuple(robot.joints) != contract.joints:
            raise ContractError(f"joints: {list(contract.joints)} in the policy but {list(robot.joints)} in the robot")
        if not math.isclose(robot.control_dt, contract.control_dt, rel_tol=1e-6):
            raise ContractError(f"control_dt: {contract.control_dt} in the policy but {robot.control_dt} in the robot")
        self._policy, self._robot = policy, robot
        self._last_action = np.zeros(len(contract.joints), dtype=np.float32)
        low, high = np.array([contract.command_ranges[name] for name in COMMANDS]).T
        self._command_limits = (low, high) if clip_commands else None
        self._clip_reported = False
        self.phase = 0.0
        """Phase of the gait's clock at the next step, in cycles; 0 without a gait."""
        self._stopped = math.inf
        policy.reset()

    def reset(self) -> None:
        """Begins anew: forgets the history, the state and the last action, and starts the gait's clock."""
        self._policy.reset()
        self.phase, self._stopped = 0.0, math.inf
        self._last_action = np.zeros_like(self._last_action)

    def step(self, command: Array) -> Array:
        """Reads the sensors, acts, and sends the targets.

        Args:
            command: (v_x, v_y, yaw rate) [m/s, m/s, rad/s].

        Returns:
            The action [d].

        Raises:
            ValueError: if the command is no three finite numbers, or a sensor's value is not finite.
        """
        state = self._robot.read_state()
        command = self._within_limits(np.asarray(command, dtype=np.float64))
        frame = build_observation(self._policy.contract, state, command, self._last_action, self._clock(command))
        self._last_action = self._policy.act(frame)
        self._robot.send_targets(self._policy.joint_targets(self._last_action))
        return self._last_action

    def _clock(self, command: Array) -> float | None:
        """Return the phase that the policy sees in this step, None while the clock rests, and go on to the next."""
        contract = self._policy.contract
        gait, dt = contract.gait, contract.control_dt
        if gait is None:
            return None
        phase, stands = self.phase, float(np.linalg.norm(command)) < gait.still
        # A step's rounding must not decide.
        rests = stands and self._stopped > gait.linger - 0.5 * dt
        self._stopped = self._stopped + dt if stands else 0.0
        self.phase = (phase + gait.frequency * dt) % 1.0
        return None if rests else phase

    def _within_limits(self, command: Array) -> Array:
        # What is no command, the observation refuses; infinity is none and must not pass as the limit.
        if self._command_limits is None or command.shape != (3,) or not np.isfinite(command).all():
            return command
        clipped = np.clip(command, *self._command_limits)
        if not self._clip_reported and (clipped != command).any():
            self._clip_reported = True
            trained = self._policy.contract.command_ranges
            ranges = ", ".join(f"{name} {list(bounds)}" for name, bounds in trained.items())
            _log.warning(
                "the command %s is outside the ranges that the policy was trained for (%s): clipped to %s, as all that "
                "follow; Controller(..., clip_commands=False) lets them through",
                command.tolist(), ranges, clipped.tolist(),
            )  # fmt: skip
        return clipped
