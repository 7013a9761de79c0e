"""Configurations from the task tree, and from a checkpoint's own configuration with overrides on top."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from legged_cts.envs.morphology import morphology_override
from legged_cts.task.check import all_paths, renewed
from legged_cts.task.fields import suggest
from legged_cts.task.stages import hold
from legged_cts.task.words import (
    TASKS,
    given_keys,
    group_files,
    is_search,
    parse_word,
    plain_words,
    tree_folders,
    unknown_option,
)


def share_of_iterations(share: float, *, _root_: DictConfig) -> int:
    """Return the number of iterations that make up a share of ``max_iterations``, rounded up and at least 1.

    In the task tree it is ``${iterations:0.5}``; a checkpoint keeps the number.
    """
    return max(1, math.ceil(float(share) * _root_.max_iterations))


OmegaConf.register_new_resolver("iterations", share_of_iterations, replace=True)


def compose_task(overrides: Sequence[str], config_name: str = "train") -> DictConfig:
    """Compose ``tasks/train.yaml`` with overrides; the robot's morphology chooses its pack unless the overrides do.

    What the overrides give holds for the whole run, whatever a stage says.

    Raises:
        ValueError: If an override is malformed, or its key or group option is unknown.
    """
    overrides = plain_words(overrides)
    overrides = [*overrides, *morphology_override(overrides, config_name)]
    with _tree():
        try:
            cfg = compose(config_name, overrides)
        except (HydraException, OmegaConfBaseException, RecursionError) as error:
            raise ValueError(" ".join(str(error).split())) from error
    return hold_given(cfg, overrides)


def hold_given(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Take what overrides give from the stages, so that it holds; changes and returns ``cfg``."""
    stages = cfg.get("stages")
    # A stage that is wrong is named by the check of the whole configuration.
    sound = OmegaConf.is_dict(stages) and all(
        stage is None or (OmegaConf.is_dict(stage) and OmegaConf.is_dict(stage.get("set"))) for stage in stages.values()
    )
    if sound:
        with open_dict(cfg):
            cfg.stages = hold(plain(stages), given_keys(overrides))
    return cfg


def groups(config_name: str = "train", search: Sequence[str] = ()) -> set[str]:
    """Return the groups of the task tree and of the folders in ``search``, an override of ``hydra.searchpath``."""
    with _tree():
        found = GlobalHydra.instance().config_loader().get_group_options("", ObjectType.GROUP, config_name, [*search])
    # A folder that holds files for another script, Hydra's own, and one that the tree has only if the user has it.
    return {*found, "experiment"} - {"compare", "hydra"}


def group_options(group: str, config_name: str = "train", search: Sequence[str] = ()) -> list[str]:
    """Return the options of a group, of the task tree and of the folders in ``search``."""
    with _tree():
        loader = GlobalHydra.instance().config_loader()
        return sorted(loader.get_group_options(group, ObjectType.CONFIG, config_name, [*search]))


@contextmanager
def _tree() -> Iterator[None]:
    # One that Hydra has set up for the script is left as it was.
    with initialize_config_dir(str(TASKS), version_base="1.3"):
        yield


def apply_overrides(config: Mapping[str, Any], overrides: Sequence[str]) -> DictConfig:
    """Apply Hydra overrides to a configuration that is already composed, such as a checkpoint's.

    Args:
        config: Plain configuration.
        overrides: ``key=value``, ``+key=value``, ``~key``, ``group=option`` or ``hydra.searchpath=[folder]``. A group's
            option takes the place of what its package held where the package is the group's own (``terrain=rough``),
            and is merged into its package elsewhere (``randomization=none``).

    Raises:
        ValueError: If an override is malformed, or its key or group option is unknown.
    """
    cfg = OmegaConf.create(renewed(config))
    OmegaConf.set_struct(cfg, True)
    folders = tree_folders(overrides)
    overrides = [word for word in plain_words(overrides) if not is_search(word)]
    for override in map(parse_word, overrides):
        if override.is_sweep_override():
            raise ValueError(f"{override.input_line}: a sweep over values is not possible here; give one value")
        options = group_files(override.key_or_group, folders)
        if options and isinstance(override.value(), str):
            _apply_group(cfg, override.key_or_group, str(override.value()), options)
        else:
            _apply_value(cfg, override)
    return hold_given(cfg, overrides)


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
        elif override.is_add() or override.is_force_add() or _of_today(cfg, key):
            with open_dict(cfg):
                OmegaConf.update(cfg, key, override.value(), force_add=True, merge=not override.is_add())
        else:
            OmegaConf.update(cfg, key, override.value(), merge=True)
    except (OmegaConfBaseException, TypeError, KeyError, AttributeError) as error:
        hint = suggest(key, _keys(cfg, ""))
        raise ValueError(f"{override.input_line}: there is no key '{key}' in the configuration{hint}") from error


def _of_today(cfg: DictConfig, key: str) -> bool:
    """Whether a checkpoint of before lacks a key that there is now."""
    return OmegaConf.select(cfg, key, default=cfg) is cfg and key in all_paths()


def _keys(cfg: DictConfig, above: str) -> Iterator[str]:
    for name, value in cfg.items_ex(resolve=False):
        yield f"{above}{name}"
        if isinstance(value, DictConfig) and not OmegaConf.is_missing(cfg, name) and value:
            yield from _keys(value, f"{above}{name}.")


def _apply_group(cfg: DictConfig, group: str, option: str, options: Mapping[str, Path]) -> None:
    if option not in options:
        raise ValueError(unknown_option(group, option, list(options)))
    file = options[option]
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
