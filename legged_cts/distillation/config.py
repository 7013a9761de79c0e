"""The nine axes of distillation as a checked configuration; every default is the identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from legged_cts.distillation.schedules import breakpoints, resolved, schedules_in

ROOT = "distillation"

_STRUCTURAL = ("match", "target.teachers", "target.reference", "exposure.mode", "exposure.controller")
"""Fields that decide which networks exist; a schedule cannot change them."""


def _choice(default: str | None, *options: str) -> Any:
    return field(default=default, metadata={"options": options})


def _number(default: float | None, low: float = float("-inf"), high: float = float("inf"), **open_ends: bool) -> Any:
    return field(default=default, metadata={"range": (low, high), **open_ends})


def _integer(default: int, low: int) -> Any:
    return field(default=default, metadata={"range": (low, float("inf")), "integer": True})


def _node(kind: type, optional: bool = False, main: str | None = None) -> Any:
    return field(default=None if optional else kind(), metadata={"node": kind, "main": main})


@dataclass(frozen=True)
class Target:
    """Which distribution the student is pulled to."""

    teachers: tuple[str, ...] = ("teacher",)
    route: str | None = _choice(None, "env")
    """Choose among several teachers by environment."""
    lam: float = _number(1.0, 0.0)
    """Extrapolation past the teacher, away from the reference."""
    reference: str | None = _choice(None, "frozen", "checkpoint")
    clamp: float | None = _number(0.9, 0.0, 1.0, open_low=True, open_high=True)
    """Share of the cliff lam* that ``lam`` is clamped to; null: raise at the cliff."""


@dataclass(frozen=True)
class Divergence:
    """How far is measured."""

    name: str | None = _choice(None, "reverse_kl", "forward_kl", "mse", "jsd")
    """Null: reverse_kl for actions, mse for latents and estimates."""
    beta: float = _number(0.5, 0.0, 1.0, open_low=True, open_high=True)
    samples: int = _integer(16, 1)


@dataclass(frozen=True)
class Place:
    """Where it enters the update."""

    kind: str = _choice("loss", "loss", "return", "ratio")
    baseline: str | None = _choice(None, "closed_form")
    alpha: float = _number(1.0, 0.0, 1.0)
    """Share of the old policy in the ratio's anchor, for kind ratio."""
    dual_clip: float | None = _number(3.0, 1.0, open_low=True)


@dataclass(frozen=True)
class DriverOptions:
    """Who acts, see ``drivers.Driver``."""

    unit: str = _choice("env", "env", "step", "episode")
    share: float = _number(0.0, 0.0, 1.0)


@dataclass(frozen=True)
class RelDiv:
    """``weights.rel_div``."""

    delta: float = _number(0.5, 0.0)
    segment: int = _integer(1, 1)


@dataclass(frozen=True)
class Clip:
    """``weights.clip``."""

    limit: float = _number(1.0, 0.0, open_low=True)


@dataclass(frozen=True)
class Window:
    """``weights.window``."""

    length: int = _integer(1, 1)


@dataclass(frozen=True)
class Weights:
    """Weights of single steps; those given are multiplied."""

    rel_div: RelDiv | None = _node(RelDiv, optional=True)
    clip: Clip | None = _node(Clip, optional=True)
    window: Window | None = _node(Window, optional=True)

    @property
    def given(self) -> list[str]:
        """Names of those that there are."""
        return [item.name for item in fields(self) if getattr(self, item.name) is not None]


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
    """What the teacher sees, see ``legged_cts.algorithms.exposed``."""

    mode: str = _choice("full", "full", "ratio")
    ratio: float = _number(1.0, 0.0, 1.0)
    controller: Controller | None = _node(Controller, optional=True)
    """Learn the ratio instead of scheduling it."""


@dataclass(frozen=True)
class Learn:
    """Who takes the gradients."""

    gradient: str = _choice("student", "student", "both")
    """Of the distillation. ``both``: that of D(S, sg T) and that of D(sg S, T), which teaches what can be followed."""
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
    target: Target = _node(Target)
    divergence: Divergence = _node(Divergence, main="name")
    place: Place = _node(Place, main="kind")
    driver: DriverOptions = _node(DriverOptions, main="share")
    weights: Weights = _node(Weights)
    exposure: ExposureOptions = _node(ExposureOptions, main="mode")
    learn: Learn = _node(Learn, main="gradient")

    def __post_init__(self) -> None:
        for option, wrong, other in _exclusions(self):
            if wrong:
                raise ValueError(f"{ROOT}.{option} contradicts {ROOT}.{other}")

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

    def matches(self, what: str) -> bool:
        """Whether ``what`` is matched with a weight."""
        return self.match == what and self.coef > 0.0


class DistillationPlan:
    """The configuration over a whole training: any scalar or choice may be a schedule, see ``schedules.value_at``."""

    def __init__(self, node: Mapping[str, Any] | None) -> None:
        """Check the configuration in every phase and at the ends of every ramp.

        Raises:
            ValueError: As ``DistillationConfig.from_dict``, in any of those iterations, or if a schedule is malformed
                or decides which networks exist.
        """
        self._node = node or {}
        found = schedules_in(self._node, ROOT)
        self.paths = tuple(path for path, _ in found)
        """Names of all fields that are schedules."""
        for path in self.paths:
            name = path.removeprefix(f"{ROOT}.")
            fixed = [key for key in _STRUCTURAL if f"{name}.".startswith(f"{key}.") or key.startswith(f"{name}.")]
            if fixed:
                raise ValueError(f"{ROOT}.{fixed[0]} decides which networks exist, so {path} cannot be a schedule")
        shown = {0, *(iteration for _, schedule in found for iteration in breakpoints(schedule))}
        self.extremes = {iteration: self.at(iteration) for iteration in sorted(shown)}
        """Plain configurations that show all extremes and choices, by iteration."""

    def at(self, iteration: int) -> DistillationConfig:
        """Plain configuration of an iteration."""
        return DistillationConfig.from_dict(resolved(self._node, iteration))


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
        return _parse(meta["node"], value, path, meta["main"])
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
    if isinstance(item.default, tuple):
        if isinstance(value, str) or not hasattr(value, "__iter__") or not all(isinstance(one, str) for one in value):
            raise ValueError(f"{path} must be a list of names, got {value!r}")
        return tuple(value)
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


def _exclusions(cfg: DistillationConfig) -> Iterator[tuple[str, bool, str]]:
    """Pairs of options that exclude each other: the first one, whether it is so, and the second one with the reason."""
    target, place, driver, exposure, learn = cfg.target, cfg.place, cfg.driver, cfg.exposure, cfg.learn
    kind, name, weights = place.kind, cfg.divergence.name, cfg.weights.given
    at, weighted = f"place.kind = {kind}", f"weights.{weights[0]}" if weights else ""
    if cfg.match != "action":
        matched = f"match = {cfg.match}"
        yield weighted, bool(weights), f"{matched}: only the divergence of actions has weights; set it to null"
        yield (f"learn.gradient = {learn.gradient}", learn.gradient != "student",
               f"{matched}: what is matched is fixed; set learn.gradient to student")  # fmt: skip
        yield (f"target.lam = {target.lam}", target.lam != 1.0,
               f"{matched}: only distributions of actions can be extrapolated; set target.lam to 1")  # fmt: skip
        yield at, kind != "loss", f"{matched}: only actions have densities"
        yield f"divergence.name = {name}", cfg.measure != "mse", f"{matched}: only mse compares vectors"
    if kind == "ratio":
        yield weighted, bool(weights), f"{at}: the ratio has no divergence to weigh; set it to null"
        yield at, name is not None, f"divergence.name = {name}: the ratio measures by itself; set it to null"
    else:
        yield f"place.alpha = {place.alpha}", place.alpha != 1.0, f"{at}: alpha belongs to ratio"
    if kind == "return":
        yield (at, cfg.measure != "reverse_kl",
               f"divergence.name = {name}: sampled log-ratios are a reverse KL")  # fmt: skip
    else:
        baseline = place.baseline
        yield f"place.baseline = {baseline}", baseline is not None, f"{at}: baseline belongs to return"
    routed, several = target.route is not None, len(target.teachers) > 1
    yield f"target.route = {target.route}", routed and not several, "target.teachers: there is only one to choose"
    yield "target.route = null", several and not routed, "target.teachers: several of them need route: env"
    yield (f"target.lam = {target.lam}", target.lam != 1.0 and target.reference is None,
           "target.reference = null: extrapolation needs a reference to lead away from")  # fmt: skip
    yield ("driver.share = 1", driver.share == 1.0 and learn.rl == "student" and not learn.importance,
           "learn.rl = student: teacher-driven steps cannot enter the student's PPO surrogate; set learn.rl to teacher"
           " or none, or learn.importance")  # fmt: skip
    yield ("driver.share = 0", driver.share == 0.0 and learn.rl == "teacher",
           "learn.rl = teacher: the teacher's PPO surrogate has no step of its own")  # fmt: skip
    yield ("learn.importance", learn.importance and learn.rl not in ("student", "both"),
           f"learn.rl = {learn.rl}: it is about the student's surrogate")  # fmt: skip
    if exposure.mode != "ratio":
        shown = f"exposure.mode = {exposure.mode}"
        yield shown, exposure.ratio != 1.0, f"exposure.ratio = {exposure.ratio}: only ratio reveals a share"
        yield (shown, exposure.controller is not None,
               "exposure.controller: only ratio has something to control")  # fmt: skip
