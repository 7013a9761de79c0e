"""Contacts of spheres with height fields: worked out by hand, and against MuJoCo's own."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import trimesh

from legged_cts.mdp.terrain import meshes
from legged_cts.physics.height_contacts import MOST, height_contacts, may_touch, sphere_contacts
from legged_cts.terrain.grid import Entry, lay_ground

SIZE = (0.2, 0.15, 0.2)
"""Of a field of 9 by 7 points: cells of 5 cm, a 1 is 20 cm high."""
RADIUS = 0.022
LEVEL = np.zeros((7, 9))
STEP = np.where(np.arange(9) < 4, 0.0, 0.5) * np.ones((7, 1))
"""10 cm high from x = 0 on, and 0 up to x = -5 cm: the riser is 1 mm wide, in the middle between them."""
RISER = -0.025
SLANT = np.hypot(1.0, 0.01)
"""Of a riser of 10 cm to 1 mm."""


def touched(heights, x, y, z, margin=0.0):
    """Contacts of a sphere as (distance, point, normal), the one that points up most first."""
    contacts = np.zeros((MOST, 7))
    flat = np.ascontiguousarray(heights, dtype=np.float32).ravel()
    count = sphere_contacts(flat, 9, SIZE, (x, y, z), RADIUS, margin, contacts)
    return sorted(((row[0], row[1:4], row[4:7]) for row in contacts[:count]), key=lambda contact: -contact[2][2])


@pytest.mark.parametrize("x", [-0.13, -0.1, -0.125])
@pytest.mark.parametrize("y", [0.0, 0.011, 0.025])
def test_level_ground_is_touched_once_wherever_triangles_meet(x, y):
    ((distance, point, normal),) = touched(LEVEL, x, y, 0.018)
    assert distance == pytest.approx(-0.004)
    assert point == pytest.approx([x, y, -0.002])
    assert normal == pytest.approx([0.0, 0.0, 1.0])


def test_below_a_step_tread_and_riser_are_touched():
    tread, riser = touched(STEP, RISER - 0.014, 0.01, 0.02)
    assert tread[0] == pytest.approx(-0.002)
    assert tread[2] == pytest.approx([0.0, 0.0, 1.0])
    # 1.35 cm before the riser's foot and 2 cm up a plane that leans by 1 in 100.
    assert riser[0] == pytest.approx((0.0135 + 0.02 * 0.01) / SLANT - RADIUS)
    assert riser[2] == pytest.approx([-1.0 / SLANT, 0.0, 0.01 / SLANT])


def test_an_edge_is_touched_once():
    edge = np.array([RISER + 0.0005, 0.01, 0.1])
    ((distance, point, normal),) = touched(STEP, edge[0] - 0.01, 0.01, 0.115)
    away = np.array([-0.01, 0.0, 0.015])
    length = np.linalg.norm(away)
    assert distance == pytest.approx(length - RADIUS)
    assert normal == pytest.approx(away / length)
    assert point == pytest.approx(edge + 0.5 * distance * away / length)


def test_a_slope_below_the_limit_is_no_riser():
    # 3.6 cm up in the 5 cm before x = 0; a centre on its middle, 2 cm away from it.
    slope = 0.36 * STEP
    away = np.array([-0.036, 0.0, 0.05]) / np.hypot(0.036, 0.05)
    ((distance, _, normal),) = touched(slope, *(np.array([RISER, 0.01, 0.018]) + 0.02 * away))
    assert distance == pytest.approx(0.02 - RADIUS)
    assert normal == pytest.approx(away)


def test_a_centre_in_the_ground_leaves_by_the_shortest_way():
    ((distance, _, normal),) = touched(STEP, 0.1, 0.03, 0.09)
    assert distance == pytest.approx(-0.01 - RADIUS)
    assert normal == pytest.approx([0.0, 0.0, 1.0])
    # 1 cm behind the middle of the riser and 5 cm under the tread.
    ((distance, _, normal),) = touched(STEP, RISER + 0.01, 0.03, 0.05)
    assert distance == pytest.approx(-0.01 / SLANT - RADIUS)
    assert normal == pytest.approx([-1.0 / SLANT, 0.0, 0.01 / SLANT])


@pytest.mark.parametrize("kind", ["stairs_up", "obstacles", "gravel"])
def test_the_surface_is_that_of_the_mesh_other_engines_have(kind):
    ground = lay_ground([Entry(kind, {})], levels=1, size=2.0, border=0.5, cell=0.05)
    mesh, columns = next(iter(meshes(ground, 10**9))), len(ground.heights)
    field = np.ascontiguousarray(ground.heights.T / 2.0, dtype=np.float32).ravel()
    half, random = 0.025 * (columns - 1), np.random.default_rng(0)
    compared = 0
    for _ in range(300):
        x, y = random.uniform(-0.9, 0.9, 2)
        at = np.array([x, y, ground.heights[round((x + half) / 0.05), round((y + half) / 0.05)] + 0.02])
        contacts = np.zeros((MOST, 7))
        count = sphere_contacts(field, columns, (half, half, 2.0), tuple(at), 0.05, 0.0, contacts)
        nearest = trimesh.triangles.closest_point(mesh.triangles, np.tile(at, (len(mesh.triangles), 1)))
        if count and min(contacts[:count, 0]) > -0.05:
            distance = np.linalg.norm(nearest - at, axis=1).min()
            assert min(contacts[:count, 0]) == pytest.approx(distance - 0.05, abs=1e-6)
            compared += 1
    assert compared > 200


def test_nothing_is_touched_above_and_beside_the_field():
    assert touched(STEP, 0.1, 0.0, 0.123) == []
    assert len(touched(STEP, 0.1, 0.0, 0.123, margin=0.002)) == 1
    assert touched(STEP, 0.23, 0.0, 0.1) == []


def test_a_box_that_may_touch_is_one_that_reaches_the_highest_ground_below():
    flat = STEP.astype(np.float32).ravel()
    assert not may_touch(flat, 9, SIZE, (-0.1, 0.0, 0.06), (0.04, 0.04, 0.05), 0.0)
    assert may_touch(flat, 9, SIZE, (-0.1, 0.0, 0.06), (0.07, 0.04, 0.05), 0.0)
    assert may_touch(flat, 9, SIZE, (-0.1, 0.0, 0.06), (0.04, 0.04, 0.05), 0.02)


@pytest.fixture(scope="module")
def bumps():
    """A turned field of random heights, no riser among them, with a sphere, a capsule and a box that touch it alone."""
    heights = np.random.default_rng(0).random((7, 9))
    elevation = " ".join(map(str, heights.ravel()))
    bodies = "".join(
        f'<body><freejoint/><geom type="{kind}" size="{size}" contype="1" conaffinity="0"/></body>'
        for kind, size in (("sphere", RADIUS), ("capsule", "0.022 0.05"), ("box", "0.022 0.05 0.03"))
    )
    model = mujoco.MjModel.from_xml_string(f"""
<mujoco>
  <asset>
    <hfield name="other" nrow="2" ncol="3" size="1 1 1 1"/>
    <hfield name="bumps" nrow="7" ncol="9" size="0.2 0.15 0.037 0.01" elevation="{elevation}"/>
  </asset>
  <worldbody><geom type="hfield" hfield="bumps" pos="1 2 3" euler="30 20 10"/>{bodies}</worldbody>
</mujoco>""")
    return model, mujoco.MjData(model)


def drop(model, data, random):
    """Put the three bodies near the surface, anyhow; the sphere's centre mostly above it."""
    turn = data.geom_xmat[0].reshape(3, 3)
    for start in (0, 7, 14):
        place = random.uniform([-0.17, -0.12, 0.02], [0.17, 0.12, 0.12])
        data.qpos[start : start + 3] = turn @ place + [1.0, 2.0, 3.0]
        quaternion = random.normal(size=4)
        data.qpos[start + 3 : start + 7] = quaternion / np.linalg.norm(quaternion)
    mujoco.mj_forward(model, data)


def contacts_of(data, geom):
    return [(c.dist, *c.pos, *c.frame[:3]) for c in data.contact if c.geom[1] == geom]


def test_mujoco_finds_the_same_deepest_contact_and_fewer(bumps):
    model, data = bumps
    random = np.random.default_rng(1)
    mujoco.mj_forward(model, data)
    compared, stock_contacts, contacts = 0, 0, 0
    for _ in range(500):
        drop(model, data, random)
        stock = [contacts_of(data, geom) for geom in (1, 2, 3)]
        with height_contacts():
            mujoco.mj_forward(model, data)
        own = [contacts_of(data, geom) for geom in (1, 2, 3)]
        assert own[1:] == stock[1:], "capsules and boxes are MuJoCo's own affair"
        stock_contacts, contacts = stock_contacts + len(stock[0]), contacts + len(own[0])
        if stock[0] and min(stock[0])[0] > -RADIUS:
            # MuJoCo's collider iterates to 1e-6 m; of two places that are equally deep it may take the other.
            assert min(own[0])[0] == pytest.approx(min(stock[0])[0], abs=1e-4)
            compared += 1
    assert compared > 100
    assert contacts < 0.5 * stock_contacts


def test_mujoco_has_its_own_contacts_back_afterwards(bumps):
    model, data = bumps
    drop(model, data, np.random.default_rng(3))
    before = [contacts_of(data, geom) for geom in (1, 2, 3)]
    with pytest.raises(RuntimeError, match="on the way"), height_contacts():
        raise RuntimeError("on the way")
    mujoco.mj_forward(model, data)
    assert [contacts_of(data, geom) for geom in (1, 2, 3)] == before
