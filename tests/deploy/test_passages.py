"""What is told of robots on courses, and a policy that is sent along some in plain MuJoCo."""

import csv
import dataclasses
import json
import math

import pytest

from legged_cts.deploy.courses import plain_courses, run_course
from legged_cts.deploy.evaluate import Conditions
from legged_cts.deploy.metrics import wilson
from legged_cts.deploy.mujoco_robot import SensorNoise
from legged_cts.deploy.passages import Passage, as_record, cell, describe, heading_rate, write
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.robots.spec import assets_dir, load_robot
from legged_cts.terrain.courses import COURSES, WAY

POLICY = assets_dir() / "policies/go2_flat/policy.onnx"


def test_who_falls_early_has_failed_and_only_who_arrives_has_a_speed(tmp_path):
    arrived, fell, slow = (
        Passage(True, False, -0.5, 0.3, 0.4), Passage(False, True, 0.9, 0.3, 0.0), Passage(False, False, 0.1, 0.0, 0.4)
    )  # fmt: skip
    one = cell(COURSES["stairs_up_15"], -0.4, [arrived, fell, slow, arrived])
    assert (one.success, one.falls, one.episodes, one.speed) == (0.5, 0.25, 4, 0.5)
    assert (one.low, one.high) == wilson(2, 4)
    assert one.roll == pytest.approx(math.sqrt(3 * 0.09 / 4)) and one.pitch == pytest.approx(math.sqrt(3 * 0.16 / 4))
    none = cell(COURSES["flat"], -0.4, [fell])
    assert math.isnan(none.speed) and as_record(none)["speed"] is None
    text = describe([one, none])
    assert "-0.4 m/s" in text and "stairs_up_15" in text and "50 % (15 .. 85), 25 %, 0.50" in text
    files = write(tmp_path / "c", {"student": [one, none]}, {"physics": "mujoco"})
    assert [file.name for file in files] == ["c.csv", "c.json", "c.png"] and files[2].stat().st_size > 1000
    assert [row["course"] for row in json.loads(files[1].read_text())["courses"]["student"]] == ["stairs_up_15", "flat"]
    assert len(write(tmp_path / "d", {"student": [none]}, {})) == 2, "the flat course has no size to draw"
    with (tmp_path / "c.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["course"] for row in rows] == ["stairs_up_15", "flat"] and rows[0]["success"] == "0.5"
    assert rows[1]["speed"] == "" and rows[1]["physics"] == "mujoco" and rows[0]["told"] == "-0.4"


def test_the_heading_is_held_within_the_contracts_range():
    assert heading_rate(0.4, (-1.0, 1.0)) == pytest.approx(-0.2)
    assert heading_rate(-3.0, (-1.0, 0.8)) == 0.8


def test_a_walker_arrives_both_ways_on_level_ground_and_not_up_steps_that_are_too_high():
    ideal = Conditions.ideal()
    for speed in (0.8, -0.8):
        passage = run_course(OnnxPolicy(POLICY), load_robot("go2"), COURSES["flat"], speed, ideal, seed=0)
        assert passage.arrived and not passage.fell
        assert passage.speed == pytest.approx(0.8, abs=0.15)
    (one,) = plain_courses(POLICY, "go2", [COURSES["stairs_up_20"]], [0.8], ideal, episodes=2, seed=0, workers=1)
    assert one.success == 0.0 and one.episodes == 2 and one.course.name == "stairs_up_20"


def test_a_standing_robot_does_not_arrive():
    conditions = dataclasses.replace(Conditions.ideal(), noise=SensorNoise())
    policy = OnnxPolicy(POLICY)
    zeros = {name: (0.0, 0.0) for name in policy.contract.command_ranges}
    policy.contract = dataclasses.replace(policy.contract, command_ranges=zeros)
    passage = run_course(policy, load_robot("go2"), COURSES["flat"], 0.8, conditions, seed=0)
    assert not passage.arrived and not passage.fell and abs(passage.speed) < 0.1 * WAY
