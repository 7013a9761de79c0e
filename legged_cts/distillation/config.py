"""The nine axes of distillation as a checked configuration; every default is the identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from legged_cts.distillation.names import DIVERGENCES, LEARNERS, MODES, ORDERS, PLACES, UNITS
from legged_cts.distillation.schedules import KEY, ScheduledTree, check_schedule, is_schedule

ROOT = "distillation"

_MOMENT_DIVERGENCES = ("forward_kl", "nll", "mse")
_WITHOUT_TEACHER_STD = ("nll", "mse")
_STRUCTURAL = ("match", "target.teachers", "target.anchor", "target.reference", "exposure.mode", "exposure.hidden",
               "exposure.order", "exposure.seed", "exposure.controller")  # fmt: skip
"""Fields that decide which networks exist; a schedule cannot change them."""


def _choice(default: str | None, *options: str) -> Any:
    return field(default=default, metadata={"options": options})


def _number(default: float | None, low: float = float("-inf"), high: float = float("inf"), **open_ends: bool) -> Any:
    return field(default=default, metadata={"range": (low, high), **open_ends})


def _integer(default: int, low: int) -> Any:
    return field(default=default, metadata={"range": (low, float("inf")), "integer": True})


def _names() -> Any:
    return field(default=(), metadata={"items": str})


@dataclass(frozen=True)
class Target:
    """Which distribution the student is pulled to."""

    teachers: tuple[str, ...] = field(default=("teacher",), metadata={"items": str})
    route: str | None = _choice(None, "env", "plausible")
    """Choose among several teachers by environment or by plausibility to the student; null: pool them."""
    weights: tuple[float, ...] = field(default=(), metadata={"items": float})
    """Weights of pooled teachers; empty: equal ones."""
    anchor: str | None = field(default=None, metadata={"items": None})
    """A task-agnostic teacher for all samples, beside the routed or pooled one."""
    anchor_coef: float = _number(0.0, 0.0)
    lam: float = _number(1.0, 0.0)
    """Extrapolation past the teacher, away from the reference."""
    reference: str | None = _choice(None, "frozen", "ema", "checkpoint")
    clamp: float | None = _number(0.9, 0.0, 1.0, open_low=True, open_high=True)
    """Share of the cliff lam* that ``lam`` is clamped to; null: raise at the cliff."""
    deterministic: bool = False
    """The teacher has no std worth matching."""


@dataclass(frozen=True)
class Divergence:
    """How far is measured."""

    name: str | None = _choice(None, *DIVERGENCES)
    """Null: reverse_kl for actions, mse for latents and estimates."""
    beta: float = _number(0.5, 0.0, 1.0, open_low=True, open_high=True)
    samples: int = _integer(16, 1)


@dataclass(frozen=True)
class Place:
    """Where it enters the update."""

    kind: str = _choice("loss", *PLACES)
    gamma: float = _number(0.0, 0.0, 1.0)
    """Discount of distillation rewards, for kind return."""
    baseline: str | None = _choice(None, "closed_form", "value")
    alpha: float = _number(1.0, 0.0, 1.0)
    """Share of the old policy in the ratio's anchor, for kind ratio."""
    dual_clip: float | None = _number(3.0, 1.0, open_low=True)
    normalized: bool = False


@dataclass(frozen=True)
class DriverOptions:
    """Who acts, see ``drivers.Driver``."""

    unit: str = _choice("env", *UNITS)
    share: float = _number(0.0, 0.0, 1.0)
    length: int = _integer(0, 0)
    failing_cells: bool = False
    """Give the share only to cells where the student fails, see ``cells.FailingCells``."""
    success_below: float = _number(0.1, 0.0, 1.0, open_low=True)
    """Running mean of the student's success under which a cell fails."""


@dataclass(frozen=True)
class AdvGate:
    """``weights.adv_gate``."""

    tau: float = _number(1.0, 0.0)


@dataclass(frozen=True)
class RelDiv:
    """``weights.rel_div``."""

    delta: float = _number(0.5, 0.0)
    segment: int = _integer(1, 1)


@dataclass(frozen=True)
class Top:
    """``weights.top``."""

    share: float = _number(1.0, 0.0, 1.0, open_low=True)
    power: float = _number(1.0, 0.0)
    entropy_power: float = _number(0.0, 0.0)


@dataclass(frozen=True)
class Clip:
    """``weights.clip``."""

    limit: float = _number(1.0, 0.0, open_low=True)
    soft: bool = False


@dataclass(frozen=True)
class Window:
    """``weights.window``."""

    length: int = _integer(1, 1)


@dataclass(frozen=True)
class Weights:
    """Weights of single steps; those given are multiplied."""

    adv_gate: AdvGate | None = field(default=None, metadata={"node": AdvGate})
    rel_div: RelDiv | None = field(default=None, metadata={"node": RelDiv})
    top: Top | None = field(default=None, metadata={"node": Top})
    clip: Clip | None = field(default=None, metadata={"node": Clip})
    window: Window | None = field(default=None, metadata={"node": Window})


@dataclass(frozen=True)
class Controller:
    """``beta_controller.BetaController``."""

    hold: int = _integer(10, 1)
    delay: int = _integer(1, 1)
    gamma: float = _number(0.9, 0.0, 1.0)
    learning_rate: float = _number(1e-2, 0.0, open_low=True)
    momentum: float = _number(0.9, 0.0, 1.0, open_high=True)
    entropy_coef: float = _number(0.0, 0.0)


@dataclass(frozen=True)
class ExposureOptions:
    """What the teacher sees, see ``exposure.Exposure``."""

    mode: str = _choice("full", *MODES)
    hidden: tuple[str, ...] = _names()
    ratio: float = _number(1.0, 0.0, 1.0)
    order: str = _choice("fixed", *ORDERS)
    seed: int = _integer(0, 0)
    controller: Controller | None = field(default=None, metadata={"node": Controller})
    """Learn the ratio instead of scheduling it."""


@dataclass(frozen=True)
class Learn:
    """Who takes the gradients."""

    gradient: str = _choice("student", *LEARNERS)
    """Of the distillation."""
    rl: str = _choice("both", "student", "teacher", "both", "none")
    """Of PPO; each policy learns from the steps in which it acted."""
    importance: bool = False
    """Let the student learn from teacher-driven steps too, by the ratio student / teacher (pi-Distill)."""


@dataclass(frozen=True)
class DistillationConfig:
    """All axes as plain values in one iteration; the ninth axis, schedules, is ``DistillationPlan``.

    A node with one main field may be written as that field alone: ``divergence: mse`` is ``divergence: {name: mse}``.
    """

    coef: float = _number(0.0, 0.0)
    """Weight c_d of distillation as a loss or in the return."""
    rl_coef: float = _number(1.0, 0.0)
    """Weight c_rl of PPO's surrogate."""
    match: str = _choice("action", "action", "latent", "privileged")
    target: Target = field(default=Target(), metadata={"node": Target})
    divergence: Divergence = field(default=Divergence(), metadata={"node": Divergence, "main": "name"})
    place: Place = field(default=Place(), metadata={"node": Place, "main": "kind"})
    driver: DriverOptions = field(default=DriverOptions(), metadata={"node": DriverOptions, "main": "share"})
    weights: Weights = field(default=Weights(), metadata={"node": Weights})
    exposure: ExposureOptions = field(default=ExposureOptions(), metadata={"node": ExposureOptions, "main": "mode"})
    learn: Learn = field(default=Learn(), metadata={"node": Learn, "main": "gradient"})

    def __post_init__(self) -> None:
        _check_combinations(self)

    @classmethod
    def from_dict(cls, node: Mapping[str, Any] | None) -> DistillationConfig:
        """Build from plain values without schedules.

        Raises:
            ValueError: If a key is unknown, a value is out of range, or two options exclude each other.
        """
        return _parse(cls, node, ROOT)

    @property
    def measure(self) -> str:
        """Name of the divergence, with its default resolved."""
        return self.divergence.name or ("reverse_kl" if self.match == "action" else "mse")

    @property
    def moment_pool(self) -> bool:
        """Whether several teachers are pooled by moments; else log-linearly."""
        return self.measure in _MOMENT_DIVERGENCES


class DistillationPlan(ScheduledTree):
    """The configuration over a whole training: any scalar or choice may be a schedule, see ``schedules.value_at``."""

    def __init__(self, node: Mapping[str, Any] | None) -> None:
        """Check the configuration in every phase and at the ends of every ramp.

        Raises:
            ValueError: As ``DistillationConfig.from_dict``, in any of those iterations, or if a field is scheduled
                that decides which networks exist.
        """
        super().__init__(node or {}, ROOT)
        for path in self.paths:
            name = path.removeprefix(f"{ROOT}.")
            fixed = [key for key in _STRUCTURAL if f"{name}.".startswith(f"{key}.") or key.startswith(f"{name}.")]
            if fixed:
                raise ValueError(f"{ROOT}.{fixed[0]} decides which networks exist, so {path} cannot be a schedule")
        for iteration in self.breakpoints():
            self.at(iteration)

    def at(self, iteration: int | None = None) -> DistillationConfig:
        """Plain configuration of an iteration, the current one by default."""
        return DistillationConfig.from_dict(self.values(iteration))


def check_words(node: Any, cls: type = DistillationConfig, path: str = ROOT, main: str | None = None) -> None:
    """Check every key and value of a part of the axes for itself, in every phase of a schedule.

    Args:
        node: Plain values and schedules; None is the default.
        cls: What the part describes.
        path: Its name, for messages.
        main: The field that the part may be written as alone.

    Raises:
        ValueError: Naming the field.
    """
    if node is None:
        return
    node, known = _known(cls, node, path, main)
    for key, value in node.items():
        meta, here = known[key].metadata, f"{path}.{key}"
        for one in _phases(value, here):
            if "node" in meta:
                check_words(one, meta["node"], here, meta.get("main"))
            else:
                _value(known[key], one, here)


def _phases(value: Any, path: str, whole: bool = True) -> list[Any]:
    """The values of a schedule; of a line within a phase, which is not run from its start to its end, none."""
    if not is_schedule(value):
        return [value]
    check_schedule(value, path)
    if value[KEY] != "phases":
        return [value["start"], value["end"]] if whole else []
    return [one for phase in value["values"] for one in _phases(phase, path, False)]


def _known(cls: type, node: Any, path: str, main: str | None) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The node written out, and the fields of its class, of which it names no others."""
    if not isinstance(node, Mapping):
        if main is None:
            raise ValueError(f"{path} must be a mapping, got {node!r}")
        node = {main: node}
    known = {item.name: item for item in fields(cls)}
    unknown = [key for key in node if key not in known]
    if unknown:
        raise ValueError(f"unknown key {path}.{unknown[0]}; allowed are: {', '.join(sorted(known))}")
    return node, known


def _parse(cls: type, node: Any, path: str, main: str | None = None) -> Any:
    if node is None:
        return cls()
    node, known = _known(cls, node, path, main)
    return cls(**{key: _value(known[key], value, f"{path}.{key}") for key, value in node.items()})


def _value(item: Any, value: Any, path: str) -> Any:
    meta = item.metadata
    if "node" in meta:
        # An optional node exists when it is named, an empty one with all defaults.
        if value is None and item.default is None:
            return None
        return _parse(meta["node"], value, path, meta.get("main"))
    if value is None:
        if item.default is None or "None" in str(item.type):
            return None
        raise ValueError(f"{path} must not be null")
    if "options" in meta:
        if value not in meta["options"]:
            raise ValueError(f"{path} is {value!r}; allowed are: {', '.join(meta['options'])}")
        return value
    if "range" in meta:
        return _ranged(meta, value, path)
    if "items" in meta:
        return _items(meta["items"], value, path)
    if not isinstance(value, bool):
        raise ValueError(f"{path} must be true or false, got {value!r}")
    return value


def _ranged(meta: Mapping[str, Any], value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{path} must be a number, got {value!r}")
    low, high = meta["range"]
    if meta.get("integer") and value != int(value):
        raise ValueError(f"{path} must be an integer, got {value!r}")
    inside = (low < value if meta.get("open_low") else low <= value) and (
        value < high if meta.get("open_high") else value <= high
    )
    if not inside:
        brackets = ("(" if meta.get("open_low") else "[", ")" if meta.get("open_high") else "]")
        raise ValueError(f"{path} must lie in {brackets[0]}{low}, {high}{brackets[1]}, got {value!r}")
    return int(value) if meta.get("integer") else value


def _items(kind: type | None, value: Any, path: str) -> Any:
    if kind is None:
        if not isinstance(value, str):
            raise ValueError(f"{path} must be a name, got {value!r}")
        return value
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise ValueError(f"{path} must be a list, got {value!r}")
    expected = str if kind is str else (int, float)
    for entry in value:
        if isinstance(entry, bool) or not isinstance(entry, expected):
            raise ValueError(f"{path} holds {entry!r}, which is no {'name' if kind is str else 'number'}")
    return tuple(value)


def _check_combinations(cfg: DistillationConfig) -> None:
    for option, wrong, other in _exclusions(cfg):
        if wrong:
            raise ValueError(f"{ROOT}.{option} contradicts {ROOT}.{other}")


def _exclusions(cfg: DistillationConfig) -> list[tuple[str, bool, str]]:
    """Pairs of options that exclude each other: the first one, whether it is so, and the second one with the reason."""
    target, place, driver, exposure, learn = cfg.target, cfg.place, cfg.driver, cfg.exposure, cfg.learn
    kind, name, default = place.kind, cfg.divergence.name, Place()
    matched = f"match = {cfg.match}"
    measured = f"divergence.name = {cfg.measure}"
    several = len(target.teachers)
    negative = any(weight < 0.0 for weight in target.weights)
    weights = [item.name for item in fields(cfg.weights) if getattr(cfg.weights, item.name) is not None]
    weighted = f"weights.{weights[0]}" if weights else "weights"
    return [
        (weighted, bool(weights) and cfg.match != "action",
         f"{matched}: only the divergence of actions has weights; set it to null"),
        (weighted, bool(weights) and kind == "ratio",
         "place.kind = ratio: the ratio has no divergence to weigh; set it to null"),
        (f"learn.gradient = {learn.gradient}", learn.gradient != "student" and cfg.match != "action",
         f"{matched}: what is matched is fixed; set learn.gradient to student"),
        (f"target.lam = {target.lam}", target.lam != 1.0 and cfg.match != "action",
         f"{matched}: only distributions of actions can be extrapolated; set target.lam to 1"),
        (f"place.kind = {kind}", kind != "loss" and cfg.match != "action", f"{matched}: only actions have densities"),
        ("place.kind = ratio", kind == "ratio" and name is not None,
         f"divergence.name = {name}: the ratio measures by itself; set it to null"),
        ("place.kind = return", kind == "return" and cfg.match == "action" and cfg.measure != "reverse_kl",
         f"{measured}: sampled log-ratios are a reverse KL"),
        (f"place.kind = {kind}", kind != "loss" and target.deterministic,
         "target.deterministic: a deterministic teacher has no density"),
        (measured, cfg.measure not in _WITHOUT_TEACHER_STD and kind == "loss" and target.deterministic,
         "target.deterministic: use mse or nll"),
        (measured, cfg.match != "action" and cfg.measure != "mse", f"{matched}: only mse compares vectors"),
        (f"place.gamma = {place.gamma}", place.gamma != default.gamma and kind != "return",
         f"place.kind = {kind}: gamma belongs to return"),
        (f"place.baseline = {place.baseline}", place.baseline is not None and kind != "return",
         f"place.kind = {kind}: baseline belongs to return"),
        (f"place.alpha = {place.alpha}", place.alpha != default.alpha and kind != "ratio",
         f"place.kind = {kind}: alpha belongs to ratio"),
        ("place.normalized", place.normalized and kind != "ratio", f"place.kind = {kind}: normalized belongs to ratio"),
        ("place.baseline = value", place.baseline == "value" and place.gamma == 0.0,
         "place.gamma = 0: single steps have no value to predict; use closed_form"),
        ("target.weights", negative and cfg.moment_pool,
         f"{measured}: it pools teachers by moments, and a mixture has no negative weight; use reverse_kl"),
        ("target.weights", bool(target.weights) and len(target.weights) != several,
         f"target.teachers: there are {len(target.weights)} weights for {several} teachers"),
        ("target.weights", bool(target.weights) and target.route is not None,
         f"target.route = {target.route}: a routed sample has one teacher"),
        (f"target.route = {target.route}", target.route is not None and several < 2,
         "target.teachers: there is only one to choose"),
        ("target.weights", bool(target.weights) and abs(sum(target.weights) - 1.0) > 1e-5,
         f"target.teachers: weights of a pool sum to 1, not {sum(target.weights)}"),
        (f"target.lam = {target.lam}", target.lam != 1.0 and target.reference is None,
         "target.reference = null: extrapolation needs a reference to lead away from"),
        (f"target.anchor_coef = {target.anchor_coef}", target.anchor_coef > 0.0 and target.anchor is None,
         "target.anchor = null: name the anchor teacher"),
        ("driver.share = 1", driver.share == 1.0 and driver.failing_cells,
         "driver.failing_cells: without an episode of its own the student could never stop failing; use a smaller one"),
        ("driver.share = 1", driver.share == 1.0 and driver.unit not in ("prefix", "suffix") and learn.rl == "student"
         and not learn.importance,
         "learn.rl = student: teacher-driven steps cannot enter the student's PPO surrogate; set learn.rl to teacher"
         " or none, or learn.importance"),
        ("driver.share = 0", driver.share == 0.0 and learn.rl == "teacher",
         "learn.rl = teacher: the teacher's PPO surrogate has no step of its own"),
        (f"driver.unit = {driver.unit}", driver.unit != "episode" and driver.failing_cells,
         "driver.failing_cells: cells need a coin per episode; set driver.unit to episode"),
        (f"driver.success_below = {driver.success_below}",
         driver.success_below != DriverOptions().success_below and not driver.failing_cells,
         "driver.failing_cells = false: there are no cells; set it to true"),
        (f"driver.unit = {driver.unit}", driver.unit not in ("prefix", "suffix") and driver.length > 0,
         f"driver.length = {driver.length}: only prefix and suffix hand over at a step"),
        ("learn.importance", learn.importance and learn.rl not in ("student", "both"),
         f"learn.rl = {learn.rl}: it is about the student's surrogate"),
        (f"exposure.mode = {exposure.mode}", exposure.mode != "fixed" and bool(exposure.hidden),
         "exposure.hidden: only fixed hides named groups"),
        ("exposure.mode = fixed", exposure.mode == "fixed" and not exposure.hidden,
         "exposure.hidden = []: nothing would be hidden; name observation groups of runner.obs_groups.teacher"),
        (f"exposure.mode = {exposure.mode}", exposure.mode != "ratio" and exposure.ratio != 1.0,
         f"exposure.ratio = {exposure.ratio}: only ratio reveals a share"),
        (f"exposure.mode = {exposure.mode}", exposure.mode != "ratio" and exposure.controller is not None,
         "exposure.controller: only ratio has something to control"),
    ]  # fmt: skip
