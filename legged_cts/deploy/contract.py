"""The policy contract: everything a robot must agree with before it may run a policy."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from legged_cts.robots.gait import RESTING, Gait
from legged_cts.robots.proprioception import GAIT_PHASE, term_sizes
from legged_cts.trust.plain import check_identifier, check_plain, show

if TYPE_CHECKING:
    from legged_cts.robots.spec import RobotSpec

CONTRACT_KEY = "legged_cts_contract"
"""The key of the ONNX `metadata_props` entry which holds the contract."""

CONTRACT_VERSION = 5
"""The format written; older ones are still read."""

HASH_SINCE = 4
"""The version since which a file must hold the hash of its network; in older ones nothing vouches for the weights."""

STILL_SINCE = 5
"""The version since which a gait says at which commands its clock rests; in older ones it never does."""

ADDED_IN = {"gait": 2, "state_size": 3, "network_hash": HASH_SINCE}
"""The version that brought each field which version 1 did not have; before it, the field has its default."""

HISTORY_RESETS = ("backfill", "zero")
"""What a reset may do to the history; `zero` came with version 3."""

CONTROL_DT = (1e-3, 1.0)
PHYSICS_DT = (1e-5, 0.1)
"""Bounds of both steps [s]; control runs at 50 Hz, physics at 200 Hz and more."""

MAX_TICKS = 1000
MAX_TEXT = 10**6
"""Characters of a contract, which has some thousand."""

LARGEST = 1.0e6
"""No quantity of a contract is larger, in SI units."""

COMMANDS = ("lin_vel_x", "lin_vel_y", "ang_vel_z")
"""The entries of the command, in order: [m/s], [m/s] and [rad/s] in the base frame."""


class ContractError(ValueError):
    """A contract that is malformed, or that does not fit the robot."""


class ObservationTerm(NamedTuple):
    """One slice of the proprioception o_t: `size` numbers, multiplied by `scale`."""

    name: str
    size: int
    scale: float


@dataclass(frozen=True)
class PolicyContract:
    """What a policy was trained on; written into its ONNX file and checked against the robot before each use.

    Attributes:
        version: format of the contract.
        robot: name of the robot.
        robot_hash: 16 hex digits over the robot's files at training time.
        joints: joint names, in the order of actions and joint observations.
        default_joint_pos: pose which action 0 asks for, per joint [rad].
        stiffness: proportional gain per joint [N m/rad].
        damping: derivative gain per joint [N m s/rad].
        effort_limit: torque limit per joint [N m].
        action_scale: target = default_joint_pos + action_scale * action [rad]; one number, or one per joint.
        action_clip: actions are clipped to [-action_clip, action_clip] first.
        control_dt: seconds between two actions.
        physics_dt: seconds per physics tick in training.
        observations: terms of o_t in order.
        history_length: number of proprioceptions in the history.
        history_order: always `oldest_first`.
        history_reset: what the slots before the first proprioception hold: copies of it (`backfill`, what the
            training environments do) or zeros (`zero`).
        command_ranges: (low, high) per entry of the command, as trained.
        git_revision: revision of the code which exported the policy.
        parity_error: largest difference seen between torch and onnxruntime.
        trained_steps: environment steps the policy was trained for.
        algorithm: name of the training algorithm.
        terrain: name of the training terrain.
        gait: the clock that the policy walks by, or None; its offsets are in the order of the robot spec's feet.
        state_size: numbers S in the state of a recurrent policy, 0 for a feed-forward one. The network then has one
            more input, `state` [batch, S], and one more output, `next_state`, which is the next step's state; a reset
            sets it to zeros.
        network_hash: sha256 over the ONNX file without its metadata, see `legged_cts.deploy.onnx_file.network_hash`.
    """

    version: int
    robot: str
    robot_hash: str
    joints: tuple[str, ...]
    default_joint_pos: tuple[float, ...]
    stiffness: tuple[float, ...]
    damping: tuple[float, ...]
    effort_limit: tuple[float, ...]
    action_scale: float | tuple[float, ...]
    action_clip: float
    control_dt: float
    physics_dt: float
    observations: tuple[ObservationTerm, ...]
    history_length: int
    history_order: str
    history_reset: str
    command_ranges: dict[str, tuple[float, float]]
    git_revision: str
    parity_error: float
    trained_steps: int
    algorithm: str
    terrain: str
    gait: Gait | None = None
    state_size: int = 0
    network_hash: str = ""

    def __post_init__(self) -> None:
        """Checks every field and brings it to its exact type.

        Raises:
            ContractError: naming the first field that is wrong.
        """
        put = object.__setattr__
        for name in ("robot_hash", "history_order", "history_reset", "git_revision"):
            put(self, name, _text(name, getattr(self, name)))
        for name in ("robot", "algorithm", "terrain"):  # they become paths, words and part of a page
            put(self, name, _identifier(name, getattr(self, name)))
        for name, low, high in (
            ("version", 1, 1000), ("history_length", 1, 1000), ("trained_steps", 0, 2**63), ("state_size", 0, 10**5)
        ):  # fmt: skip
            put(self, name, _integer(name, getattr(self, name), low, high))
        for name in ("action_clip", "control_dt", "physics_dt"):
            put(self, name, _number(name, getattr(self, name), positive=True))
        put(self, "parity_error", _number("parity_error", self.parity_error))
        _known_version(self.version)
        if not isinstance(self.network_hash, str) or not re.fullmatch(r"([0-9a-f]{64})?", self.network_hash):
            raise ContractError(f"network_hash: expected 64 hex digits, got {show(self.network_hash)}")
        put(self, "gait", _gait(self.gait, self.version))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in _unknown_to(self.version) and value != field.default:
                raise ContractError(
                    f"{field.name}: expected {field.default!r} in version {self.version}, got {show(value)}"
                )
        _expect("history_order", self.history_order, "oldest_first")
        _expect("history_reset", self.history_reset, *HISTORY_RESETS[: 1 if self.version < 3 else 2])
        joints = tuple(_text(f"joints[{i}]", joint) for i, joint in enumerate(_sequence("joints", self.joints)))
        if not joints:
            raise ContractError("joints: must name at least one joint")
        twice = sorted({joint for joint in joints if joints.count(joint) > 1})
        if twice:
            raise ContractError(f"joints: {twice} listed more than once")
        put(self, "joints", joints)
        for name in ("default_joint_pos", "stiffness", "damping", "effort_limit"):
            values = _sequence(name, getattr(self, name))
            if len(values) != len(joints):
                raise ContractError(f"{name}: {len(values)} values for {len(joints)} joints")
            put(self, name, tuple(_number(f"{name}[{joints[i]}]", value) for i, value in enumerate(values)))
        put(self, "action_scale", _action_scale(self.action_scale, joints))
        put(self, "observations", _observations(self.observations, len(joints), self.gait is not None))
        put(self, "command_ranges", _command_ranges(self.command_ranges))
        for name, (low, high) in (("control_dt", CONTROL_DT), ("physics_dt", PHYSICS_DT)):
            if not low <= getattr(self, name) <= high:
                raise ContractError(f"{name}: expected a step of {low:g} to {high:g} s, got {getattr(self, name)!r}")
        ticks = self.control_dt / self.physics_dt
        if ticks > MAX_TICKS:
            raise ContractError(f"physics_dt: {ticks:.0f} physics ticks per action, at most {MAX_TICKS} are allowed")
        if round(ticks) < 1 or not math.isclose(ticks, round(ticks), rel_tol=1e-6):
            raise ContractError(
                f"control_dt: {self.control_dt} s is no whole number of physics ticks of {self.physics_dt} s"
            )

    @property
    def decimation(self) -> int:
        """Physics ticks per action."""
        return round(self.control_dt / self.physics_dt)

    @property
    def observation_size(self) -> int:
        """The size n of o_t."""
        return sum(term.size for term in self.observations)

    def to_json(self) -> str:
        """The contract as JSON, losslessly: Python writes the shortest digits that read back as the same float."""
        fields = dataclasses.asdict(self)
        if self.gait is not None and self.version < STILL_SINCE:
            for name in RESTING:
                del fields["gait"][name]
        fields["observations"] = [term._asdict() for term in self.observations]
        for name in _unknown_to(self.version):
            del fields[name]
        return json.dumps(fields, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> PolicyContract:
        """Reads what `to_json` wrote.

        Raises:
            ContractError: naming the field that is missing, unknown, or of the wrong type or length.
        """
        try:
            if len(text) > MAX_TEXT:
                raise ContractError(f"the contract has {len(text):,} characters, at most {MAX_TEXT:,} are allowed")
            fields = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            reason = "too many levels" if isinstance(error, RecursionError) else error
            raise ContractError(f"the contract is not valid JSON: {reason}") from error
        try:
            check_plain(fields)
        except ValueError as error:
            raise ContractError(str(error)) from error
        version = fields.get("version") if isinstance(fields, dict) else None
        unknown = set() if version is None else _unknown_to(_known_version(version))
        _keys("contract", fields, [field.name for field in dataclasses.fields(cls) if field.name not in unknown])
        return cls(**fields)


def check(contract: PolicyContract, spec: RobotSpec) -> None:
    """Refuses a policy that was trained for another robot, or for another state of this robot's files.

    The robot's own `action_scale` is of no account: it is what a training begins with where none is given.

    Args:
        contract: what the policy expects.
        spec: the robot at hand.

    Raises:
        ContractError: saying which entry differs and both values.
    """
    if contract.robot != spec.name:
        raise ContractError(f"robot: the policy was trained for '{contract.robot}', this robot is '{spec.name}'")
    missing = sorted(set(contract.joints) - set(spec.joints))
    extra = sorted(set(spec.joints) - set(contract.joints))
    if missing or extra:
        raise ContractError(f"joints: the robot lacks {missing} of the policy's joints, the policy lacks {extra}")
    for index, (trained, present) in enumerate(zip(contract.joints, spec.joints, strict=True)):
        if trained != present:
            raise ContractError(f"joints: entry {index} is '{trained}' in the policy but '{present}' in the robot")
    for name, present_values in (
        ("default_joint_pos", spec.nominal_pose),
        ("stiffness", spec.stiffness),
        ("damping", spec.damping),
        ("effort_limit", spec.effort_limit),
    ):
        for joint, trained, present in zip(contract.joints, getattr(contract, name), present_values, strict=True):
            if trained != present:
                raise ContractError(f"{name}[{joint}]: {trained!r} in the policy but {present!r} in the robot")
    if contract.gait is not None and len(contract.gait.offsets) != len(spec.feet):
        raise ContractError(
            f"gait.offsets: {len(contract.gait.offsets)} in the policy, but the robot has {len(spec.feet)} feet"
        )
    # Last, because every difference above says more than "something changed".
    if contract.robot_hash != spec.hash:
        raise ContractError(
            f"robot_hash: the files of '{spec.name}' changed since the policy was trained "
            f"({contract.robot_hash} in the policy, {spec.hash} now): train or export it again"
        )


def _known_version(version: Any) -> int:
    if version not in range(1, CONTRACT_VERSION + 1):
        raise ContractError(f"version: expected 1 to {CONTRACT_VERSION}, got {show(version)}")
    return version


def _unknown_to(version: int) -> set[str]:
    """The fields that a contract of this version does not have yet."""
    return {name for name, since in ADDED_IN.items() if version < since}


def _expect(name: str, value: object, *wanted: object) -> None:
    if value not in wanted:
        raise ContractError(f"{name}: expected {' or '.join(map(repr, wanted))}, got {show(value)}")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ContractError(f"{name}: expected a text that is not empty, got {show(value)}")
    if len(value) > 100 or not value.isprintable():
        raise ContractError(f"{name}: expected at most 100 printable characters, got {show(value)}")
    return value


def _identifier(name: str, value: Any) -> str:
    try:
        return check_identifier(name, _text(name, value))
    except ContractError:
        raise
    except ValueError as error:
        raise ContractError(str(error)) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is there twice")
    return fields


def _integer(name: str, value: Any, low: int, high: int = 10**6) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ContractError(f"{name}: expected a whole number of at least {low}, got {show(value)}")
    if value > high:
        raise ContractError(f"{name}: expected a whole number of at most {high}, got {show(value)}")
    return value


def _number(name: str, value: Any, positive: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        raise ContractError(f"{name}: expected a finite number, got {show(value)}")
    if abs(value) > LARGEST:
        raise ContractError(f"{name}: expected a number of at most {LARGEST:g}, got {show(value)}")
    if positive and value <= 0:
        raise ContractError(f"{name}: expected a number above 0, got {show(value)}")
    return float(value)


def _action_scale(value: Any, joints: tuple[str, ...]) -> float | tuple[float, ...]:
    if not isinstance(value, list | tuple):
        return _number("action_scale", value, positive=True)
    if len(value) != len(joints):
        raise ContractError(f"action_scale: {len(value)} values for {len(joints)} joints")
    pairs = zip(joints, value, strict=True)
    return tuple(_number(f"action_scale[{joint}]", one, positive=True) for joint, one in pairs)


def _sequence(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ContractError(f"{name}: expected a list, got {show(value)}")
    return tuple(value)


def _keys(name: str, value: Any, wanted: list[str]) -> None:
    if not isinstance(value, dict):
        raise ContractError(f"{name}: expected an object with the fields {wanted}, got {show(value)}")
    for key in wanted:
        if key not in value:
            raise ContractError(f"{name}: the field '{key}' is missing")
    for key in value:
        if key not in wanted:
            raise ContractError(f"{name}: the field {show(key)} is unknown")


def _observations(value: Any, joints: int, gait: bool) -> tuple[ObservationTerm, ...]:
    known = term_sizes(joints, gait)
    terms: list[ObservationTerm] = []
    for index, entry in enumerate(_sequence("observations", value)):
        where = f"observations[{index}]"
        if isinstance(entry, ObservationTerm):
            entry = entry._asdict()
        _keys(where, entry, list(ObservationTerm._fields))
        name = _text(f"{where}.name", entry["name"])
        if name not in known:
            raise ContractError(f"{where}.name: '{name}' is unknown, choose from {sorted(known)}")
        if any(term.name == name for term in terms):
            raise ContractError(f"{where}.name: '{name}' appears twice")
        size = _integer(f"{where}.size", entry["size"], 1)
        _expect(f"{where}.size ({name})", size, known[name])
        terms.append(ObservationTerm(name, size, _number(f"{where}.scale ({name})", entry["scale"])))
    if not terms:
        raise ContractError("observations: must hold at least one term")
    if gait and not any(term.name == GAIT_PHASE for term in terms):
        raise ContractError(f"observations: a policy with a gait must see '{GAIT_PHASE}'")
    return tuple(terms)


def _gait(value: Any, version: int) -> Gait | None:
    if value is None:
        return None
    if not isinstance(value, Gait):
        _keys(
            "gait", value, [f.name for f in dataclasses.fields(Gait) if f.name not in RESTING or version >= STILL_SINCE]
        )
        try:
            value = Gait(**value)
        except ValueError as error:
            raise ContractError(str(error)) from error
    if version < STILL_SINCE:
        for name in RESTING:
            _expect(f"gait.{name} in version {version}", getattr(value, name), 0.0)
    return value


def _command_ranges(value: Any) -> dict[str, tuple[float, float]]:
    _keys("command_ranges", value, list(COMMANDS))
    ranges: dict[str, tuple[float, float]] = {}
    for name in COMMANDS:
        bounds = _sequence(f"command_ranges.{name}", value[name])
        if len(bounds) != 2:
            raise ContractError(f"command_ranges.{name}: expected [low, high], got {list(bounds)!r}")
        low, high = (_number(f"command_ranges.{name}", bound) for bound in bounds)
        if low > high:
            raise ContractError(f"command_ranges.{name}: low {low!r} is above high {high!r}")
        ranges[name] = (low, high)
    return ranges
