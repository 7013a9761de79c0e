"""What standing and constant commands are measured by, on traces written by hand."""

import json

import numpy as np
import pytest
from deploy_policies import make_contract, write_linear_policy

from legged_cts.deploy.response import Trace, as_record, as_row, describe, probes, respond
from legged_cts.deploy.sim2sim import Sim2SimOptions, sim2sim

RANGES = {"lin_vel_x": (-1.0, 2.0), "lin_vel_y": (-0.5, 0.5), "ang_vel_z": (-1.0, 1.0)}


def trace(speed=1.0):
    """Two seconds of four steps: ahead at a speed, turning by 0.2 rad/s, one foot down twice, the other always."""
    return Trace(
        velocity=np.tile([speed, 0.0, 0.2], (4, 1)),
        position=np.array([[0.0, 0.0], [0.1, 0.0], [0.2, 0.3], [0.3, 0.4]]),
        tilt_rate=np.array([[0.3, 0.0], [-0.3, 0.0], [0.3, 1.0], [-0.3, -1.0]]),
        contact=np.array([[False, True], [True, True], [False, True], [True, True]]),
        left=np.array([True, False]),
        dt=0.5,
    )


def test_probes_are_zero_and_shares_of_each_range():
    commands = probes(RANGES)
    assert commands.shape == (13, 3) and not commands[0].any()
    np.testing.assert_allclose(commands[1:5, 0], [0.2, 0.4, 1.0, 2.0])
    np.testing.assert_allclose(commands[5:9, 1], [0.05, 0.1, 0.25, 0.5])
    np.testing.assert_allclose(commands[9:, 2], [0.1, 0.2, 0.5, 1.0])
    assert (np.count_nonzero(commands[1:], axis=1) == 1).all()


def test_an_answer_by_hand():
    answer = respond(np.zeros(3), [trace(1.0), trace(0.5), None, None])
    np.testing.assert_allclose(answer.achieved, [0.75, 0.0, 0.2])
    # Two robots: t of one degree of freedom, times a deviation of 0.25 * sqrt(2), over sqrt(2).
    np.testing.assert_allclose(answer.achieved_half, [12.706205 * 0.25, 0.0, 0.0], atol=1e-12)
    assert np.isnan(respond(np.zeros(3), [trace()]).achieved_half).all()
    assert answer.drift == pytest.approx(0.5 / 2.0) and answer.fell == 0.5
    np.testing.assert_allclose(answer.touch_downs, [10.0, 0.0])
    np.testing.assert_allclose(answer.tilt_rate, [0.3, 0.5**0.5])
    np.testing.assert_allclose(answer.duty, [0.5, 1.0])


def test_where_all_fell_nothing_is_measured():
    answer = respond(np.ones(3), [None, None])
    assert answer.fell == 1.0 and np.isnan(answer.drift)
    assert as_record(answer)["drift"] is None and as_record(answer)["command"] == [1.0, 1.0, 1.0]


def test_an_answer_is_one_line_of_a_table():
    row = as_row(as_record(respond(np.array([1.0, 0.0, 0.0]), [trace(0.5)])))
    assert row["command_lin_vel_x"] == 1.0 and row["achieved_lin_vel_x"] == 0.5 and row["achieved_ang_vel_z"] == 0.2
    assert (row["touch_downs_0"], row["touch_downs_1"], row["duty_left"], row["duty_right"]) == (10.0, 0.0, 0.5, 1.0)
    fell = as_row(as_record(respond(np.zeros(3), [None])))
    assert fell["achieved_lin_vel_x"] is None and fell["fell"] == 1.0 and "touch_downs_1" not in fell


def test_lines_name_standing_and_every_axis():
    answers = [respond(command, [trace()]) for command in probes(RANGES)]
    text = describe(answers)
    first = text.splitlines()[0]
    assert first == "standing: drifts 25.0 cm/s, turns 11.5 deg/s, touch-downs per foot in 10 s: 10 0"
    both = [respond(command, [trace(), trace()]) for command in probes(RANGES)]
    assert "turns 11.5 +-0.0 deg/s" in describe(both)
    assert [text.count(label) for label in ("ahead [m/s]", "aside [m/s]", "turn [rad/s]")] == [4, 4, 4]


def test_sim2sim_reports_standing_and_speeds_of_a_robot_that_holds_its_pose(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("legged_cts.deploy.response.SETTLING", 0.5)
    monkeypatch.setattr("legged_cts.deploy.response.STANDING", 0.5)
    monkeypatch.setattr("legged_cts.deploy.response.MOVING", 0.2)
    path = write_linear_policy(tmp_path / "still.onnx", make_contract())
    options = Sim2SimOptions(policy=str(path), episodes=1, duration=1.1, workers=1, output=str(tmp_path / "m.json"))
    sim2sim(options)
    assert "standing: drifts" in capsys.readouterr().out
    still, *others = json.loads((tmp_path / "m.json").read_text())["response"]
    assert still["drift"] < 0.05 and still["touch_downs"] == [0.0] * 4 and still["duty"] == [1.0, 1.0]
    assert len(others) == 12
    for answer in others:
        assert answer["fell"] == 0.0 and max(map(abs, answer["achieved"])) < 0.1
