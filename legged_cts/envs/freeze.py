"""What a task leaves out when robots are measured, looked at or replayed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from legged_cts.robots.mjcf import IMPRATIO

ENDLESS = 1.0e9
"""Seconds that a command holds which nothing replaces."""


def hold_levels(env: dict[str, Any]) -> None:
    """Let robots stay where they start, whether they pass or fail there; changes a task's ``env``."""
    env["curriculum"]["terrain_levels"] = False
    env["terminations"]["passed"] = False


def solve_finely(task: dict[str, Any], asked: Collection[str] = ()) -> None:
    """Solve physics as well as a robot is measured, where training is content with less; changes the task.

    What the command line asked for (keys with dots) stays.

    Every tick is taken for itself, and friction is Coulomb's in every direction: a pyramid's is 29 % less on its edges'
    diagonals, where robots slip down slopes on which they could stand.
    """
    fine = {"longest_tick": None, "cone": "elliptic", "impratio": IMPRATIO}
    fine = {key: value for key, value in fine.items() if f"solver.{key}" not in asked}
    task["solver"] = {**(task.get("solver") or {}), **fine}


def undisturb(task: dict[str, Any], seed: int) -> None:
    """Make a plain task one of a single robot to which nothing happens by chance; changes it.

    There is no noise, nothing is drawn, nobody pushes, no event of the user's own happens, and commands come from
    outside. The delays of actions and how episodes begin and end are the caller's.
    """
    task["seed"] = seed
    env = task["env"]
    env["scene"] |= {"num_envs": 1}
    env["observations"]["noise"]["enabled"] = False
    env["commands"] |= {"heading": False, "resampling_s": ENDLESS, "zero_probability": 0.0}
    env["randomization"] = dict.fromkeys(env["randomization"])
    env["pushes"]["enabled"] = False
    env["events"] = {}
    hold_levels(env)
