"""docs/cts_options.md keeps up with the configuration."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

from legged_cts.algorithms.cts import CTS
from legged_cts.algorithms.ppo import RolePPO
from legged_cts.algorithms.rollout import RoleRollout
from legged_cts.training.compose import compose_task, plain

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "cts_options.md").read_text()
CONFIG = plain(compose_task([]))
SUPPLIED = {"self", "parts", "driver", "options", "ppo"}


def rows() -> dict[str, str]:
    """The default that the tables give for each option."""
    found = {}
    for line in DOCUMENT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"`[a-z_.]+`", cells[0]) and len(cells) in (3, 4):
            found[cells[0].strip("`")] = cells[-2].strip("`")
    return found


def test_every_key_of_the_algorithm_has_a_row():
    keys = {f"algorithm.{key}" for key in CONFIG["algorithm"] if key != "class_name"}
    assert keys <= rows().keys(), sorted(keys - rows().keys())
    # Also what only the constructor names.
    named = {name for cls in (CTS, RolePPO, RoleRollout) for name in inspect.signature(cls.__init__).parameters}
    own = {f"algorithm.{name}" for name in named - SUPPLIED}
    assert own <= rows().keys(), sorted(own - rows().keys())


@pytest.mark.parametrize("option", sorted(rows()))
def test_defaults_are_those_of_the_configuration(option):
    node = CONFIG
    for part in option.split("."):
        if part not in node:
            pytest.skip(f"{option} is not set in the file: its default is in the code")
        node = node[part]
    assert yaml.safe_load(rows()[option]) == node


def test_options_of_the_main_table_are_explained():
    prose = DOCUMENT.split("## Roles")[1]
    main = DOCUMENT.split("The PPO constants")[0]
    explained = set(re.findall(r"\*\*`([a-z_.]+)`\*\*", prose))
    assert {option for option in rows() if f"| `{option}` |" in main} == explained
