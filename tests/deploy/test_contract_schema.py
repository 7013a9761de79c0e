"""The contract's JSON schema, which others read contracts by, and the reader here agree."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from deploy_policies import make_contract, make_gait_contract

from legged_cts.deploy.contract import ADDED_IN, CONTRACT_VERSION, STILL_SINCE, ContractError, PolicyContract
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.robots.spec import assets_dir

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/contract.schema.json").read_text())
SHIPPED = sorted((assets_dir() / "policies").glob("*/policy.onnx"))
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "null": type(None)}


def valid(value: Any, schema: Any) -> bool:
    """Whether a value fits a schema, for the words of JSON Schema (2020-12) that the contract's uses."""
    if isinstance(schema, bool):
        return schema
    if "type" in schema and (not isinstance(value, TYPES[schema["type"]]) or isinstance(value, bool)):
        return False
    number = value if isinstance(value, int | float) else None
    size = len(value) if isinstance(value, str | list) else None
    checks = {
        "enum": lambda wanted: value in wanted,
        "const": lambda wanted: value == wanted,
        "minimum": lambda low: number is None or number >= low,
        "maximum": lambda high: number is None or number <= high,
        "exclusiveMinimum": lambda low: number is None or number > low,
        "exclusiveMaximum": lambda high: number is None or number < high,
        "pattern": lambda pattern: re.search(pattern, value) is not None,
        "minLength": lambda least: size is None or size >= least,
        "maxLength": lambda most: size is None or size <= most,
        "minItems": lambda least: size is None or size >= least,
        "maxItems": lambda most: size is None or size <= most,
        "uniqueItems": lambda _: len(set(value)) == len(value),
        "items": lambda item: all(valid(one, item) for one in value),
        "required": lambda names: not isinstance(value, dict) or set(names) <= set(value),
        "properties": lambda of: not isinstance(value, dict) or all(valid(value[n], of[n]) for n in of if n in value),
        "additionalProperties": lambda _: set(value) <= set(schema["properties"]),
        "anyOf": lambda parts: any(valid(value, part) for part in parts),
        "allOf": lambda parts: all(valid(value, part) for part in parts),
        "if": lambda test: valid(value, schema["then" if valid(value, test) else "else"]),
    }
    notes = {"type", "then", "else", "$schema", "title", "description"}
    assert set(schema) <= set(checks) | notes, schema
    return all(checks[word](content) for word, content in schema.items() if word in checks)


def test_the_schema_names_the_fields_and_versions_of_the_contract() -> None:
    assert list(SCHEMA["properties"]) == [field.name for field in dataclasses.fields(PolicyContract)]
    assert SCHEMA["properties"]["version"]["enum"] == list(range(1, CONTRACT_VERSION + 1))
    assert set(SCHEMA["properties"]) - set(SCHEMA["required"]) == set(ADDED_IN)


@pytest.mark.parametrize("policy", SHIPPED, ids=lambda path: path.parent.name)
def test_every_shipped_policys_contract_fits(policy: Path) -> None:
    assert valid(json.loads(OnnxPolicy(policy).contract.to_json()), SCHEMA)


@pytest.mark.parametrize("version", range(1, CONTRACT_VERSION + 1))
def test_every_version_fits_as_it_is_written(version: int) -> None:
    make = make_contract if version == 1 else make_gait_contract
    network_hash = "0" * 64 if version >= ADDED_IN["network_hash"] else ""
    written = json.loads(make(version=version, network_hash=network_hash).to_json())
    assert valid(written, SCHEMA)
    # A field is there from the version on that brought it, and not before.
    for name, since in ADDED_IN.items():
        changed = dict(written)
        changed.pop(name) if since <= version else changed.update({name: written.get(name)})
        assert not valid(changed, SCHEMA)
    if version > 1:
        changed = copy.deepcopy(written)
        changed["gait"].pop("linger") if version >= STILL_SINCE else changed["gait"].update(linger=0.0)
        assert not valid(changed, SCHEMA)


WRONG = {
    "version": [0, CONTRACT_VERSION + 1, "4", None],
    "robot": ["", 3, None],
    "joints": [[], "FL", [1], ["a", "a"]],
    "stiffness": [3.0, ["a"], [None], [1e7]],
    "action_scale": [0, -1.0, "0.25", [], [0.25, "0.25"], [0.25, 0.0], None],
    "action_clip": [0.0, -1, "1", True],
    "control_dt": [0.0, 1e-4, 2.0, "0.02"],
    "physics_dt": [0.0, 1e-6, 0.2],
    "observations": [[], [{"name": "command", "size": 3}], [{"name": "smell", "size": 3, "scale": 1.0}],
                     [{"name": "command", "size": 3.5, "scale": 1.0}], [{"name": "command", "size": 3, "scale": "1"}]],
    "history_length": [0, 1001, 2.5],
    "history_order": ["newest_first"],
    "history_reset": ["ones"],
    "command_ranges": [{}, {"lin_vel_x": [0, 1]}, {"lin_vel_x": [0], "lin_vel_y": [0, 1], "ang_vel_z": [0, 1]}],
    "trained_steps": [-1, 0.5],
    "gait": [{}, 1, {"frequency": 0, "offsets": [0], "duty": 0.5, "foot_height": 0.1, "still": 0.1, "linger": 0},
             {"frequency": 1, "offsets": [], "duty": 0.5, "foot_height": 0.1, "still": 0.1, "linger": 0},
             {"frequency": 1, "offsets": [0], "duty": 1, "foot_height": 0.1, "still": 0.1, "linger": 0},
             {"frequency": 1, "offsets": [0], "duty": 0.5, "foot_height": 0.1, "still": -0.1, "linger": 0},
             {"frequency": 1, "offsets": [0], "duty": 0.5, "foot_height": 0.1}],
    "state_size": [-1, 1.5, "0"],
    "network_hash": ["0", "G" * 64, 0],
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_the_schema_refuses_is_refused_here_too(name: str) -> None:
    right = json.loads(make_gait_contract(version=CONTRACT_VERSION, network_hash="0" * 64).to_json())
    assert valid(right, SCHEMA)
    changes: list[Any] = [{**copy.deepcopy(right), name: value} for value in WRONG[name]]
    changes += [{key: value for key, value in right.items() if key != name}, {**right, "more": 1}]
    for changed in changes:
        assert not valid(changed, SCHEMA), changed[name]
        with pytest.raises(ContractError):
            PolicyContract.from_json(json.dumps(changed))
