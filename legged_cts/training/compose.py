"""Configurations from the task tree, and from a checkpoint's own configuration with overrides on top."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from legged_cts.envs.morphology import TASKS, morphology_override


def share_of_iterations(share: float, *, _root_: DictConfig) -> int:
    """Return the number of iterations that make up a share of ``max_iterations``, rounded up and at least 1.

    In the task tree it is ``${iterations:0.5}``; a checkpoint keeps the number.
    """
    return max(1, math.ceil(float(share) * _root_.max_iterations))


OmegaConf.register_new_resolver("iterations", share_of_iterations, replace=True)


def compose_task(overrides: Sequence[str]) -> DictConfig:
    """Compose ``tasks/train.yaml`` with overrides; the robot's morphology chooses its pack unless the overrides do.

    Raises:
        ValueError: If an override is malformed, or its key or group option is unknown.
    """
    overrides = [*overrides, *morphology_override(overrides)]
    with initialize_config_dir(str(TASKS), version_base="1.3"):
        try:
            return compose("train", overrides)
        except HydraException as error:
            raise ValueError(" ".join(str(error).split())) from error


def apply_overrides(config: Mapping[str, Any], overrides: Sequence[str]) -> DictConfig:
    """Apply Hydra overrides to a configuration that is already composed, such as a checkpoint's.

    Args:
        config: Plain configuration.
        overrides: ``key=value``, ``+key=value``, ``~key`` or ``group=option``. A group's option takes the place of what
            its package held where the package is the group's own (``terrain=rough``), and is merged into its package
            elsewhere (``randomization=none``).

    Raises:
        ValueError: If an override is malformed, or its key or group option is unknown.
    """
    cfg = OmegaConf.create(dict(config))
    OmegaConf.set_struct(cfg, True)
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ValueError(" ".join(str(error).split())) from error
    for override in parsed:
        if override.is_sweep_override():
            raise ValueError(f"{override.input_line}: a sweep over values is not possible here; give one value")
        if (TASKS / override.key_or_group).is_dir() and isinstance(override.value(), str):
            _apply_group(cfg, override.key_or_group, str(override.value()))
        else:
            _apply_value(cfg, override)
    return cfg


def plain(cfg: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a configuration to plain dicts and lists.

    Raises:
        ValueError: If an interpolation leads nowhere or a mandatory value is missing.
    """
    try:
        return OmegaConf.to_container(OmegaConf.create(cfg), resolve=True, throw_on_missing=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise ValueError(" ".join(str(error).split())) from error


def _apply_value(cfg: DictConfig, override: Override) -> None:
    key = override.key_or_group
    try:
        if override.is_delete():
            parent, _, leaf = key.rpartition(".")
            node = OmegaConf.select(cfg, parent) if parent else cfg
            with open_dict(cfg):
                del node[leaf]
        elif override.is_add():
            with open_dict(cfg):
                OmegaConf.update(cfg, key, override.value(), force_add=True)
        else:
            OmegaConf.update(cfg, key, override.value(), merge=True)
    except (OmegaConfBaseException, TypeError, KeyError) as error:
        raise ValueError(f"{override.input_line}: there is no key '{key}' in the configuration") from error


def _apply_group(cfg: DictConfig, group: str, option: str) -> None:
    file = TASKS / group / f"{option}.yaml"
    if not file.is_file():
        options = sorted(path.stem for path in (TASKS / group).glob("*.yaml"))
        raise ValueError(f"{group}={option}: there is no such option; choose from {', '.join(options)}")
    node = OmegaConf.load(file)
    if not isinstance(node, DictConfig) or "defaults" in node:
        raise ValueError(f"{group}={option}: cannot be changed after training, because it composes other options")
    header = re.search(r"^#\s*@package\s+(\S+)", file.read_text(), re.MULTILINE)
    package = header[1] if header else group
    with open_dict(cfg):
        if package == group:
            cfg[group] = node
        elif package == "_global_":
            cfg.merge_with(node)
        else:
            OmegaConf.update(cfg, package, node, merge=True, force_add=True)
