"""The pack of a task (``tasks/morphology``) that suits its robot: its own, or that of its morphology."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from legged_cts.robots.spec import MORPHOLOGIES, load_robot
from legged_cts.task.words import TASKS

GROUP = "morphology"


def morphology_override(words: Sequence[str], config_name: str = "train") -> list[str]:
    """Return the override that chooses the robot's pack, as a list that may be empty.

    It is empty where the words choose a pack themselves, or where they sweep over robots of different packs: then each
    job chooses its own.

    Args:
        words: Overrides or a whole command line.
        config_name: Root of the task.

    Raises:
        ValueError: If there is no such robot, or no pack for its morphology.
    """
    if any(word.lstrip("+").startswith(f"{GROUP}=") for word in words):
        return []
    # Nothing else can say which robot it is; other words may fit only the pack that is yet to be chosen.
    telling = ("robot", "experiment", "hydra.searchpath")
    choices = _sweep([word for word in words if word.lstrip("+").partition("=")[0] in telling])
    found = {pack_of(_robot(choice, config_name)) for choice in choices}
    return [f"{GROUP}={found.pop()}"] if len(found) == 1 else []


def pack_of(robot: str) -> str:
    """Return the pack of a robot given by name or path: the one named after it, or else that of its morphology.

    Raises:
        ValueError: If there is no such robot, or no pack for its morphology.
    """
    spec = load_robot(robot)
    packs = sorted(path.stem for path in (TASKS / GROUP).glob("*.yaml"))
    if spec.name in packs and spec.name not in MORPHOLOGIES:
        return spec.name
    if spec.morphology not in packs:
        raise ValueError(f"{GROUP}: there is no pack for '{spec.morphology}'. Allowed: {', '.join(packs)}")
    return spec.morphology


def _sweep(words: Sequence[str]) -> list[list[str]]:
    """All combinations of the values that the words sweep over."""
    choices: list[list[str]] = [[]]
    for word in words:
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException as error:
            raise ValueError(" ".join(str(error).split())) from error
        values = [word]
        if override.is_sweep_override():
            values = [f"{override.key_or_group}={value}" for value in override.sweep_string_iterator()]
        choices = [[*choice, value] for choice in choices for value in values]
    return choices


def _robot(words: Sequence[str], config_name: str) -> str:
    given = [word for word in words if word.lstrip("+").startswith("robot=")]
    if given and "${" not in given[-1]:  # it holds whatever an experiment says
        return str(OverridesParser.create().parse_override(given[-1]).value())
    return _composed_robot(tuple(words), config_name) if words else _default_robot(config_name)


def _composed_robot(words: tuple[str, ...], config_name: str) -> str:
    with initialize_config_dir(str(TASKS), version_base="1.3"):
        try:
            return str(compose(config_name, list(words))["robot"])
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(" ".join(str(error).split())) from error


@cache
def _default_robot(config_name: str) -> str:
    return _composed_robot((), config_name)
