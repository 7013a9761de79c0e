import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from deploy_policies import make_contract, make_gait_contract, make_recurrent_contract
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.deploy.contract import ContractError, ObservationTerm, PolicyContract, check
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.robots.spec import RobotSpec, assets_dir, load_robot


@pytest.fixture(scope="module")
def go2() -> RobotSpec:
    return load_robot("go2")


def test_json_keeps_every_field(contract: PolicyContract) -> None:
    walking = make_gait_contract()
    recurrent = make_recurrent_contract(gait=walking.gait, observations=walking.observations, history_reset="zero")
    for one in (contract, make_contract(version=2), walking, recurrent):
        again = PolicyContract.from_json(one.to_json())
        assert again == one and repr(again) == repr(one)
    assert json.loads(recurrent.to_json())["state_size"] == 2
    assert json.loads(walking.to_json())["gait"] == {
        "frequency": 2.5, "offsets": [0.0, 0.5, 0.5, 0.0], "duty": 0.5, "foot_height": 0.08,
    }  # fmt: skip


def test_a_clock_that_rests_came_with_version_5() -> None:
    gait = dataclasses.replace(make_gait_contract().gait, still=0.1, linger=1.0)  # type: ignore[type-var]
    resting = make_gait_contract(gait=gait, version=5, network_hash="0" * 64)
    fields = json.loads(resting.to_json())
    assert (
        fields["gait"]["still"] == 0.1
        and fields["gait"]["linger"] == 1.0
        and PolicyContract.from_json(resting.to_json()) == resting
    )
    del fields["gait"]["still"]
    with pytest.raises(ContractError, match="gait: the field 'still' is missing"):
        PolicyContract.from_json(json.dumps(fields))
    with pytest.raises(ContractError, match=r"gait.still in version 4: expected 0.0, got 0.1"):
        make_gait_contract(gait=gait, version=4, network_hash="0" * 64)
    old = _fields(make_gait_contract())
    with pytest.raises(ContractError, match="gait: the field 'still' is unknown"):
        PolicyContract.from_json(json.dumps(old | {"gait": old["gait"] | {"still": 0.0}}))


def test_version_1_has_no_gait(contract: PolicyContract) -> None:
    assert "gait" not in json.loads(contract.to_json())
    assert PolicyContract.from_json(contract.to_json()).gait is None
    with pytest.raises(ContractError, match="'gait' is unknown"):
        PolicyContract.from_json(json.dumps(_fields(contract) | {"gait": None}))
    with pytest.raises(ContractError, match="gait: expected None in version 1"):
        make_gait_contract(version=1)


@pytest.mark.parametrize("version", [1, 2])
def test_older_versions_are_feed_forward_and_backfill(version: int) -> None:
    old = make_contract(version=version)
    assert "state_size" not in _fields(old)
    assert PolicyContract.from_json(old.to_json()).state_size == 0
    with pytest.raises(ContractError, match="'state_size' is unknown"):
        PolicyContract.from_json(json.dumps(_fields(old) | {"state_size": 0}))
    with pytest.raises(ContractError, match=f"state_size: expected 0 in version {version}, got 2"):
        make_recurrent_contract(version=version)
    with pytest.raises(ContractError, match="history_reset: expected 'backfill', got 'zero'"):
        make_contract(version=version, history_reset="zero")


@pytest.mark.parametrize("value", [-1, 2.0, True, "2", None])
def test_a_wrong_state_size_is_named(value: object) -> None:
    with pytest.raises(ContractError, match="state_size: expected a whole number of at least 0"):
        PolicyContract.from_json(json.dumps(_fields(make_recurrent_contract()) | {"state_size": value}))


@pytest.mark.parametrize("file", sorted((assets_dir() / "policies").glob("*/policy.onnx")), ids=lambda f: f.parent.name)
def test_shipped_policies_load_as_they_are(file: Path) -> None:
    policy = OnnxPolicy(file)
    assert policy.contract.version in (4, 5)
    assert policy.contract.state_size == 0 and policy.state.shape == (0,)
    assert np.isfinite(policy.act(np.zeros(policy.contract.observation_size))).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duty": 1.5}, "gait.duty must lie between 0 and 1, got 1.5"),
        ({"offsets": []}, "gait.offsets must be a list"),
        ({"offsets": [0.0, True]}, r"gait.offsets\[1\] must be a finite number"),
        ({"phase": 0.0}, "gait: the field 'phase' is unknown"),
    ],
)
def test_a_wrong_gait_is_named(change: dict, message: str) -> None:
    fields = _fields(make_gait_contract())
    fields["gait"] |= change
    with pytest.raises(ContractError, match=message):
        PolicyContract.from_json(json.dumps(fields))


def test_gait_and_its_observation_go_together(go2: RobotSpec) -> None:
    walking = make_gait_contract()
    with pytest.raises(ContractError, match=r"observations\[6\].name: 'gait_phase' is unknown"):
        dataclasses.replace(walking, gait=None)
    with pytest.raises(ContractError, match="a policy with a gait must see 'gait_phase'"):
        dataclasses.replace(walking, observations=walking.observations[:-1])
    assert walking.observation_size == 47
    check(walking, go2)
    assert walking.gait is not None
    biped = dataclasses.replace(walking.gait, offsets=(0.0, 0.5))
    with pytest.raises(ContractError, match="gait.offsets: 2 in the policy, but the robot has 4 feet"):
        check(dataclasses.replace(walking, gait=biped), go2)


@settings(max_examples=200)
@given(
    pose=st.lists(st.floats(-1e6, 1e6), min_size=12, max_size=12),
    scale=st.floats(min_value=5e-324, max_value=1e6),
    low=st.floats(min_value=-1e6, max_value=0.0),
)
def test_json_is_lossless_for_any_float(pose: list[float], scale: float, low: float) -> None:
    first = make_contract(
        default_joint_pos=tuple(pose),
        action_scale=scale,
        command_ranges={"lin_vel_x": (low, 0.1), "lin_vel_y": (-0.1, 1 / 3), "ang_vel_z": (0.0, 0.0)},
    )
    again = PolicyContract.from_json(first.to_json())
    # repr tells -0.0 from 0.0, which == does not.
    assert repr(again) == repr(first)


def _fields(contract: PolicyContract) -> dict:
    return json.loads(contract.to_json())


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(PolicyContract)])
def test_a_missing_field_is_named(name: str) -> None:
    fields = _fields(make_gait_contract(version=4))
    del fields[name]
    with pytest.raises(ContractError, match=f"'{name}' is missing"):
        PolicyContract.from_json(json.dumps(fields))


def test_an_unknown_field_is_named(contract: PolicyContract) -> None:
    with pytest.raises(ContractError, match="'torque_scale' is unknown"):
        PolicyContract.from_json(json.dumps(_fields(contract) | {"torque_scale": 1.0}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("version", 6, "version: expected 1 to 5, got 6"),
        ("robot", "", "robot: expected a text"),
        ("robot", "../../evil", "robot: must be at most 64 letters"),
        ("terrain", "flat,hydra.run.dir=x", "terrain: must be at most 64 letters"),
        ("algorithm", "{alert(1)}", "algorithm: must be at most 64 letters"),
        ("git_revision", "a\nb", "git_revision: expected at most 100 printable characters"),
        ("control_dt", 1e5, "control_dt: expected a step of 0.001 to 1 s"),
        ("control_dt", 1e-9, "control_dt: expected a step of 0.001 to 1 s"),
        ("physics_dt", 1e-300, "physics_dt: expected a step of 1e-05 to 0.1 s"),
        ("physics_dt", 0.02 / 1999, "physics_dt: .* ticks per action|expected a step of 1e-05"),
        ("action_clip", 10**400, "action_clip: (must be below|expected a finite)"),
        ("trained_steps", [[[]]], "trained_steps: expected a whole number"),
        ("robot", 3, "robot: expected a text"),
        ("joints", "FL_hip_joint", "joints: expected a list"),
        ("joints", ["a", "a"] + [f"j{i}" for i in range(10)], r"joints: \['a'\] listed more than once"),
        ("stiffness", [25.0] * 11, "stiffness: 11 values for 12 joints"),
        ("damping", [0.5] * 11 + ["x"], r"damping\[RR_calf_joint\]: expected a finite number, got 'x'"),
        ("damping", [0.5] * 11 + [True], r"damping\[RR_calf_joint\]: expected a finite number"),
        ("action_scale", 0.0, "action_scale: expected a number above 0"),
        ("control_dt", 0.018, "control_dt: 0.018 s is no whole number of physics ticks"),
        ("history_length", 2.5, "history_length: expected a whole number"),
        ("history_length", 0, "history_length: expected a whole number of at least 1"),
        ("history_order", "newest_first", "history_order: expected 'oldest_first'"),
        ("history_reset", "repeat", "history_reset: expected 'backfill'"),
        ("observations", [], "observations: must hold at least one term"),
        ("observations", [{"name": "height", "size": 1, "scale": 1.0}], r"observations\[0\].name: 'height' is unknown"),
        ("observations", [{"name": "command", "size": 4, "scale": 1.0}], r"observations\[0\].size \(command\)"),
        ("observations", [{"name": "command", "size": 3}], r"observations\[0\]: the field 'scale' is missing"),
        ("command_ranges", {"lin_vel_x": [0, 1]}, "command_ranges: the field 'lin_vel_y' is missing"),
        (
            "command_ranges",
            {"lin_vel_x": [1, 0], "lin_vel_y": [0, 0], "ang_vel_z": [0, 0]},
            "command_ranges.lin_vel_x: low 1.0 is above high 0.0",
        ),
    ],
)
def test_a_wrong_field_is_named(contract: PolicyContract, name: str, value: object, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        PolicyContract.from_json(json.dumps(_fields(contract) | {name: value}))


@pytest.mark.parametrize(("name", "value"), [("network_hash", "abc"), ("network_hash", 3), ("state_size", 10**9)])
def test_a_wrong_field_of_newer_versions_is_named(name: str, value: object) -> None:
    with pytest.raises(ContractError, match=f"{name}: expected"):
        PolicyContract.from_json(json.dumps(_fields(make_contract(version=4)) | {name: value}))


def test_numbers_that_are_not_finite_are_refused(contract: PolicyContract) -> None:
    with pytest.raises(ContractError, match="parity_error"):
        dataclasses.replace(contract, parity_error=float("nan"))


def test_text_that_is_not_json() -> None:
    with pytest.raises(ContractError, match="not valid JSON"):
        PolicyContract.from_json("{")
    for text in ('{"a": ' + "[" * 100_000, "1" * 5000, '{"version": 1, "version": 2}', " " * 2_000_000, "[NaN]"):
        with pytest.raises(ContractError) as caught:
            PolicyContract.from_json(text)
        assert len(str(caught.value)) < 300


def test_sizes(contract: PolicyContract) -> None:
    assert contract.observation_size == 45
    assert contract.decimation == 4
    assert contract.observations[0] == ObservationTerm("base_ang_vel", 3, 0.25)


def test_check_accepts_the_robot(contract: PolicyContract, go2: RobotSpec) -> None:
    check(contract, go2)


def _swapped(values: tuple, i: int, j: int) -> tuple:
    out = list(values)
    out[i], out[j] = out[j], out[i]
    return tuple(out)


def test_check_names_another_robot(contract: PolicyContract, go2: RobotSpec) -> None:
    with pytest.raises(ContractError, match="robot: the policy was trained for 'go1', this robot is 'go2'"):
        check(dataclasses.replace(contract, robot="go1"), go2)


def test_check_names_shuffled_joints(contract: PolicyContract, go2: RobotSpec) -> None:
    shuffled = dataclasses.replace(contract, joints=_swapped(contract.joints, 0, 3))
    with pytest.raises(ContractError, match="entry 0 is 'FR_hip_joint' in the policy but 'FL_hip_joint' in the robot"):
        check(shuffled, go2)


def test_check_names_a_strange_joint(contract: PolicyContract, go2: RobotSpec) -> None:
    renamed = dataclasses.replace(contract, joints=("tail", *contract.joints[1:]))
    with pytest.raises(ContractError, match=r"lacks \['tail'\].*lacks \['FL_hip_joint'\]"):
        check(renamed, go2)


@pytest.mark.parametrize("name", ["default_joint_pos", "stiffness", "damping", "effort_limit"])
def test_check_names_the_joint_that_differs(contract: PolicyContract, go2: RobotSpec, name: str) -> None:
    values = list(getattr(contract, name))
    old, values[4] = values[4], values[4] + 0.125
    changed = dataclasses.replace(contract, **{name: tuple(values)})
    with pytest.raises(ContractError, match=rf"{name}\[FR_thigh_joint\]: {values[4]!r} in the policy but {old!r}"):
        check(changed, go2)


def test_the_action_scale_is_the_policys_and_not_the_robots(contract: PolicyContract, go2: RobotSpec) -> None:
    check(dataclasses.replace(contract, action_scale=0.5), go2)
    per_joint = dataclasses.replace(contract, action_scale=tuple(0.1 + 0.01 * i for i in range(12)))
    check(per_joint, go2)
    assert PolicyContract.from_json(per_joint.to_json()) == per_joint


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ((0.2, 0.3), "action_scale: 2 values for 12 joints"),
        ((0.2,) * 11 + (0.0,), r"action_scale\[RR_calf_joint\]: expected a number above 0, got 0.0"),
        ((0.2,) * 11 + ("1",), r"action_scale\[RR_calf_joint\]: expected a finite number, got '1'"),
        ("0.2", "action_scale: expected a finite number, got '0.2'"),
    ],
)
def test_an_action_scale_per_joint_is_checked(contract: PolicyContract, scale: object, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        dataclasses.replace(contract, action_scale=scale)


def test_check_says_last_that_files_changed(contract: PolicyContract, go2: RobotSpec) -> None:
    other = dataclasses.replace(contract, robot_hash="0" * 16)
    with pytest.raises(ContractError, match="robot_hash: the files of 'go2' changed since the policy was trained"):
        check(other, go2)
    with pytest.raises(ContractError, match="stiffness"):
        check(dataclasses.replace(other, stiffness=(1.0,) * 12), go2)
