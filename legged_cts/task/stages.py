"""Stages of a training: what of the task changes once its student has come so far."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import model_validator

from legged_cts.task.fields import Node, Positive, Rule, Share, leaf

CHANGEABLE = (
    r"env\.rewards\.\w+\.weight",
    r"env\.rewards\.track_(lin_vel|yaw_rate)\.params\.sigma",
    r"env\.commands\.(lin_vel_x|lin_vel_y|ang_vel_z|zero_probability|across)",
    r"env\.pushes\.(lin_vel|ang_vel|interval_s)",
    r"env\.reset\.velocity",
    r"algorithm\.(entropy_coef|desired_kl|clip_param|schedule|learning_rate|student_learning_rate)",
    r"algorithm\.(surrogate|teacher_fraction|student_encoder_gradient)",
    r"solver\.longest_tick",
)
"""What may change while a training runs, as patterns of keys."""

CTS = "legged_cts.algorithms.cts:CTS"

Config = Mapping[str, Any]


class When(Node):
    """Means of the student over the last iterations, each of which must be as good; at least one."""

    lin_error: Positive | None = None
    yaw_error: Positive | None = None
    falls: Share | None = None

    @model_validator(mode="after")
    def something(self) -> When:
        """Refuse a stage that asks for nothing."""
        if self.lin_error is None and self.yaw_error is None and self.falls is None:
            raise Rule("stages: `when` needs lin_error [m/s], yaw_error [rad/s] or falls (a share)")
        return self


class Stage(Node):
    """What must be reached, and which keys of the task take which values then."""

    when: When
    set: Annotated[Any, leaf("a part of the task tree", lambda value: isinstance(value, Mapping))]


def stages_of(config: Config) -> dict[str, Config]:
    """Return the stages of a configuration in their order."""
    return {name: stage for name, stage in (config.get("stages") or {}).items() if stage is not None}


def changes(config: Config, name: str) -> dict[str, Any]:
    """Return what a stage sets, by key with dots; a bare number for a reward is its weight.

    An option that the algorithm does not have is left out: a pack for a robot is for all algorithms. Of them only CTS
    can change who is a teacher, and what trains E^s, while it trains.
    """
    algorithm = config.get("algorithm") or {}
    decided = {"algorithm.teacher_fraction", "algorithm.student_encoder_gradient"}
    fixed = set() if algorithm.get("class_name") == CTS else decided
    return {
        key: value
        for key, value in _leaves(stages_of(config)[name]["set"], ())
        if key not in fixed and not (key.startswith("algorithm.") and key.split(".")[1] not in algorithm)
    }


def with_stage(config: Config, name: str) -> dict[str, Any]:
    """Return a configuration as it is from a stage on."""
    result = copy.deepcopy(dict(config))
    for key, value in changes(config, name).items():
        *above, last = key.split(".")
        node: Any = result
        for part in above:
            if not isinstance(node.get(part), Mapping):  # a reward that is left out, or a bare weight
                node[part] = {}
            node = node[part]
        node[last] = copy.deepcopy(value)
    return result


def staged_rewards(config: Config) -> set[str]:
    """Return the rewards that a stage gives a weight: an environment has them from the start, whatever they weigh."""
    keys = [key for name in stages_of(config) for key in changes(config, name)]
    return {key.split(".")[2] for key in keys if key.startswith("env.rewards.") and key.endswith(".weight")}


def check_stages(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each stage and the whole configuration as it is then, for the caller to check.

    Raises:
        ValueError: If a stage sets what cannot change while a training runs.
    """
    for name, stage in stages_of(config).items():
        for key, _ in _leaves(stage["set"], ()):
            if not any(re.fullmatch(pattern, key) for pattern in CHANGEABLE):
                raise ValueError(
                    f"stages.{name}.set.{key} cannot change while a training runs; rewards' weights can, sigma of "
                    "track_lin_vel and track_yaw_rate, ranges of commands, pushes, reset.velocity, and of the "
                    "algorithm rates, entropy_coef, desired_kl, clip_param, surrogate, teacher_fraction and "
                    "student_encoder_gradient, and solver.longest_tick"
                )
        config = with_stage(config, name)
        yield name, {**config, "stages": {}}


def hold(stages: Mapping[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """Return stages without what the command line gives: that holds for the whole run.

    Args:
        stages: The node ``stages``.
        given: Keys with dots; one of a group stands for all below it. ``algorithm=ppo`` holds nothing: it chooses what
            the stages then change.
    """
    # What PPO begins with stands in a node that the algorithms read.
    keys = [re.sub(r"^ppo\.", "algorithm.", key) for key in given if "." in key]
    kept = {}
    for name, stage in stages.items():
        if stage is None:
            continue
        left = {key: value for key, value in _leaves(stage["set"], ()) if not any(_within(key, own) for own in keys)}
        kept[name] = {**stage, "set": _nested(left)}
    return kept


def _within(key: str, given: str) -> bool:
    return key == given or key.startswith(f"{given}.")


def _leaves(node: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        path = (*above, str(name))
        if isinstance(value, Mapping):
            yield from _leaves(value, path)
        elif path[:2] == ("env", "rewards") and len(path) == 3:
            yield ".".join((*path, "weight")), value
        else:
            yield ".".join(path), value


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        *above, last = key.split(".")
        node = result
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
    return result
