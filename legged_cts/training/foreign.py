"""What a checkpoint of a stranger may hold: checked before anything is built from it."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from legged_cts.task.terrain import check_heights
from legged_cts.trust.names import check_names
from legged_cts.trust.plain import check_identifier, check_number, check_plain, show

MAX_PICKLE = 8 * 2**20
"""Bytes of a checkpoint's values beside its tensors."""
MAX_PARAMETERS = 5 * 10**8
"""Parameters of one network."""
SECTIONS = ("algorithm", "networks", "runner", "env", "terrain")

SIZES: dict[str, tuple[float, float]] = {
    "env.decimation": (1, 1000),
    "env.sim.dt": (1e-5, 0.1),
    "env.observations.history_length": (1, 500),
    "env.actions.clip": (1e-6, 1e6),
    "terrain.levels": (1, 200),
    "terrain.columns": (1, 1000),
    "terrain.size": (0.5, 100),
    "terrain.border": (0, 100),
    "terrain.resolution": (0.01, 1),
}
"""Entries of a configuration that decide over memory and time, with their bounds."""

GRID = ("levels", "columns", "size", "border", "resolution")
"""What a grid's memory follows from."""

INFO: dict[str, tuple[float, float]] = {
    "proprioception": (1, 2000),
    "history_length": (1, 500),
    "actions": (1, 200),
    "privileged": (1, 20_000),
    "height_scan": (1, 20_000),
}
"""Whole numbers in ``env_info``, with their bounds."""


def check_archive(path: Path) -> None:
    """Check that a file is a zip as torch writes it: nothing compressed, nothing damaged.

    Raises:
        ValueError: Saying what is wrong; of a file of another format nothing is.
        OSError: If it cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed, which checkpoints never are")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("it unpacks to more than it holds")
        if any(entry.file_size > MAX_PICKLE for entry in entries if entry.filename.endswith(".pkl")):
            raise ValueError(f"it holds more than {MAX_PICKLE:,} bytes beside its tensors")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its checksum of {damaged} is wrong")


def check_tree(content: Any) -> None:
    """Check that there are tensors and plain values alone, and that no tensor is larger than what it was read from.

    Raises:
        ValueError: Naming the entry that is wrong.
    """
    check_plain(content, leaf=_check_tensor)


def check_content(content: Mapping[str, Any]) -> None:
    """Check the entries of a checkpoint that are read before its networks are built.

    Raises:
        ValueError: Naming the entry that is wrong.
    """
    for key in ("iter", "total_steps"):
        check_number(key, content[key], 0, 2**53, whole=True)
    if not isinstance(content.get("weights_only", False), bool):
        raise ValueError(f"weights_only: must be true or false, got {show(content['weights_only'])}")
    for key in ("train_time", "best_score"):
        value = content.get(key, 0.0)
        if type(value) not in (int, float) or math.isnan(value):
            raise ValueError(f"{key}: must be a number, got {show(value)}")
    if not isinstance(content.get("wandb_run_id"), str | None):
        raise ValueError(f"wandb_run_id: must be a text or null, got {show(content['wandb_run_id'])}")
    for key, value in content.items():
        if (key.endswith("_state_dict") or key == "averaged") and not isinstance(value, Mapping):
            raise ValueError(f"{key}: must be a mapping, got {show(value)}")
    stages = content.get("stages", {"reached": [], "since": 0})
    if not isinstance(stages, Mapping) or not isinstance(stages.get("reached"), list):
        raise ValueError(f"stages: must hold the list `reached`, got {show(stages)}")
    for name in stages["reached"]:
        check_identifier("stages.reached", name)
    check_number("stages.since", stages.get("since"), 0, 2**53, whole=True)
    check_config(content["config"])
    check_env_info(content["env_info"])


def check_config(config: Any) -> None:
    """Check a configuration that was stored: plain values, known names, sizes that fit into memory.

    Raises:
        ValueError: Naming the key that is wrong.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"config: must be a mapping, got {show(config)}")
    check_plain(config, "config")
    for text in _texts(config):
        if "${" in text:
            raise ValueError(f"config: holds {show(text)}, but what is stored is resolved")
    check_names(config)
    for section in SECTIONS:
        if section in config and not isinstance(config[section], Mapping):
            raise ValueError(f"config.{section}: must be a mapping, got {show(config[section])}")
    robot = config.get("robot", "go2")
    if not isinstance(robot, str) or not re.fullmatch(r"[^'\"\\\x00-\x1f]{1,500}", robot):
        raise ValueError(f"config.robot: must be the name of a robot or a path, got {show(robot)}")
    for key, (low, high) in SIZES.items():
        value = _select(config, key)
        if value is not None:
            check_number(f"config.{key}", value, low, high)
    terrain = config.get("terrain", {})
    if all(terrain.get(name) is not None for name in GRID):
        check_heights(terrain)
    envs = _select(config, "env.scene.num_envs")
    if envs not in (None, "auto"):
        check_number("config.env.scene.num_envs", envs, 1, 2**17, whole=True)
    for name, network in config.get("networks", {}).items():
        if isinstance(network, Mapping) and _parameters(f"config.networks.{name}", network) > MAX_PARAMETERS:
            raise ValueError(f"config.networks.{name}: has more than {MAX_PARAMETERS:,} parameters")


def check_env_info(info: Any) -> None:
    """Check the types and bounds of ``env_info``; what is missing is up to its readers.

    Raises:
        ValueError: Naming the entry that is wrong.
    """
    if not isinstance(info, Mapping):
        raise ValueError(f"env_info: must be a mapping, got {show(info)}")
    check_plain(info, "env_info")
    for key, (low, high) in INFO.items():
        if key in info:
            check_number(f"env_info.{key}", info[key], low, high, whole=True)
    if info.get("proprioception", 1) * info.get("history_length", 1) > 10**6:
        raise ValueError("env_info.history_length: a history of more than a million numbers")
    if "robot" in info:
        check_identifier("env_info.robot", info["robot"])
    joints = info.get("joints", [])
    if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
        raise ValueError(f"env_info.joints: must be a list of names, got {show(joints)}")
    terms = info.get("proprioception_terms", [])
    if not isinstance(terms, list) or not all(isinstance(term, list | tuple) and len(term) == 3 for term in terms):
        raise ValueError(f"env_info.proprioception_terms: must be lists of name, size and scale, got {show(terms)}")
    ranges = info.get("command_ranges", {})
    if not isinstance(ranges, Mapping) or not all(_is_range(bounds) for bounds in ranges.values()):
        raise ValueError(f"env_info.command_ranges: must be [low, high] by command, got {show(ranges)}")


def check_weights(content: Mapping[str, Any]) -> None:
    """Check that the networks of a checkpoint are finite.

    Raises:
        ValueError: Naming the weights that are not.
    """

    def finite(where: str, value: Any) -> None:
        bad = not math.isfinite(value) if isinstance(value, float) else not bool(torch.isfinite(value).all())
        if bad:
            raise ValueError(f"{where}: holds numbers that are not finite; take an earlier checkpoint")

    for key, value in content.items():
        if (key.endswith("_state_dict") and "optimizer" not in key) or key == "averaged":
            check_plain(value, key, leaf=finite)


def _check_tensor(where: str, value: Any) -> None:
    if isinstance(value, float):
        return
    if type(value) not in (torch.Tensor, torch.nn.Parameter):
        raise ValueError(f"{where}: must be a tensor or a plain value, got a {type(value).__name__}")
    if value.layout is not torch.strided or value.is_quantized or value.device.type == "meta":
        raise ValueError(f"{where}: must be a dense tensor")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise ValueError(f"{where}: is a tensor of {value.numel():,} numbers, of which the file holds fewer")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _select(config: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(config, Mapping):
            return None
        config = config.get(part)
    return config


def _parameters(name: str, network: Mapping[str, Any]) -> int:
    """Roughly how many parameters a network has by the sizes of its node, an upper bound."""
    total, times = 0, 1
    for key, value in network.items():
        if isinstance(value, list | tuple) and all(type(size) is int for size in value):
            if len(value) > 32:
                raise ValueError(f"{name}.{key}: at most 32 layers, got {len(value)}")
            sizes = [int(check_number(f"{name}.{key}", size, -1, 10_000, whole=True)) for size in value]
            total += sum(a * b for a, b in zip([1000, *sizes], [*sizes, 1000], strict=True))
        elif key in ("experts", "layers", "blocks", "rnn_num_layers") and value is not None:
            times *= int(check_number(f"{name}.{key}", value, 1, 100, whole=True))
        elif type(value) is int:
            total += int(check_number(f"{name}.{key}", value, 0, 10_000, whole=True)) ** 2 * 4
    return total * times


def _is_range(bounds: Any) -> bool:
    numbers = isinstance(bounds, list | tuple) and all(type(bound) in (int, float) for bound in bounds)
    return numbers and len(bounds) == 2 and -1000 <= bounds[0] <= bounds[1] <= 1000
