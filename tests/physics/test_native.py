"""The native solver: parameters per world, torques, exploded worlds, presets."""

from __future__ import annotations

import pytest
from native_checks import record_of_checks

from legged_cts.physics import physics_cfg, resolve_physics


@pytest.fixture(scope="module")
def record():
    """What one simulation showed."""
    return record_of_checks()


def test_every_world_has_its_own_parameters(record):
    assert record["equal"]
    assert all(gap > 0.0 for gap in record["spread"].values()), record["spread"]


def test_a_changed_parameter_reaches_its_world_and_no_other(record):
    assert record["changed_worlds"] == [2]
    assert record["added"] == pytest.approx(1.5, abs=1e-5)
    assert record["equal_after"]


def test_sensors_of_the_last_tick_alone_change_nothing(record):
    assert record["in_one_piece"]


@pytest.mark.parametrize(
    ("ticks", "dt", "longest", "merged"),
    [
        (4, 0.005, None, 1), (4, 0.005, 0.01, 2), (4, 0.005, 0.0149, 2), (4, 0.005, 0.02, 4), (4, 0.005, 0.001, 1),
        (5, 0.004, 0.01, 1), (6, 0.0033, 0.01, 3), (2, 0.01, 0.01, 1), (1, 0.02, 0.01, 1),
    ],
)  # fmt: skip
def test_as_many_ticks_are_merged_as_fit_and_divide_a_control_step(ticks, dt, longest, merged):
    from legged_cts.physics.mujoco_native import merged_ticks

    assert merged_ticks(ticks, dt, longest) == merged


def test_ticks_can_be_merged_and_delays_are_rounded_up(record):
    assert record["ticks"][None] == (4, pytest.approx(0.005), [0, 1, 2, 3, 4, 0])
    assert record["ticks"][0.01] == (2, pytest.approx(0.01), [0, 1, 1, 2, 2, 0])


def test_actuator_force_is_the_pd_law(record):
    # Half a newton metre: the implicit integrator damps within the tick, and gravity accelerates the joint meanwhile.
    assert record["torque"] < 0.5


def test_an_exploded_world_is_reset_and_counted(record):
    assert record["nan_resets"] == 1
    assert record["nan_done"]
    assert record["nan_reward"] == 0.0
    assert record["finite"]
    assert record["others_go_on"]


def test_one_world_is_reset_alone(record):
    assert record["separate_reset"]


def test_an_external_force_reaches_its_world(record):
    assert record["lifted_worlds"] == [4]


def test_auto_suits_the_device():
    assert resolve_physics("auto", "cpu") == "mujoco_cpu"
    assert resolve_physics("auto", "cuda:0") == "newton_mjwarp"


def test_an_engine_that_cannot_run_on_the_device_is_refused():
    with pytest.raises(ValueError, match="runs on the CPU only"):
        physics_cfg("mujoco_cpu", "cuda:0")
