"""Feet: how far their shapes reach, which way they face, and who is whose mirror image."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from legged_cts.robots.feet import foot_frames, foot_pairs, foot_partners
from legged_cts.robots.spec import load_robot

TETRAHEDRON = '<asset><mesh name="m" vertex="0 0 -0.1  0.1 0 0.1  -0.1 0.1 0.1  -0.1 -0.1 0.1"/></asset>'
LEGS = """
<mujoco>
  <compiler angle="radian"/>{asset}
  <worldbody>
    <body name="base" pos="0 0 1">
      <freejoint/>
      <geom size="0.1" contype="0" conaffinity="0"/>
      <body name="left" pos="0 0.2 0">
        <joint name="left_hip" axis="0 1 0" range="-1 1"/>
        <geom size="0.05"/>
        <body name="left_foot" pos="0 0 -0.5">{geom}</body>
      </body>
      <body name="right" pos="0 -0.2 0">
        <joint name="right_hip" axis="0 1 0" range="-1 1"/>
        <geom size="0.05"/>
        <body name="right_foot" pos="0 0 -0.5">{geom}</body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


def two_legs(folder: Path, geom: str, pose: float = 0.0, feet=("left_foot", "right_foot")) -> Any:
    """What of a spec the functions read."""
    path = folder / "legs.xml"
    path.write_text(LEGS.format(geom=geom, asset=TETRAHEDRON if "mesh" in geom else ""))
    joints = ("left_hip", "right_hip")
    return SimpleNamespace(
        name="legs", mjcf=path, locked={}, base="base", feet=feet, joints=joints, nominal_pose=(pose, pose),
        nominal_height=1.0, mirror_swap={"left_hip": "right_hip", "right_hip": "left_hip"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("geom", "reach"),
    [
        ('<geom size="0.03"/>', 0.03),
        ('<geom size="0.03" pos="0 0 0.01"/>', 0.02),
        ('<geom type="box" size="0.1 0.05 0.02" pos="0.03 0 -0.03"/>', 0.05),
        # Standing on a corner edge, turned by 0.3 rad about y.
        ('<geom type="box" size="0.1 0.05 0.02" euler="0 0.3 0"/>', 0.1 * math.sin(0.3) + 0.02 * math.cos(0.3)),
        ('<geom type="capsule" size="0.02 0.1" euler="0 1.5707963 0"/>', 0.02),
        ('<geom type="capsule" size="0.02 0.1"/>', 0.12),
        ('<geom type="cylinder" size="0.05 0.01"/>', 0.01),
        ('<geom type="cylinder" size="0.05 0.01" euler="0 0.2 0"/>', 0.05 * math.sin(0.2) + 0.01 * math.cos(0.2)),
        ('<geom type="ellipsoid" size="0.1 0.05 0.03"/>', 0.03),
        ('<geom type="mesh" mesh="m"/>', 0.1),
        # The lowest of several counts, and of those that collide.
        ('<geom size="0.03"/><geom size="0.01" pos="0 0 -0.05"/><geom size="1" contype="0" conaffinity="0"/>', 0.06),
    ],
)
def test_reach(tmp_path: Path, geom: str, reach: float) -> None:
    np.testing.assert_allclose(foot_frames(two_legs(tmp_path, geom)).reach, reach, atol=1e-6)


def test_frames_in_a_pose(tmp_path: Path) -> None:
    # Both legs swing back by 0.4 rad about y: x = -0.5 sin, z = -0.5 cos.
    frames = foot_frames(two_legs(tmp_path, '<geom size="0.03"/>', pose=0.4))
    expected = [[-0.5 * math.sin(0.4), side, -0.5 * math.cos(0.4)] for side in (0.2, -0.2)]
    np.testing.assert_allclose(frames.position, expected, atol=1e-12)
    np.testing.assert_allclose(frames.up, [[-math.sin(0.4), 0.0, math.cos(0.4)]] * 2, atol=1e-12)
    np.testing.assert_allclose(frames.reach, 0.03)


def test_pairs(tmp_path: Path) -> None:
    geom = '<geom size="0.03"/>'
    assert foot_pairs(two_legs(tmp_path, geom)) == [(0, 1)]
    assert foot_pairs(two_legs(tmp_path, geom, feet=("right_foot", "left_foot"))) == [(1, 0)]
    assert foot_partners(load_robot("go2")) == (1, 0, 3, 2) and foot_pairs(load_robot("go2")) == [(0, 1), (2, 3)]
    with pytest.raises(ValueError, match="legs: the foot 'left_foot' has no mirror image among the feet left_foot"):
        foot_partners(two_legs(tmp_path, geom, feet=("left_foot",)))


def test_a_foot_in_the_middle_is_its_own_partner(tmp_path: Path) -> None:
    spec = two_legs(tmp_path, '<geom size="0.03"/>')
    spec.mirror_swap = {"left_hip": "left_hip", "right_hip": "right_hip"}
    assert foot_partners(spec) == (0, 1) and foot_pairs(spec) == []


def test_soles_of_the_go2() -> None:
    np.testing.assert_array_equal(np.float32(foot_frames(load_robot("go2")).reach), np.float32(0.022))
