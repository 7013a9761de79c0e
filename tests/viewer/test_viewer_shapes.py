"""Meshes have the size, place and orientation of MuJoCo's shapes."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import trimesh

from legged_cts.viewer.shapes import CHECKER, geom_mesh, ground_geom, ground_patch

SHAPES = """
<mujoco><worldbody>
  <body>
    <geom type="box" size="0.1 0.2 0.3"/>
    <geom type="sphere" size="0.2"/>
    <geom type="capsule" size="0.1 0.3"/>
    <geom type="cylinder" size="0.1 0.3"/>
    <geom type="ellipsoid" size="0.1 0.2 0.3"/>
  </body>
</worldbody></mujoco>
"""
HALF = [(0.1, 0.2, 0.3), (0.2, 0.2, 0.2), (0.1, 0.1, 0.4), (0.1, 0.1, 0.3), (0.1, 0.2, 0.3)]
VOLUMES = [
    0.048,
    4 / 3 * np.pi * 0.2**3,
    np.pi * 0.1**2 * 0.6 + 4 / 3 * np.pi * 0.1**3,
    np.pi * 0.1**2 * 0.6,
    4 / 3 * np.pi * 0.1 * 0.2 * 0.3,
]


@pytest.mark.parametrize("geom", range(5))
def test_a_shape_has_its_size_and_faces_outward(geom: int) -> None:
    mesh = geom_mesh(mujoco.MjModel.from_xml_string(SHAPES), geom)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), HALF[geom], rtol=0.02)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), -np.asarray(HALF[geom]), rtol=0.02)
    # Triangles that faced inward would give a negative volume; flat ones lie inside a curved shape.
    volume = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume
    assert 0.95 * VOLUMES[geom] < volume < 1.001 * VOLUMES[geom]


def test_a_mesh_geom_keeps_its_triangles() -> None:
    xml = """
    <mujoco><asset><mesh name="tetra" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/></asset>
    <worldbody><body><geom type="mesh" mesh="tetra"/></body></worldbody></mujoco>
    """
    mesh = geom_mesh(mujoco.MjModel.from_xml_string(xml), 0)
    assert mesh.faces.shape == (4, 3)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume == pytest.approx(1 / 6, rel=1e-5)


def test_a_shape_without_mesh_is_refused_by_name() -> None:
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><geom name="floor" type="plane" size="0 0 1"/></worldbody></mujoco>'
    )
    with pytest.raises(ValueError, match="floor.*PLANE"):
        geom_mesh(model, 0)


def test_a_plane_is_a_checkerboard_around_the_centre() -> None:
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><geom type="plane" size="0 0 1" pos="0 0 0.7"/></worldbody></mujoco>'
    )
    ground = ground_geom(model)
    assert ground == 0
    dark, light = ground_patch(model, ground, np.array([3.0, -2.0]), 1.0)
    assert len(dark.faces) == len(light.faces) == 16
    np.testing.assert_allclose(dark.vertices.min(axis=0), (2.0, -3.0, 0.7))
    np.testing.assert_allclose(dark.vertices.max(axis=0), (4.0, -1.0, 0.7))
    for mesh, parity in ((dark, 0), (light, 1)):
        corners = mesh.vertices[mesh.faces]
        squares = np.floor(corners.mean(axis=1)[:, :2] / CHECKER)
        assert (squares.sum(axis=1) % 2 == parity).all()
        assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all()


def test_a_heightfield_has_the_heights_that_a_ray_meets() -> None:
    xml = """
    <mujoco><asset><hfield name="hills" nrow="5" ncol="7" size="3 2 0.8 1"/></asset>
    <worldbody><geom type="hfield" hfield="hills" pos="0.5 -0.25 -0.3"/></worldbody></mujoco>
    """
    model = mujoco.MjModel.from_xml_string(xml)
    model.hfield_data[:] = np.random.default_rng(0).uniform(size=35)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    dark, light = ground_patch(model, 0, np.array([0.5, -0.25]), 10.0)
    assert dark.vertices.shape == (35, 3)
    assert len(dark.faces) + len(light.faces) == 2 * 4 * 6
    # Inside the triangles, so that the diagonals count, too.
    corners = dark.vertices[np.concatenate((dark.faces, light.faces))]
    for point in corners @ np.array([0.0, 0.0, 0.0]) + corners.mean(axis=1):
        start = np.array([point[0], point[1], 5.0])
        distance = mujoco.mj_ray(model, data, start, np.array([0.0, 0.0, -1.0]), None, 1, -1, np.zeros(1, np.int32))
        assert 5.0 - distance == pytest.approx(point[2], abs=1e-6)


def test_only_the_part_near_the_centre_is_taken_and_nothing_beyond_the_edge() -> None:
    xml = """
    <mujoco><asset><hfield name="hills" nrow="41" ncol="41" size="2 2 1 1"/></asset>
    <worldbody><geom type="hfield" hfield="hills"/></worldbody></mujoco>
    """
    model = mujoco.MjModel.from_xml_string(xml)
    dark, light = ground_patch(model, 0, np.array([1.95, 0.0]), 0.5)
    assert dark.vertices[:, 0].min() == pytest.approx(1.5)
    assert dark.vertices[:, 0].max() == pytest.approx(2.0)
    assert len(dark.faces) + len(light.faces) == 2 * 5 * 10
    dark, light = ground_patch(model, 0, np.array([9.0, 0.0]), 0.5)
    assert len(dark.faces) == len(light.faces) == 0
