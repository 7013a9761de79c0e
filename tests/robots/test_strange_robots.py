"""Robots of strangers: what they name, repeat, include and weigh is checked before MuJoCo compiles it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from legged_cts.robots.spec import RobotSpecError, assets_dir, load_robot

GO2 = assets_dir() / "robots" / "go2"
SPEC: dict[str, Any] = yaml.safe_load((GO2 / "robot.yaml").read_text())
MJCF = (GO2 / "go2.xml").read_text()


def write(folder: Path, mjcf: str = MJCF, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "robot.yaml").write_text(yaml.safe_dump({**SPEC, "mjcf": "robot.xml", **changes}))
    (folder / "robot.xml").write_text(mjcf)
    return folder


def refused(folder: Path, message: str) -> None:
    with pytest.raises(RobotSpecError, match=message) as caught:
        load_robot(folder)
    assert "\n" not in str(caught.value)


def within(element: str) -> str:
    return MJCF.replace("</mujoco>", element + "</mujoco>")


@pytest.mark.parametrize("name", ["../../evil", "/abs", "a/b", "a\nb", "a\u202eb", "", "a" * 65, "1a", "a b", 3])
def test_a_name_is_an_identifier_and_never_a_path(tmp_path: Path, name: object) -> None:
    refused(write(tmp_path / "r", name=name), "name: must be at most 64 letters")


def test_references_that_multiply_and_keys_that_repeat_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "r")
    text = (folder / "robot.yaml").read_text()
    bomb = "x0: &x0 [a, a]\n" + "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 11))
    (folder / "robot.yaml").write_text(bomb + text)
    refused(folder, "line 1: '&' and")
    (folder / "robot.yaml").write_text(text + "name: other\n")
    refused(folder, "'name' in line .* is there twice")
    (folder / "robot.yaml").write_text("[" * 3000)
    refused(folder, "more than 32 levels")


def test_a_pattern_that_backtracks_is_answered_at_once(tmp_path: Path) -> None:
    pose = {"(([A-Z_a-z]+)+)+X": 0.0}
    refused(write(tmp_path / "r", nominal_pose=pose), "matches no joint")
    refused(write(tmp_path / "r", nominal_pose={r"(.)\1.*": 0.0}), "no references")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("armature=", 'armature="nan" was=', "armature: must be a finite number"),
        ("armature=", 'armature="-0.1" was=', "armature: must not be negative"),
        ('mass="', 'mass="-', "mass: must not be negative"),
        ('mass="', 'mass="inf" was="', "mass: must be a finite number"),
        ('actuatorfrcrange="', 'actuatorfrcrange="-inf inf" was="', "actuatorfrcrange: must be a finite number"),
        ('actuatorfrcrange="', 'actuatorfrcrange="-1e12 1e12" was="', "actuatorfrcrange: must be at most 1e"),
        ('actuatorfrcrange="', 'actuatorfrcrange="-1e9 1e9" was="', "torque limit|unrecognized"),
    ],
)
def test_numbers_of_an_mjcf_are_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MJCF
    refused(write(tmp_path / "r", MJCF.replace(old, new, 1)), message)


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (
            '<worldbody><replicate count="1000000000"><geom size="1"/></replicate></worldbody>',
            "more than 50,000 elements",
        ),
        (
            "<worldbody>" + '<replicate count="99">' * 4 + '<geom size="1"/>' + "</replicate>" * 4 + "</worldbody>",
            "50,000",
        ),
        ('<asset><hfield name="h" nrow="90000" ncol="90000" size="1 1 1 1"/></asset>', "nrow: must be at most 2048"),
        (
            '<asset><texture name="t" builtin="flat" width="99999" height="99999"/></asset>',
            "width: must be at most 8192",
        ),
        ('<option timestep="1e-300"/>', "timestep: must lie in"),
        ('<option iterations="2000000000"/>', "iterations: must be at most 1000"),
        ('<size memory="999999G"/>', "memory: must be at most 4G"),
        ('<include file="/etc/passwd"/>', "lies outside"),
        ('<include file="robot.xml"/>', "robot.xml"),
    ],
)
def test_what_an_mjcf_may_repeat_and_include_is_bounded(tmp_path: Path, element: str, message: str) -> None:
    refused(write(tmp_path / "r", within(element)), message)


def test_files_beside_an_mjcf_are_regular_and_within_its_folder(tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere" / "secret.xml"
    secret.parent.mkdir()
    secret.write_text("<mujoco/>")
    folder = write(tmp_path / "a" / "b" / "r", within('<include file="other.xml"/>'))
    (folder / "other.xml").symlink_to(secret)
    refused(folder, "lies outside")
    (folder / "other.xml").unlink()
    os.mkfifo(folder / "other.xml")
    refused(folder, "is no regular file")
    entities = '<!DOCTYPE m [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>'
    refused(write(tmp_path / "d", entities + MJCF), "a DOCTYPE is not read")


def test_a_sound_copy_still_loads(tmp_path: Path) -> None:
    assert load_robot(write(tmp_path / "r", name="copy")).joints == load_robot("go2").joints
