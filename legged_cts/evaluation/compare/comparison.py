"""The file that says what is compared, written before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from legged_cts.deploy.metrics import METRICS
from legged_cts.trust.names import check_names
from legged_cts.trust.plain import one_line, show
from legged_cts.trust.yaml_file import load_yaml

DIRECTIONS = ("lower", "higher")
PROMOTED = "promoted"
TRAINED_LEVEL = "trained_level"
TITLES: dict[str, tuple[str, int]] = {
    **METRICS,
    PROMOTED: ("promoted [share]", 3),
    TRAINED_LEVEL: ("level at the end of training", 2),
}
"""Metrics that may be compared, with title and digits: those of ``evaluation.csv``; ``promoted``, the share of episodes
after which the curriculum would promote the robot; ``trained_level``, the students' mean terrain level when the
training ended."""
MAX_SEEDS = 16
"""The exact permutation test goes through 2^seeds signs."""
OWN_KEYS = ("seed", "resume", "max_minutes", "solver.threads", "evaluation.enabled")
"""Overrides that no comparison may set, because seeds, resuming, equal steps and cores are up to the script."""
FORBIDDEN = ("hydra", "trust", "policy", "output", "role", "episodes", "duration")
"""First parts of keys that are no part of a task: what they mean to Hydra or to a script is up to the command line."""
MAX_WORD, MAX_WORDS, MAX_ARMS = 500, 200, 64


class ComparisonError(ValueError):
    """A comparison's file, or a run that does not fit it."""


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        name: Name of the file.
        common: Hydra overrides of every run.
        arms: Further overrides by the name of the arm.
        seeds: Seeds of each arm.
        baseline: The arm that the others are read against.
        contrasts: Pairs of arms (a, b) whose differences a - b are tested.
        metrics: Whether ``lower`` or ``higher`` is better, by metric.
        evaluation: Overrides of every evaluation, so that arms that train on different tasks are measured on one.
    """

    name: str
    common: tuple[str, ...]
    arms: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    baseline: str
    contrasts: tuple[tuple[str, str], ...]
    metrics: Mapping[str, str]
    evaluation: tuple[str, ...]


def load_comparison(path: str | Path) -> Comparison:
    """Read a comparison.

    Args:
        path: YAML file with ``arms``, ``seeds``, ``baseline`` and ``metrics``, and optionally ``common``,
            ``contrasts`` (every other arm against the baseline where there are none) and ``evaluation``.

    Raises:
        ComparisonError: Naming the field and what it should be.
    """
    path = Path(path)
    if not path.is_file():
        raise ComparisonError(f"there is no comparison file {path}; tasks/compare has some")
    try:
        content = load_yaml(path)
    except ValueError as error:
        raise ComparisonError(f"{path}: {error}") from error
    return parse_comparison(content, path.stem)


def parse_comparison(content: Any, name: str) -> Comparison:
    """Check what a file holds and return it as a :class:`Comparison`.

    Raises:
        ComparisonError: Naming the field and what it should be.
    """
    known = [field.name for field in fields(Comparison) if field.name != "name"]
    if not isinstance(content, dict):
        raise ComparisonError(f"a comparison is a mapping with the keys {', '.join(known)}")
    for key in content:
        if key not in known:
            raise ComparisonError(f"{show(key)} is unknown. Allowed: {', '.join(known)}")
    for key in ("arms", "seeds", "baseline", "metrics"):
        if not content.get(key):
            raise ComparisonError(f"{key}: is missing or empty")
    arms = _arms(content["arms"])
    baseline = content["baseline"]
    if not isinstance(baseline, str) or baseline not in arms:
        raise ComparisonError(f"baseline: {show(baseline)} is no arm. Allowed: {', '.join(arms)}")
    return Comparison(
        name=name,
        common=_overrides("common", content.get("common") or []),
        arms=arms,
        seeds=_seeds(content["seeds"]),
        baseline=baseline,
        contrasts=_contrasts(content.get("contrasts"), arms, baseline),
        metrics=_metrics(content["metrics"]),
        evaluation=_overrides("evaluation", content.get("evaluation") or []),
    )


def _arms(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or len(value) > MAX_ARMS:
        raise ComparisonError(f"arms: expected a mapping from at most {MAX_ARMS} names to lists of overrides")
    arms: dict[str, tuple[str, ...]] = {}
    for name, words in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", name, re.ASCII):
            raise ComparisonError(f"arms: {show(name)} names a folder: letters, digits, '_', '-' and '.' only")
        arms[name] = _overrides(f"arms.{name}", words or [])
        if not arms[name]:
            raise ComparisonError(f"arms.{name}: is empty; give at least the override that makes it this arm")
        for other, others in arms.items():
            if other != name and others == arms[name]:
                raise ComparisonError(f"arms.{name}: has the same overrides as '{other}'")
    return arms


def _overrides(field: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_WORDS or not all(isinstance(word, str) for word in value):
        raise ComparisonError(f"{field}: expected a list of overrides such as algorithm.teacher_fraction=0.5")
    seen: set[str] = set()
    for word in value:
        override = _parse(field, word)
        key = override.key_or_group
        first = re.split(r"[./]", key)[0]
        own_word = first in FORBIDDEN or (field, key) == ("evaluation", "checkpoint")
        if own_word or any(f"{own}.".startswith(f"{key}.") or key.startswith(f"{own}.") for own in OWN_KEYS):
            raise ComparisonError(f"{field}: '{key}' is set by the comparison itself or the command line; leave it out")
        if key in seen:
            raise ComparisonError(f"{field}: '{key}' is given twice")
        seen.add(key)
        try:
            check_names({key.rpartition(".")[2]: None if override.is_delete() else override.value()})
        except ValueError as error:
            raise ComparisonError(f"{field}: {show(word)}: {error}") from error
    return tuple(value)


def _parse(field: str, word: str) -> Override:
    """Read a word as Hydra will, and refuse what is more than a value for one key of the task."""
    # ${seed} and other keys of the task may be referred to; what runs a resolver, ${oc.env:HOME}, may not.
    plain_word = re.sub(r"\$\{[a-z_]+(\.[a-z_]+)*\}", "", word)
    named = re.match(r"(\+{0,2}|~)[A-Za-z_]", word)
    if not named or len(word) > MAX_WORD or not word.isprintable() or "${" in plain_word:
        raise ComparisonError(f"{field}: {show(word)} is no key=value override of the task")
    try:
        override = OverridesParser.create().parse_override(word)
        if override.is_sweep_override() or override.package is not None:
            raise ComparisonError(f"{field}: {show(word)} gives no single value to a key of the task")
    except (HydraException, RecursionError) as error:
        raise ComparisonError(f"{field}: {show(word)} is no key=value override: {one_line(error, 120)}") from error
    return override


def _seeds(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(seed) is int and 0 <= seed < 2**32 for seed in value):
        raise ComparisonError(f"seeds: expected a list of whole numbers such as [1, 2, 3], got {show(value)}")
    if len(set(value)) < len(value):
        raise ComparisonError(f"seeds: a seed is given twice in {show(value)}")
    if len(value) > MAX_SEEDS:
        raise ComparisonError(f"seeds: at most {MAX_SEEDS}, got {len(value)}")
    return tuple(value)


def _contrasts(value: Any, arms: Mapping[str, Any], baseline: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return tuple((arm, baseline) for arm in arms if arm != baseline)
    if not isinstance(value, list):
        raise ComparisonError("contrasts: expected a list of pairs of arms")
    pairs: list[tuple[str, str]] = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or pair[0] == pair[1]:
            raise ComparisonError(f"contrasts: {show(pair)} is no pair of two different arms")
        for arm in pair:
            if not isinstance(arm, str) or arm not in arms:
                raise ComparisonError(f"contrasts: {show(arm)} is no arm. Allowed: {', '.join(arms)}")
        if any(set(pair) == set(other) for other in pairs):
            raise ComparisonError(f"contrasts: {pair[0]} and {pair[1]} are compared twice")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _metrics(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ComparisonError("metrics: expected a mapping from metrics to lower or higher, whichever is better")
    for metric, direction in value.items():
        if metric not in TITLES:
            raise ComparisonError(f"metrics: {show(metric)} is unknown. Allowed: {', '.join(TITLES)}")
        if direction not in DIRECTIONS:
            raise ComparisonError(
                f"metrics.{metric}: must be lower or higher, whichever is better, got {show(direction)}"
            )
    return dict(value)
