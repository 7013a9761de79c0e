"""Files of the task tree, read alone."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

TASKS = Path(__file__).parents[1] / "tasks"
PPO = OmegaConf.load(TASKS / "train.yaml")["ppo"]
SIZE = OmegaConf.load(TASKS / "size" / "small.yaml")


def algorithm_file(name: str) -> dict[str, Any]:
    """Return a file of ``tasks/algorithm`` as plain dict, the values resolved that it takes from other files."""
    return copy.deepcopy(_algorithm_file(name))


@cache
def _algorithm_file(name: str) -> dict[str, Any]:
    context = {"ppo": PPO, "size": SIZE}
    node = OmegaConf.merge(context, OmegaConf.load(TASKS / "algorithm" / f"{name}.yaml"))
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key not in context}
