"""Imports point one way: applications -> environments -> terms, robots, physics; algorithms, distillation and deploy
stand apart."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "legged_cts"
_BELOW = {"terrain", "envs", "mdp", "robots", "physics", "algorithms", "models", "deploy", "roles", "task"}
ALLOWED = {
    "__main__": set(),
    "door": {"deploy", "envs", "evaluation", "task", "training"},
    "gym": {"envs"},
    "roles": set(),
    "trust": set(),
    "task": {"terrain", "robots", "algorithms", "distillation"},
    "robots": set(),
    "terrain": set(),
    "physics": {"robots", "task", "terrain"},
    "mdp": {"robots", "roles", "physics", "terrain", "task"},
    "models": {"roles"},
    "distillation": {"roles"},
    "algorithms": {"models", "roles", "distillation"},
    "deploy": {"robots", "terrain"},
    "envs": {"mdp", "robots", "physics", "algorithms", "terrain", "task"},
    # Applications, each above those before it.
    "training": _BELOW,
    "export": {*_BELOW, "training"},
    "evaluation": {*_BELOW, "training", "export"},
    "viewer": {*_BELOW, "training", "export", "evaluation"},
    "train": {*_BELOW, "training", "export", "evaluation"},
    "benchmarks": {*_BELOW, "training", "train"},
}
THIRD_PARTY = {
    "trust": {"yaml"},
    "terrain": {"numpy"},
    "models": {"torch", "rsl_rl", "tensordict"},
    "algorithms": {"torch", "rsl_rl", "tensordict"},
    "distillation": {"torch"},
    "deploy": {"numpy", "onnxruntime", "mujoco", "yaml", "imageio", "matplotlib", "cyclonedds", "limxsdk"},
}


def imports(path: Path) -> set[str]:
    """Names of all modules that a file imports when it runs, inside functions too, but not for type checking alone."""
    found = set()
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
        todo.extend(ast.iter_child_nodes(node))
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    part = part_of(path)
    if part == "__init__":
        return
    own = {name.split(".")[1] for name in imports(path) if name.startswith("legged_cts.")}
    allowed = ALLOWED[part] | {part, "trust"}
    assert own <= allowed, f"{part} must not import {own - allowed}"
    if part in THIRD_PARTY:
        foreign = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"legged_cts"}
        assert foreign <= THIRD_PARTY[part], f"{part} must not import {foreign - THIRD_PARTY[part]}"


def test_deploy_needs_only_the_spec_and_model_of_robots():
    """The rest of ``robots`` needs OpenUSD."""
    for path in (PACKAGE / "deploy").rglob("*.py"):
        robots = {name for name in imports(path) if name.startswith("legged_cts.robots")}
        assert {name.rpartition(".")[2] for name in robots} <= {"spec", "mjcf", "gait", "posed", "proprioception"}, path


def test_no_part_imports_what_imports_it():
    left = dict(ALLOWED)
    while left:
        free = [part for part, below in left.items() if not below & left.keys()]
        assert free, f"these import each other: {', '.join(left)}"
        left = {part: below for part, below in left.items() if part not in free}


def test_functions_are_short():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path}:{node.lineno} {node.name}"
