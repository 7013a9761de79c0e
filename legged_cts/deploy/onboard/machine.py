"""The state machine of a robot: damping, stand up, stand, walk, stop, lie down, without any wire."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from legged_cts.deploy.contract import COMMANDS, check
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.onboard.guards import LIES_AFTERWARDS, RESPONSES, SITS_DOWN, Fault, Guards, Limits, Mode, tilt
from legged_cts.deploy.onboard.link import MotorCommand, Reading
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.robot import Array, RobotState
from legged_cts.robots.spec import RobotSpec

REQUESTS = ("damp", "stand", "walk", "lie")
"""What an operator can ask for; `stand` is also what ends a walk."""

JOINT_SPEED = 1.2
"""Of the quickest joint while standing up and lying down [rad/s]."""

SHORTEST = 0.6
"""Of such a motion [s]."""

SITTING = 0.5
"""Time in which a biped sits down after a fault [s]; it falls over in about as long."""

FALLING = 1.0
"""How long it then holds that pose before it goes limp [s]."""

SLEW = np.array([1.5, 1.5, 3.0])
"""Largest change of the command [m/s^2, m/s^2, rad/s^2]."""

SETTLING = 0.5
"""Time with the command at zero before a walk counts as stopped, and in its pose before a robot stands still [s]."""

NEAR = 0.6
"""How far from its pose a joint may be on a robot that counts as standing [rad]; soft knees sag by up to half of it."""

UPRIGHT = 0.5
"""Tilt beyond which a robot neither stands up nor starts to walk [rad]."""

SOFT = 0.2
"""Damping over stiffness of a limp joint [s], by which it sinks in a second or so; at most `MOST_DAMPING`."""

MOST_DAMPING = 10.0
"""[N m s/rad]"""


class Machine:
    """Decides once a control period what the motors do.

    It knows nothing of wires and has no clock of its own, so that it can be tried step by step. Every command it
    returns is finite and within the joints' limits, whatever the readings hold.

    Args:
        policy: walks.
        spec: the robot.
        lying: pose in which the robot lies [rad] [d].
        limits: of the guards.
        report: takes one line for each transition and each refusal.

    Raises:
        ContractError: if the policy does not fit the robot.
    """

    def __init__(
        self,
        policy: OnnxPolicy,
        spec: RobotSpec,
        lying: Array,
        limits: Limits | None = None,
        report: Callable[[str], None] = print,
    ) -> None:
        """Check that they fit; the state is damping."""
        check(policy.contract, spec)
        self.mode = Mode.DAMPING
        self.limits = limits or Limits()
        self.command = np.zeros(3)
        """The command that the policy follows now, clipped and slewed."""
        self.action = np.zeros(len(spec.joints))
        contract = policy.contract
        self.joints, self.control_dt = contract.joints, contract.control_dt
        self._spec, self._report = spec, report
        self._guards = Guards(spec, self.limits)
        self._controller = Controller(policy, self)
        self._low, self._high = np.array([contract.command_ranges[name] for name in COMMANDS]).T
        self._stand, self._lying = np.asarray(contract.default_joint_pos), np.asarray(lying)
        self._kp, self._kd = np.asarray(contract.stiffness), np.asarray(contract.damping)
        self._limp = np.minimum(SOFT * self._kp, MOST_DAMPING)
        self._effort = np.asarray(contract.effort_limit)
        self._lower, self._upper = np.asarray(spec.joint_lower), np.asarray(spec.joint_upper)
        self._balances = spec.morphology != "quadruped"
        self._reading: Reading | None = None
        self._target = self._stand.copy()
        self._path: list[tuple[float, Array]] = []
        self._began = self._commanded = self._stopped = 0.0
        self._then: Mode | None = None
        self._is_walking = False

    # The interface of a robot, for the controller.

    def read_state(self) -> RobotState:
        """The state of the newest reading."""
        assert self._reading is not None
        return self._reading.state

    def send_targets(self, targets: Array) -> None:
        """Keeps the policy's targets for this period's command."""
        self._target = np.clip(targets, self._lower, self._upper)

    def step(
        self,
        now: float,
        reading: Reading | None,
        request: str | None = None,
        command: Array | None = None,
        late: bool = False,
    ) -> MotorCommand:
        """One control period.

        Args:
            now: the loop's clock [s]; never goes back.
            reading: the newest one since the last period, or None.
            request: one of `REQUESTS`, or None.
            command: (v_x, v_y, yaw rate) [m/s, m/s, rad/s] that the operator wants, None if nothing came from him.
            late: whether the last period missed its deadline.
        """
        fault = self._guards.check(now, reading, late)
        if reading is not None and (fault is None or fault.name != "corrupt"):
            self._reading = reading
        wanted = self._wanted(now, command)
        if fault is None and self.mode is Mode.WALK and now - self._commanded > self.limits.command_timeout:
            fault = Fault("command_lost", f"no command for {1e3 * (now - self._commanded):.0f} ms")
        if fault is not None:
            self._trip(now, fault)
        if request is not None:
            self._ask(now, request, fault)
        self._advance(now)
        if self.mode in (Mode.WALK, Mode.STOP):
            self._walk(now, wanted)
        elif self.mode is not Mode.DAMPING:
            self._follow(now)
        if self.mode is Mode.DAMPING:
            return self.limp()
        return MotorCommand(self._target.copy(), self._kp, self._kd)

    @property
    def lies_next(self) -> bool:
        """Whether the robot will lie down once it stands still."""
        return self._then is Mode.LIE_DOWN

    def limp(self) -> MotorCommand:
        """Damping: no stiffness, and angles that mean nothing without one but are within the limits."""
        q = self._stand if self._reading is None else self._reading.state.joint_pos
        return MotorCommand(np.clip(q, self._lower, self._upper), np.zeros_like(self._kp), self._limp)

    # Transitions.

    def _go(self, now: float, mode: Mode, why: str, quick: bool = False) -> None:
        self._report(f"{now:.2f} s: {self.mode.value} -> {mode.value}: {why}")
        limp = self.mode is Mode.DAMPING
        self.mode, self._began, self._then = mode, now, None
        if mode is Mode.WALK and not self._is_walking:
            self._controller.reset()
            self.command = np.zeros(3)
        self._is_walking = mode in (Mode.WALK, Mode.STOP)
        self._commanded = self._stopped = now
        if self._reading is None:
            return
        # From where limp joints are, or those that leave a step; else from where they were sent: no torque jumps up.
        start = np.clip(self._reading.state.joint_pos if limp or quick else self._target, self._lower, self._upper)
        self._target = start
        if mode is Mode.STAND_UP:
            near = np.abs(start - self._stand).max() < NEAR
            self._path = _path(start, [self._stand] if self._balances or near else [self._lying, self._stand])
        elif mode is Mode.STAND:
            self._path = _path(start, [self._stand])
        elif mode is Mode.LIE_DOWN:
            sitting = [(0.0, start), (SITTING, self._lying), (SITTING + FALLING, self._lying)]
            self._path = sitting if quick else _path(start, [self._lying])

    def _trip(self, now: float, fault: Fault) -> None:
        mode, then = RESPONSES[fault.name], None
        sits = fault.name in SITS_DOWN and self._balances and (self._is_walking or self.mode is Mode.LIE_DOWN)
        if sits or (fault.name in LIES_AFTERWARDS and not self._is_walking):
            mode = Mode.LIE_DOWN
        elif fault.name in LIES_AFTERWARDS and not self._balances:
            then = Mode.LIE_DOWN
        goes_on = {
            Mode.DAMPING: (Mode.DAMPING,),
            Mode.LIE_DOWN: (Mode.DAMPING, Mode.LIE_DOWN),
            Mode.STOP: (Mode.DAMPING, Mode.LIE_DOWN, Mode.STOP),
        }
        if self.mode not in goes_on[mode]:
            self._go(now, mode, f"{fault.name}: {fault.detail}", quick=sits)
        if self.mode is Mode.STOP:
            self._then = then or self._then

    def _ask(self, now: float, request: str, fault: Fault | None) -> None:
        if request == "damp":
            if self.mode is not Mode.DAMPING:
                self._go(now, Mode.DAMPING, "asked for")
            return
        refusal = self._refusal(request, fault)
        if refusal:
            self._report(f"{now:.2f} s: {request} refused in {self.mode.value}: {refusal}")
        elif request == "stand" and self.mode is Mode.WALK:
            self._go(now, Mode.STOP, "asked to stand")
        elif request == "stand" and self.mode in (Mode.DAMPING, Mode.LIE_DOWN):
            self._go(now, Mode.STAND_UP, "asked for")
        elif request == "walk" and self.mode in (Mode.STAND, Mode.STOP):
            self._go(now, Mode.WALK, "asked for")
        elif request == "lie" and self.mode is Mode.STAND_UP:
            self._go(now, Mode.LIE_DOWN, "asked for")
        elif request == "lie" and self.mode is not Mode.LIE_DOWN:
            if self.mode is Mode.WALK:
                self._go(now, Mode.STOP, "asked to lie down")
            self._then = Mode.LIE_DOWN

    def _refusal(self, request: str, fault: Fault | None) -> str | None:
        """Why a request would lose the robot, or None."""
        if request not in REQUESTS:
            return f"there is no such request (allowed: {', '.join(REQUESTS)})"
        if request == "lie":
            return "it lies" if self.mode is Mode.DAMPING else None
        if fault is not None:
            return f"{fault.name}: {fault.detail}"
        if self._reading is None:
            return "there is no state"
        if tilt(self._reading) > UPRIGHT:
            return f"it tilts by {tilt(self._reading):.2f} rad, at most {UPRIGHT:g}"
        if request == "walk" and self.mode not in (Mode.STAND, Mode.WALK, Mode.STOP):
            return "it does not stand"
        return None

    def _advance(self, now: float) -> None:
        """The transitions that time brings."""
        if self.mode is Mode.STOP:
            if self.command.any():
                self._stopped = now
            elif now - self._stopped > SETTLING:
                # A biped stands by its policy alone, with the command at zero.
                following = self._then if self._balances else Mode.STAND
                if following is not None:
                    then = self._then
                    self._go(now, following, "the walk has stopped")
                    self._then = then
        elif self.mode is Mode.STAND:
            # A quadruped lies down from its own stance; out of another one the legs would drag it over.
            if self._then is not None and now - self._began > self._path[-1][0] + SETTLING:
                self._go(now, self._then, "it stands still")
        elif self.mode in (Mode.STAND_UP, Mode.LIE_DOWN) and now - self._began > self._path[-1][0]:
            if self.mode is Mode.LIE_DOWN:
                self._go(now, Mode.DAMPING, "it lies")
                return
            assert self._reading is not None
            off = np.abs(self._reading.state.joint_pos - self._stand)
            if off.max() < NEAR:
                self._go(now, Mode.STAND, "it stands")
            elif now - self._began > self._path[-1][0] + 1.0:
                joint = int(np.argmax(off))
                self._trip(now, Fault("blocked", f"{self.joints[joint]} is {off[joint]:.2f} rad away from standing"))

    # Motions.

    def _wanted(self, now: float, command: Array | None) -> Array:
        if command is not None and np.shape(command) == (3,) and np.isfinite(command).all():
            self._commanded = now
            return np.clip(command, self._low, self._high)
        # Until it times out, the last command holds.
        return self.command

    def _walk(self, now: float, wanted: Array) -> None:
        goal = wanted if self.mode is Mode.WALK else np.zeros(3)
        step = SLEW * self.control_dt
        self.command = self.command + np.clip(goal - self.command, -step, step)
        try:
            self.action = self._controller.step(np.clip(self.command, self._low, self._high))
        except ValueError as error:
            self._trip(now, Fault("policy", str(error)))

    def _follow(self, now: float) -> None:
        """Moves the target along the path, never so far ahead of a joint that it would ask for all its torque."""
        assert self._reading is not None
        elapsed, start = now - self._began, 0.0
        point = self._path[-1][1]
        for (end, goal), (_, origin) in zip(self._path[1:], self._path, strict=False):
            if elapsed < end:
                share = (elapsed - start) / (end - start)
                point = origin + (3 - 2 * share) * share**2 * (goal - origin)
                break
            start = end
        reach = 0.9 * self._effort / self._kp
        q = self._reading.state.joint_pos
        self._target = np.clip(np.clip(point, q - reach, q + reach), self._lower, self._upper)


def _path(start: Array, goals: list[Array]) -> list[tuple[float, Array]]:
    """Way points and the times since the start at which they are reached [s]."""
    path = [(0.0, start)]
    for goal in goals:
        time, origin = path[-1]
        path.append((time + max(SHORTEST, float(np.abs(goal - origin).max()) / JOINT_SPEED), goal))
    return path
