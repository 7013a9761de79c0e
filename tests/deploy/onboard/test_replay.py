"""Records of the control loop: what is in them, where they differ from what was to be expected, and how they look."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
from onboard_pair import Pair, walk_by_program

from legged_cts.deploy.commands import ReplayOptions
from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.record import MODES, read_record
from legged_cts.deploy.onboard.replay import Recorded, replay
from legged_cts.robots.spec import assets_dir
from legged_cts.viewer.onboard import RecordedSession, Window

POLICY = assets_dir() / "policies/go2_flat/policy.onnx"


def test_the_loop_lies_the_robot_down_before_it_returns_and_its_record_fits(tmp_path: Path) -> None:
    link, loop, path = walk_by_program(tmp_path)
    modes = [line.split(" -> ")[1].split(":")[0] for line in link.pair.lines if " -> " in line]
    assert modes == ["stand_up", "stand", "walk", "stop", "stand", "lie_down", "damping"]
    assert link.pair.body.clearance < 0.14
    assert not link.sent[-1].kp.any()
    assert len(loop.timing.seconds) == len(link.sent) - 1
    contract, rows = read_record(path)
    assert contract == link.pair.policy.contract and len(rows) == len(link.sent) - 1
    np.testing.assert_allclose(rows["q"][-1], link.sent[-2].q, atol=1e-6)
    assert MODES[rows["mode"][-1]] is Mode.DAMPING
    assert replay(ReplayOptions(str(path), str(POLICY))) == dict.fromkeys(("contract", "torque", "motion", "task"))


def test_replay_says_where_a_record_first_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link, _, path = walk_by_program(tmp_path)
    contract, rows = read_record(path)
    walking = np.flatnonzero(rows["mode"] == MODES.index(Mode.WALK))
    # Without a position sensor, from the feet alone.
    walked = Recorded(str(path)).pos
    np.testing.assert_allclose(walked[-1], link.pair.body.base_pos, atol=0.15)
    head = path.read_bytes().partition(b"\n")[0] + b"\n"
    changed = rows.copy()
    changed["action"][walking[20], 3] += 0.5
    changed["torque"][walking[30], 1] -= 20.0
    changed["joint_pos"][walking[35], 1] += 0.4
    changed["ang_vel"][walking[40:], 2] = -1.0
    path.write_bytes(head + changed.tobytes())
    first = replay(ReplayOptions(str(path), str(POLICY)))
    assert first["contract"] == pytest.approx(rows["now"][walking[20]])
    assert first["torque"] == pytest.approx(rows["now"][walking[30]])
    assert first["motion"] == pytest.approx(rows["now"][walking[35]])
    assert first["task"] is not None and first["task"] <= rows["now"][walking[40]]
    said = capsys.readouterr().out.splitlines()[-4:]
    for line, name in zip(said, (contract.joints[3], contract.joints[1], contract.joints[1], "yaw rate"), strict=True):
        assert f": {name}" in line
    # A crash in the middle of a period loses that period alone.
    path.write_bytes(head + rows.tobytes()[:-7])
    assert len(read_record(path)[1]) == len(rows) - 1
    path.write_bytes(head)
    with pytest.raises(ValueError, match="holds no period"):
        replay(ReplayOptions(str(path), str(POLICY)))
    path.write_bytes(json.dumps({"version": 99}).encode())
    with pytest.raises(ValueError, match="is no record of a deployment"):
        read_record(path)


def test_replay_finds_a_motor_that_died(tmp_path: Path) -> None:
    def die(pair: Pair) -> None:
        pair.body.dead[pair.spec.joints.index("FL_calf_joint")] = True

    link, loop, path = walk_by_program(tmp_path, at=3.0, happens=die)
    first = replay(ReplayOptions(str(path), str(POLICY)))
    assert first["contract"] is None and first["torque"] is not None
    assert 3.0 <= first["torque"] < 3.2


def test_a_record_is_shown_in_the_viewer_as_it_was_and_from_the_beginning_again(tmp_path: Path) -> None:
    link, _, path = walk_by_program(tmp_path)
    session = RecordedSession(ReplayOptions(str(path), str(POLICY)))
    rows = read_record(path)[1]
    start = session.state()
    for _ in range(len(rows) - 1):
        last = session.step(np.ones(3))
    np.testing.assert_allclose(last.qpos[3:7], rows["quat"][-1], atol=1e-6)
    assert last.base_pos[0] > start.base_pos[0] + 0.3 and not last.fallen
    signals = session.signals()
    np.testing.assert_allclose(signals.joint_pos, rows["joint_pos"][-1], atol=1e-6)
    assert not signals.torque_share.any() and not signals.contact.any()
    session.push(np.ones(3))
    np.testing.assert_array_equal(session.step(np.zeros(3)).qpos, start.qpos)


def test_a_simulated_robot_is_shown_as_it_is() -> None:
    body, window = Pair().body, Window(0)
    try:
        window(body)
        turned = dataclasses.replace(body.read_state(), quat=np.array([0.8, 0.0, 0.0, 0.6]))
        body.place(turned, (1.0, 2.0, 0.3))
        window._drawn = 0.0
        window(body)
        assert window._scene is not None
        np.testing.assert_allclose(window._scene.robot.bodies[body.model.body("base").id].wxyz, turned.quat, atol=1e-6)
    finally:
        window.close()


def test_a_video_of_a_record_has_half_as_many_frames_as_periods(tmp_path: Path) -> None:
    _, _, path = walk_by_program(tmp_path)
    head, rows = path.read_bytes().partition(b"\n")[0] + b"\n", read_record(path)[1]
    path.write_bytes(head + rows[:4].tobytes())
    video = tmp_path / "walk.mp4"
    replay(ReplayOptions(str(path), str(POLICY), video=str(video)))
    assert imageio.get_reader(video).count_frames() == 2
