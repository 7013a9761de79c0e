"""The stages of a running training: judged by what its student did, said when they act, kept in its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from legged_cts.task.stages import changes, stages_of, with_stage
from legged_cts.training.rates import RATES, apply_rate

SETTLING = 20
"""Iterations after a stage before the next is judged: the student's means are then of this stage alone."""


class Stages:
    """What of the task changes once the student has come so far, see :mod:`legged_cts.task.stages`.

    Stages are reached in their order, each once. ``config`` and ``env_info``, which checkpoints hold, follow: whoever
    goes on from a checkpoint, evaluates or exports it finds the task as it was trained then.

    Args:
        config: The resolved configuration of the run; changed when a stage is reached.
        env_info: What the environment was; its ranges of commands are changed with ``config``.
        env: The environment, without its wrapper.
        alg: The algorithm.
    """

    def __init__(self, config: dict[str, Any], env_info: dict[str, Any], env: Any, alg: Any) -> None:
        self._config, self._info, self._env, self._alg = config, env_info, env, alg
        self.reached: list[str] = []
        self._since = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"reached": list(self.reached), "since": self._since}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Go on from a checkpoint of this run, whose configuration is as of the stages that it had reached."""
        if state:
            self.reached, self._since = list(state["reached"]), int(state["since"])

    def take_over(self, state: Mapping[str, Any] | None) -> list[str]:
        """Begin where another run had come, whose networks these are; returns a line for each stage of it."""
        reached = [name for name in (state or {}).get("reached", ()) if name in stages_of(self._config)]
        return [self._act(name, "reached by the checkpoint") for name in reached]

    def metrics(self) -> dict[str, float]:
        """Return how many stages are reached, nothing where the task has none."""
        return {"stage": float(len(self.reached))} if stages_of(self._config) else {}

    def progress(self, metrics: Mapping[str, float], iteration: int) -> str:
        """Return which stage the task is in, and how far the student is from the next; empty without stages.

        Args:
            metrics: Those of the iteration, as :meth:`look` takes them.
            iteration: Finished iterations.
        """
        count, name = len(stages_of(self._config)), self._next()
        if not count:
            return ""
        here = f"stage {self.reached[-1]}, {len(self.reached)} of {count}" if self.reached else f"before {count} stages"
        if name is None:
            return here
        when = {key: limit for key, limit in stages_of(self._config)[name]["when"].items() if limit is not None}
        found = self._found(name, metrics)
        parts = [f"{key} {found[key]:.3f} {'<=' if found[key] <= when[key] else '>'} {when[key]:g}" for key in when]
        settling = self._since + SETTLING - iteration
        wait = f", not before {settling} more iterations" if settling > 0 else ""
        return f"{here}; next {name}: {', '.join(parts)}{wait}"

    def settled(self, iteration: int) -> bool:
        """Whether the student's means are of this stage alone."""
        return not self._since or iteration - self._since >= SETTLING

    def plan(self) -> list[str]:
        """Return a line about the next stage, if there is one."""
        name = self._next()
        if name is None:
            return []
        stage = stages_of(self._config)[name]
        wanted = ", ".join(f"{key} <= {value:g}" for key, value in stage["when"].items() if value is not None)
        return [f"next stage: {name}, when the student has {wanted}; it sets {_text(changes(self._config, name))}"]

    def look(self, metrics: Mapping[str, float], iteration: int) -> list[str]:
        """Judge the student after an iteration.

        Args:
            metrics: Those of the iteration; where nobody is a student the teachers' count.
            iteration: Finished iterations.

        Returns:
            What to say: the stage that was reached, and the next one.
        """
        name = self._next()
        if name is None or iteration - self._since < SETTLING:
            return []
        wanted, found = stages_of(self._config)[name]["when"], self._found(name, metrics)
        if not all(found[key] <= wanted[key] for key in found):
            return []
        self._since = iteration
        return [self._act(name, ", ".join(f"{key} {value:.3g}" for key, value in found.items())), *self.plan()]

    def _found(self, name: str, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return what a stage judges, as it is now; NaN while unknown."""
        role = "student" if math.isfinite(metrics.get("student/falls", math.nan)) else "teacher"
        wanted = stages_of(self._config)[name]["when"]
        return {key: metrics.get(f"{role}/{key}", math.nan) for key, limit in wanted.items() if limit is not None}

    def _next(self) -> str | None:
        return next((name for name in stages_of(self._config) if name not in self.reached), None)

    def _act(self, name: str, why: str) -> str:
        changed = changes(self._config, name)
        for key, value in changed.items():
            apply(self._env, self._alg, key, value)
        self._config.update(with_stage(self._config, name))
        if "command_ranges" in self._info:
            commands = self._config["env"]["commands"]
            self._info["command_ranges"] = {
                axis: [float(bound) for bound in commands[axis]] for axis in self._info["command_ranges"]
            }
        self.reached.append(name)
        return f"stage {name} ({why}): {_text(changed)}"


def apply(env: Any, alg: Any, key: str, value: Any) -> None:
    """Give a running environment or algorithm a value of the task.

    Args:
        env: The environment, without its wrapper.
        alg: The algorithm.
        key: One of ``legged_cts.task.stages.CHANGEABLE``.
        value: Its value in the task tree.
    """
    section, *rest = key.split(".")
    if section == "algorithm":
        _apply_to_algorithm(alg, rest[0], value)
    elif section == "solver":
        # Other engines take their ticks as they are.
        if hasattr(env.sim.physics_manager, "set_longest_tick"):
            env.sim.physics_manager.set_longest_tick(value)
    elif rest[0] == "rewards":
        if rest[2] == "weight":
            env.reward_manager.get_term_cfg(rest[1]).weight = float(value)
        elif rest[1] in env.reward_manager.active_terms:
            env.reward_manager.get_term_cfg(rest[1]).params[rest[3]] = float(value)
    elif rest[0] == "pushes":
        if "push" in env.event_manager.active_terms.get("interval", ()):
            push = env.event_manager.get_term_cfg("push")
            if rest[1] == "interval_s":  # from each robot's next push on
                push.interval_range_s = _range(value)
            else:
                push.params[rest[1]] = float(value)
    elif rest[0] == "reset":
        env.event_manager.get_term_cfg("reset_base").params[rest[1]] = _range(value)
    elif rest[1] in ("zero_probability", "across"):
        attribute = {"zero_probability": "rel_standing_envs"}.get(rest[1], rest[1])
        setattr(env.command_manager.get_term("velocity").cfg, attribute, float(value))
    else:
        setattr(env.command_manager.get_term("velocity").cfg.ranges, rest[1], _range(value))


def _apply_to_algorithm(alg: Any, key: str, value: Any) -> None:
    if key in RATES:
        apply_rate(alg, key, value)
    elif hasattr(alg, f"set_{key}"):
        getattr(alg, f"set_{key}")(value)
    else:
        setattr(alg, key, value)


def _range(pair: Sequence[float]) -> tuple[float, float]:
    low, high = pair
    return float(low), float(high)


def _text(changed: Mapping[str, Any]) -> str:
    def short(value: Any) -> str:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return f"[{', '.join(map(short, value))}]"
        return f"{value:g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{key}={short(value)}" for key, value in changed.items()) or "nothing"
