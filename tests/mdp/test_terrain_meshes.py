"""The triangles of a ground."""

import numpy as np
import pytest
import warp as wp
from newton import Heightfield

from legged_cts.mdp.terrain import meshes
from legged_cts.terrain.grid import Entry, lay_ground

GROUND = lay_ground([Entry("waves", {}), Entry("stairs_up", {})], levels=1, size=2.0, border=0.5, cell=0.25)


@pytest.mark.parametrize("largest", [10**9, 200, 1])
def test_strips_are_the_whole_ground_and_share_their_edges(largest):
    rows, cols = GROUND.heights.shape
    strips = list(meshes(GROUND, largest))
    assert sum(len(strip.faces) for strip in strips) == 2 * (rows - 1) * (cols - 1)
    assert all(len(strip.faces) <= max(largest, 2 * (cols - 1)) for strip in strips)
    points = [strip.vertices.reshape(-1, cols, 3) for strip in strips]
    for before, after in zip(points, points[1:], strict=False):
        np.testing.assert_array_equal(before[-1], after[0])
    whole = np.concatenate([points[0], *(strip[1:] for strip in points[1:])])
    np.testing.assert_allclose(whole[:, :, 2], GROUND.heights)
    np.testing.assert_allclose(whole[:, 0, 0], (np.arange(rows) - (rows - 1) / 2) * 0.25)
    assert all((strip.face_normals[:, 2] > 0).all() for strip in strips)


@pytest.mark.parametrize("kind", ["stairs_up", "obstacles", "tyres"])
def test_newton_reads_the_heights_back_from_under_upright_risers(kind):
    ground = lay_ground([Entry(kind, {})], levels=1, size=2.0, border=0.5, cell=0.05)
    mesh = next(iter(meshes(ground, 10**9)))
    with wp.ScopedDevice("cpu"):
        points, faces = wp.array(mesh.vertices, dtype=wp.vec3), wp.array(mesh.faces.ravel(), dtype=wp.int32)
        field, _ = Heightfield.create_from_mesh(wp.Mesh(points, faces), 0.05)
    assert field.data.shape == ground.heights.shape
    span = field.max_z - field.min_z
    np.testing.assert_allclose(field.min_z + span * field.data, ground.heights.T, atol=1e-4)
